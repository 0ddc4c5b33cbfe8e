//! Combines the value of `all` with the interface's own (the macros of include/linux/inetdevice.h, Linux
//! 6.12; net/ipv6 for the few of IPv6).

use serde::Serialize;

use crate::explain::inputs::{Inputs, live};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sysctl::{PerInterface, Slot, SysctlKey};
use netkeel_core::rp_filter;
use netkeel_core::rp_filter::{Decider, RpFilter, Verdict};

/// The rule that combines the two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The larger value is effective.
    Max,
    /// The smaller value is effective.
    Min,
    /// The smaller of the values that are not 0 is effective.
    LeastNonZero,
    /// The value of `all` is effective unless it is 0; then the interface's own one is.
    AllUnlessZero,
    /// On if either value is on.
    Or,
    /// On if both values are on.
    And,
    /// `accept_redirects`: on if both are on, for an interface that forwards; otherwise on if either is.
    AndWhereForwarding,
    /// The interface's own value is effective; a write to `all` is copied to every interface.
    Copied,
    /// The interface's own value is effective, whatever `all` is.
    Own,
    /// netkeel does not know the rule.
    Unknown,
}

/// The effective value on an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Combined {
    /// The rule.
    pub rule: Rule,
    /// Kernel versions differ in the rule; this one is from Linux 6.12.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub varies: bool,
    /// The value of `all`.
    pub all: Option<i64>,
    /// The interface's own value.
    pub own: Option<i64>,
    /// The effective value; `None` if it is unknown.
    pub effective: Option<i64>,
    /// The key that decides.
    pub decided_by: Option<SysctlKey>,
    /// For `rp_filter`: the treatment of a packet whose reverse path is another interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<&'static str>,
}

/// The rule of each setting below `net.ipv4.conf`, and whether kernel versions differ in it.
const IPV4: &[(&str, Rule, bool)] = &[
    ("rp_filter", Rule::Max, false),
    ("arp_announce", Rule::Max, false),
    ("arp_ignore", Rule::Max, false),
    ("arp_notify", Rule::Max, false),
    ("arp_accept", Rule::Max, true),
    ("src_valid_mark", Rule::Or, false),
    ("accept_local", Rule::Or, false),
    ("log_martians", Rule::Or, false),
    ("proxy_arp", Rule::Or, false),
    ("proxy_arp_pvlan", Rule::Or, true),
    ("shared_media", Rule::Or, false),
    ("send_redirects", Rule::Or, false),
    ("secure_redirects", Rule::Or, false),
    ("promote_secondaries", Rule::Or, false),
    ("route_localnet", Rule::Or, false),
    ("ignore_routes_with_linkdown", Rule::Or, true),
    ("arp_filter", Rule::Or, false),
    ("disable_policy", Rule::Or, true),
    ("accept_source_route", Rule::And, false),
    ("mc_forwarding", Rule::And, false),
    ("bc_forwarding", Rule::And, false),
    ("bootp_relay", Rule::And, false),
    ("arp_evict_nocarrier", Rule::And, false),
    ("accept_redirects", Rule::AndWhereForwarding, false),
    ("forwarding", Rule::Copied, false),
    ("tag", Rule::Own, false),
    ("medium_id", Rule::Own, false),
    // net/ipv4/arp.c, net/ipv4/ip_input.c, net/ipv4/route.c
    ("drop_gratuitous_arp", Rule::Or, false),
    ("drop_unicast_in_l2_multicast", Rule::Or, false),
    ("disable_xfrm", Rule::Or, true),
    // `IGMP_V1_SEEN` and `unsolicited_report_interval`, net/ipv4/igmp.c
    ("force_igmp_version", Rule::LeastNonZero, false),
    ("igmpv2_unsolicited_report_interval", Rule::Own, false),
    ("igmpv3_unsolicited_report_interval", Rule::Own, false),
];

/// The rules below `net.ipv6.conf`, where `all` rarely has an effect (net/ipv6/addrconf.c, exthdrs.c, mcast.c,
/// ndisc.c, route.c and seg6_hmac.c).
const IPV6: &[(&str, Rule, bool)] = &[
    ("forwarding", Rule::Copied, false),
    ("disable_ipv6", Rule::Copied, false),
    ("ignore_routes_with_linkdown", Rule::Copied, false),
    ("addr_gen_mode", Rule::Copied, false),
    ("force_forwarding", Rule::Copied, false),
    ("proxy_ndp", Rule::Or, false),
    ("disable_policy", Rule::Or, false),
    ("enhanced_dad", Rule::Or, false),
    ("ndisc_notify", Rule::Or, true),
    ("optimistic_dad", Rule::Or, false),
    ("use_optimistic", Rule::Or, false),
    ("accept_dad", Rule::Max, false),
    ("accept_source_route", Rule::Min, false),
    ("rpl_seg_enabled", Rule::Min, false),
    ("seg6_enabled", Rule::Min, false),
    ("mc_forwarding", Rule::Own, false),
    ("ndisc_evict_nocarrier", Rule::And, false),
    ("force_mld_version", Rule::AllUnlessZero, false),
    ("keep_addr_on_down", Rule::AllUnlessZero, false),
    ("accept_ra", Rule::Own, false),
    ("accept_ra_defrtr", Rule::Own, false),
    ("accept_ra_from_local", Rule::Own, false),
    ("accept_ra_min_hop_limit", Rule::Own, false),
    ("accept_ra_min_lft", Rule::Own, false),
    ("accept_ra_mtu", Rule::Own, false),
    ("accept_ra_pinfo", Rule::Own, false),
    ("accept_ra_rt_info_max_plen", Rule::Own, false),
    ("accept_ra_rt_info_min_plen", Rule::Own, false),
    ("accept_ra_rtr_pref", Rule::Own, false),
    ("accept_redirects", Rule::Own, false),
    ("accept_untracked_na", Rule::Own, false),
    ("autoconf", Rule::Own, false),
    ("dad_transmits", Rule::Own, false),
    ("drop_unicast_in_l2_multicast", Rule::Own, false),
    ("drop_unsolicited_na", Rule::Own, false),
    ("force_tllao", Rule::Own, false),
    ("hop_limit", Rule::Own, false),
    ("ioam6_enabled", Rule::Own, false),
    ("ioam6_id", Rule::Own, false),
    ("ioam6_id_wide", Rule::Own, false),
    ("max_addresses", Rule::Own, false),
    ("max_desync_factor", Rule::Own, false),
    ("mldv1_unsolicited_report_interval", Rule::Own, false),
    ("mldv2_unsolicited_report_interval", Rule::Own, false),
    ("mtu", Rule::Own, false),
    ("ndisc_tclass", Rule::Own, false),
    ("ra_defrtr_metric", Rule::Own, false),
    ("ra_honor_pio_life", Rule::Own, false),
    ("ra_honor_pio_pflag", Rule::Own, false),
    ("regen_max_retry", Rule::Own, false),
    ("regen_min_advance", Rule::Own, false),
    ("router_probe_interval", Rule::Own, false),
    ("router_solicitation_delay", Rule::Own, false),
    ("router_solicitation_interval", Rule::Own, false),
    ("router_solicitation_max_interval", Rule::Own, false),
    ("router_solicitations", Rule::Own, false),
    ("seg6_require_hmac", Rule::Own, false),
    ("stable_secret", Rule::Own, false),
    ("suppress_frag_ndisc", Rule::Own, false),
    ("temp_prefered_lft", Rule::Own, false),
    ("temp_valid_lft", Rule::Own, false),
    ("use_oif_addrs_only", Rule::Own, false),
    ("use_tempaddr", Rule::Own, false),
];

/// The rule of a key; `None` for a key that is not per interface.
pub fn rule(key: &SysctlKey) -> Option<(Rule, bool)> {
    let parts = key.per_interface()?;
    let table = match (parts.family, parts.table) {
        (_, "neigh") => return Some((Rule::Own, false)),
        ("ipv4", _) => IPV4,
        _ => IPV6,
    };
    let found = table.iter().find(|(leaf, _, _)| *leaf == parts.leaf);
    Some(found.map_or((Rule::Unknown, false), |(_, rule, varies)| (*rule, *varies)))
}

/// The effective value of an interface's key.
pub(crate) fn combined(host: &Inputs<'_>, key: &SysctlKey) -> Option<Combined> {
    let PerInterface {
        family,
        table: "conf",
        slot: Slot::Link(name),
        leaf,
    } = key.per_interface()?
    else {
        return None;
    };
    let (rule, varies) = rule(key)?;
    let all_key = key.in_slot("all")?;
    let all = live(host.snapshot, &all_key).number();
    let own = live(host.snapshot, key).number();
    let mut combined = Combined {
        rule,
        varies,
        all,
        own,
        effective: None,
        decided_by: None,
        verdict: None,
    };
    let by_all = |decides: bool| if decides { all_key.clone() } else { key.clone() };
    let link = host.snapshot.links.get(&name);
    let (value, decider) = match (rule, all, own) {
        (Rule::Copied | Rule::Own, _, Some(own)) => (own, key.clone()),
        (Rule::Max, Some(all), Some(own)) if (family, leaf) == ("ipv4", "rp_filter") => {
            let address = link.is_some_and(|link| link.has_ipv4());
            let effective = rp_filter::effective(all, own, address);
            combined.verdict = Some(match effective.verdict {
                Verdict::Accept => "passes",
                Verdict::Drop => "is dropped",
                Verdict::DropNoAddress => {
                    "is dropped, although the mode is loose: the interface has no IPv4 address"
                }
            });
            (effective.value, by_all(effective.decided_by == Decider::All))
        }
        (Rule::Max, Some(all), Some(own)) => (all.max(own), by_all(all > own)),
        (Rule::Min, Some(all), Some(own)) => (all.min(own), by_all(all < own)),
        (Rule::LeastNonZero, Some(all), Some(own)) => {
            let least = least_non_zero(all, own);
            (least, by_all(least != own))
        }
        (Rule::AllUnlessZero, Some(all), Some(own)) => match all {
            0 => (own, by_all(false)),
            _ => (all, by_all(true)),
        },
        (Rule::Or, Some(all), Some(own)) => (or(all, own), by_all(all != 0 && own == 0)),
        (Rule::And, Some(all), Some(own)) => (and(all, own), by_all(all == 0 && own != 0)),
        (Rule::AndWhereForwarding, Some(all), Some(own)) => match link.and_then(|link| link.forwarding) {
            None => return Some(combined),
            Some(0) => (or(all, own), by_all(all != 0 && own == 0)),
            Some(_) => (and(all, own), by_all(all == 0 && own != 0)),
        },
        _ => return Some(combined),
    };
    combined.effective = Some(value);
    combined.decided_by = Some(decider);
    Some(combined)
}

fn or(all: i64, own: i64) -> i64 {
    i64::from(all != 0 || own != 0)
}

fn and(all: i64, own: i64) -> i64 {
    i64::from(all != 0 && own != 0)
}

/// The smaller of the values that are not 0.
pub(crate) fn least_non_zero(all: i64, own: i64) -> i64 {
    match (all, own) {
        (0, value) | (value, 0) => value,
        _ => all.min(own),
    }
}

/// The interfaces on which the rp_filter of `all` decides.
pub(crate) fn decided_by_all(host: &Inputs<'_>, key: &SysctlKey) -> Vec<LinkName> {
    let is_all = key.path() == "net/ipv4/conf/all/rp_filter";
    let Some(all) = live(host.snapshot, key).number().filter(|_| is_all) else {
        return Vec::new();
    };
    let smaller = |own: i32| i64::from(own) < all;
    host.snapshot
        .links
        .iter()
        .filter(|(_, link)| link.rp_filter.is_some_and(smaller))
        .map(|(name, _)| *name)
        .collect()
}

/// An rp_filter with its name, as in `1 (strict)`; any other value unchanged.
pub(crate) fn shown(key: &SysctlKey, value: &str) -> String {
    let is_rp_filter = key.path().starts_with("net/ipv4/") && key.path().ends_with("/rp_filter");
    let mode = value.parse().ok().and_then(RpFilter::from_number);
    match mode.filter(|_| is_rp_filter) {
        Some(mode) => format!("{value} ({mode})"),
        None => value.to_owned(),
    }
}
