//! The order of sysctl writes: those that make the host stricter come first, those that let more pass come
//! last. For every way in which the kernel combines two values, no state between two writes then lets more
//! pass than the states before and after all of them.

use std::collections::BTreeSet;

use netkeel_core::name::strictness::Direction;
use netkeel_core::name::sysctl::{ALLOWED_CONGESTION_CONTROL, PerInterface, Slot, SysctlKey};

/// The settings that another write of the plan overwrites: family and leaf of `all`, and whether with 0.
#[derive(Debug, Default)]
pub(crate) struct Overwritten(BTreeSet<(&'static str, String, bool)>);

/// The class of a write. A later one is executed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// `accept_ra` becomes 2: before forwarding is switched on, or the kernel removes the default routes
    /// that routers announced (`rt6_purge_dflt_routers`, net/ipv6/route.c).
    Routers,
    /// Redirects are refused from here on: before forwarding ends, since an interface that forwards hears them only if `all`
    /// and its own value allow it, and another one if either does (`IN_DEV_RX_REDIRECTS`).
    RedirectsEnd,
    /// A switch of all interfaces that tightens, or forwarding ends: while nothing is forwarded, no filter is missed. A
    /// higher `rp_filter` may be a laxer one (2 is looser than 1).
    TighteningSwitch,
    Tightening,
    /// A switch of all interfaces that begins no forwarding. It overwrites what the interfaces have.
    Switch,
    Neutral,
    Loosening,
    /// Forwarding begins: after all filters have their values, also those that become lower.
    ForwardingBegins,
    /// What a switch of forwarding overwrites, and redirects that are accepted from here on.
    AfterForwarding,
    /// `accept_ra` was 2: after forwarding is switched off.
    NoRouters,
}

impl Overwritten {
    /// Adds what a write of this value to this key overwrites.
    pub fn add(&mut self, key: &SysctlKey, to: Option<i64>) {
        let overwrites = key.overwrites();
        let overwrites = overwrites.map(|(family, leaf)| (family, leaf.to_owned(), to == Some(0)));
        self.0.extend(overwrites);
    }

    fn has(&self, parts: PerInterface<'_>) -> bool {
        parts.slot != Slot::All && self.holds(parts.family, parts.leaf)
    }

    fn holds(&self, family: &str, leaf: &str) -> bool {
        self.0
            .iter()
            .any(|(its, other, _)| *its == family && *other == leaf)
    }

    /// Forwarding of a family ends on all interfaces. Where it ends on one, that may be written before.
    fn ends_forwarding(&self, family: &str) -> bool {
        let mut of_family = self
            .0
            .iter()
            .filter(|(its, leaf, _)| *its == family && leaf == "forwarding");
        of_family.all(|(.., with_0)| *with_0)
    }

    /// A switch of IPv4 forwarding writes `accept_redirects` of `all`, too (`inet_forward_change`, net/ipv4/devinet.c).
    fn has_redirects(&self, parts: PerInterface<'_>) -> bool {
        let is_it = (parts.family, parts.slot, parts.leaf) == ("ipv4", Slot::All, "accept_redirects");
        is_it && self.holds("ipv4", "forwarding")
    }
}

/// The position of a write. `from` is the current value; `None` if it is absent or not a number.
pub(crate) fn rank(key: &SysctlKey, from: Option<i64>, to: Option<i64>, overwritten: &Overwritten) -> i32 {
    let parts = key.per_interface();
    let leaf = key.leaf();
    let direction = match (leaf, from, to) {
        (Some(leaf), Some(from), Some(to)) => Direction::of_leaf(leaf, from, to),
        _ => Direction::Neutral,
    };
    let is_switch = key.overwrites().is_some();
    let is_overwritten = !overwritten.0.is_empty() && parts.is_some_and(|parts| overwritten.has(parts));
    let redirects = !overwritten.0.is_empty() && parts.is_some_and(|parts| overwritten.has_redirects(parts));
    let class = match (leaf, from, to) {
        (Some("accept_ra"), _, Some(2)) => Class::Routers,
        (Some("accept_ra"), Some(2), _) => Class::NoRouters,
        _ => match direction {
            Direction::Tightens
                if is_overwritten
                    && leaf == Some("forwarding")
                    && parts.is_some_and(|parts| overwritten.ends_forwarding(parts.family)) =>
            {
                Class::TighteningSwitch
            }
            _ if is_overwritten && leaf == Some("forwarding") => Class::AfterForwarding,
            Direction::Tightens if is_switch || leaf == Some("forwarding") => Class::TighteningSwitch,
            Direction::Loosens if leaf == Some("forwarding") => Class::ForwardingBegins,
            Direction::Tightens if leaf == Some("accept_redirects") && !redirects => Class::RedirectsEnd,
            Direction::Loosens if leaf == Some("accept_redirects") => Class::AfterForwarding,
            Direction::Neutral if redirects => Class::AfterForwarding,
            _ if is_switch => Class::Switch,
            Direction::Tightens if is_overwritten => Class::Neutral,
            Direction::Tightens => Class::Tightening,
            Direction::Neutral => Class::Neutral,
            Direction::Loosens => Class::Loosening,
        },
    };
    // An interface that was written does not follow `default` any more (`devinet_conf_proc`,
    // net/ipv4/devinet.c), so that a later write of `default` does not change it for a moment.
    let slot = match parts.map(|parts| parts.slot) {
        None if key.path() == ALLOWED_CONGESTION_CONTROL => 1,
        None => 0,
        Some(Slot::Link(_)) => 1,
        Some(Slot::Default) => 2,
        Some(Slot::All) => 3,
    };
    class as i32 * 4 + slot
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The writes in their order.
    fn order(writes: &[(&str, i64, i64)]) -> Vec<String> {
        let writes: Vec<(SysctlKey, i64, i64)> = writes
            .iter()
            .map(|(key, from, to)| (key.parse().unwrap(), *from, *to))
            .collect();
        let mut overwritten = Overwritten::default();
        writes
            .iter()
            .for_each(|(key, _, to)| overwritten.add(key, Some(*to)));
        let mut ranked: Vec<(i32, String)> = writes
            .iter()
            .map(|(key, from, to)| {
                (
                    rank(key, Some(*from), Some(*to), &overwritten),
                    format!("{key}={to}"),
                )
            })
            .collect();
        ranked.sort();
        ranked.into_iter().map(|(_, write)| write).collect()
    }

    #[test]
    fn interfaces_are_raised_before_all_is_lowered_and_the_other_way_round() {
        let (all, own) = ("net.ipv4.conf.all.rp_filter", "net.ipv4.conf.cali1.rp_filter");
        assert_eq!(
            order(&[(all, 1, 0), (own, 0, 1)]),
            ["net.ipv4.conf.cali1.rp_filter=1", "net.ipv4.conf.all.rp_filter=0"]
        );
        assert_eq!(
            order(&[(own, 1, 0), (all, 0, 1)]),
            ["net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.cali1.rp_filter=0"]
        );
    }

    type Combine = fn(i64, i64) -> i64;

    /// How the kernel combines `all` and an interface's own value (include/linux/inetdevice.h,
    /// net/ipv6/exthdrs.c), and whether the higher result is stricter.
    const COMBINED: &[(&str, Combine, bool)] = &[
        ("rp_filter", i64::max, true),
        ("arp_announce", i64::max, true),
        ("arp_ignore", i64::max, true),
        ("arp_accept", i64::max, false),
        ("arp_filter", or, true),
        ("drop_gratuitous_arp", or, true),
        ("log_martians", or, true),
        ("secure_redirects", or, true),
        ("accept_local", or, false),
        ("accept_redirects", or, false),
        ("accept_redirects", and, false),
        ("accept_source_route", and, false),
        ("bc_forwarding", and, false),
        ("bootp_relay", and, false),
        ("disable_policy", or, false),
        ("disable_xfrm", or, false),
        ("proxy_arp", or, false),
        ("route_localnet", or, false),
        ("seg6_enabled", i64::min, false),
        ("send_redirects", or, false),
        ("shared_media", or, false),
    ];

    fn or(all: i64, own: i64) -> i64 {
        (all | own).min(1)
    }

    fn and(all: i64, own: i64) -> i64 {
        i64::from(all != 0 && own != 0)
    }

    /// A higher number lets less pass. For rp_filter 1 (strict) is stricter than 2 (loose).
    fn strictness(leaf: &str, effective: i64, is_strict_when_high: bool) -> i64 {
        match (leaf, effective) {
            ("rp_filter", 1) => 2,
            ("rp_filter", 2) => 1,
            _ if is_strict_when_high => effective,
            _ => -effective,
        }
    }

    #[test]
    fn no_combination_of_two_values_has_a_gap_between_its_writes() {
        let values = || 0..=2_i64;
        for (leaf, combine, is_strict_when_high) in COMBINED {
            let all: SysctlKey = format!("net/ipv4/conf/all/{leaf}").parse().unwrap();
            let own: SysctlKey = format!("net/ipv4/conf/eth0/{leaf}").parse().unwrap();
            let ends = values().flat_map(|a| values().map(move |b| (a, b)));
            for (first, last) in ends
                .clone()
                .flat_map(|first| ends.clone().map(move |last| (first, last)))
            {
                let rank = |key, from, to| rank(key, Some(from), Some(to), &Overwritten::default());
                let all_first = rank(&all, first.0, last.0) < rank(&own, first.1, last.1);
                let between = match all_first {
                    true => (last.0, first.1),
                    false => (first.0, last.1),
                };
                let strict = |(all, own)| strictness(leaf, combine(all, own), *is_strict_when_high);
                // The undo passes through the same state.
                assert!(
                    strict(between) >= strict(first).min(strict(last)),
                    "{leaf}: {first:?}, then {between:?}, then {last:?}"
                );
            }
        }
    }

    #[test]
    fn forwarding_begins_after_filters_and_ends_before_them() {
        let (forward, filter) = ("net.ipv4.ip_forward", "net.ipv4.conf.eth0.rp_filter");
        assert_eq!(
            order(&[(forward, 0, 1), (filter, 0, 1)]),
            ["net.ipv4.conf.eth0.rp_filter=1", "net.ipv4.ip_forward=1"]
        );
        assert_eq!(
            order(&[(filter, 1, 0), (forward, 1, 0)]),
            ["net.ipv4.ip_forward=0", "net.ipv4.conf.eth0.rp_filter=0"]
        );
    }

    /// 2 is looser than 1, so that a filter may become stricter by a lower number.
    #[test]
    fn forwarding_begins_after_every_filter_has_its_value_and_ends_before() {
        let own = "net.ipv4.conf.eth0.forwarding";
        let filter = "net.ipv4.conf.all.rp_filter";
        for forward in ["net.ipv4.ip_forward", own] {
            let begins = order(&[(forward, 0, 1), (filter, 2, 0)]);
            assert_eq!(begins, [format!("{filter}=0"), format!("{forward}=1")]);
            let ends = order(&[(filter, 0, 2), (forward, 1, 0)]);
            assert_eq!(ends, [format!("{forward}=0"), format!("{filter}=2")]);
        }
        // The undo begins to forward last, too.
        assert_eq!(
            order(&[(filter, 1, 2), (own, 1, 0), ("net.ipv4.ip_forward", 1, 0)]),
            [
                "net.ipv4.ip_forward=0".to_owned(),
                format!("{own}=0"),
                format!("{filter}=2")
            ]
        );
        let redirects = "net.ipv4.conf.all.accept_redirects";
        assert_eq!(
            order(&[
                (redirects, 1, 1),
                (own, 1, 0),
                ("net.ipv4.ip_forward", 0, 1),
                (filter, 2, 0)
            ]),
            [
                format!("{filter}=0"),
                "net.ipv4.ip_forward=1".to_owned(),
                format!("{own}=0"),
                format!("{redirects}=1")
            ]
        );
    }

    #[test]
    fn what_a_switch_overwrites_is_written_after_it() {
        let (forward, own) = ("net.ipv6.conf.all.forwarding", "net.ipv6.conf.eth0.forwarding");
        for (was, becomes) in [(0, 1), (1, 0)] {
            assert_eq!(
                order(&[
                    (own, was, 1 - becomes),
                    (own, becomes, was),
                    (forward, was, becomes)
                ])[0],
                format!("net.ipv6.conf.all.forwarding={becomes}")
            );
        }
    }

    #[test]
    fn routers_are_accepted_before_forwarding_begins_and_until_it_ends() {
        let (forward, accept) = ("net.ipv6.conf.all.forwarding", "net.ipv6.conf.eth0.accept_ra");
        assert_eq!(
            order(&[(forward, 0, 1), (accept, 1, 2)]),
            ["net.ipv6.conf.eth0.accept_ra=2", "net.ipv6.conf.all.forwarding=1"]
        );
        assert_eq!(
            order(&[(accept, 2, 1), (forward, 1, 0)]),
            ["net.ipv6.conf.all.forwarding=0", "net.ipv6.conf.eth0.accept_ra=1"]
        );
    }
}
