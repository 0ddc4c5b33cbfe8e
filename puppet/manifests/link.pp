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
# @example A title other than the name of the interface
#   netkeel::link { 'the uplink of the tunnels':
#     interface => 'eth0',
#     rp_filter => 'off',
#   }
#
# @param interface The name of the interface; with `match`, a label for the rule; by default the title.
# @param ensure `absent` removes the document. With `prune`, netkeel then restores the earlier values.
# @param match The interfaces of the rule; without it `interface` is the name of one interface.
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
  String[1] $interface = $title,
  Enum['present', 'absent'] $ensure = 'present',
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
  if $match =~ Undef {
    assert_type(Netkeel::Any_name, $interface) |$expected, $actual| {
      fail("netkeel::link '${title}' needs the parameter 'interface' or 'match': '${interface}' is no name of an interface")
    }
  }

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

  # A match that sets the MTU of veths sets both ends.
  if $ensure == 'present' and $match !~ Undef and $mtu !~ Undef and $pod_mtu != 'leave' and ($match['kind'] =~ Undef or $match['kind'] == 'veth') {
    include netkeel
    include netkeel::pods
  }

  # The document has the name of the interface: two defines for one interface are a duplicate declaration.
  netkeel::document { "link-${interface}":
    ensure  => $ensure,
    content => { 'link' => { $interface => $given } },
    order   => $order,
  }
}
