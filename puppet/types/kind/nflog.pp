# @summary Rules that send ICMP "packet too big" to an NFLOG group
type Netkeel::Kind::Nflog = Struct[{
  interfaces                => Array[Netkeel::Interface, 1, 32],
  Optional[group]           => Optional[Variant[Integer[0, 65535], Netkeel::Decimal]],
  Optional[ignore_sources]  => Optional[Array[Netkeel::Network]],
  Optional[snaplen]         => Optional[Netkeel::Bytes],
  Optional[queue_threshold] => Optional[Integer[1, 65535]],
  Optional[prefilter]       => Optional[Netkeel::Prefilter],
  Optional[remove_on_stop]  => Optional[Netkeel::Switch],
  Optional[adopt]           => Optional[Netkeel::Switch],
}]
