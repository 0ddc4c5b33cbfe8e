# @summary An absolute path that needs no quotes in a shell
type Netkeel::Absolute_path = Pattern[/\A(\/[A-Za-z0-9._+-]+)+\z/]
