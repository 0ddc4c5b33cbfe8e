//! The numbers that the kernel accepts for a sysctl, where they are fewer than those of its handler: `extra1` and
//! `extra2` of the `ctl_table`s of net/.

use crate::sysctl_form::handler::matches;
use netkeel_core::name::sysctl::SysctlKey;

/// The kernels whose ranges are listed: the first and the last release, by major and minor number. The ranges are
/// those of Linux 6.6 and 6.12 and agree with what Linux 6.18 accepts. A later kernel may accept more.
pub const KERNELS: ((u32, u32), (u32, u32)) = ((6, 1), (6, 18));

/// The greatest number of a key without an upper limit.
const OPEN: i128 = i128::MAX;

/// The least and the greatest number, and the keys. `*` matches one component.
pub const RANGES: &[(i128, i128, &[&str])] = &[
    (
        0,
        1,
        &[
            "net/core/tstamp_allow_data",
            "net/core/txrehash",
            "net/ipv4/fib_multipath_use_neigh",
            "net/ipv4/icmp_echo_enable_probe",
            "net/ipv4/icmp_echo_ignore_all",
            "net/ipv4/icmp_echo_ignore_broadcasts",
            "net/ipv4/icmp_errors_use_inbound_ifaddr",
            "net/ipv4/icmp_ignore_bogus_error_responses",
            "net/ipv4/ip_autobind_reuse",
            "net/ipv4/ip_forward_update_priority",
            "net/ipv4/nexthop_compat_mode",
            "net/ipv4/raw_l3mdev_accept",
            "net/ipv4/tcp_autocorking",
            "net/ipv4/tcp_backlog_ack_defer",
            "net/ipv4/tcp_ecn_fallback",
            "net/ipv4/tcp_l3mdev_accept",
            "net/ipv4/tcp_migrate_req",
            "net/ipv4/tcp_no_ssthresh_metrics_save",
            "net/ipv4/tcp_plb_enabled",
            "net/ipv4/tcp_reflect_tos",
            "net/ipv4/tcp_shrink_window",
            "net/ipv4/udp_l3mdev_accept",
            "net/ipv6/conf/*/force_forwarding",
            "net/ipv6/conf/*/ioam6_enabled",
            "net/ipv6/conf/*/ndisc_evict_nocarrier",
            "net/ipv6/conf/*/ra_honor_pio_life",
            "net/ipv6/conf/*/ra_honor_pio_pflag",
            "net/ipv6/icmp/error_anycast_as_unicast",
            "net/ipv6/route/skip_notify_on_dev_down",
            "net/mptcp/allow_join_initial_addr_port",
            "net/mptcp/checksum_enabled",
            "net/mptcp/enabled",
            "net/mptcp/pm_type",
            "net/netfilter/nf_conntrack_acct",
            "net/netfilter/nf_conntrack_checksum",
            "net/netfilter/nf_conntrack_tcp_be_liberal",
            "net/netfilter/nf_conntrack_tcp_ignore_invalid_rst",
            "net/netfilter/nf_conntrack_tcp_loose",
            "net/netfilter/nf_conntrack_timestamp",
            "net/netfilter/nf_hooks_lwtunnel",
        ],
    ),
    (
        0,
        2,
        &[
            "net/ipv4/fib_notify_on_flag_change",
            "net/ipv4/tcp_ecn",
            "net/ipv4/tcp_ecn_option",
            "net/ipv4/tcp_tw_reuse",
            "net/ipv6/conf/*/accept_untracked_na",
            "net/ipv6/fib_notify_on_flag_change",
            "net/netfilter/nf_conntrack_events",
        ],
    ),
    (
        0,
        3,
        &[
            "net/ipv4/fib_multipath_hash_policy",
            "net/ipv4/tcp_ecn_option_beacon",
            "net/ipv6/auto_flowlabels",
            "net/ipv6/conf/*/addr_gen_mode",
            "net/ipv6/fib_multipath_hash_policy",
        ],
    ),
    (0, 4, &["net/ipv4/tcp_early_retrans"]),
    (0, 7, &["net/ipv6/flowlabel_reflect"]),
    (
        0,
        31,
        &[
            "net/ipv4/tcp_app_win",
            "net/ipv4/tcp_plb_idle_rehash_rounds",
            "net/ipv4/tcp_plb_rehash_rounds",
        ],
    ),
    (0, 127, &["net/ipv4/tcp_syn_linear_timeouts"]),
    (0, 256, &["net/ipv4/tcp_plb_cong_thresh"]),
    (
        0,
        1000,
        &["net/ipv4/tcp_pacing_ca_ratio", "net/ipv4/tcp_pacing_ss_ratio"],
    ),
    (
        0,
        65_535,
        &["net/ipv4/ip_unprivileged_port_start", "net/ipv6/conf/*/ioam6_id"],
    ),
    (0, 65_536, &["net/ipv4/udp_child_hash_entries"]),
    (0, 86_400, &["net/ipv4/tcp_min_rtt_wlen"]),
    (0, 16_777_215, &["net/ipv6/ioam6_id"]),
    (0, 16_777_216, &["net/ipv4/tcp_child_ehash_entries"]),
    (0, (1 << 56) - 1, &["net/ipv6/ioam6_id_wide"]),
    (
        0,
        OPEN,
        &[
            "net/core/somaxconn",
            "net/ipv4/icmp_msgs_burst",
            "net/ipv4/icmp_msgs_per_sec",
            "net/ipv4/ipfrag_max_dist",
            "net/ipv4/neigh/*/app_solicit",
            "net/ipv4/neigh/*/mcast_resolicit",
            "net/ipv4/neigh/*/mcast_solicit",
            "net/ipv4/neigh/*/proxy_qlen",
            "net/ipv4/neigh/*/ucast_solicit",
            "net/ipv4/neigh/*/unres_qlen",
            "net/ipv4/neigh/*/unres_qlen_bytes",
            "net/ipv4/tcp_fastopen_blackhole_timeout_sec",
            "net/ipv6/neigh/*/app_solicit",
            "net/ipv6/neigh/*/mcast_resolicit",
            "net/ipv6/neigh/*/mcast_solicit",
            "net/ipv6/neigh/*/proxy_qlen",
            "net/ipv6/neigh/*/ucast_solicit",
            "net/ipv6/neigh/*/unres_qlen",
            "net/ipv6/neigh/*/unres_qlen_bytes",
            "net/mptcp/blackhole_timeout",
        ],
    ),
    (1, 127, &["net/ipv4/tcp_syn_retries"]),
    (
        1,
        255,
        &[
            "net/ipv4/ip_default_ttl",
            "net/ipv4/tcp_min_tso_segs",
            "net/ipv4/tcp_pingpong_thresh",
            "net/ipv6/conf/*/hop_limit",
        ],
    ),
    (
        1,
        4095,
        &[
            "net/ipv4/fib_multipath_hash_fields",
            "net/ipv6/fib_multipath_hash_fields",
        ],
    ),
    (1, 60_000, &["net/ipv4/tcp_tw_reuse_delay"]),
    (
        1,
        OPEN,
        &[
            "net/ipv4/igmp_qrv",
            "net/ipv4/neigh/*/interval_probe_time_ms",
            "net/ipv4/tcp_rmem",
            "net/ipv4/tcp_rto_min_us",
            "net/ipv4/tcp_wmem",
            "net/ipv4/udp_rmem_min",
            "net/ipv4/udp_wmem_min",
            "net/ipv6/conf/*/ra_defrtr_metric",
            "net/ipv6/neigh/*/interval_probe_time_ms",
        ],
    ),
    (
        48,
        65_535,
        &["net/ipv4/tcp_min_snd_mss", "net/ipv4/tcp_mtu_probe_floor"],
    ),
    (68, OPEN, &["net/ipv4/route/min_pmtu"]),
    (1000, 120_000, &["net/ipv4/tcp_rto_max_ms"]),
    (-31, 31, &["net/ipv4/tcp_adv_win_scale"]),
    (-1, OPEN, &["net/ipv6/conf/*/router_solicitations"]),
];

/// Seconds that the kernel keeps as ticks in an `int` (`proc_dointvec_jiffies`): the number times the ticks per
/// second must fit.
pub const SECONDS: &[&str] = &[
    "net/ipv4/ipfrag_time",
    "net/ipv4/neigh/*/base_reachable_time",
    "net/ipv4/neigh/*/delay_first_probe_time",
    "net/ipv4/neigh/*/gc_stale_time",
    "net/ipv4/route/gc_interval",
    "net/ipv4/route/gc_timeout",
    "net/ipv4/route/mtu_expires",
    "net/ipv4/tcp_fin_timeout",
    "net/ipv4/tcp_keepalive_intvl",
    "net/ipv4/tcp_keepalive_time",
    "net/ipv6/conf/*/router_probe_interval",
    "net/ipv6/conf/*/router_solicitation_delay",
    "net/ipv6/conf/*/router_solicitation_interval",
    "net/ipv6/conf/*/router_solicitation_max_interval",
    "net/ipv6/idgen_delay",
    "net/ipv6/ip6frag_time",
    "net/ipv6/neigh/*/base_reachable_time",
    "net/ipv6/neigh/*/delay_first_probe_time",
    "net/ipv6/neigh/*/gc_stale_time",
    "net/ipv6/route/gc_interval",
    "net/ipv6/route/gc_min_interval",
    "net/ipv6/route/gc_timeout",
    "net/ipv6/route/mtu_expires",
    "net/mptcp/add_addr_timeout",
    "net/mptcp/close_timeout",
    "net/netfilter/nf_conntrack_dccp_timeout_*",
    "net/netfilter/nf_conntrack_frag6_timeout",
    "net/netfilter/nf_conntrack_generic_timeout",
    "net/netfilter/nf_conntrack_gre_timeout",
    "net/netfilter/nf_conntrack_gre_timeout_stream",
    "net/netfilter/nf_conntrack_icmp_timeout",
    "net/netfilter/nf_conntrack_icmpv6_timeout",
    "net/netfilter/nf_conntrack_sctp_timeout_*",
    "net/netfilter/nf_conntrack_tcp_timeout_*",
    "net/netfilter/nf_conntrack_udp_timeout",
    "net/netfilter/nf_conntrack_udp_timeout_stream",
];

/// The ticks per second of the slowest kernel (kernel/Kconfig.hz), which accepts the largest times.
const FEWEST_TICKS: u32 = 100;

/// Whether the range of a key depends on the ticks per second.
pub fn depends_on_ticks(key: &SysctlKey) -> bool {
    let path = key.path();
    is_any(SECONDS, path) || path == PROBE_INTERVAL
}

/// Seconds that the kernel keeps as ticks in an unsigned number (`u32_max_div_HZ`, net/ipv4/sysctl_net_ipv4.c).
const PROBE_INTERVAL: &str = "net/ipv4/tcp_probe_interval";

/// The least and the greatest number of a key on a kernel; `None` where they are those of its handler, or unknown.
/// Without the ticks per second, times that some kernel accepts are in the range.
pub fn range(key: &SysctlKey, kernel: &str, ticks: Option<u32>) -> Option<(i128, i128)> {
    if !is_listed(kernel) {
        return None;
    }
    let path = key.path();
    let ticks = i128::from(ticks.unwrap_or(FEWEST_TICKS).max(1));
    if path == PROBE_INTERVAL {
        return Some((0, i128::from(u32::MAX) / ticks));
    }
    if is_any(SECONDS, path) {
        let most = i128::from(i32::MAX) / ticks;
        return Some((-most, most));
    }
    let found = RANGES.iter().find(|(_, _, keys)| is_any(keys, path))?;
    Some((found.0, found.1))
}

/// Why the kernel refuses a value whose form it accepts; the end of a sentence that begins with the key.
pub fn refusal(key: &SysctlKey, value: &str, kernel: &str, ticks: Option<u32>) -> Option<String> {
    let (least, most) = range(key, kernel, ticks)?;
    let outside = |word: &&str| {
        let number = word.parse::<i128>();
        number.is_ok_and(|number| number < least || number > most)
    };
    let word = value.split_ascii_whitespace().find(outside)?;
    Some(match most {
        OPEN => format!("takes a number of at least {least}, and not `{word}`"),
        _ => format!("takes a number from {least} to {most}, and not `{word}`"),
    })
}

/// Why the kernel refuses to switch a key off: once on, it stays on (`nf_hooks_lwtunnel_set`,
/// net/netfilter/nf_hooks_lwtunnel.c).
pub fn stays_on(key: &SysctlKey, value: &str, live: Option<&str>) -> Option<String> {
    let is_off = key.path() == STAYS_ON && value == "0" && live == Some("1");
    is_off.then(|| "cannot be switched off: once on, it stays on until the host boots".to_owned())
}

/// The switch that the kernel never switches off.
const STAYS_ON: &str = "net/netfilter/nf_hooks_lwtunnel";

fn is_any(patterns: &[&str], path: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, path))
}

/// Whether a release is one of those whose ranges are listed: `6.12.9-amd64`.
fn is_listed(kernel: &str) -> bool {
    let mut numbers = kernel.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next()?.parse::<u32>().ok();
    let (Some(major), Some(minor)) = (number(), number()) else {
        return false;
    };
    (KERNELS.0..=KERNELS.1).contains(&(major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sysctl_form::handler::Handler;

    fn refused(key: &str, value: &str) -> Option<String> {
        refusal(&key.parse().unwrap(), value, "6.12.9-amd64", Some(250))
    }

    #[test]
    fn what_is_outside_of_the_range_is_refused() {
        for (key, outside, inside) in [
            ("net.ipv4.ip_default_ttl", "0", "1"),
            ("net.core.somaxconn", "-1", "0"),
            ("net.ipv4.tcp_rmem", "4096 0 6291456", "1 1 1"),
            ("net.ipv4.tcp_syn_retries", "128", "127"),
            ("net.ipv6.conf.eth0.hop_limit", "256", "255"),
            ("net.ipv4.neigh.default.app_solicit", "-1", "0"),
            ("net.ipv4.tcp_fin_timeout", "8589935", "8589934"),
            (
                "net.netfilter.nf_conntrack_tcp_timeout_fin_wait",
                "8589935",
                "120",
            ),
        ] {
            assert!(refused(key, outside).is_some(), "{key} = {outside}");
            assert_eq!(refused(key, inside), None, "{key} = {inside}");
        }
        assert_eq!(
            refused("net.ipv4.tcp_syn_retries", "128").as_deref(),
            Some("takes a number from 1 to 127, and not `128`")
        );
        assert_eq!(
            refused("net.ipv4.tcp_rmem", "0 0 0").as_deref(),
            Some("takes a number of at least 1, and not `0`")
        );
    }

    #[test]
    fn a_switch_that_stays_on_is_not_switched_off() {
        let key = "net.netfilter.nf_hooks_lwtunnel".parse().unwrap();
        let refused = |value, live| stays_on(&key, value, live).is_some();
        assert!(refused("0", Some("1")));
        assert!(!refused("0", Some("0")) && !refused("1", Some("1")) && !refused("0", None));
    }

    #[test]
    fn what_is_unknown_is_not_refused() {
        let key = "net.ipv4.tcp_ecn".parse().unwrap();
        for (kernel, is_refused) in [
            ("5.15.0-101-generic", false),
            ("6.1.0", true),
            ("6.18.44", true),
            ("6.19.0", false),
            ("7.0", false),
            ("", false),
        ] {
            assert_eq!(refusal(&key, "5", kernel, None).is_some(), is_refused, "{kernel}");
        }
        // Without the ticks, what a kernel with 100 of them accepts.
        let timeout = "net.ipv4.tcp_fin_timeout".parse().unwrap();
        assert_eq!(range(&timeout, "6.12", None), Some((-21_474_836, 21_474_836)));
        assert!(depends_on_ticks(&timeout) && !depends_on_ticks(&key));
        assert_eq!(refused("net.core.rmem_max", "-1"), None);
    }

    #[test]
    fn the_documentation_lists_every_range() {
        let page = include_str!("../../../docs/reference/sysctl.md");
        for (least, most, keys) in RANGES {
            let numbers = match *most {
                OPEN => format!("| {least} or more |"),
                most => format!("| {least} to {most} |"),
            };
            let line = page.lines().find(|line| line.starts_with(&numbers)).unwrap();
            for key in *keys {
                assert!(line.contains(&format!("`{}`", key.replace('/', "."))), "{key}");
            }
        }
        for key in SECONDS {
            let line = format!("- `{}`", key.replace('/', "."));
            assert!(page.lines().any(|other| other == line), "{line}");
        }
    }

    #[test]
    fn each_key_is_listed_once_and_takes_numbers() {
        let lists = RANGES.iter().map(|(_, _, keys)| *keys).chain([SECONDS]);
        let mut all: Vec<&str> = Vec::new();
        for keys in lists {
            assert!(keys.is_sorted(), "{keys:?}");
            all.extend(keys);
        }
        for key in &all {
            assert_eq!(all.iter().filter(|other| *other == key).count(), 1, "{key}");
            let key = key.replace('*', "default").parse().unwrap();
            assert!(Handler::of(&key).is_number(), "{key}");
        }
    }
}
