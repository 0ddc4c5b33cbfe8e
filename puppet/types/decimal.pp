# @summary A decimal integer as text, as templates and inventories often have it
type Netkeel::Decimal = Pattern[/\A-?(0|[1-9][0-9]*)\z/]
