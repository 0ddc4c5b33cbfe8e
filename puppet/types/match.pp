# @summary The interfaces that a rule of `link` applies to: those that meet all conditions
type Netkeel::Match = Struct[{
  Optional[name]   => String[1],
  Optional[kind]   => String[1],
  Optional[driver] => String[1],
}]
