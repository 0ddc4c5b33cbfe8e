# @summary The interfaces that a rule of `link` is for: those that meet all conditions given
type Netkeel::Match = Struct[{
  Optional[name]   => String[1],
  Optional[kind]   => String[1],
  Optional[driver] => String[1],
}]
