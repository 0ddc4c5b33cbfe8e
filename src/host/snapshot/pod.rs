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
    /// How its namespace is reached; none where nothing that can be seen keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Sandbox>,
    /// Its index there.
    pub index: u32,
    /// Its name there.
    pub name: LinkName,
    /// Bytes.
    pub mtu: u32,
    /// The routes by it that have an MTU of their own, in bytes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub routes: BTreeMap<RouteKey, PodRoute>,
    /// The IPv6 addresses that nobody gives it again: those that are not link-local.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "BTreeSet<String>")]
    pub ipv6: BTreeSet<Ipv6Net>,
    /// Why netkeel does not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_by: Option<CniOwner>,
}

/// A route of a pod that has an MTU of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PodRoute {
    /// Bytes.
    pub mtu: u32,
    /// The rest of it, as `ip route` takes it: `via 169.254.1.1`.
    #[serde(default)]
    pub rest: Arc<str>,
    /// The rest names its next hops, so that no `dev` stands before it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub next_hops: bool,
    /// Its MTU is locked (`mtu lock`): the kernel leaves it when that of its interface changes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locked: bool,
}

/// Who sets the MTU of a pod's end, so that another write would be lost or do harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CniOwner {
    /// Cilium's agent; it gives the MTU to the route and not to the device.
    Cilium,
    /// gVisor, whose own network stack read the MTU when it started.
    Gvisor,
    /// KubeVirt: a virtual machine has an interface of its own behind it.
    Kubevirt,
}

impl CniOwner {
    /// The name, and what can be done instead.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            CniOwner::Cilium => (
                "Cilium's agent keeps it",
                "set `mtu` in the ConfigMap cilium-config",
            ),
            CniOwner::Gvisor => (
                "gVisor read its MTU when the pod started, and does not look again",
                "make the pod anew",
            ),
            CniOwner::Kubevirt => (
                "a virtual machine has its own interface behind it",
                "change the guest's MTU, by DHCP or by making it anew",
            ),
        }
    }
}

impl PodEnd {
    /// Why netkeel does not write it, and what to do instead.
    pub fn left_alone(&self) -> Option<(&'static str, &'static str)> {
        match (self.kept_by, &self.sandbox) {
            (Some(keeper), _) => Some(keeper.words()),
            (None, None) => Some((
                "nothing that can be seen from here leads into its network namespace",
                "run netkeel in the host's PID namespace (hostPID), with /run/netns",
            )),
            (None, Some(_)) => None,
        }
    }

    /// The largest packet that leaves by it, in bytes, headers of IP included. Where routes say
    /// less than the device, as Cilium's do, they decide.
    pub fn largest_packet(&self) -> u32 {
        self.largest_route().map_or(self.mtu, |route| route.min(self.mtu))
    }

    /// Whether each end takes what the other one sends, where the host's end has this MTU. A route may
    /// not allow more than the device either: for forwarded and local packets alike the route's MTU
    /// counts (`ip_dst_mtu_maybe_forward`, include/net/ip.h), and the other end drops the rest.
    pub fn goes_with(&self, mtu: i64) -> bool {
        let device = i64::from(self.mtu);
        let sends = self.largest_route().map_or(device, i64::from);
        mtu <= device && sends <= mtu
    }

    /// The largest MTU that a route by it has of its own, bytes.
    pub fn largest_route(&self) -> Option<u32> {
        self.routes.values().map(|route| route.mtu).max()
    }

    /// The smallest.
    pub fn smallest_route(&self) -> Option<u32> {
        self.routes.values().map(|route| route.mtu).min()
    }
}
