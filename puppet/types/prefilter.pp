# @summary Messages that the kernel drops before it wakes the reader of an NFLOG group
type Netkeel::Prefilter = Struct[{
  Optional[min_mtu]      => Integer[1, 65535],
  Optional[min_mtu_ipv6] => Integer[1, 65535],
  Optional[max_mtu]      => Integer[1, 65535],
  Optional[rate]         => Integer[1, 1000000],
  Optional[burst]        => Integer[1, 1000000],
}]
