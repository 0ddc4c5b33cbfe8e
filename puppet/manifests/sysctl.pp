# @summary A sysctl and its value, live and at boot
#
# @example
#   netkeel::sysctl { 'net.core.rmem_max':
#     value => 134217728,
#   }
#
# @param value The value; a list for a vector.
# @param order The position of its document: see `netkeel::document`.
define netkeel::sysctl (
  Netkeel::Kind::Sysctl $value,
  Integer[10, 99] $order = 60,
) {
  netkeel::document { "sysctl-${title}":
    content => { 'sysctl' => { $title => $value } },
    order   => $order,
  }
}
