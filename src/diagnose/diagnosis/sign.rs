//! A sign: counters that grew, with what it means, what it does not mean, and the next step. A sign is no cause: most
//! have harmless reasons too.

use schemars::JsonSchema;
use serde::Serialize;

use crate::diagnosis::fix::Fix;
use crate::diagnosis::growth::Growth;
use netkeel_core::finding::Severity;

/// A sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Sign {
    /// The kind.
    pub kind: SignKind,
    /// Error from a share of 0.1 % of the packets on, warning from 0.001 % on, else a note.
    pub severity: Severity,
    /// The counters, the largest growth first.
    pub counters: Vec<Growth>,
    /// Its meaning.
    pub means: &'static str,
    /// A wrong reading of it.
    pub means_not: &'static str,
    /// The next step.
    pub next: Vec<Fix>,
}

/// A kind of sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SignKind {
    /// Interfaces could not send or receive frames.
    InterfaceErrors,
    /// Interfaces dropped frames.
    InterfaceDrops,
    /// Packets of no connection, and resets.
    ConntrackInvalid,
    /// Connections were dropped to make room.
    ConntrackEarlyDrop,
    /// Sources or destinations that cannot be.
    Martians,
    /// IPsec dropped packets.
    Ipsec,
    /// Rules of IP see the frames of bridges.
    BridgeFilter,
    /// The host's own packets were discarded.
    OutDiscards,
    /// Received packets were discarded.
    InDiscards,
    /// There was no route.
    OutNoRoutes,
    /// Packets for an address that nobody here has.
    InAddrErrors,
    /// Packets of which a fragment is missing.
    ReasmFails,
    /// UDP was sent faster than the queue takes it.
    SndbufErrors,
    /// TCP tried another segment size.
    TcpMtuProbing,
    /// Netlink messages were lost.
    NetlinkDrops,
    /// An NFQUEUE lost packets.
    QueueDrops,
    /// Filters of tc dropped packets.
    FilterDrops,
    /// A CPU did not finish its received packets in one turn.
    Squeezed,
    /// Somebody says that packets cannot be delivered.
    IcmpUnreachable,
    /// Somebody says that a packet was too big.
    IcmpTooBig,
    /// Packets ran out of hops.
    IcmpTimeExceeded,
    /// A router knows a nearer gateway.
    IcmpRedirect,
    /// Somebody says that a header is wrong.
    IcmpParameterProblem,
}

impl SignKind {
    /// The word of it in JSON and in metrics.
    pub fn word(self) -> &'static str {
        match self {
            SignKind::InterfaceErrors => "interface-errors",
            SignKind::InterfaceDrops => "interface-drops",
            SignKind::ConntrackInvalid => "conntrack-invalid",
            SignKind::ConntrackEarlyDrop => "conntrack-early-drop",
            SignKind::Martians => "martians",
            SignKind::Ipsec => "ipsec",
            SignKind::BridgeFilter => "bridge-filter",
            SignKind::OutDiscards => "out-discards",
            SignKind::InDiscards => "in-discards",
            SignKind::OutNoRoutes => "out-no-routes",
            SignKind::InAddrErrors => "in-addr-errors",
            SignKind::ReasmFails => "reasm-fails",
            SignKind::SndbufErrors => "sndbuf-errors",
            SignKind::TcpMtuProbing => "tcp-mtu-probing",
            SignKind::NetlinkDrops => "netlink-drops",
            SignKind::QueueDrops => "queue-drops",
            SignKind::FilterDrops => "filter-drops",
            SignKind::Squeezed => "squeezed",
            SignKind::IcmpUnreachable => "icmp-unreachable",
            SignKind::IcmpTooBig => "icmp-too-big",
            SignKind::IcmpTimeExceeded => "icmp-time-exceeded",
            SignKind::IcmpRedirect => "icmp-redirect",
            SignKind::IcmpParameterProblem => "icmp-parameter-problem",
        }
    }

    /// Its meaning, and the one that it does not have.
    pub(super) fn meaning(self) -> [&'static str; 2] {
        match self {
            SignKind::InterfaceErrors => [
                "the driver could not receive or send frames: a bad cable or module, a frame that is too large, or a tunnel without a way to its other end",
                "no socket and no rule loses these frames, so larger buffers do not help",
            ],
            SignKind::InterfaceDrops => [
                "the kernel or the driver dropped frames: a full ring or queue, or a frame for nobody",
                "rx_dropped also counts harmless frames of protocols that this host does not speak (LLDP, unknown VLANs)",
            ],
            SignKind::ConntrackInvalid => [
                "packets fit no connection. Translation passes them by, and those of TCP may be answered with a reset, which ends the connection of a client",
                "the connection table need not be full, and not every reset (OutRsts) answers such a packet",
            ],
            SignKind::ConntrackEarlyDrop => [
                "the table was full, and connections that were not assured yet were dropped to make room",
                "no assured connection was dropped (ASSURED in `conntrack -L`), but one with a first answer may have been",
            ],
            SignKind::Martians => [
                "packets came with a source or a destination that cannot be on that interface, such as an own address or a loopback address",
                "it is not the counter of rp_filter, whose drops are taken off; `ip route get ... iif ...` raises it too",
            ],
            SignKind::Ipsec => [
                "IPsec dropped packets: a state or a policy is missing or does not fit, or packets were repeated",
                "the path and its MTU are not at fault",
            ],
            SignKind::BridgeFilter => [
                "frames that cross a bridge go through the rules of IP, so that these rules may have dropped traffic between pods of one bridge",
                "some of the packets, or all, may have been routed by this host",
            ],
            SignKind::OutDiscards => [
                "the host dropped packets of its own: a queue was full, the device or a rule of OUTPUT dropped them, or memory was short",
                "a route is not missing: that is OutNoRoutes",
            ],
            SignKind::InDiscards => [
                "received packets were dropped: IPv6 is switched off on their interface (disable_ipv6), a policy of IPsec refused them, nobody here wants that source of a multicast group, or memory was short",
                "the sockets are not full: that is RcvbufErrors",
            ],
            SignKind::OutNoRoutes => [
                "no route led to the destination of a packet",
                "IPv6 programs that try an address first raise it without harm",
            ],
            SignKind::InAddrErrors => [
                "packets arrived for an address that is not of this host and that it does not forward to",
                "rp_filter and the firewall did not drop them",
            ],
            SignKind::ReasmFails => [
                "a fragment was lost or came too late, so the whole packet was lost: senders send more than the path takes in one piece",
                "a larger net.ipv4.ipfrag_high_thresh helps only where fragments of many packets wait at once",
            ],
            SignKind::SndbufErrors => [
                "programs sent UDP faster than the queue or the socket takes it, or larger than the device passes on (ENOBUFS, EAGAIN)",
                "ENOBUFS comes from the qdisc or the device: net.core.wmem_max cannot mend it",
            ],
            SignKind::TcpMtuProbing => [
                "TCP looks for a segment size by itself (net.ipv4.tcp_mtu_probing)",
                "a probe that fails is no lost data, and one that succeeds is no proof that packet-too-big comes",
            ],
            SignKind::NetlinkDrops => [
                "a program reads netlink too slowly and missed messages: events of the kernel, or packets of an NFLOG group",
                "no packet of the network was lost by this",
            ],
            SignKind::QueueDrops => [
                "the program behind an NFQUEUE is too slow or gone, and packets were dropped",
                "no rule of the firewall wanted these drops",
            ],
            SignKind::FilterDrops => [
                "filters of tc dropped packets (clsact, ingress), as programs of eBPF do for the policies of a CNI, and a limit of a rate",
                "no queue was full and no rule of the firewall dropped them; drops of programs that a link attaches (tcx) are not among them",
            ],
            SignKind::Squeezed => [
                "a CPU had more received packets than it may handle in one turn; the rest waited",
                "no packet was lost",
            ],
            SignKind::IcmpUnreachable => [
                "somebody answered that packets cannot be delivered: no port, no route, or a rule that rejects",
                "it need not be packet-too-big: IPv4 counts that under the same type",
            ],
            SignKind::IcmpTooBig => [
                "a router said that a packet was too big, and its message came to this host",
                "it is no proof that path MTU discovery works: by anycast or ECMP the message may belong to another host, and nobody repeats UDP",
            ],
            SignKind::IcmpTimeExceeded => [
                "packets ran out of hops, as in a loop of routes, or a fragment came too late",
                "a traceroute raises it without harm",
            ],
            SignKind::IcmpRedirect => [
                "a router says that another gateway of the same network is nearer",
                "no packet was lost: the router forwarded it",
            ],
            SignKind::IcmpParameterProblem => [
                "somebody could not read a header, such as an extension of IPv6",
                "the size of the packet is not at fault",
            ],
        }
    }
}
