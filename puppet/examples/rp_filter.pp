# The reverse path filter from the key profile::base::enable_rp_filter, which is a boolean for all scopes, or a hash with a value
# for `all` and one for `default`. Single interfaces are more precise than both: with `all` off each interface's own value counts,
# and with a strict `default` Calico sets it on each pod's interface.
class profile::base::rp_filter (
  Variant[Boolean, Struct[{ all_rp_filter => Integer[0, 2], default_rp_filter => Integer[0, 2] }]] $enable_rp_filter =
  lookup('profile::base::enable_rp_filter', { 'default_value' => true }),
  Hash[Netkeel::Interface, Netkeel::Rp_filter] $interfaces = {},
) {
  include netkeel

  $scopes = $enable_rp_filter ? {
    Boolean => { 'all_rp_filter' => Integer($enable_rp_filter), 'default_rp_filter' => Integer($enable_rp_filter) },
    default => $enable_rp_filter,
  }
  netkeel::sysctl {
    'net.ipv4.conf.all.rp_filter':
      value => $scopes['all_rp_filter'];
    'net.ipv4.conf.default.rp_filter':
      value => $scopes['default_rp_filter'];
  }
  $interfaces.each |$interface, $filter| {
    netkeel::link { $interface:
      rp_filter => $filter,
    }
  }
}

# A real server behind IPIP load balancers.
class { 'profile::base::rp_filter':
  enable_rp_filter => { 'all_rp_filter' => 0, 'default_rp_filter' => 1 },
  interfaces       => { 'ipip0' => 'off' },
}
