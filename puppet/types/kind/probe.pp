# @summary A path MTU, a service or replication that is measured each minute
type Netkeel::Kind::Probe = Struct[{
  Optional[path_mtu]  => Optional[Variant[Netkeel::Knocked_out, Netkeel::Network]],
  Optional[ipip]      => Optional[Variant[Netkeel::Knocked_out, Netkeel::Network]],
  Optional[service]   => Optional[Variant[Netkeel::Knocked_out, Netkeel::Network]],
  Optional[protocol]  => Optional[Variant[Netkeel::Knocked_out, Enum['icmp', 'udp', 'tcp']]],
  Optional[port]      => Optional[Variant[Netkeel::Knocked_out, Integer[1, 65535], Netkeel::Decimal]],
  Optional[expect]    => Optional[Variant[Netkeel::Knocked_out, Netkeel::Bytes]],
  Optional[replicate] => Optional[Variant[Netkeel::Knocked_out, Netkeel::Network]],
  Optional[nodes]     => Optional[Variant[Netkeel::Knocked_out, Array[Variant[Netkeel::Knocked_out, Netkeel::Network]]]],
}]
