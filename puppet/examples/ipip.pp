# Replaces the ifupdown stanzas and the `sysctl -q` execs of profile::lvs::realserver::ipip: tunnels for the packets of the
# load balancers, without a reverse path filter that drops them. netkeel also keeps the settings at boot, and compares the
# kind, addresses, mode and state of ipip0.
class profile::lvs::realserver::ipip {
  include netkeel

  netkeel::tunnel { 'ipip0':
    mode      => 'ipip',
    addresses => ['127.0.0.42/32'],
    rp_filter => 'off',
  }
  # IPv6 has no reverse path filter, but ip6tnl also carries IPv4 in IPv6.
  netkeel::tunnel { 'ipip60':
    mode      => 'ip6tnl',
    addresses => ['127.0.0.42/32'],
    rp_filter => 'off',
  }
  netkeel::link { $facts['networking']['primary']:
    rp_filter => 'off',
  }
  # The larger of `all` and the interface's own value counts.
  netkeel::sysctl { 'net.ipv4.conf.all.rp_filter':
    value => 0,
  }
}

include profile::lvs::realserver::ipip
