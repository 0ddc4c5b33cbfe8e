# @summary The MTU that a CNI plugin gives to new pods
#
# Settings without a parameter are not declared, and netkeel does not change them.
#
# @example
#   netkeel::cni { 'calico':
#     plugin => 'calico',
#     mtu    => 1460,
#   }
#
# @param plugin The type of the plugin.
# @param mtu MTU: bytes, or a budget.
# @param file The path of the configuration; by default that of the file that the container runtime loads.
# @param order The position of its document: see `netkeel::document`.
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
