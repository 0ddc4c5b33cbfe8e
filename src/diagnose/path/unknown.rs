//! Facts that decide about a path and could not be read.

use schemars::JsonSchema;
use serde::Serialize;

use netkeel_core::name::link::LinkName;

/// A fact that decides and could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(tag = "what", content = "of", rename_all = "kebab-case")]
pub enum Unknown {
    /// The routes of this host, or the one that decides.
    Routes,
    /// Rules select other tables than the main one.
    Rules,
    /// The next hop that takes the packets, of a route with several.
    NextHop,
    /// The routes to the other ends of this tunnel.
    TunnelRoutes(LinkName),
    /// The other end of this veth or netkit device.
    OtherEnd(LinkName),
    /// The routes in the pod at this veth or netkit device.
    PodRoutes(LinkName),
    /// Open vSwitch decides about the packets of this device.
    OpenVswitch(LinkName),
    /// Cilium's eBPF programs decide about the packets of this device.
    Cilium(LinkName),
    /// The bridge port that leads to the destination, of this bridge.
    Port(LinkName),
    /// The device below this one.
    Below(LinkName),
    /// The overhead of this tunnel: the smallest possible one is counted.
    Overhead(LinkName),
    /// `forwarding` of this interface.
    Forwarding(LinkName),
    /// `rp_filter` of this interface.
    RpFilter(LinkName),
    /// The answer for the gateway behind this interface.
    Gateway(LinkName),
}

impl Unknown {
    /// Whether it is a fact of this interface.
    pub(crate) fn is_of(self, link: LinkName) -> bool {
        match self {
            Unknown::Routes | Unknown::Rules | Unknown::NextHop => false,
            Unknown::TunnelRoutes(of)
            | Unknown::OtherEnd(of)
            | Unknown::PodRoutes(of)
            | Unknown::OpenVswitch(of)
            | Unknown::Cilium(of)
            | Unknown::Port(of)
            | Unknown::Below(of)
            | Unknown::Overhead(of)
            | Unknown::Forwarding(of)
            | Unknown::RpFilter(of)
            | Unknown::Gateway(of) => of == link,
        }
    }
}
