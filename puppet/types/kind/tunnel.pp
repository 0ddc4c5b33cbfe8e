# @summary A tunnel in collect-metadata mode with its settings
type Netkeel::Kind::Tunnel = Struct[{
  mode                => Enum['ipip', 'ip6tnl'],
  Optional[addresses] => Optional[Variant[Netkeel::Knocked_out, Array[Variant[Netkeel::Knocked_out, Netkeel::Network]]]],
  Optional[mtu]       => Optional[Variant[Netkeel::Knocked_out, Netkeel::Mtu]],
  Optional[rp_filter] => Optional[Variant[Netkeel::Knocked_out, Netkeel::Rp_filter]],
  Optional[up]        => Optional[Variant[Netkeel::Knocked_out, Netkeel::Switch]],
  Optional[force]     => Optional[Variant[Netkeel::Knocked_out, Netkeel::Switch]],
}]
