# @summary Replication of ICMP "packet too big" to peers, with its limits
type Netkeel::Kind::Replicate = Struct[{
  nflog                    => String[1],
  Optional[peers]          => Optional[Array[Netkeel::Network]],
  Optional[peers_file]     => Optional[Pattern[/\A\//]],
  Optional[mode]           => Optional[Enum['unicast', 'broadcast', 'ipip']],
  Optional[interface]      => Optional[Netkeel::Interface],
  Optional[ttl]            => Optional[Integer[2, 255]],
  Optional[floor]          => Optional[Struct[{ Optional[ipv4] => Netkeel::Bytes, Optional[ipv6] => Netkeel::Bytes }]],
  Optional[vips]           => Optional[Array[Netkeel::Network]],
  Optional[ignore_sources] => Optional[Array[Netkeel::Network]],
  Optional[limits]         => Optional[Struct[{
    Optional[per_source]      => Netkeel::Rate,
    Optional[per_destination] => Netkeel::Rate,
    Optional[copies]          => Netkeel::Rate,
    Optional[repeat_after]    => String[1],
  }]],
  Optional[dry_run]        => Optional[Netkeel::Switch],
}]
