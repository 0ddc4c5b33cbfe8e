# @summary Who owns what a document declares
type Netkeel::Owner = Pattern[/\A[a-z0-9][a-z0-9-]*\z/]
