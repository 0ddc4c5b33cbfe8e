# More precise than a class with one `enable_rp_filter`: `default` stays strict, so that Calico sets it on each pod's
# interface, and `all` is off, so that single interfaces can be off.
class profile::base::rp_filter (
  Integer[0, 2] $everywhere = 0,
  Integer[0, 2] $new_interfaces = 1,
  Hash[Netkeel::Interface, Netkeel::Rp_filter] $interfaces = {},
) {
  include netkeel

  netkeel::sysctl {
    'net.ipv4.conf.all.rp_filter':
      value => $everywhere;
    'net.ipv4.conf.default.rp_filter':
      value => $new_interfaces;
  }
  $interfaces.each |$interface, $filter| {
    netkeel::link { $interface:
      rp_filter => $filter,
    }
  }
}

class { 'profile::base::rp_filter':
  interfaces => { 'ipip0' => 'off' },
}
