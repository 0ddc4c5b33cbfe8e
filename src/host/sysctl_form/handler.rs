//! Which handler of the kernel reads and writes a sysctl (the `ctl_table`s of net/ and kernel/ in
//! Linux 6.12). The handler decides which texts are accepted and how a value reads back.

use netkeel_core::name::sysctl::SysctlKey;

/// How the kernel parses and prints a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Handler {
    /// Signed 32-bit numbers (`proc_dointvec`, `proc_dointvec_minmax`, `proc_dointvec_jiffies`).
    Int,
    /// One byte, 0 to 255 (`proc_dou8vec_minmax`).
    Byte,
    /// Unsigned 32-bit numbers (`proc_douintvec`, `proc_douintvec_minmax`).
    Uint,
    /// Unsigned 64-bit numbers (`proc_doulongvec_minmax`).
    Ulong,
    /// Milliseconds, rounded up to whole ticks (`proc_dointvec_ms_jiffies`).
    Milliseconds,
    /// Hundredths of a second (USER_HZ), rounded down to whole ticks (`proc_dointvec_userhz_jiffies`).
    Hundredths,
    /// Any number but 0 is stored as 1 (`brnf_sysctl_call_tables`).
    Flag,
    /// A number that is rounded up to a power of two (`rps_sock_flow_sysctl`).
    PowerOfTwo,
    /// A number that is rounded up to whole pages of buckets (`nf_conntrack_hash_sysctl`).
    Buckets,
    /// The first and the last id of a group; a range that does not ascend reads back as `1 0`
    /// (`ipv4_ping_group_range`).
    Groups,
    /// The first and the last port, which ascend (`ipv4_local_port_range`).
    Ports,
    /// A set of numbers below this one, as ranges joined by commas (`proc_do_large_bitmap`).
    Ranges(u32),
    /// A mask of CPUs: hexadecimal, in groups of 32 bits (`cpumask_parse`).
    CpuMask,
    /// A list of CPUs, as ranges joined by commas (`cpulist_parse`).
    CpuList,
    /// One or two keys of 128 bits, joined by a comma: four groups of hexadecimal digits, padded with
    /// zeros (`proc_tcp_fastopen_key`).
    FastOpenKey,
    /// An IPv6 address, printed with all its digits (`addrconf_sysctl_stable_secret`).
    Address,
    /// The name of a TCP congestion control (`proc_tcp_congestion_control`).
    CongestionControl,
    /// Names of TCP congestion controls, printed in the kernel's own order
    /// (`proc_allowed_congestion_control`).
    CongestionControls,
    /// The name of a queueing discipline (`set_default_qdisc`).
    Qdisc,
    /// Text (`proc_dostring`).
    Text,
    /// Not known to netkeel. If the live value consists of numbers, it takes numbers.
    Unknown,
}

/// The keys whose handler is not [`Handler::Int`]. `*` matches one component, here `all`, `default`
/// or an interface.
pub const KEYS: &[(Handler, &[&str])] = &[
    (
        Handler::Byte,
        &[
            "net/core/tstamp_allow_data",
            "net/core/txrehash",
            "net/ipv4/fib_multipath_hash_policy",
            "net/ipv4/fib_multipath_use_neigh",
            "net/ipv4/fib_notify_on_flag_change",
            "net/ipv4/fwmark_reflect",
            "net/ipv4/icmp_echo_enable_probe",
            "net/ipv4/icmp_echo_ignore_all",
            "net/ipv4/icmp_echo_ignore_broadcasts",
            "net/ipv4/icmp_errors_use_inbound_ifaddr",
            "net/ipv4/icmp_ignore_bogus_error_responses",
            "net/ipv4/igmp_link_local_mcast_reports",
            "net/ipv4/ip_autobind_reuse",
            "net/ipv4/ip_default_ttl",
            "net/ipv4/ip_dynaddr",
            "net/ipv4/ip_early_demux",
            "net/ipv4/ip_forward_update_priority",
            "net/ipv4/ip_forward_use_pmtu",
            "net/ipv4/ip_no_pmtu_disc",
            "net/ipv4/ip_nonlocal_bind",
            "net/ipv4/nexthop_compat_mode",
            "net/ipv4/raw_l3mdev_accept",
            "net/ipv4/tcp_abort_on_overflow",
            "net/ipv4/tcp_app_win",
            "net/ipv4/tcp_autocorking",
            "net/ipv4/tcp_backlog_ack_defer",
            "net/ipv4/tcp_comp_sack_nr",
            "net/ipv4/tcp_dsack",
            "net/ipv4/tcp_early_demux",
            "net/ipv4/tcp_early_retrans",
            "net/ipv4/tcp_ecn",
            "net/ipv4/tcp_ecn_fallback",
            "net/ipv4/tcp_fack",
            "net/ipv4/tcp_frto",
            "net/ipv4/tcp_fwmark_accept",
            "net/ipv4/tcp_keepalive_probes",
            "net/ipv4/tcp_l3mdev_accept",
            "net/ipv4/tcp_migrate_req",
            "net/ipv4/tcp_min_tso_segs",
            "net/ipv4/tcp_moderate_rcvbuf",
            "net/ipv4/tcp_mtu_probing",
            "net/ipv4/tcp_no_metrics_save",
            "net/ipv4/tcp_no_ssthresh_metrics_save",
            "net/ipv4/tcp_orphan_retries",
            "net/ipv4/tcp_pingpong_thresh",
            "net/ipv4/tcp_plb_enabled",
            "net/ipv4/tcp_plb_idle_rehash_rounds",
            "net/ipv4/tcp_plb_rehash_rounds",
            "net/ipv4/tcp_plb_suspend_rto_sec",
            "net/ipv4/tcp_recovery",
            "net/ipv4/tcp_reflect_tos",
            "net/ipv4/tcp_retrans_collapse",
            "net/ipv4/tcp_retries1",
            "net/ipv4/tcp_retries2",
            "net/ipv4/tcp_rfc1337",
            "net/ipv4/tcp_sack",
            "net/ipv4/tcp_shrink_window",
            "net/ipv4/tcp_slow_start_after_idle",
            "net/ipv4/tcp_stdurg",
            "net/ipv4/tcp_syn_linear_timeouts",
            "net/ipv4/tcp_syn_retries",
            "net/ipv4/tcp_synack_retries",
            "net/ipv4/tcp_syncookies",
            "net/ipv4/tcp_thin_linear_timeouts",
            "net/ipv4/tcp_timestamps",
            "net/ipv4/tcp_tso_rtt_log",
            "net/ipv4/tcp_tso_win_divisor",
            "net/ipv4/tcp_tw_reuse",
            "net/ipv4/tcp_window_scaling",
            "net/ipv4/tcp_workaround_signed_windows",
            "net/ipv4/udp_early_demux",
            "net/ipv4/udp_l3mdev_accept",
            "net/ipv6/anycast_src_echo_reply",
            "net/ipv6/auto_flowlabels",
            "net/ipv6/bindv6only",
            "net/ipv6/conf/*/accept_untracked_na",
            "net/ipv6/conf/*/ioam6_enabled",
            "net/ipv6/conf/*/ndisc_evict_nocarrier",
            "net/ipv6/conf/*/ra_honor_pio_life",
            "net/ipv6/conf/*/ra_honor_pio_pflag",
            "net/ipv6/fib_multipath_hash_policy",
            "net/ipv6/fib_notify_on_flag_change",
            "net/ipv6/flowlabel_consistency",
            "net/ipv6/flowlabel_reflect",
            "net/ipv6/flowlabel_state_ranges",
            "net/ipv6/fwmark_reflect",
            "net/ipv6/icmp/echo_ignore_all",
            "net/ipv6/icmp/echo_ignore_anycast",
            "net/ipv6/icmp/echo_ignore_multicast",
            "net/ipv6/icmp/error_anycast_as_unicast",
            "net/ipv6/ip_nonlocal_bind",
            "net/ipv6/route/skip_notify_on_dev_down",
            "net/mptcp/allow_join_initial_addr_port",
            "net/mptcp/checksum_enabled",
            "net/mptcp/enabled",
            "net/mptcp/pm_type",
            "net/netfilter/nf_conntrack_acct",
            "net/netfilter/nf_conntrack_checksum",
            "net/netfilter/nf_conntrack_events",
            "net/netfilter/nf_conntrack_log_invalid",
            "net/netfilter/nf_conntrack_tcp_be_liberal",
            "net/netfilter/nf_conntrack_tcp_ignore_invalid_rst",
            "net/netfilter/nf_conntrack_tcp_loose",
            "net/netfilter/nf_conntrack_tcp_max_retrans",
            "net/netfilter/nf_conntrack_timestamp",
        ],
    ),
    (
        Handler::Uint,
        &[
            "net/core/xfrm_aevent_etime",
            "net/core/xfrm_aevent_rseqth",
            "net/ipv4/fib_multipath_hash_seed",
            "net/ipv4/tcp_child_ehash_entries",
            "net/ipv4/tcp_notsent_lowat",
            "net/ipv4/tcp_probe_interval",
            "net/ipv4/udp_child_hash_entries",
            "net/ipv6/conf/*/ioam6_id_wide",
            "net/ipv6/conf/*/ra_defrtr_metric",
            "net/mptcp/stale_loss_cnt",
        ],
    ),
    (
        Handler::Ulong,
        &[
            "net/core/bpf_jit_limit",
            "net/ipv4/ipfrag_high_thresh",
            "net/ipv4/ipfrag_low_thresh",
            "net/ipv4/tcp_comp_sack_delay_ns",
            "net/ipv4/tcp_comp_sack_slack_ns",
            "net/ipv4/tcp_mem",
            "net/ipv4/udp_mem",
            "net/ipv6/ioam6_id_wide",
            "net/ipv6/ip6frag_high_thresh",
            "net/ipv6/ip6frag_low_thresh",
            "net/netfilter/nf_conntrack_frag6_high_thresh",
            "net/netfilter/nf_conntrack_frag6_low_thresh",
            "net/sctp/sctp_mem",
        ],
    ),
    (
        Handler::Milliseconds,
        &[
            "net/ipv4/icmp_ratelimit",
            "net/ipv4/neigh/*/base_reachable_time_ms",
            "net/ipv4/neigh/*/interval_probe_time_ms",
            "net/ipv4/neigh/*/retrans_time_ms",
            "net/ipv4/route/gc_min_interval_ms",
            "net/ipv4/tcp_invalid_ratelimit",
            "net/ipv6/conf/*/mldv1_unsolicited_report_interval",
            "net/ipv6/conf/*/mldv2_unsolicited_report_interval",
            "net/ipv6/icmp/ratelimit",
            "net/ipv6/neigh/*/base_reachable_time_ms",
            "net/ipv6/neigh/*/interval_probe_time_ms",
            "net/ipv6/neigh/*/retrans_time_ms",
            "net/ipv6/route/gc_min_interval_ms",
        ],
    ),
    (
        Handler::Hundredths,
        &[
            "net/ipv4/neigh/*/anycast_delay",
            "net/ipv4/neigh/*/locktime",
            "net/ipv4/neigh/*/proxy_delay",
            "net/ipv4/neigh/*/retrans_time",
            "net/ipv6/neigh/*/anycast_delay",
            "net/ipv6/neigh/*/locktime",
            "net/ipv6/neigh/*/proxy_delay",
        ],
    ),
    (
        Handler::Flag,
        &[
            "net/bridge/bridge-nf-call-arptables",
            "net/bridge/bridge-nf-call-ip6tables",
            "net/bridge/bridge-nf-call-iptables",
            "net/bridge/bridge-nf-filter-pppoe-tagged",
            "net/bridge/bridge-nf-filter-vlan-tagged",
            "net/bridge/bridge-nf-pass-vlan-input-dev",
        ],
    ),
    (Handler::PowerOfTwo, &["net/core/rps_sock_flow_entries"]),
    (Handler::Buckets, &["net/netfilter/nf_conntrack_buckets"]),
    (Handler::Groups, &["net/ipv4/ping_group_range"]),
    (Handler::Ports, &["net/ipv4/ip_local_port_range"]),
    (Handler::Ranges(65_536), &["net/ipv4/ip_local_reserved_ports"]),
    (Handler::Ranges(256), &["net/ipv6/icmp/ratemask"]),
    (
        Handler::CpuMask,
        &["net/core/flow_limit_cpu_bitmap", "net/core/rps_default_mask"],
    ),
    (Handler::CpuList, &["net/ipv4/vs/est_cpulist"]),
    (Handler::FastOpenKey, &["net/ipv4/tcp_fastopen_key"]),
    (Handler::Address, &["net/ipv6/conf/*/stable_secret"]),
    (Handler::CongestionControl, &["net/ipv4/tcp_congestion_control"]),
    (
        Handler::CongestionControls,
        &["net/ipv4/tcp_allowed_congestion_control"],
    ),
    (Handler::Qdisc, &["net/core/default_qdisc"]),
    (
        Handler::Text,
        &[
            "net/mptcp/path_manager",
            "net/mptcp/scheduler",
            "net/netfilter/nf_log/*",
            "net/sctp/cookie_hmac_alg",
        ],
    ),
];

/// The directories of which netkeel knows every key.
const KNOWN: &[&str] = &[
    "net/bridge/",
    "net/core/",
    "net/ipv4/",
    "net/ipv6/",
    "net/mptcp/",
    "net/netfilter/",
    "net/unix/",
];

impl Handler {
    /// The handler of a key.
    pub fn of(key: &SysctlKey) -> Handler {
        let path = key.path();
        let lists = KEYS.iter();
        let listed = lists
            .filter(|(_, keys)| keys.iter().any(|pattern| matches(pattern, path)))
            .map(|(handler, _)| *handler)
            .next();
        let numbers = || {
            // IPVS registers its keys below net/ipv4, and has unsigned longs among them.
            let known = KNOWN.iter().any(|known| path.starts_with(known));
            known && !path.starts_with("net/ipv4/vs/")
        };
        listed.unwrap_or(match path {
            "net/nf_conntrack_max" => Handler::Int,
            _ if numbers() => Handler::Int,
            _ => Handler::Unknown,
        })
    }

    /// The value consists of numbers.
    pub fn is_number(self) -> bool {
        match self {
            Handler::Int
            | Handler::Byte
            | Handler::Uint
            | Handler::Ulong
            | Handler::Milliseconds
            | Handler::Hundredths
            | Handler::Flag
            | Handler::PowerOfTwo
            | Handler::Buckets
            | Handler::Groups
            | Handler::Ports => true,
            Handler::Ranges(_)
            | Handler::CpuMask
            | Handler::CpuList
            | Handler::FastOpenKey
            | Handler::Address
            | Handler::CongestionControl
            | Handler::CongestionControls
            | Handler::Qdisc
            | Handler::Text
            | Handler::Unknown => false,
        }
    }

    /// The values are separated by commas and not by blanks.
    pub fn takes_commas(self) -> bool {
        match self {
            Handler::Ranges(_) | Handler::CpuMask | Handler::CpuList | Handler::FastOpenKey => true,
            Handler::Int
            | Handler::Byte
            | Handler::Uint
            | Handler::Ulong
            | Handler::Milliseconds
            | Handler::Hundredths
            | Handler::Flag
            | Handler::PowerOfTwo
            | Handler::Buckets
            | Handler::Groups
            | Handler::Ports
            | Handler::Address
            | Handler::CongestionControl
            | Handler::CongestionControls
            | Handler::Qdisc
            | Handler::Text
            | Handler::Unknown => false,
        }
    }
}

/// Whether a path is the one of a pattern.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return pattern == path;
    };
    let rest = path
        .strip_prefix(before)
        .and_then(|rest| rest.strip_suffix(after));
    rest.is_some_and(|slot| !slot.is_empty() && !slot.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &str) -> Handler {
        Handler::of(&key.parse().unwrap())
    }

    #[test]
    fn a_key_has_its_handler_in_every_slot() {
        for slot in ["all", "default", "eth0"] {
            let key = format!("net.ipv6.conf.{slot}.stable_secret");
            assert_eq!(of(&key), Handler::Address);
        }
        assert_eq!(
            of("net/ipv4/neigh/eth0.100/retrans_time_ms"),
            Handler::Milliseconds
        );
        assert_eq!(of("net.ipv4.tcp_fin_timeout"), Handler::Int);
        assert_eq!(of("net.sctp.rto_min"), Handler::Unknown);
        assert_eq!(of("net.ipv4.vs.sync_qlen_max"), Handler::Unknown);
        assert_eq!(of("kernel.core_pattern"), Handler::Unknown);
    }

    #[test]
    fn the_documentation_lists_every_key() {
        let page = include_str!("../../../docs/reference/sysctl.md");
        for key in KEYS.iter().flat_map(|(_, keys)| keys.iter()) {
            let line = format!("- `{}`", key.replace('/', "."));
            assert!(page.lines().any(|other| other == line), "{line}");
        }
    }

    #[test]
    fn each_key_is_listed_once_and_in_order() {
        for (handler, keys) in KEYS {
            assert!(keys.is_sorted(), "{handler:?}");
            for key in *keys {
                let holders = KEYS.iter().filter(|(_, keys)| keys.contains(key)).count();
                assert_eq!(holders, 1, "{key}");
            }
        }
    }
}
