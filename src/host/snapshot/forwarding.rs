//! State that decides the way of a packet through the host: routes, neighbours, the ends of tunnels, the
//! IPv4 settings of each interface, and the routes of pods.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use netkeel_core::name::link::LinkName;

/// Routes that are kept of the host's main table, beside its default routes.
pub const MOST_HOST_ROUTES: usize = 4_096;

/// Routes that are kept of a pod's main table, beside its default routes.
pub const MOST_POD_ROUTES: usize = 256;

/// Default routes that are kept of each family.
pub const MOST_DEFAULT_ROUTES: usize = 64;

/// Next hops that are kept of a route.
pub const MOST_NEXT_HOPS: usize = 256;

/// State that decides how the host forwards packets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Forwarding {
    /// The routes of the main table; missing if they could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routes: Option<Routes>,
    /// Destinations that local routes lead to this host, beside the addresses of its interfaces and 127.0.0.0/8
    /// ("AnyIP", `ip route add local`); missing if they could not be read as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeSet<String>>")]
    pub local: Option<BTreeSet<IpNet>>,
    /// The families for which something else than the main table may decide: `ip rule` has other rules than those of the
    /// kernel, or a route is for some sources alone, or in the tables default or local. Missing if the rules could not be
    /// read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_rules: Option<BTreeSet<Family>>,
    /// The interfaces with `force_forwarding`, whose packets of IPv6 are forwarded though `net.ipv6.conf.all.forwarding` is
    /// 0; missing if it is not 0, or if they could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced6: Option<BTreeSet<LinkName>>,
    /// The neighbours that are gateways of routes; missing if they could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<Vec<Neighbour>>,
    /// The ends of tunnels, by interface.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tunnels: BTreeMap<LinkName, TunnelEnds>,
    /// Whether bridges hand frames to the firewall of IP, by bridge.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub bridges: BTreeMap<LinkName, BridgeFilter>,
    /// What may drop or redirect packets on interfaces beside the firewall.
    #[serde(skip_serializing_if = "Attached::is_unread")]
    pub attached: Attached,
    /// IPv4 settings, by interface.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ipv4: BTreeMap<LinkName, Ipv4Conf>,
    /// The pods' own routes and neighbours, by the host's end of their veth.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub pods: BTreeMap<LinkName, PodForwarding>,
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "AddressFamily")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        }
    }

    /// The prefix of length 0.
    pub fn everything(self) -> IpNet {
        match self {
            Family::Ipv4 => IpNet::V4(ipnet::Ipv4Net::default()),
            Family::Ipv6 => IpNet::V6(ipnet::Ipv6Net::default()),
        }
    }
}

/// The routes of one main table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Routes {
    /// The routes.
    pub routes: Vec<PathRoute>,
    /// The table has more routes than are kept. The preferred default route of each family is kept in any case.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// A route, as far as the way of a packet needs it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct PathRoute {
    /// The destination.
    #[schemars(with = "String")]
    pub destination: IpNet,
    /// The kernel prefers the route with the smallest metric.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub metric: u32,
    /// Where packets go.
    pub to: RouteTarget,
    /// The route's own MTU, bytes (RTAX_MTU).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The source address of packets without one (`src`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
}

/// The effect of a route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RouteTarget {
    /// Packets leave by one of these next hops.
    Hops(Vec<NextHop>),
    /// Packets are dropped or refused (`blackhole`, `unreachable`, `prohibit`).
    Nowhere,
    /// The kernel decides by something that is not read: another table, an encapsulation, an address
    /// translation, too many next hops.
    Elsewhere,
}

/// A next hop.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct NextHop {
    /// The interface.
    pub link: LinkName,
    /// The gateway; none for a destination on the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<IpAddr>,
}

/// An entry of the neighbour table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Neighbour {
    /// The interface.
    pub link: LinkName,
    /// The neighbour's address.
    pub address: IpAddr,
    /// Its state.
    pub state: NeighbourState,
}

/// The state of a neighbour (NUD_*, include/uapi/linux/neighbour.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NeighbourState {
    /// Set by hand, or the device needs no resolution: nobody is asked.
    Permanent,
    /// It answered.
    Answered,
    /// It did not answer.
    Failed,
    /// It was asked and has not answered yet.
    Waiting,
}

/// The ends of a tunnel and what it does with large packets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TunnelEnds {
    /// The own outer address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<IpAddr>,
    /// The other outer address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<IpAddr>,
    /// The outer don't-fragment bit of vxlan and geneve; none for other kinds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub df: Option<OuterDf>,
    /// Whether ipip, sit and gre set don't-fragment and answer large packets (`pmtudisc`); none for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pmtudisc: Option<bool>,
    /// The routes or a program decide about each packet (`external`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
    /// Whether ip6tnl and ip6gre add the encapsulation limit, 8 bytes; none for other kinds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encapsulation_limit: Option<bool>,
    /// Optional GRE headers, bytes: key, sequence number, checksum, and the header of ERSPAN.
    #[serde(skip_serializing_if = "is_zero")]
    pub gre_options: u32,
}

/// The outer don't-fragment bit of vxlan and geneve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OuterDf {
    /// Never set: large outer packets are fragmented.
    Unset,
    /// Always set.
    Set,
    /// Copied from the inner packet.
    Inherit,
}

/// Whether a bridge hands frames to the firewall of IP by its own setting (`nf_call_iptables`), apart from the
/// sysctls `net.bridge.bridge-nf-call-*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BridgeFilter {
    /// Frames with IPv4.
    pub ipv4: bool,
    /// Frames with IPv6.
    pub ipv6: bool,
}

/// The interfaces on which something may drop or redirect packets beside the firewall. Filters of other qdiscs than
/// `clsact` and `ingress`, and programs that a link of eBPF attaches to tc (tcx), are not among it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Attached {
    /// Those with a program of XDP; missing if they could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xdp: Option<BTreeSet<LinkName>>,
    /// Those with a qdisc for filters of tc (`clsact`, `ingress`), which may have none; missing if they could not be
    /// read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tc: Option<BTreeSet<LinkName>>,
}

impl Attached {
    /// The interfaces with one of the two; none if they could not be read.
    pub fn of(&self, point: AttachPoint) -> Option<&BTreeSet<LinkName>> {
        match point {
            AttachPoint::Xdp => self.xdp.as_ref(),
            AttachPoint::Tc => self.tc.as_ref(),
        }
    }

    fn is_unread(&self) -> bool {
        *self == Attached::default()
    }
}

/// What may drop or redirect packets on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AttachPoint {
    /// A program of XDP.
    Xdp,
    /// A qdisc for filters of tc (`clsact`, `ingress`).
    Tc,
}

/// IPv4 settings of one interface below `net.ipv4.conf`, as its own key has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ipv4Conf {
    /// `proxy_arp`.
    pub proxy_arp: i32,
    /// `arp_ignore`.
    pub arp_ignore: i32,
    /// `accept_local`.
    pub accept_local: i32,
    /// `src_valid_mark`.
    pub src_valid_mark: i32,
}

/// The routes, addresses and neighbours in a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PodForwarding {
    /// The addresses of the pod's end that are not link-local.
    #[serde(default)]
    #[schemars(with = "BTreeSet<String>")]
    pub addresses: BTreeSet<IpNet>,
    /// The main table.
    pub routes: Routes,
    /// The families for which something else than the pod's main table may decide, as for the host.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub other_rules: BTreeSet<Family>,
    /// The neighbours that are gateways of routes.
    #[serde(default)]
    pub neighbours: Vec<Neighbour>,
}

impl Routes {
    /// The route to an address: the longest prefix, then the smallest metric. `Err` when the table is not
    /// complete, so that a longer prefix may exist.
    pub fn to(&self, address: IpAddr) -> Result<Option<&PathRoute>, Incomplete> {
        if self.more {
            return Err(Incomplete);
        }
        let fitting = self
            .routes
            .iter()
            .filter(|route| route.destination.contains(&address));
        Ok(fitting.min_by_key(|route| (std::cmp::Reverse(route.destination.prefix_len()), route.metric)))
    }

    /// The default routes of a family, the preferred one first.
    pub fn defaults(&self, family: Family) -> Vec<&PathRoute> {
        let mut found: Vec<&PathRoute> = self
            .routes
            .iter()
            .filter(|route| route.destination == family.everything())
            .collect();
        found.sort_by_key(|route| route.metric);
        found
    }
}

/// A table that was not read as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incomplete;

impl PathRoute {
    /// The next hops; none where the route leads nowhere or elsewhere.
    pub fn hops(&self) -> &[NextHop] {
        match &self.to {
            RouteTarget::Hops(hops) => hops,
            RouteTarget::Nowhere | RouteTarget::Elsewhere => &[],
        }
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_then_the_smallest_metric_decides() {
        let route = |to: &str, metric, link: &str| PathRoute {
            destination: to.parse().unwrap(),
            metric,
            to: RouteTarget::Hops(vec![NextHop {
                link: link.parse().unwrap(),
                via: None,
            }]),
            mtu: None,
            source: None,
        };
        let mut table = Routes {
            routes: vec![
                route("0.0.0.0/0", 100, "eth1"),
                route("0.0.0.0/0", 10, "eth0"),
                route("10.0.0.0/8", 500, "vxlan0"),
            ],
            more: false,
        };
        let link = |table: &Routes, to: &str| {
            let found = table.to(to.parse().unwrap()).unwrap();
            found.map(|route| route.hops()[0].link.to_string())
        };
        assert_eq!(link(&table, "192.0.2.1").as_deref(), Some("eth0"));
        assert_eq!(link(&table, "10.1.1.1").as_deref(), Some("vxlan0"));
        assert_eq!(link(&table, "2001:db8::1"), None);
        table.more = true;
        assert_eq!(table.to("10.1.1.1".parse().unwrap()), Err(Incomplete));
        assert_eq!(table.defaults(Family::Ipv4)[0].metric, 10);
    }
}
