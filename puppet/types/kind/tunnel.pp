# @summary A tunnel in collect-metadata mode with its settings
type Netkeel::Kind::Tunnel = Struct[{
  mode                => Enum['ipip', 'ip6tnl'],
  Optional[addresses] => Optional[Array[Netkeel::Network]],
  Optional[mtu]       => Optional[Netkeel::Mtu],
  Optional[rp_filter] => Optional[Netkeel::Rp_filter],
  Optional[up]        => Optional[Netkeel::Switch],
  Optional[force]     => Optional[Netkeel::Switch],
}]
