//! A route of the host and its metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use netkeel_core::name::route::{Metric, RouteKey};

/// A route over an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Route {
    /// Its metrics that netkeel can write, in bytes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<Metric, u32>,
    /// The locked metrics (`mtu lock`): the kernel does not change them by itself.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub locked: BTreeSet<Metric>,
    /// The other attributes, as `ip route` accepts them: `via 192.0.2.1 proto 16`.
    pub rest: Arc<str>,
    /// Whether `rest` names next hops; then no `dev` precedes it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub next_hops: bool,
    /// Whether it has a lifetime, as a route from a router advertisement has. A replacement would be
    /// permanent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub temporary: bool,
    /// Whether the interface has several routes with this key. They differ by TOS or source.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub several: bool,
}

/// Routes with an MTU of their own that are kept of an interface: those with the largest.
pub const MOST_ROUTE_MTUS: usize = 16;

/// The MTU of a route that has one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct RouteMtu {
    /// Bytes.
    pub mtu: u32,
    /// The route.
    pub route: RouteKey,
    /// It is locked (`mtu lock`): the kernel keeps it when the MTU of the interface changes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locked: bool,
}

impl RouteMtu {
    /// Whether it follows the MTU of the interface from one value to another: it is of IPv6, and larger than the new
    /// one or equal to the old one (`rt6_mtu_change_route`, net/ipv6/route.c).
    pub(crate) fn follows(&self, before: u32, mtu: u32) -> bool {
        let ipv6 = matches!(self.route.destination, IpNet::V6(_));
        ipv6 && !self.locked && (self.mtu >= mtu || self.mtu == before)
    }
}

impl Route {
    /// Sets a metric; `None` removes it.
    pub fn set(&mut self, metric: Metric, to: Option<u32>) {
        match to {
            Some(to) => self.metrics.insert(metric, to),
            None => self.metrics.remove(&metric),
        };
    }

    /// All attributes except one metric, as `ip route` accepts them.
    pub fn rest_without(&self, metric: Metric) -> String {
        let mut words = String::new();
        // Next hops come last.
        if !self.next_hops {
            let _ = write!(words, "{} ", self.rest);
        }
        for (other, value) in &self.metrics {
            if *other != metric {
                let lock = if self.locked.contains(other) { "lock " } else { "" };
                let _ = write!(words, "{other} {lock}{value} ");
            }
        }
        if self.next_hops {
            words.push_str(&self.rest);
        }
        words.trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_hops_come_last() {
        let mut route = Route {
            metrics: BTreeMap::from([(Metric::Mtu, 1400), (Metric::Window, 65_535)]),
            locked: BTreeSet::from([Metric::Mtu]),
            rest: "via 192.0.2.1".into(),
            ..Route::default()
        };
        assert_eq!(route.rest_without(Metric::Window), "via 192.0.2.1 mtu lock 1400");
        route.next_hops = true;
        route.rest = "nexthop via 192.0.2.1 dev eth0".into();
        route.set(Metric::Window, None);
        assert_eq!(
            route.rest_without(Metric::Advmss),
            "mtu lock 1400 nexthop via 192.0.2.1 dev eth0"
        );
    }
}
