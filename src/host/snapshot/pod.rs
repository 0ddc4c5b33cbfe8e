//! The other end of a veth, in another namespace: a pod's interface, read from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::Ipv6Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use netkeel_core::name::link::LinkName;
use netkeel_core::name::route::RouteKey;
use netkeel_core::name::sandbox::Sandbox;

/// A pod's end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PodEnd {
    /// How its namespace is reached; none when no visible file or process refers to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Sandbox>,
    /// Its index there.
    pub index: u32,
    /// Its name there.
    pub name: LinkName,
    /// Bytes.
    pub mtu: u32,
    /// Its own IPv6 MTU (`net.ipv6.conf.*.mtu`), bytes, where it differs from that of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu6: Option<u32>,
    /// A default route of its namespace leads by it; missing where that was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leads_out: Option<bool>,
    /// Its routes that have an MTU of their own, in bytes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub routes: BTreeMap<RouteKey, PodRoute>,
    /// The IPv6 addresses that the kernel does not add again by itself: those that are not
    /// link-local.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "BTreeSet<String>")]
    pub ipv6: BTreeSet<Ipv6Net>,
    /// The limit that its namespace exceeds. The pod controls the number, so netkeel reads no more and does not
    /// write the interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excess: Option<Excess>,
    /// The owner of the interface, if netkeel must not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_by: Option<CniOwner>,
}

/// A route of a pod with an MTU of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PodRoute {
    /// Bytes.
    pub mtu: u32,
    /// The rest of the route, as `ip route` takes it: `via 169.254.1.1`.
    #[serde(default)]
    pub rest: Arc<str>,
    /// The rest names its next hops, so `dev` is not put before it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub next_hops: bool,
    /// Its MTU is locked (`mtu lock`): the kernel keeps it when the interface's MTU changes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locked: bool,
    /// Why netkeel cannot write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwritable: Option<Unwritable>,
}

/// Why netkeel cannot write a route of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unwritable {
    /// Another route with an MTU has the same destination, metric and table; the kernel could replace the wrong one.
    Several,
    /// It has a lifetime, or is of a router advertisement: a replacement would lose that.
    Temporary,
}

impl Unwritable {
    /// The reason why netkeel does not write the pod's end, and the remedy.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Unwritable::Several => (
                "two of its routes with a larger MTU have the same destination, metric and table",
                "give the routes in the pod different metrics, or exclude its veth from the match",
            ),
            Unwritable::Temporary => (
                "one of its routes with a larger MTU has a lifetime, which a change would remove",
                "change the router advertisement or the route in the pod, or exclude its veth from the match",
            ),
        }
    }
}

/// Interfaces that are read of one pod's namespace.
pub const MOST_INTERFACES: usize = 1_000;

/// IPv6 addresses that are read of one pod's namespace.
pub const MOST_ADDRESSES: usize = 1_000;

/// Routes that are read of one pod's namespace, of all kinds.
pub const MOST_ROUTES: usize = 10_000;

/// Routes with an MTU of their own that are written in one pod's namespace.
pub const MOST_ROUTES_WITH_MTU: usize = 100;

/// A limit that a pod's namespace exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Excess {
    /// More than [`MOST_INTERFACES`].
    Interfaces,
    /// More than [`MOST_ADDRESSES`].
    Addresses,
    /// More than [`MOST_ROUTES`], or than [`MOST_ROUTES_WITH_MTU`].
    Routes,
}

impl Excess {
    /// The reason why netkeel does not write the pod's end, and the remedy.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Excess::Interfaces => (
                "its network namespace has more than 1000 interfaces",
                "remove interfaces in the pod, or exclude its veth from the match",
            ),
            Excess::Addresses => (
                "its network namespace has more than 1000 IPv6 addresses",
                "remove addresses in the pod, or exclude its veth from the match",
            ),
            Excess::Routes => (
                "its network namespace has more than 100 routes with an MTU, or more than 10000 routes",
                "remove routes in the pod, or exclude its veth from the match",
            ),
        }
    }
}

/// The program that sets the MTU of a pod's end: another write would be lost or do harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CniOwner {
    /// Cilium's agent; it sets the MTU of the route, not of the device.
    Cilium,
    /// gVisor: its own network stack read the MTU when the pod started.
    Gvisor,
    /// KubeVirt: a virtual machine has an interface of its own behind this one.
    Kubevirt,
}

impl CniOwner {
    /// The reason why netkeel does not write it, and the remedy.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            CniOwner::Cilium => (
                "Cilium's agent keeps it",
                "set `mtu` in the ConfigMap cilium-config",
            ),
            CniOwner::Gvisor => (
                "gVisor read its MTU when the pod started and does not read it again",
                "recreate the pod",
            ),
            CniOwner::Kubevirt => (
                "a virtual machine has its own interface behind it",
                "change the guest's MTU by DHCP, or recreate the guest",
            ),
        }
    }
}

impl PodEnd {
    /// Why netkeel does not write it, and the remedy.
    pub fn left_alone(&self) -> Option<(&'static str, &'static str)> {
        match (self.kept_by, self.excess, &self.sandbox) {
            (Some(keeper), ..) => Some(keeper.words()),
            (None, Some(excess), _) => Some(excess.words()),
            (None, None, None) => Some((
                "no visible file or process refers to its network namespace",
                "run netkeel in the host's PID namespace (hostPID), with /run/netns",
            )),
            (None, None, Some(_)) => None,
        }
    }

    /// Why netkeel does not write it where this MTU is wanted, and the remedy: a route of it that would be lowered
    /// cannot be, or a write would reset its own IPv6 MTU, which nothing would restore (`addrconf_notify`,
    /// net/ipv6/addrconf.c).
    pub fn left_alone_at(&self, mtu: i64) -> Option<(&'static str, &'static str)> {
        const OWN_IPV6: (&str, &str) = (
            "a change would reset the IPv6 MTU that it has of its own",
            "in the pod, set net.ipv6.conf.*.mtu of it to its MTU, or exclude its veth from the match",
        );
        let resets = self.mtu6.is_some() && i64::from(self.mtu) != mtu;
        let own = self.left_alone().or(resets.then_some(OWN_IPV6));
        own.or_else(|| {
            let mut larger = self.routes.values().filter(|route| i64::from(route.mtu) > mtu);
            larger.find_map(|route| route.unwritable).map(Unwritable::words)
        })
    }

    /// The largest packet that leaves through it, in bytes, including IP headers. Where routes have
    /// a smaller MTU than the device, as with Cilium, the routes decide.
    pub fn largest_packet(&self) -> u32 {
        self.largest_route().map_or(self.mtu, |route| route.min(self.mtu))
    }

    /// Whether each end accepts the other end's largest packets, if the host's end has this MTU. No
    /// route may allow more than the device either: the route's MTU limits forwarded and local
    /// packets (`ip_dst_mtu_maybe_forward`, include/net/ip.h), and the other end drops larger ones.
    pub fn goes_with(&self, mtu: i64) -> bool {
        let device = i64::from(self.mtu);
        let sends = self.largest_route().map_or(device, i64::from);
        mtu <= device && sends <= mtu
    }

    /// The largest MTU among its routes that have one of their own, in bytes.
    pub fn largest_route(&self) -> Option<u32> {
        self.routes.values().map(|route| route.mtu).max()
    }

    /// The smallest MTU among its routes that have one of their own, in bytes.
    pub fn smallest_route(&self) -> Option<u32> {
        self.routes.values().map(|route| route.mtu).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reasons_name_the_limits() {
        for (excess, limits) in [
            (Excess::Interfaces, vec![MOST_INTERFACES]),
            (Excess::Addresses, vec![MOST_ADDRESSES]),
            (Excess::Routes, vec![MOST_ROUTES_WITH_MTU, MOST_ROUTES]),
        ] {
            let (why, _) = excess.words();
            for limit in limits {
                assert!(why.contains(&format!("more than {limit} ")), "{why}: {limit}");
            }
        }
    }
}
