# @summary The MTU that a CNI plugin gives to new pods
#
# Parameters that are not given are not declared, and stay on the host as they are.
#
# @example
#   netkeel::cni { 'calico':
#     plugin => 'calico',
#     mtu    => 1460,
#   }
#
# @param plugin The type of the plugin.
# @param mtu MTU: bytes, or a budget.
# @param file The configuration; by default the one that the container runtime loads.
# @param order Where its document stands among the others: see `netkeel::document`.
define netkeel::cni (
  String[1] $plugin,
  Netkeel::Mtu $mtu,
  Optional[Pattern[/\A\//]] $file = undef,
  Integer[10, 99] $order = 60,
) {
  $given = {
    'plugin' => $plugin,
    'mtu'    => $mtu,
    'file'   => $file,
  }.filter |$field| { !($field[1] =~ Undef) }

  netkeel::document { "cni-${title}":
    content => { 'cni' => { $title => $given } },
    order   => $order,
  }
}
