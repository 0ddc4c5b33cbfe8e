# @summary The name of an interface: at most 15 bytes, no slash, no blank
type Netkeel::Interface = Pattern[/\A(?!\.\.?\z)[^\s\/:]{1,15}\z/]
