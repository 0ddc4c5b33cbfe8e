# @summary Hands ICMP "packet too big" to an NFLOG group
#
# Parameters that are not given are not declared, and stay on the host as they are.
#
# @example
#   netkeel::nflog { 'packet-too-big':
#     interfaces     => [$facts['networking']['primary']],
#     ignore_sources => ['192.0.2.0/24'],
#   }
#
# @param interfaces The interfaces by which the messages come in.
# @param group The NFLOG group.
# @param ignore_sources Networks whose messages are not logged.
# @param snaplen How many bytes of a packet the reader gets.
# @param queue_threshold How many packets the kernel gathers before it wakes the reader.
# @param prefilter What the kernel leaves out.
# @param remove_on_stop Whether the rules go when the service stops.
# @param adopt Whether rules of iptables that do the same are replaced.
# @param order Where its document stands among the others: see `netkeel::document`.
define netkeel::nflog (
  Array[Netkeel::Interface, 1, 32] $interfaces,
  Optional[Variant[Integer[0, 65535], Netkeel::Decimal]] $group = undef,
  Optional[Array[Netkeel::Network]] $ignore_sources = undef,
  Optional[Netkeel::Bytes] $snaplen = undef,
  Optional[Integer[1, 65535]] $queue_threshold = undef,
  Optional[Netkeel::Prefilter] $prefilter = undef,
  Optional[Netkeel::Switch] $remove_on_stop = undef,
  Optional[Netkeel::Switch] $adopt = undef,
  Integer[10, 99] $order = 60,
) {
  $given = {
    'interfaces'      => $interfaces,
    'group'           => $group,
    'ignore_sources'  => $ignore_sources,
    'snaplen'         => $snaplen,
    'queue_threshold' => $queue_threshold,
    'prefilter'       => $prefilter,
    'remove_on_stop'  => $remove_on_stop,
    'adopt'           => $adopt,
  }.filter |$field| { !($field[1] =~ Undef) }

  netkeel::document { "nflog-${title}":
    content => { 'nflog' => { $title => $given } },
    order   => $order,
  }
}
