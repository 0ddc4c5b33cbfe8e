# @summary Sends ICMP "packet too big" to an NFLOG group
#
# Settings without a parameter are not declared, and netkeel does not change them.
#
# @example
#   netkeel::nflog { 'packet-too-big':
#     interfaces => ['default-route'],
#   }
#
# @param label The name of the rule in the document; by default the title.
# @param ensure `absent` removes the document. With `prune`, netkeel then restores the earlier values.
# @param interfaces The interfaces that receive the messages: names, patterns (`eth*`) and `default-route`. They are required
#   unless `ensure` is `absent`.
# @param group The NFLOG group.
# @param ignore_sources Networks whose messages are not logged. They must not contain a router.
# @param snaplen The number of bytes of a packet that the reader gets.
# @param queue_threshold The number of packets that the kernel collects before it wakes the reader.
# @param prefilter Messages that the kernel drops.
# @param remove_on_stop Whether the rules are removed when the service stops.
# @param adopt Whether iptables rules that do the same are replaced.
# @param required Whether it is an error if one of `interfaces` finds no interface.
# @param order The position of its document: see `netkeel::document`.
define netkeel::nflog (
  String[1] $label = $title,
  Enum['present', 'absent'] $ensure = 'present',
  Optional[Array[Netkeel::Any_name, 1, 32]] $interfaces = undef,
  Optional[Variant[Integer[0, 65535], Netkeel::Decimal]] $group = undef,
  Optional[Array[Netkeel::Network]] $ignore_sources = undef,
  Optional[Netkeel::Bytes] $snaplen = undef,
  Optional[Integer[1, 65535]] $queue_threshold = undef,
  Optional[Netkeel::Prefilter] $prefilter = undef,
  Optional[Netkeel::Switch] $remove_on_stop = undef,
  Optional[Netkeel::Switch] $adopt = undef,
  Optional[Netkeel::Switch] $required = undef,
  Integer[10, 99] $order = 60,
) {
  if $ensure == 'present' and $interfaces =~ Undef {
    fail("netkeel::nflog '${title}' needs the parameter 'interfaces'")
  }

  $given = {
    'interfaces'      => $interfaces,
    'group'           => $group,
    'ignore_sources'  => $ignore_sources,
    'snaplen'         => $snaplen,
    'queue_threshold' => $queue_threshold,
    'prefilter'       => $prefilter,
    'remove_on_stop'  => $remove_on_stop,
    'adopt'           => $adopt,
    'required'        => $required,
  }.filter |$field| { !($field[1] =~ Undef) }

  netkeel::document { "nflog-${label}":
    ensure  => $ensure,
    content => { 'nflog' => { $label => $given } },
    order   => $order,
  }
}
