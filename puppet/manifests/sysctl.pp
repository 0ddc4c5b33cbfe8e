# @summary A sysctl and its value, live and at boot
#
# @example
#   netkeel::sysctl { 'net.core.rmem_max':
#     value => 134217728,
#   }
#
# @param key The key, in any spelling of sysctl(8); by default the title.
# @param ensure `absent` removes the document. With `prune`, netkeel then restores the earlier values.
# @param value The value; a list for a vector. It is required unless `ensure` is `absent`.
# @param order The position of its document: see `netkeel::document`.
define netkeel::sysctl (
  String[1] $key = $title,
  Enum['present', 'absent'] $ensure = 'present',
  Optional[Netkeel::Kind::Sysctl] $value = undef,
  Integer[10, 99] $order = 60,
) {
  if $ensure == 'present' and $value =~ Undef {
    fail("netkeel::sysctl '${title}' needs the parameter 'value'")
  }

  # The document has the name of the variable: two spellings or names of one variable are a duplicate declaration.
  $spelled = netkeel::sysctl_key($key)
  $variable = $spelled ? {
    'net.nf_conntrack_max'         => 'net.netfilter.nf_conntrack_max',
    'net.ipv4.conf.all.forwarding' => 'net.ipv4.ip_forward',
    default                        => $spelled,
  }
  netkeel::document { "sysctl-${variable}":
    ensure  => $ensure,
    content => { 'sysctl' => { $spelled => $value } },
    order   => $order,
  }
}
