# @summary A tunnel in collect-metadata mode
#
# Settings without a parameter are not declared, and netkeel does not change them.
#
# @example
#   netkeel::tunnel { 'ipip0':
#     mode      => 'ipip',
#     addresses => ['127.0.0.42/32'],
#     rp_filter => 'off',
#   }
#
# @param interface The name of the tunnel; by default the title.
# @param ensure `absent` removes the document. With `prune`, netkeel then restores the earlier values.
# @param mode `ipip` for IPv4 in IPv4, `ip6tnl` for IPv6 and IPv4 in IPv6. It is required unless `ensure` is `absent`.
# @param addresses Addresses that it must have; others are kept.
# @param mtu MTU: bytes, or a budget.
# @param rp_filter The tunnel's own reverse path filter.
# @param up Whether it is administratively up.
# @param force Whether an ipip tunnel is created although tunl0 is up.
# @param order The position of its document: see `netkeel::document`.
define netkeel::tunnel (
  Netkeel::Interface $interface = $title,
  Enum['present', 'absent'] $ensure = 'present',
  Optional[Enum['ipip', 'ip6tnl']] $mode = undef,
  Optional[Array[Netkeel::Network]] $addresses = undef,
  Optional[Netkeel::Mtu] $mtu = undef,
  Optional[Netkeel::Rp_filter] $rp_filter = undef,
  Optional[Netkeel::Switch] $up = undef,
  Optional[Netkeel::Switch] $force = undef,
  Integer[10, 99] $order = 60,
) {
  if $ensure == 'present' and $mode =~ Undef {
    fail("netkeel::tunnel '${title}' needs the parameter 'mode'")
  }

  $given = {
    'mode'      => $mode,
    'addresses' => $addresses,
    'mtu'       => $mtu,
    'rp_filter' => $rp_filter,
    'up'        => $up,
    'force'     => $force,
  }.filter |$field| { !($field[1] =~ Undef) }

  netkeel::document { "tunnel-${interface}":
    ensure  => $ensure,
    content => { 'tunnel' => { $interface => $given } },
    order   => $order,
  }
}
