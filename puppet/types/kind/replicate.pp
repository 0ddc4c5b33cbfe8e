# @summary Replication of ICMP "packet too big" to peers, with its limits
type Netkeel::Kind::Replicate = Struct[{
  nflog                    => String[1],
  Optional[peers]          => Optional[Variant[Netkeel::Knocked_out, Array[Variant[Netkeel::Knocked_out, Netkeel::Network]], Struct[{
    Optional[endpoints] => Struct[{ service => Pattern[/\A[^\/]+\/[^\/]+\z/], Optional[families] => Array[Enum['ipv4', 'ipv6']] }],
    Optional[nodes]     => Struct[{ Optional[selector] => Hash[String[1], String], Optional[families] => Array[Enum['ipv4', 'ipv6']], Optional[not_ready] => Enum['keep', 'drop'] }],
  }]]],
  Optional[peers_file]     => Optional[Variant[Netkeel::Knocked_out, Pattern[/\A\//]]],
  Optional[mode]           => Optional[Variant[Netkeel::Knocked_out, Enum['unicast', 'broadcast', 'ipip']]],
  Optional[interface]      => Optional[Variant[Netkeel::Knocked_out, Netkeel::Interface]],
  Optional[ttl]            => Optional[Variant[Netkeel::Knocked_out, Integer[2, 255]]],
  Optional[floor]          => Optional[Variant[Netkeel::Knocked_out, Struct[{ Optional[ipv4] => Variant[Integer[0, 65535], Netkeel::Decimal], Optional[ipv6] => Netkeel::Bytes }]]],
  Optional[flows_to_nodes] => Optional[Variant[Netkeel::Knocked_out, Netkeel::Switch]],
  Optional[vips]           => Optional[Variant[Netkeel::Knocked_out, Array[Variant[Netkeel::Knocked_out, Netkeel::Network]]]],
  Optional[ignore_sources] => Optional[Variant[Netkeel::Knocked_out, Array[Variant[Netkeel::Knocked_out, Netkeel::Network]]]],
  Optional[limits]         => Optional[Struct[{
    Optional[per_source]      => Netkeel::Rate,
    Optional[per_destination] => Netkeel::Rate,
    Optional[copies]          => Netkeel::Rate,
    Optional[repeat_after]    => String[1],
  }]],
  Optional[dry_run]        => Optional[Variant[Netkeel::Knocked_out, Netkeel::Switch]],
}]
