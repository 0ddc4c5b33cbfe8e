# @summary What removes a value of a more general level of Hiera, or is left of one that was removed
type Netkeel::Knocked_out = Pattern[/\A(--.*)?\z/]
