# @summary The owner of a document
type Netkeel::Owner = Pattern[/\A[a-z0-9][a-z0-9-]*\z/]
