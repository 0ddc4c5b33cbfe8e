# @summary What the kernel leaves out before the reader of an NFLOG group is woken
type Netkeel::Prefilter = Struct[{
  Optional[min_mtu]      => Integer[1, 65535],
  Optional[min_mtu_ipv6] => Integer[1, 65535],
  Optional[max_mtu]      => Integer[1, 65535],
  Optional[rate]         => Integer[1, 1000000],
  Optional[burst]        => Integer[1, 1000000],
}]
