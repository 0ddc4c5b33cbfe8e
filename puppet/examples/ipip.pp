# What profile::lvs::realserver::ipip does with ifupdown stanzas and `sysctl -q` in execs: tunnels that take what the load
# balancers encapsulate, and no reverse path filter in its way. Here it holds at boot too, an ipip0 of another kind is a
# difference, and addresses, mode and state are looked at.
class profile::lvs::realserver::ipip {
  include netkeel

  netkeel::tunnel { 'ipip0':
    mode      => 'ipip',
    addresses => ['127.0.0.42/32'],
    rp_filter => 'off',
  }
  # IPv6 has no reverse path filter, but ip6tnl takes IPv4 in IPv6 as well.
  netkeel::tunnel { 'ipip60':
    mode      => 'ip6tnl',
    addresses => ['127.0.0.42/32'],
    rp_filter => 'off',
  }
  netkeel::link { $facts['networking']['primary']:
    rp_filter => 'off',
  }
  # The larger one of `all` and of the interface's own counts.
  netkeel::sysctl { 'net.ipv4.conf.all.rp_filter':
    value => 0,
  }
}

include profile::lvs::realserver::ipip
