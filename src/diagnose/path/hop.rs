//! A device on the way of a packet.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Serialize;

use crate::path::gateway::Gateway;
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::forwarding::Family;

/// A device on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Hop {
    /// Its name.
    pub device: LinkName,
    /// The namespace that it is in.
    pub place: Place,
    /// Its kind as one word: `veth`, `physical`.
    pub kind: Arc<str>,
    /// Its part on the way.
    pub role: Role,
    /// Bytes; none if it could not be read.
    pub mtu: Option<u32>,
    /// Whether it is administratively up; none if it could not be read.
    pub up: Option<bool>,
    /// The headers that it adds.
    pub overhead: Option<Overhead>,
    /// The route by which packets leave through it.
    pub route: Option<RouteStep>,
    /// The gateway of that route, and who answers for its address.
    pub gateway: Option<Gateway>,
    /// The check of the source of packets that arrive here and are routed; IPv4 only.
    pub rp_filter: Option<RpFilterEffect>,
    /// Whether packets that arrive here are forwarded; none where they are not routed, or if it is unknown.
    pub forwarding: Option<bool>,
    /// The ports of a bridge or bond, the smallest first.
    pub ports: Vec<Port>,
    /// Its limits for packets from the origin.
    pub out: Vec<Limit>,
    /// Its limits for packets to the origin.
    pub back: Vec<Limit>,
}

/// A namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// This host, or the namespace that was read.
    Host,
    /// The pod where packets begin.
    Origin,
    /// The namespace at the other end of a veth where packets leave.
    Beyond,
}

/// The part of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The interface by which the origin sends.
    Sender,
    /// The host's end of the origin's veth, whose packets are routed.
    HostEnd,
    /// A bridge port.
    Port,
    /// A bridge whose packets are routed, or that sends.
    Bridge,
    /// A bridge that passes frames from port to port.
    Switch,
    /// The interface by which a route leaves.
    Egress,
    /// The interface that carries a tunnel's packets.
    Underlay,
    /// The device below another one.
    Lower,
    /// The other end of a veth.
    OtherEnd,
}

/// The headers of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Overhead {
    /// Bytes.
    pub bytes: u32,
    /// The family of the outer header; none if it is not known, and then IPv4 is counted.
    pub family: Option<Family>,
    /// The headers from outer to inner: `IPv4 20`, `UDP 8`.
    pub headers: Vec<HeaderSize>,
    /// Further headers of unknown size are possible.
    pub at_least: bool,
}

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HeaderSize {
    /// Its name.
    pub name: &'static str,
    /// Bytes.
    pub bytes: u32,
}

/// A route on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RouteStep {
    /// Its destination.
    #[schemars(with = "String")]
    pub destination: IpNet,
    /// Its gateway.
    pub via: Option<IpAddr>,
    /// Its own MTU, bytes.
    pub mtu: Option<u32>,
    /// Its MTU is larger than that of its interface.
    pub above_device: bool,
    /// The number of its next hops; one of them is drawn.
    pub next_hops: usize,
}

/// The check of sources on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RpFilterEffect {
    /// The value in effect: the larger of `all` and the interface's own.
    pub value: i64,
    /// Whether `all` decides.
    pub by_all: bool,
    /// Sources whose route leaves by another interface pass.
    pub accepts_asymmetric: bool,
    /// It is loose, and drops like strict: the interface has no IPv4 address.
    pub no_address: bool,
    /// The packets of this path pass; none if it is not known.
    pub passes: Option<bool>,
    /// The mark of a packet counts in the check (`src_valid_mark`); none if it is not known.
    pub src_valid_mark: Option<bool>,
    /// Packets with a source address of this host are accepted (`accept_local`); none if it is not known.
    pub accept_local: Option<bool>,
}

/// A port of a bridge or bond.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Port {
    /// Bytes.
    pub mtu: u32,
    /// Its name.
    pub link: LinkName,
    /// Whether it leads to a pod.
    pub to_pod: bool,
}

/// A size, and the treatment of larger packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Limit {
    /// The largest packet that is not concerned, bytes of the packet as the origin sends it.
    pub bytes: u32,
    /// The treatment of larger ones.
    pub above: Above,
    /// The number of tunnels around the packet here.
    pub depth: u8,
}

/// The treatment of packets that are too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(tag = "action", content = "cause", rename_all = "kebab-case")]
pub enum Above {
    /// The sender's own kernel refuses them (EMSGSIZE).
    Refused,
    /// The sender's own kernel does not send them: it returns an error such as ENETUNREACH.
    NotSent(Cause),
    /// They are answered with a packet-too-big.
    PacketTooBig,
    /// They are dropped without an answer.
    Dropped(Cause),
    /// They pass in fragments.
    Fragmented,
    /// They are taken not to arrive: other hosts have the same MTU.
    Assumed,
    /// They may be dropped without an answer.
    MayBeDropped(Cause),
}

/// Why packets are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A veth drops packets larger than the MTU of the receiving end and 4 (`__is_skb_forwardable`).
    VethEnd,
    /// A bridge drops packets larger than the MTU of the port and 4.
    BridgePort,
    /// The device below has a smaller MTU, which its driver may enforce.
    LowerDevice,
    /// The tunnel sets the outer don't-fragment bit.
    OuterDontFragment,
    /// Forwarding is off.
    ForwardingOff,
    /// Reverse path filtering.
    RpFilter,
    /// There is no route.
    NoRoute,
    /// The route drops or refuses everything (`blackhole`, `unreachable`, `prohibit`).
    RouteRefuses,
    /// Nobody answers for the gateway's address.
    NobodyAnswers,
    /// The device is down.
    Down,
    /// The device that refuses them has no route by which its packet-too-big could return.
    NoRouteForAnswer,
    /// The device has no IPv6, which needs an MTU of 1280.
    TooSmallForIpv6,
}
