//! The kernel's defaults of sysctls on the path of packets, where they are constants of the source.

/// The default of a key; `None` if the kernel computes it from the host, if versions differ, or if it is unknown.
///
/// From Linux 6.12: net/ipv4/tcp_ipv4.c (`tcp_sk_init`), net/ipv4/route.c, net/ipv4/icmp.c, net/ipv4/devinet.c,
/// net/ipv4/af_inet.c (`inet_init_net`), net/ipv6/route.c and net/core/dev.c.
pub(crate) fn default_value(path: &str) -> Option<&'static str> {
    const DEFAULTS: &[(&str, &str)] = &[
        ("net/core/somaxconn", "4096"),
        ("net/core/netdev_max_backlog", "1000"),
        ("net/core/netdev_budget", "300"),
        ("net/ipv4/conf/all/accept_local", "0"),
        ("net/ipv4/conf/all/arp_announce", "0"),
        ("net/ipv4/conf/all/arp_filter", "0"),
        ("net/ipv4/conf/all/arp_ignore", "0"),
        ("net/ipv4/conf/all/proxy_arp", "0"),
        ("net/ipv4/conf/all/rp_filter", "0"),
        ("net/ipv4/conf/all/src_valid_mark", "0"),
        ("net/ipv4/conf/default/accept_local", "0"),
        ("net/ipv4/conf/default/rp_filter", "0"),
        ("net/ipv4/conf/default/src_valid_mark", "0"),
        ("net/ipv4/icmp_ratelimit", "1000"),
        ("net/ipv4/icmp_ratemask", "6168"),
        ("net/ipv4/ip_forward", "0"),
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
        ("net/ipv6/conf/all/forwarding", "0"),
        ("net/ipv6/conf/default/forwarding", "0"),
        ("net/ipv6/route/min_adv_mss", "1220"),
        ("net/ipv6/route/mtu_expires", "600"),
    ];
    DEFAULTS
        .iter()
        .find(|(key, _)| *key == path)
        .map(|(_, value)| *value)
}
