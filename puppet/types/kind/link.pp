# @summary Settings of an interface, or of all that match
type Netkeel::Kind::Link = Struct[{
  Optional[match]           => Variant[Netkeel::Knocked_out, Netkeel::Match],
  Optional[required]        => Optional[Variant[Netkeel::Knocked_out, Netkeel::Switch]],
  Optional[mtu]             => Optional[Variant[Netkeel::Knocked_out, Netkeel::Mtu]],
  Optional[pod_mtu]         => Optional[Variant[Netkeel::Knocked_out, Netkeel::Bytes, Enum['same', 'leave']]],
  Optional[rp_filter]       => Optional[Variant[Netkeel::Knocked_out, Netkeel::Rp_filter]],
  Optional[up]              => Optional[Variant[Netkeel::Knocked_out, Netkeel::Switch]],
  Optional[txqueuelen]      => Optional[Variant[Netkeel::Knocked_out, Integer[0, 1000000], Netkeel::Decimal]],
  Optional[alias]           => Optional[String],
  Optional[allow_ipv6_loss] => Optional[Variant[Netkeel::Knocked_out, Netkeel::Switch]],
}]
