//! The answer to ARP or neighbour discovery for the address of a gateway.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::path::lookup::Host;
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::forwarding::{Family, Neighbour, NeighbourState};

/// A gateway and who answers for its address (ARP, or neighbour discovery).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Gateway {
    /// Its address.
    pub address: IpAddr,
    /// The one that answers.
    pub answered: Answered,
}

/// The one that answers for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(tag = "by", content = "of", rename_all = "kebab-case")]
pub enum Answered {
    /// Nobody is asked: the neighbour table has a permanent entry.
    PermanentEntry,
    /// This host, which has the address on this interface.
    Address(LinkName),
    /// This host, by `proxy_arp` of this interface.
    ProxyArp(LinkName),
    /// A neighbour that answered before.
    Neighbour,
    /// A host on the network, if it exists: there is no entry of it yet.
    Network,
    /// Nobody.
    Nobody(Silence),
    /// It could not be read.
    Unknown,
}

/// Why nobody answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Silence {
    /// The host has neither the address nor `proxy_arp`.
    NoProxyArp,
    /// `proxy_arp` is on, and forwarding is off, without which it has no effect.
    ProxyArpWithoutForwarding,
    /// `proxy_arp` is on, and the host has no route to the address by another interface.
    ProxyArpWithoutRoute,
    /// The host has the address, and `arp_ignore` suppresses the answer.
    ArpIgnore,
    /// It was asked and did not answer.
    Failed,
}

impl Gateway {
    /// The gateway of a pod whose veth ends at `link`, and whose packets the host takes in at `arrives`:
    /// the veth, or the bridge that the veth is a port of.
    pub(crate) fn of_pod(
        host: &Host<'_>,
        neighbours: &[Neighbour],
        address: IpAddr,
        arrives: LinkName,
    ) -> Self {
        let entry = state(neighbours, address);
        let answered = match entry {
            Some(NeighbourState::Permanent) => Answered::PermanentEntry,
            _ => match Family::of(address) {
                Family::Ipv4 => arp(host, address, arrives),
                Family::Ipv6 => discovery(host, address, arrives, entry),
            },
        };
        Gateway { address, answered }
    }

    /// The gateway of a route of the host.
    pub(crate) fn of_host(host: &Host<'_>, address: IpAddr, link: LinkName) -> Self {
        let neighbours = host.forwarding.and_then(|found| found.neighbours.as_deref());
        let answered = match neighbours {
            None => Answered::Unknown,
            Some(neighbours) => {
                let here = neighbours.iter().filter(|neighbour| neighbour.link == link);
                let here: Vec<Neighbour> = here.cloned().collect();
                match state(&here, address) {
                    Some(NeighbourState::Permanent) => Answered::PermanentEntry,
                    Some(NeighbourState::Answered) => Answered::Neighbour,
                    Some(NeighbourState::Failed) => Answered::Nobody(Silence::Failed),
                    Some(NeighbourState::Waiting) | None => Answered::Network,
                }
            }
        };
        Gateway { address, answered }
    }
}

fn state(neighbours: &[Neighbour], address: IpAddr) -> Option<NeighbourState> {
    let entry = neighbours.iter().find(|neighbour| neighbour.address == address)?;
    Some(entry.state)
}

/// As `arp_process` (net/ipv4/arp.c) decides.
fn arp(host: &Host<'_>, address: IpAddr, arrives: LinkName) -> Answered {
    if !host.snapshot.families.ipv4 {
        return Answered::Unknown;
    }
    if let Some(holder) = host.holder(address) {
        return match host.arp_ignore(arrives) {
            None => Answered::Unknown,
            Some(0) => Answered::Address(holder),
            Some(1 | 2) if holder == arrives => Answered::Address(holder),
            Some(_) => Answered::Nobody(Silence::ArpIgnore),
        };
    }
    match (host.proxy_arp(arrives), host.forwards(Family::Ipv4, arrives)) {
        (None, _) | (Some(true), None) => Answered::Unknown,
        (Some(false), _) => Answered::Nobody(Silence::NoProxyArp),
        (Some(true), Some(false)) => Answered::Nobody(Silence::ProxyArpWithoutForwarding),
        // `arp_fwd_proxy`: the route must leave by another interface.
        (Some(true), Some(true)) => match host.route(address) {
            None => Answered::Unknown,
            Some(route) => match route.and_then(|route| route.hops().first()) {
                Some(hop) if hop.link != arrives => Answered::ProxyArp(arrives),
                _ => Answered::Nobody(Silence::ProxyArpWithoutRoute),
            },
        },
    }
}

fn discovery(host: &Host<'_>, address: IpAddr, arrives: LinkName, entry: Option<NeighbourState>) -> Answered {
    let link = host.snapshot.link(arrives);
    let holds = link.is_some_and(|link| link.addresses.iter().any(|own| own.addr() == address));
    match (holds, entry) {
        (true, _) => Answered::Address(arrives),
        (false, Some(NeighbourState::Answered)) => Answered::Neighbour,
        // `proxy_ndp` answers by entries that are not read.
        (false, _) => Answered::Unknown,
    }
}
