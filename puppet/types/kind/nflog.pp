# @summary Rules that send ICMP "packet too big" to an NFLOG group
type Netkeel::Kind::Nflog = Struct[{
  interfaces                => Array[Variant[Netkeel::Knocked_out, Netkeel::Any_name], 1, 32],
  Optional[group]           => Optional[Variant[Netkeel::Knocked_out, Integer[0, 65535], Netkeel::Decimal]],
  Optional[ignore_sources]  => Optional[Variant[Netkeel::Knocked_out, Array[Variant[Netkeel::Knocked_out, Netkeel::Network]]]],
  Optional[snaplen]         => Optional[Variant[Netkeel::Knocked_out, Netkeel::Bytes]],
  Optional[queue_threshold] => Optional[Variant[Netkeel::Knocked_out, Integer[1, 65535]]],
  Optional[prefilter]       => Optional[Variant[Netkeel::Knocked_out, Netkeel::Prefilter]],
  Optional[remove_on_stop]  => Optional[Variant[Netkeel::Knocked_out, Netkeel::Switch]],
  Optional[adopt]           => Optional[Variant[Netkeel::Knocked_out, Netkeel::Switch]],
  Optional[required]        => Optional[Variant[Netkeel::Knocked_out, Netkeel::Switch]],
}]
