# @summary A name by which an interface is found: its own or an alternative one, at most 127 bytes, no slash, no blank
type Netkeel::Any_name = Pattern[/\A(?!\.\.?\z)[^\s\/:]{1,127}\z/]
