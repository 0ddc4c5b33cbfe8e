# @summary Settings of an interface, or of all that match
type Netkeel::Kind::Link = Struct[{
  Optional[match]           => Netkeel::Match,
  Optional[required]        => Optional[Netkeel::Switch],
  Optional[mtu]             => Optional[Netkeel::Mtu],
  Optional[pod_mtu]         => Optional[Variant[Netkeel::Bytes, Enum['same', 'leave']]],
  Optional[rp_filter]       => Optional[Netkeel::Rp_filter],
  Optional[up]              => Optional[Netkeel::Switch],
  Optional[txqueuelen]      => Optional[Variant[Integer[0, 1000000], Netkeel::Decimal]],
  Optional[alias]           => Optional[String],
  Optional[allow_ipv6_loss] => Optional[Netkeel::Switch],
}]
