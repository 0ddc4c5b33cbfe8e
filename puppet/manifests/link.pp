# @summary Settings of an interface, or of all that match
#
# Settings without a parameter are not declared, and netkeel does not change them.
#
# @example
#   netkeel::link { 'pods':
#     match     => { 'name' => 'cali*', 'kind' => 'veth' },
#     mtu       => 1460,
#     rp_filter => 'strict',
#   }
#
# @param match The interfaces of the rule; without it the title is the name of one interface.
# @param required Whether it is an error if no interface is found.
# @param mtu MTU: bytes, or a budget.
# @param pod_mtu MTU of the other end of a veth: `same`, `leave`, or bytes.
# @param rp_filter The interface's own reverse path filter.
# @param up Whether it is administratively up.
# @param txqueuelen Length of the transmit queue in packets.
# @param alias_text The alias of the interface. (`alias` is a metaparameter of Puppet.)
# @param allow_ipv6_loss Whether an MTU below 1280 may remove the IPv6 addresses.
# @param order The position of its document: see `netkeel::document`.
define netkeel::link (
  Optional[Netkeel::Match] $match = undef,
  Optional[Netkeel::Switch] $required = undef,
  Optional[Netkeel::Mtu] $mtu = undef,
  Optional[Variant[Netkeel::Bytes, Enum['same', 'leave']]] $pod_mtu = undef,
  Optional[Netkeel::Rp_filter] $rp_filter = undef,
  Optional[Netkeel::Switch] $up = undef,
  Optional[Variant[Integer[0, 1000000], Netkeel::Decimal]] $txqueuelen = undef,
  Optional[String] $alias_text = undef,
  Optional[Netkeel::Switch] $allow_ipv6_loss = undef,
  Integer[10, 99] $order = 60,
) {
  $given = {
    'match'           => $match,
    'required'        => $required,
    'mtu'             => $mtu,
    'pod_mtu'         => $pod_mtu,
    'rp_filter'       => $rp_filter,
    'up'              => $up,
    'txqueuelen'      => $txqueuelen,
    'alias'           => $alias_text,
    'allow_ipv6_loss' => $allow_ipv6_loss,
  }.filter |$field| { !($field[1] =~ Undef) }

  netkeel::document { "link-${title}":
    content => { 'link' => { $title => $given } },
    order   => $order,
  }
}
