# @summary Metrics of a route that another program adds
type Netkeel::Kind::Route = Struct[{
  Optional[family]   => Optional[Variant[Netkeel::Knocked_out, Enum['ipv4', 'ipv6']]],
  Optional[table]    => Optional[Variant[Netkeel::Knocked_out, Integer[1, 4294967295], Netkeel::Decimal, Enum['main', 'local', 'default']]],
  Optional[metric]   => Optional[Variant[Netkeel::Knocked_out, Integer[0, 4294967295], Netkeel::Decimal]],
  Optional[mtu]      => Optional[Variant[Netkeel::Knocked_out, Netkeel::Bytes]],
  Optional[advmss]   => Optional[Variant[Netkeel::Knocked_out, Netkeel::Bytes]],
  Optional[window]   => Optional[Variant[Netkeel::Knocked_out, Integer[536, 1073725440], Netkeel::Decimal]],
  Optional[required] => Optional[Variant[Netkeel::Knocked_out, Netkeel::Switch]],
}]
