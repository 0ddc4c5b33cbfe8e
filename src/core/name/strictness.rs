//! Which value of a sysctl makes a host stricter. Writes that make it stricter come first, so that no state
//! between two writes lets more pass than the states before and after all of them.

use std::cmp::Ordering;

use crate::name::link::LinkName;
use crate::name::sysctl::{PerInterface, Slot, SysctlKey};

/// The effect of a write on the strictness of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// It lets less pass, answers less or reports more.
    Tightens,
    /// Neither, or nothing is known about it.
    Neutral,
    /// It lets more pass, answers more or reports less.
    Loosens,
}

/// The leaves of which the higher number is stricter. The kernel combines `all` and an interface's own
/// value by `or` or the maximum (include/linux/inetdevice.h), or uses the own value alone. For rp_filter 1
/// is stricter than 2, but the maximum decides: the order of numbers is the one that leaves no gap.
const STRICT_WHEN_HIGH: &[&str] = &[
    "arp_announce",
    "arp_filter",
    "arp_ignore",
    "disable_ipv6",
    "drop_gratuitous_arp",
    "drop_unicast_in_l2_multicast",
    "drop_unsolicited_na",
    "log_martians",
    "rp_filter",
    "secure_redirects",
];

/// The leaves of which the higher number lets more pass. The kernel combines both values by `and`, `or`,
/// the minimum or the maximum, or uses the own value alone.
const LAX_WHEN_HIGH: &[&str] = &[
    "accept_local",
    "accept_ra",
    "accept_redirects",
    "accept_source_route",
    "accept_untracked_na",
    "arp_accept",
    "bc_forwarding",
    "bootp_relay",
    "disable_policy",
    "disable_xfrm",
    "force_forwarding",
    "forwarding",
    "mc_forwarding",
    "proxy_arp",
    "proxy_arp_pvlan",
    "proxy_ndp",
    "route_localnet",
    "seg6_enabled",
    "send_redirects",
    "shared_media",
];

impl Direction {
    /// The direction of a write to a setting of an interface, of `all` or of `default`.
    pub fn of_leaf(leaf: &str, from: i64, to: i64) -> Self {
        let (lower, higher) = if STRICT_WHEN_HIGH.contains(&leaf) {
            (Direction::Loosens, Direction::Tightens)
        } else if LAX_WHEN_HIGH.contains(&leaf) {
            (Direction::Tightens, Direction::Loosens)
        } else {
            return Direction::Neutral;
        };
        match to.cmp(&from) {
            Ordering::Less => lower,
            Ordering::Equal => Direction::Neutral,
            Ordering::Greater => higher,
        }
    }
}

impl SysctlKey {
    /// The leaf of a setting that interfaces have; `ip_forward` is the `forwarding` of `all`.
    pub fn leaf(&self) -> Option<&str> {
        match self.path() {
            "net/ipv4/ip_forward" => Some("forwarding"),
            _ => {
                let parts = self.per_interface().filter(|parts| parts.table == "conf")?;
                Some(parts.leaf)
            }
        }
    }

    /// The effect of a write on the strictness of the host.
    pub fn direction(&self, from: i64, to: i64) -> Direction {
        self.leaf()
            .map_or(Direction::Neutral, |leaf| Direction::of_leaf(leaf, from, to))
    }

    /// The interface of which this is the `accept_ra`: whether it hears routers.
    pub fn accept_ra_of(&self) -> Option<LinkName> {
        match self.per_interface()? {
            PerInterface {
                family: "ipv6",
                table: "conf",
                slot: Slot::Link(name),
                leaf: "accept_ra",
            } => Some(name),
            _ => None,
        }
    }

    /// Whether it is a switch of IPv6 forwarding of one interface, also by a long name.
    pub fn forwards_ipv6_of_one(&self) -> bool {
        let of_long_name = || {
            let rest = self.path().strip_prefix("net/ipv6/conf/");
            self.long_name().is_some() && rest.is_some_and(|rest| rest.ends_with("/forwarding"))
        };
        match self.per_interface() {
            Some(parts) => self.removes_announced_routes() && matches!(parts.slot, Slot::Link(_)),
            None => of_long_name(),
        }
    }

    /// Whether a write of another value than 0 removes the default routes that routers announced, of every
    /// interface whose `accept_ra` is not 2 (`addrconf_fixup_forwarding`, net/ipv6/addrconf.c, and
    /// `rt6_purge_dflt_routers`, net/ipv6/route.c). A write to `default` removes none.
    pub fn removes_announced_routes(&self) -> bool {
        matches!(
            self.per_interface(),
            Some(PerInterface {
                family: "ipv6",
                table: "conf",
                slot: Slot::All | Slot::Link(_),
                leaf: "forwarding",
            })
        )
    }

    /// The family and the leaf of which the kernel rewrites `default` and every interface when this key is
    /// written, whatever they were.
    pub fn overwrites(&self) -> Option<(&'static str, &str)> {
        if self.path() == "net/ipv4/ip_forward" {
            return Some(("ipv4", "forwarding"));
        }
        match self.per_interface()? {
            PerInterface {
                family: "ipv4",
                table: "conf",
                slot: Slot::All,
                leaf: leaf @ "forwarding",
            } => Some(("ipv4", leaf)),
            PerInterface {
                family: "ipv6",
                slot: Slot::All,
                leaf,
                ..
            } if self.copied_to_links() => Some(("ipv6", leaf)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direction(key: &str, from: i64, to: i64) -> Direction {
        key.parse::<SysctlKey>().unwrap().direction(from, to)
    }

    #[test]
    fn a_write_tightens_loosens_or_does_neither() {
        use Direction::{Loosens, Neutral, Tightens};
        for (key, from, to, expected) in [
            ("net.ipv4.conf.all.rp_filter", 0, 1, Tightens),
            ("net.ipv4.conf.eth0.rp_filter", 1, 0, Loosens),
            ("net.ipv4.conf.eth0.rp_filter", 1, 1, Neutral),
            ("net.ipv4.ip_forward", 0, 1, Loosens),
            ("net.ipv6.conf.all.forwarding", 1, 0, Tightens),
            ("net.ipv4.conf.default.send_redirects", 1, 0, Tightens),
            ("net.ipv6.conf.all.disable_ipv6", 1, 0, Loosens),
            ("net.ipv4.conf.eth0.tag", 0, 1, Neutral),
            ("net.ipv4.neigh.eth0.proxy_qlen", 0, 1, Neutral),
            ("net.core.somaxconn", 128, 4096, Neutral),
        ] {
            assert_eq!(direction(key, from, to), expected, "{key} from {from} to {to}");
        }
        assert!(STRICT_WHEN_HIGH.iter().all(|leaf| !LAX_WHEN_HIGH.contains(leaf)));
    }

    #[test]
    fn switches_overwrite_what_interfaces_have() {
        let overwrites = |key: &str| {
            let key: SysctlKey = key.parse().unwrap();
            key.overwrites().map(|(family, leaf)| format!("{family} {leaf}"))
        };
        assert_eq!(
            overwrites("net.ipv4.ip_forward").as_deref(),
            Some("ipv4 forwarding")
        );
        assert_eq!(
            overwrites("net.ipv6.conf.all.disable_ipv6").as_deref(),
            Some("ipv6 disable_ipv6")
        );
        assert_eq!(overwrites("net.ipv6.conf.all.accept_ra"), None);
        let removes = |key: &str| key.parse::<SysctlKey>().unwrap().removes_announced_routes();
        assert!(removes("net.ipv6.conf.all.forwarding") && removes("net.ipv6.conf.eth0.forwarding"));
        assert!(!removes("net.ipv6.conf.default.forwarding") && !removes("net.ipv4.ip_forward"));
        assert_eq!(overwrites("net.ipv4.conf.default.rp_filter"), None);
    }
}
