//! Facts of a host as the path needs them: `None` is unknown.

use std::net::IpAddr;

use netkeel_core::name::link::LinkName;
use netkeel_core::name::route::{Metric, RouteKey};
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::rp_filter;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::forwarding::{Family, Forwarding, Ipv4Conf, NextHop, PathRoute};
use netkeel_host::snapshot::link::Link;

/// The host whose paths are drawn.
pub(crate) struct Host<'a> {
    pub snapshot: &'a Snapshot,
    pub forwarding: Option<&'a Forwarding>,
}

impl<'a> Host<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        Host {
            snapshot,
            forwarding: snapshot.forwarding.as_deref(),
        }
    }

    /// The interface with an index.
    pub(crate) fn by_index(&self, index: u32) -> Option<(LinkName, &'a Link)> {
        self.snapshot.by_index(index).filter(|_| index != 0)
    }

    /// The interface that has an address.
    pub(crate) fn holder(&self, address: IpAddr) -> Option<LinkName> {
        let mut links = self.snapshot.links.iter();
        let found = links.find(|(_, link)| link.addresses.iter().any(|own| own.addr() == address));
        found.map(|(name, _)| *name)
    }

    /// Whether a local route leads an address to this host (AnyIP); `None` if it is not known.
    pub(crate) fn is_any_ip(&self, address: IpAddr) -> Option<bool> {
        let local = self.forwarding?.local.as_ref()?;
        Some(local.iter().any(|net| net.contains(&address)))
    }

    /// The route to an address; `None` if it is not known, `Some(None)` if no route leads there.
    pub(crate) fn route(&self, address: IpAddr) -> Option<Option<&'a PathRoute>> {
        self.forwarding?.routes.as_ref()?.to(address).ok()
    }

    /// Of the next hops of a route, the first one by an interface with the smallest MTU.
    pub(crate) fn next_hop(&self, hops: &'a [NextHop]) -> Option<&'a NextHop> {
        hops.iter()
            .min_by_key(|hop| self.snapshot.link(hop.link).map(|link| link.mtu))
    }

    /// Whether rules select other tables than the main one; unknown counts as yes.
    pub(crate) fn has_other_rules(&self, family: Family) -> bool {
        let rules = self.forwarding.and_then(|found| found.other_rules.as_ref());
        rules.is_none_or(|families| families.contains(&family))
    }

    /// The MTU of a route, bytes: the one that a plan leaves, where the document names the route.
    pub(crate) fn route_mtu(&self, route: &PathRoute, link: LinkName) -> Option<u32> {
        let key = RouteKey {
            metric: route.metric,
            ..RouteKey::new(route.destination)
        };
        let planned = self.snapshot.link(link).and_then(|link| link.routes.get(&key));
        match planned {
            Some(route) => route.metrics.get(&Metric::Mtu).copied(),
            None => route.mtu,
        }
    }

    /// Whether packets that arrive on an interface are forwarded.
    pub(crate) fn forwards(&self, family: Family, link: LinkName) -> Option<bool> {
        match family {
            Family::Ipv4 => self.snapshot.link(link)?.forwarding.map(|value| value != 0),
            // `ip6_forward` (net/ipv6/ip6_output.c) asks `all` and the interface's `force_forwarding`; its own
            // `forwarding` decides other things.
            Family::Ipv6 => {
                let all = self.snapshot.sysctl_number("net/ipv6/conf/all/forwarding")?;
                let own = SysctlKey::conf("ipv6", link, "force_forwarding");
                match self.snapshot.sysctl_number(own.path()) {
                    _ if all != 0 => Some(true),
                    Some(own) => Some(own != 0),
                    // A kernel before 6.17 has no such key.
                    None => match self.forwarding.and_then(|found| found.forced6.as_ref()) {
                        Some(forced) => Some(forced.contains(&link)),
                        None => is_before(&self.snapshot.kernel, (6, 17)).then_some(false),
                    },
                }
            }
        }
    }

    /// The effect of rp_filter on an interface.
    pub(crate) fn rp_filter(&self, link: LinkName) -> Option<rp_filter::Effective> {
        let all = self.snapshot.sysctl_number("net/ipv4/conf/all/rp_filter")?;
        let of = self.snapshot.link(link)?;
        let own = of.rp_filter?;
        if !self.snapshot.families.ipv4 && all.max(own.into()) >= 2 {
            return None;
        }
        Some(rp_filter::effective(all, own.into(), of.has_ipv4()))
    }

    /// Whether frames that pass a bridge go through the firewall of IP (`br_netfilter`).
    pub(crate) fn is_filtered(&self, family: Family, bridge: LinkName) -> Option<bool> {
        self.snapshot.is_filtered(family, bridge)
    }

    pub(crate) fn src_valid_mark(&self, link: LinkName) -> Option<bool> {
        self.either(link, "src_valid_mark", |conf| conf.src_valid_mark)
    }

    pub(crate) fn accept_local(&self, link: LinkName) -> Option<bool> {
        self.either(link, "accept_local", |conf| conf.accept_local)
    }

    pub(crate) fn proxy_arp(&self, link: LinkName) -> Option<bool> {
        self.either(link, "proxy_arp", |conf| conf.proxy_arp)
    }

    /// The larger of `all` and the interface's own.
    pub(crate) fn arp_ignore(&self, link: LinkName) -> Option<i64> {
        let all = self.snapshot.sysctl_number("net/ipv4/conf/all/arp_ignore")?;
        Some(all.max(self.own(link, "arp_ignore", |conf| conf.arp_ignore)?))
    }

    /// On if `all` or the interface's own is (`IN_DEV_ORCONF`).
    fn either(&self, link: LinkName, leaf: &str, of: impl Fn(&Ipv4Conf) -> i32) -> Option<bool> {
        let all = self.snapshot.sysctl_number(&format!("net/ipv4/conf/all/{leaf}"));
        match (all, self.own(link, leaf, of)) {
            (Some(all), _) if all != 0 => Some(true),
            (_, Some(own)) if own != 0 => Some(true),
            (Some(_), Some(_)) => Some(false),
            _ => None,
        }
    }

    /// The interface's own value: the one that a plan leaves, where the document names the key.
    fn own(&self, link: LinkName, leaf: &str, of: impl Fn(&Ipv4Conf) -> i32) -> Option<i64> {
        let key = SysctlKey::conf("ipv4", link, leaf);
        let planned = self.snapshot.sysctl_number(key.path());
        let read = || self.forwarding?.ipv4.get(&link).map(|conf| of(conf).into());
        planned.or_else(read)
    }
}

/// Whether a release of the kernel is known to be older than a version: `6.12.31-talos` is older than 6.17.
fn is_before(release: &str, version: (u32, u32)) -> bool {
    let mut numbers = release.split(|char: char| !char.is_ascii_digit());
    let mut next = || numbers.next()?.parse::<u32>().ok();
    next().zip(next()).is_some_and(|own| own < version)
}
