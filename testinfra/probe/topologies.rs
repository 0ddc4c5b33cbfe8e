//! The table of topologies: each with the verdict that is right for it.

use crate::chain::Family::{V4, V6};
use crate::chain::{Chain, Family, Wire};

/// What is wrong in a chain.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// A node sends no "packet too big".
    NoTooBig(usize),
    /// A node sends one "packet too big" a minute.
    FewTooBig(usize),
    /// A node's "packet too big" comes from a private address (RFC 1918, RFC 4193).
    TooBigFromElsewhere(usize),
    /// A node sends no "time exceeded".
    NoTimeExceeded(usize),
    /// The target drops echo requests.
    NoEcho,
    /// The target drops UDP and sends no "port unreachable".
    NoUdp,
    /// The target drops TCP.
    NoTcp,
    /// A router drops echoes above 1024 bytes, in both directions.
    LargeEchoes(usize),
    /// A router rejects what goes to the target.
    Rejects(usize),
    /// The route of a node to the target has this MTU.
    RouteMtu(usize, u32),
    /// The route of a node back to the host has this MTU.
    BackMtu(usize, u32),
    /// Node 1 has a second link to node 2 and chooses one by the addresses (ECMP). The link that the host's packets
    /// take, or the other one, drops packets above 1400 bytes without a report.
    EcmpBroken { taken: bool },
}

/// A chain, and what is right of it.
pub struct Topology {
    pub name: &'static str,
    pub family: Family,
    pub wires: &'static [Wire],
    pub faults: &'static [Fault],
    /// The exit status, and `VERDICT MTU by METHOD`.
    pub right: (i32, &'static str),
}

impl Topology {
    pub fn build(&self) -> Chain {
        let chain = Chain::new(self.family, self.wires);
        for fault in self.faults {
            self.spoil(&chain, *fault);
        }
        chain
    }

    fn spoil(&self, chain: &Chain, fault: Fault) {
        let v4 = self.family == V4;
        let too_big = if v4 {
            "icmp type destination-unreachable icmp code frag-needed"
        } else {
            "icmpv6 type packet-too-big"
        };
        let target = chain.nodes.len() - 1;
        let ip = if v4 { "ip" } else { "ip -6" };
        match fault {
            Fault::NoTooBig(node) => chain.rule(node, "output", &format!("{too_big} drop")),
            Fault::FewTooBig(node) => {
                chain.rule(
                    node,
                    "output",
                    &format!("{too_big} limit rate over 1/minute burst 1 packets drop"),
                );
            }
            Fault::TooBigFromElsewhere(node) => {
                let address = if v4 {
                    "ip saddr set 10.77.0.1"
                } else {
                    "ip6 saddr set fd77::1"
                };
                chain.rule(node, "output", &format!("{too_big} {address}"));
            }
            Fault::NoTimeExceeded(node) => {
                let rule = if v4 {
                    "icmp type time-exceeded drop"
                } else {
                    "icmpv6 type time-exceeded drop"
                };
                chain.rule(node, "output", rule);
            }
            Fault::NoEcho => chain.rule(
                target,
                "input",
                "icmp type echo-request drop; icmpv6 type echo-request drop",
            ),
            Fault::NoUdp => chain.rule(target, "prerouting", "meta l4proto udp drop"),
            Fault::NoTcp => chain.rule(target, "postrouting", "meta l4proto tcp drop"),
            Fault::LargeEchoes(node) => chain.rule(
                node,
                "forward",
                "meta l4proto { icmp, icmpv6 } meta length > 1024 drop",
            ),
            Fault::Rejects(node) => {
                chain.rule(node, "forward", "iifname w reject with icmpx admin-prohibited");
            }
            Fault::RouteMtu(node, mtu) => {
                let via = chain.address(node, 2);
                chain.nodes[node].sh(&format!("{ip} route change default via {via} mtu {mtu}"));
            }
            Fault::EcmpBroken { taken } => {
                let broken = chain.second_link(taken);
                let rule = format!("oifname {broken} meta length > 1400 drop");
                chain.rule(1, "forward", &rule);
            }
            Fault::BackMtu(node, mtu) => {
                let via = chain.address(node - 1, 1);
                chain.nodes[node].sh(&format!(
                    "{ip} route replace {}/{} via {via} mtu {mtu}",
                    chain.address(0, 1),
                    if v4 { 32 } else { 128 }
                ));
            }
        }
    }
}

const fn same(mtu: u32) -> Wire {
    Wire(mtu, mtu)
}

const PLAIN: &[Wire] = &[same(1500), same(1500), same(1500)];

macro_rules! topology {
    ($name:literal, $family:expr, $wires:expr, $faults:expr, $code:literal, $right:literal) => {
        Topology {
            name: $name,
            family: $family,
            wires: $wires,
            faults: $faults,
            right: ($code, $right),
        }
    };
}

pub const TOPOLOGIES: &[Topology] = &[
    // The path carries what the interface sends.
    topology!("same link", V4, &[same(1500)], &[], 0, "carries 1500 by icmp"),
    topology!("same link", V6, &[same(1500)], &[], 0, "carries 1500 by icmp"),
    topology!("jumbo link", V4, &[same(9000)], &[], 0, "carries 9000 by icmp"),
    topology!("three links", V4, PLAIN, &[], 0, "carries 1500 by icmp"),
    topology!("three links", V6, PLAIN, &[], 0, "carries 1500 by icmp"),
    topology!(
        "a small interface",
        V4,
        &[same(1400), same(1500)],
        &[],
        0,
        "carries 1400 by icmp"
    ),
    topology!(
        "a small interface",
        V6,
        &[same(1400), same(1500)],
        &[],
        0,
        "carries 1400 by icmp"
    ),
    // Routers that report.
    topology!(
        "1460 in the middle",
        V4,
        &[same(1500), same(1460), same(1500)],
        &[],
        0,
        "carries 1460 by icmp"
    ),
    topology!(
        "1400 in the middle",
        V4,
        &[same(1500), same(1400), same(1500)],
        &[],
        0,
        "carries 1400 by icmp"
    ),
    topology!(
        "1400 in the middle",
        V6,
        &[same(1500), same(1400), same(1500)],
        &[],
        0,
        "carries 1400 by icmp"
    ),
    topology!(
        "1280 at the end",
        V4,
        &[same(1500), same(1500), same(1280)],
        &[],
        0,
        "carries 1280 by icmp"
    ),
    topology!(
        "1280 at the end",
        V6,
        &[same(1500), same(1500), same(1280)],
        &[],
        0,
        "carries 1280 by icmp"
    ),
    topology!(
        "stairs",
        V4,
        &[same(9000), same(1500), same(1460), same(1400), same(1280)],
        &[],
        0,
        "carries 1280 by icmp"
    ),
    topology!(
        "stairs",
        V6,
        &[same(9000), same(1500), same(1460), same(1400), same(1280)],
        &[],
        0,
        "carries 1280 by icmp"
    ),
    topology!(
        "below 1280",
        V4,
        &[same(1500), same(600), same(1500)],
        &[],
        0,
        "carries 600 by icmp"
    ),
    topology!(
        "a route's MTU",
        V4,
        PLAIN,
        &[Fault::RouteMtu(1, 1300)],
        0,
        "carries 1300 by icmp"
    ),
    topology!(
        "a route's MTU",
        V6,
        PLAIN,
        &[Fault::RouteMtu(1, 1300)],
        0,
        "carries 1300 by icmp"
    ),
    topology!(
        "the host's route has a smaller MTU",
        V4,
        PLAIN,
        &[Fault::RouteMtu(0, 1400)],
        0,
        "carries 1500 by icmp"
    ),
    topology!(
        "few reports",
        V4,
        &[same(1500), same(1400), same(1500)],
        &[Fault::FewTooBig(1)],
        0,
        "carries 1400 by icmp"
    ),
    topology!(
        "a report from elsewhere",
        V4,
        &[same(1500), same(1400), same(1500)],
        &[Fault::TooBigFromElsewhere(1)],
        0,
        "carries 1400 by icmp"
    ),
    topology!(
        "a report from elsewhere",
        V6,
        &[same(1500), same(1400), same(1500)],
        &[Fault::TooBigFromElsewhere(1)],
        0,
        "carries 1400 by icmp"
    ),
    // Black holes.
    topology!(
        "a filtered router",
        V4,
        &[same(1500), same(1400), same(1500)],
        &[Fault::NoTooBig(1)],
        2,
        "black-hole 1400 by icmp"
    ),
    topology!(
        "a filtered router",
        V6,
        &[same(1500), same(1400), same(1500)],
        &[Fault::NoTooBig(1)],
        2,
        "black-hole 1400 by icmp"
    ),
    topology!(
        "a filtered router far away",
        V4,
        &[same(1500), same(1500), same(1500), same(1380)],
        &[Fault::NoTooBig(3)],
        2,
        "black-hole 1380 by icmp"
    ),
    topology!(
        "a report, then a black hole",
        V4,
        &[same(1500), same(1460), same(1400)],
        &[Fault::NoTooBig(2)],
        2,
        "black-hole 1400 by icmp"
    ),
    topology!(
        "a report, then a black hole",
        V6,
        &[same(1500), same(1460), same(1400)],
        &[Fault::NoTooBig(2)],
        2,
        "black-hole 1400 by icmp"
    ),
    // A veth takes 4 bytes more than its MTU, for a VLAN tag (`is_skb_forwardable`).
    topology!(
        "a veth with a small far end",
        V4,
        &[same(1500), Wire(1500, 1400), same(1500)],
        &[],
        2,
        "black-hole 1404 by icmp"
    ),
    topology!(
        "a veth with a small far end",
        V6,
        &[same(1500), Wire(1500, 1400), same(1500)],
        &[],
        2,
        "black-hole 1404 by icmp"
    ),
    topology!(
        "the first veth has a small far end",
        V4,
        &[Wire(1500, 1300), same(1500)],
        &[],
        2,
        "black-hole 1304 by icmp"
    ),
    topology!(
        "a black hole and no time exceeded",
        V4,
        &[same(1500), same(1400), same(1500)],
        &[Fault::NoTooBig(1), Fault::NoTimeExceeded(1)],
        2,
        "black-hole 1400 by icmp"
    ),
    topology!(
        "a route's MTU, filtered",
        V4,
        PLAIN,
        &[Fault::RouteMtu(1, 1300), Fault::NoTooBig(1)],
        2,
        "black-hole 1300 by icmp"
    ),
    // ECMP: the verdict is about the link that the packets take.
    topology!(
        "ECMP, the link that is taken is broken",
        V4,
        PLAIN,
        &[Fault::EcmpBroken { taken: true }],
        2,
        "black-hole 1400 by icmp"
    ),
    topology!(
        "ECMP, the link that is taken is broken",
        V6,
        PLAIN,
        &[Fault::EcmpBroken { taken: true }],
        2,
        "black-hole 1400 by icmp"
    ),
    topology!(
        "ECMP, another link is broken",
        V4,
        PLAIN,
        &[Fault::EcmpBroken { taken: false }],
        0,
        "carries 1500 by icmp"
    ),
    topology!(
        "ECMP, another link is broken",
        V6,
        PLAIN,
        &[Fault::EcmpBroken { taken: false }],
        0,
        "carries 1500 by icmp"
    ),
    // Large answers that do not come back.
    topology!(
        "a veth with a small near end",
        V4,
        &[same(1500), Wire(1400, 1500), same(1500)],
        &[Fault::NoTooBig(1)],
        2,
        "black-hole 1400 by icmp"
    ),
    topology!(
        "large echoes are filtered",
        V4,
        PLAIN,
        &[Fault::LargeEchoes(1)],
        2,
        "lost-on-the-way-back 1500 by udp"
    ),
    // ICMPv6's "port unreachable" quotes up to 1232 bytes (RFC 4443), so that it is filtered too.
    topology!(
        "large echoes are filtered",
        V6,
        PLAIN,
        &[Fault::LargeEchoes(1)],
        2,
        "lost-on-the-way-back 1500 by tcp"
    ),
    topology!(
        "the way back is smaller and reports",
        V4,
        PLAIN,
        &[Fault::BackMtu(2, 1300)],
        0,
        "carries 1500 by icmp"
    ),
    // Echo is silent.
    topology!("no echo", V4, PLAIN, &[Fault::NoEcho], 0, "carries 1500 by udp"),
    topology!(
        "no echo, 1400",
        V6,
        &[same(1500), same(1400), same(1500)],
        &[Fault::NoEcho],
        0,
        "carries 1400 by udp"
    ),
    topology!(
        "no echo, a black hole",
        V4,
        &[same(1500), same(1400), same(1500)],
        &[Fault::NoEcho, Fault::NoTooBig(1)],
        2,
        "black-hole 1400 by udp"
    ),
    topology!(
        "TCP only",
        V4,
        PLAIN,
        &[Fault::NoEcho, Fault::NoUdp],
        0,
        "carries 1500 by tcp"
    ),
    topology!(
        "TCP only, 1400",
        V6,
        &[same(1500), same(1400), same(1500)],
        &[Fault::NoEcho, Fault::NoUdp],
        0,
        "carries 1400 by tcp"
    ),
    topology!(
        "TCP only, a black hole",
        V4,
        &[same(1500), same(1400), same(1500)],
        &[Fault::NoEcho, Fault::NoUdp, Fault::NoTooBig(1)],
        2,
        "black-hole 1400 by tcp"
    ),
    // No verdict.
    topology!(
        "silence",
        V4,
        PLAIN,
        &[Fault::NoEcho, Fault::NoUdp, Fault::NoTcp],
        1,
        "unknown"
    ),
    topology!(
        "silence",
        V6,
        PLAIN,
        &[Fault::NoEcho, Fault::NoUdp, Fault::NoTcp],
        1,
        "unknown"
    ),
    topology!(
        "a firewall that rejects",
        V4,
        PLAIN,
        &[Fault::Rejects(1)],
        1,
        "unknown"
    ),
    topology!(
        "a firewall that rejects",
        V6,
        PLAIN,
        &[Fault::Rejects(1)],
        1,
        "unknown"
    ),
];
