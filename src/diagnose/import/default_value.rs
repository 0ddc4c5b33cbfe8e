//! The kernel's defaults of sysctls on the path of packets, where they are the same constants from Linux 4.19 on.
//!
//! A default that the kernel computes from the host (buffers, `netdev_budget_usecs`), that a version changed
//! (`somaxconn`, `optmem_max`, `icmp_msgs_per_sec`) or that a module brings is not listed.
//! `testinfra/cli/import.rs` compares the first two tables with a new network namespace of the running kernel.

/// Settings of a network namespace with which each namespace starts.
///
/// From net/ipv4/tcp_ipv4.c (`tcp_sk_init`), net/ipv4/route.c (`netns_ip_rt_init`), net/ipv4/icmp.c
/// (`icmp_sk_init`), net/ipv4/af_inet.c (`inet_init_net`), net/ipv6/route.c (`ip6_route_net_init`) and, for
/// net/ipv6/conf, net/ipv6/addrconf.c (`ipv6_devconf`).
pub const OF_NAMESPACE: &[(&str, &str)] = &[
    ("net/ipv4/icmp_ratelimit", "1000"),
    ("net/ipv4/icmp_ratemask", "6168"),
    ("net/ipv4/ip_forward_use_pmtu", "0"),
    ("net/ipv4/ip_local_port_range", "32768 60999"),
    ("net/ipv4/ip_no_pmtu_disc", "0"),
    ("net/ipv4/route/min_adv_mss", "256"),
    ("net/ipv4/route/min_pmtu", "552"),
    ("net/ipv4/route/mtu_expires", "600"),
    ("net/ipv4/tcp_base_mss", "1024"),
    ("net/ipv4/tcp_ecn", "2"),
    ("net/ipv4/tcp_min_snd_mss", "48"),
    ("net/ipv4/tcp_mtu_probe_floor", "48"),
    ("net/ipv4/tcp_mtu_probing", "0"),
    ("net/ipv4/tcp_timestamps", "1"),
    ("net/ipv6/conf/all/disable_ipv6", "0"),
    ("net/ipv6/conf/all/forwarding", "0"),
    ("net/ipv6/conf/default/disable_ipv6", "0"),
    ("net/ipv6/conf/default/forwarding", "0"),
    ("net/ipv6/route/min_adv_mss", "1220"),
    ("net/ipv6/route/mtu_expires", "600"),
];

/// Settings with which the first namespace starts, and which a later one copies from it (`devinet_init_net`,
/// net/ipv4/devinet.c), as `devconf_inherit_init_net` says.
///
/// From `ipv4_devconf` and `ipv4_devconf_dflt` in net/ipv4/devinet.c, which leave these at 0. `ip_forward` is the
/// same variable as `conf/all/forwarding`.
pub const INHERITED: &[(&str, &str)] = &[
    ("net/ipv4/conf/all/accept_local", "0"),
    ("net/ipv4/conf/all/arp_announce", "0"),
    ("net/ipv4/conf/all/arp_filter", "0"),
    ("net/ipv4/conf/all/arp_ignore", "0"),
    ("net/ipv4/conf/all/log_martians", "0"),
    ("net/ipv4/conf/all/proxy_arp", "0"),
    ("net/ipv4/conf/all/route_localnet", "0"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/all/src_valid_mark", "0"),
    ("net/ipv4/conf/default/accept_local", "0"),
    ("net/ipv4/conf/default/forwarding", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/conf/default/src_valid_mark", "0"),
    ("net/ipv4/ip_forward", "0"),
];

/// Settings of the whole machine, which no other namespace has.
///
/// From net/core/hotdata.c (`net_hotdata`; before Linux 6.9 in net/core/dev.c) and, for the last two,
/// Documentation/admin-guide/sysctl/net.rst.
pub const OF_MACHINE: &[(&str, &str)] = &[
    ("net/core/netdev_budget", "300"),
    ("net/core/netdev_max_backlog", "1000"),
    ("net/core/devconf_inherit_init_net", "0"),
    ("net/core/fb_tunnels_only_for_init_net", "0"),
];

/// All keys with a known default.
pub fn keys() -> impl Iterator<Item = &'static str> {
    let all = OF_NAMESPACE.iter().chain(INHERITED).chain(OF_MACHINE);
    all.map(|(key, _)| *key)
}

/// The default of a key; `None` if it is not known.
pub(crate) fn default_value(path: &str) -> Option<&'static str> {
    let mut all = OF_NAMESPACE.iter().chain(INHERITED).chain(OF_MACHINE);
    all.find(|(key, _)| *key == path).map(|(_, value)| *value)
}
