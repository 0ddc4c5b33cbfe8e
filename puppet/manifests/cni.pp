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
# @param label The name of the entry in the document; by default the title.
# @param ensure `absent` removes the document. With `prune`, netkeel then restores the earlier values.
# @param plugin The type of the plugin. It and `mtu` are required unless `ensure` is `absent`.
# @param mtu MTU: bytes, or a budget.
# @param file The path of the configuration; by default that of the file that the container runtime loads.
# @param order The position of its document: see `netkeel::document`.
define netkeel::cni (
  String[1] $label = $title,
  Enum['present', 'absent'] $ensure = 'present',
  Optional[String[1]] $plugin = undef,
  Optional[Netkeel::Mtu] $mtu = undef,
  Optional[Pattern[/\A\//]] $file = undef,
  Integer[10, 99] $order = 60,
) {
  if $ensure == 'present' and ($plugin =~ Undef or $mtu =~ Undef) {
    fail("netkeel::cni '${title}' needs the parameters 'plugin' and 'mtu'")
  }

  $given = {
    'plugin' => $plugin,
    'mtu'    => $mtu,
    'file'   => $file,
  }.filter |$field| { !($field[1] =~ Undef) }

  netkeel::document { "cni-${label}":
    ensure  => $ensure,
    content => { 'cni' => { $label => $given } },
    order   => $order,
  }
}
