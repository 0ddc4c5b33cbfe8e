# @summary The interfaces that a rule of `link` applies to: those that meet all conditions
type Netkeel::Match = Struct[{
  Optional[name]          => String[1],
  Optional[kind]          => String[1],
  Optional[driver]        => String[1],
  Optional[mac]           => String[1],
  Optional[permanent_mac] => String[1],
  Optional[bus]           => String[1],
  Optional[vlan]          => Integer[0, 4094],
  Optional[lower]         => Struct[{
    Optional[name]          => String[1],
    Optional[kind]          => String[1],
    Optional[driver]        => String[1],
    Optional[mac]           => String[1],
    Optional[permanent_mac] => String[1],
    Optional[bus]           => String[1],
    Optional[vlan]          => Integer[0, 4094],
  }],
}]
