# @summary A mark that removes a value of a more general level of Hiera, or the rest of a removed value
type Netkeel::Knocked_out = Pattern[/\A(--.*)?\z/]
