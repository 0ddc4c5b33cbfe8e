//! Why a host does not answer an encapsulated SYN, from a snapshot of it.

mod filter;
mod rules;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::path::lookup::Host;
use netkeel_core::name::link::LinkName;
use netkeel_core::rp_filter::{Decider, Verdict};
use netkeel_host::counters::counter::RuleKey;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::firewall::{ConnectionState, Hook};
use netkeel_host::snapshot::forwarding::{AttachPoint, Family, PathRoute, RouteTarget};
use netkeel_host::snapshot::link::Link;
use netkeel_mtu::probe::encapsulated::{Encapsulated, Encapsulation};

/// A setting of the host that drops the packet, or the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// No interface has the outer destination, and no local route leads there.
    OuterNotLocal {
        /// The outer destination.
        address: IpAddr,
    },
    /// No device decapsulates.
    NoTunnel {
        /// The rtnetlink kind of a device that would.
        kind: &'static str,
    },
    /// The device that decapsulates is down, and the kernel skips it.
    TunnelDown {
        /// The device.
        link: LinkName,
    },
    /// rp_filter drops what the device decapsulates.
    RpFilter {
        /// The device.
        link: LinkName,
        /// The effective value: the larger one of `all` and the device's own.
        value: i64,
        /// `all` decides it.
        by_all: bool,
        /// Loose mode has no effect, because the device has no IPv4 address.
        no_address: bool,
    },
    /// No route leads to the source of the SYN, so that no answer can leave.
    NoRouteBack {
        /// The source of the SYN.
        to: IpAddr,
    },
    /// The service's address is not this host's, and the host does not forward what the device decapsulates.
    ForwardingOff {
        /// The device.
        link: LinkName,
    },
    /// The service's address is not this host's, and no route leads to it.
    NoRoute {
        /// The service's address.
        to: IpAddr,
    },
    /// A rule or a policy of the firewall drops a packet.
    Firewall {
        /// The packet.
        packet: Part,
        /// The rule, or the policy.
        rule: RuleKey,
        /// It answers the sender.
        rejects: bool,
        /// The network policies that the chain is of.
        policies: Option<&'static str>,
    },
}

/// A packet that a firewall sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The packet with the outer header.
    Outer,
    /// The SYN inside.
    Inner,
    /// The SYN-ACK of the service.
    Answer,
}

/// A fact that the snapshot does not show. Each may be the reason too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "unchecked", rename_all = "kebab-case")]
pub enum Unchecked {
    /// The interfaces, or their addresses of an IP version, were not read.
    Addresses,
    /// The routes were not read as a whole.
    Routes,
    /// Rules select other tables than the main one, or were not read.
    Rules,
    /// rp_filter of this device.
    RpFilter {
        /// The device.
        link: LinkName,
    },
    /// Whether the host forwards what this device receives.
    Forwarding {
        /// The device.
        link: LinkName,
    },
    /// The host does not forward what this device receives. That matters if the service's address is not the host's.
    ForwardingOff {
        /// The device.
        link: LinkName,
        /// The service's address.
        to: IpAddr,
    },
    /// No route leads to the source of the SYN. That matters if the answer leaves from this host: the service may be on
    /// another one.
    NoRouteBack {
        /// The source of the SYN.
        to: IpAddr,
    },
    /// Whether the addresses of this tunnel fit the outer header: a snapshot does not hold them.
    TunnelEndpoints {
        /// The device.
        link: LinkName,
    },
    /// The service's address is not this host's: the packet is forwarded, or an address translation rewrites it.
    Forwarded {
        /// The service's address.
        to: IpAddr,
    },
    /// Firewall rules, network policies and address translation: the snapshot lacks them.
    Firewall,
    /// A rule or a policy of the firewall may drop a packet.
    MayDrop {
        /// The packet.
        packet: Part,
        /// The rule, or the policy.
        rule: RuleKey,
        /// The conditions that cannot be judged.
        by: BTreeSet<Arc<str>>,
        /// The network policies that the chain is of.
        policies: Option<&'static str>,
    },
    /// Rules that the snapshot lacks, or that are too many to judge.
    FirewallPart {
        /// The part.
        what: Arc<str>,
    },
    /// Rules, or services of IPVS, may send the packet outside or the SYN to another destination.
    Translation,
    /// Network policies of this CNI, which its eBPF programs enforce.
    EbpfPolicies {
        /// The CNI.
        cni: &'static str,
    },
    /// A program of XDP, or a qdisc for filters of tc, on interfaces by which the packets may come or leave.
    Attached {
        /// The program or the qdisc.
        what: AttachPoint,
        /// The interfaces.
        links: BTreeSet<Arc<str>>,
    },
    /// What programs of eBPF (XDP, tc) do: a snapshot holds at most where they are attached.
    Ebpf,
}

/// The explanation of a failure, in the order in which the host handles the packet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Explanation {
    /// The settings that drop the packet or its answer.
    pub reasons: Vec<Reason>,
    /// The facts that could not be judged.
    pub unchecked: Vec<Unchecked>,
}

/// Judges the snapshot of the host that should decapsulate the packet. The packet must be one that
/// [`Encapsulation::of`] knows; of any other, nothing is judged.
pub fn explain(snapshot: &Snapshot, packet: &Encapsulated) -> Explanation {
    let mut judge = Judge {
        host: Host::new(snapshot),
        packet,
        found: Explanation::default(),
    };
    if let Some(encapsulation) = Encapsulation::of(packet.outer_dst, packet.inner_dst) {
        judge.outer();
        judge.outer_rules(encapsulation);
        let tunnel = judge.tunnel(encapsulation);
        let arrives = judge.arrivals(encapsulation, tunnel);
        let states = [ConnectionState::New].into();
        let states = judge.inner_rules(&arrives, &[Hook::Prerouting], states);
        if let (Some(link), true) = (tunnel, encapsulation.carries_ipv4()) {
            judge.rp_filter(link);
        }
        judge.service(tunnel);
        let states = judge.delivery_rules(&arrives, states);
        judge.way_back();
        judge.answer_rules(&states);
        judge.attached(&arrives);
    }
    judge.not_in_rules();
    judge.found
}

struct Judge<'a> {
    host: Host<'a>,
    packet: &'a Encapsulated,
    found: Explanation,
}

impl Judge<'_> {
    fn reason(&mut self, reason: Reason) {
        self.found.reasons.push(reason);
    }

    fn unchecked(&mut self, what: Unchecked) {
        if !self.found.unchecked.contains(&what) {
            self.found.unchecked.push(what);
        }
    }

    /// Whether the host takes packets to an address for its own; the error is what was not read.
    fn has(&self, address: IpAddr) -> Result<bool, Unchecked> {
        let families = self.host.snapshot.families;
        let read = match address {
            IpAddr::V4(_) => families.ipv4,
            IpAddr::V6(_) => families.ipv6,
        };
        match (self.host.holder(address), self.host.is_any_ip(address)) {
            (Some(_), _) | (None, Some(true)) => Ok(true),
            (None, _) if !read || self.host.snapshot.links.is_empty() => Err(Unchecked::Addresses),
            // A rule may lead to a table with a local route, as for a transparent proxy.
            (None, _) if self.host.has_other_rules(Family::of(address)) => Err(Unchecked::Rules),
            (None, None) => Err(Unchecked::Routes),
            (None, Some(false)) => Ok(false),
        }
    }

    fn outer(&mut self) {
        let address = self.packet.outer_dst;
        match self.has(address) {
            Ok(true) => {}
            Ok(false) => self.reason(Reason::OuterNotLocal { address }),
            Err(unread) => self.unchecked(unread),
        }
    }

    /// The device that decapsulates.
    fn tunnel(&mut self, encapsulation: Encapsulation) -> Option<LinkName> {
        let links = &self.host.snapshot.links;
        if links.is_empty() {
            self.unchecked(Unchecked::Addresses);
            return None;
        }
        let kind = encapsulation.kind();
        let tunnels: Vec<(LinkName, &Link)> = links
            .iter()
            .map(|(name, link)| (*name, link.as_ref()))
            .filter(|(_, link)| link.kind_name() == kind)
            .collect();
        let takes_all = |name: &LinkName, link: &Link| takes_all(encapsulation, *name, link);
        // A tunnel with addresses goes before those that take every packet.
        for (link, _) in tunnels
            .iter()
            .filter(|(name, link)| link.up && !takes_all(name, link))
        {
            self.unchecked(Unchecked::TunnelEndpoints { link: *link });
        }
        // Of several that take every packet, the one that was added last gets them: `ip_tunnel_lookup`
        // (net/ipv4/ip_tunnel.c).
        let all = tunnels.iter().filter(|(name, link)| takes_all(name, link));
        let taking = all.clone().filter(|(_, link)| link.up);
        if let Some((name, _)) = taking.max_by_key(|(_, link)| link.index) {
            return Some(*name);
        }
        if tunnels.iter().any(|(_, link)| link.up) {
            return None;
        }
        // The kernel makes the fallback device by itself, so that it says nothing about what was set up.
        let down = all.clone().find(|(_, link)| link.external);
        match down {
            Some((link, _)) => self.reason(Reason::TunnelDown { link: *link }),
            None => self.reason(Reason::NoTunnel { kind }),
        }
        None
    }

    /// rp_filter asks for the route to the source of the SYN.
    fn rp_filter(&mut self, link: LinkName) {
        let Some(effective) = self.host.rp_filter(link) else {
            self.unchecked(Unchecked::RpFilter { link });
            return;
        };
        if effective.value <= 0 {
            return;
        }
        if self.host.has_other_rules(Family::Ipv4) {
            self.unchecked(Unchecked::Rules);
            return;
        }
        let drops = Reason::RpFilter {
            link,
            value: effective.value,
            by_all: effective.decided_by == Decider::All,
            no_address: effective.verdict == Verdict::DropNoAddress,
        };
        match self.host.route(self.packet.inner_src) {
            None => self.unchecked(Unchecked::Routes),
            Some(Some(route)) if matches!(route.to, RouteTarget::Elsewhere) => {
                self.unchecked(Unchecked::Routes);
            }
            Some(Some(route)) if route.hops().iter().any(|hop| hop.link == link) => {}
            // The missing route is a reason of its own.
            Some(None) => {}
            Some(Some(route)) if leads_nowhere(route) => {}
            Some(Some(_)) => {
                if effective.verdict != Verdict::Accept {
                    self.reason(drops);
                }
            }
        }
    }

    /// Delivery of the SYN.
    fn service(&mut self, tunnel: Option<LinkName>) {
        let to = self.packet.inner_dst;
        match self.has(to) {
            Ok(true) => return,
            Err(unread) => {
                self.unchecked(unread);
                if let Some(link) = tunnel
                    && self.host.forwards(Family::of(to), link) == Some(false)
                {
                    self.unchecked(Unchecked::ForwardingOff { link, to });
                }
                return;
            }
            Ok(false) => self.unchecked(Unchecked::Forwarded { to }),
        }
        let family = Family::of(to);
        if let Some(link) = tunnel {
            match self.host.forwards(family, link) {
                Some(true) => {}
                Some(false) => self.reason(Reason::ForwardingOff { link }),
                None => self.unchecked(Unchecked::Forwarding { link }),
            }
        }
        if self.leads(to) == Some(false) {
            self.reason(Reason::NoRoute { to });
        }
    }

    /// The answer of the service.
    fn way_back(&mut self) {
        let to = self.packet.inner_src;
        let is_here = matches!(self.has(self.packet.inner_dst), Ok(true)) && !self.is_translated();
        match (self.leads(to), is_here) {
            (Some(false), true) => self.reason(Reason::NoRouteBack { to }),
            (Some(false), false) => self.unchecked(Unchecked::NoRouteBack { to }),
            _ => {}
        }
    }

    /// Whether a route leads to an address. What was not read is told as unchecked.
    fn leads(&mut self, to: IpAddr) -> Option<bool> {
        if self.host.has_other_rules(Family::of(to)) {
            self.unchecked(Unchecked::Rules);
            return None;
        }
        match self.host.route(to) {
            None => {
                self.unchecked(Unchecked::Routes);
                None
            }
            Some(route) => Some(route.is_some_and(|route| !leads_nowhere(route))),
        }
    }
}

/// Whether a device takes the packets of all senders.
fn takes_all(encapsulation: Encapsulation, name: LinkName, link: &Link) -> bool {
    link.external || name.as_bytes() == encapsulation.fallback().as_bytes()
}

fn leads_nowhere(route: &PathRoute) -> bool {
    matches!(route.to, RouteTarget::Nowhere)
}

#[cfg(test)]
mod tests;
