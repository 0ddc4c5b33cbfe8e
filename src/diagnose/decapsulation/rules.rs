//! The rules of the firewall on the way of the packet, of the SYN inside and of its answer.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::decapsulation::filter::{Packet, Ports, judge};
use crate::decapsulation::{Judge, Part, Reason, Unchecked};
use netkeel_core::name::link::LinkName;
use netkeel_host::counters::counter::RuleKey;
use netkeel_host::snapshot::firewall::{ConnectionState, Hook};
use netkeel_host::snapshot::forwarding::Family;
use netkeel_mtu::detect::detect;
use netkeel_mtu::probe::encapsulated::Encapsulation;

const TCP: u8 = 6;
const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;

/// The priority at which destinations are translated (NF_IP_PRI_NAT_DST, include/uapi/linux/netfilter_ipv4.h).
const TRANSLATION: i32 = -100;

/// The beginnings of chains that hold network policies.
const POLICIES: &[(&str, &str)] = &[
    ("cali-pi-", "Calico"),
    ("cali-po-", "Calico"),
    ("cali-pro-", "Calico"),
    ("cali-pri-", "Calico"),
    ("cali-tw-", "Calico"),
    ("cali-fw-", "Calico"),
    ("cali-from-", "Calico"),
    ("cali-to-", "Calico"),
    ("KUBE-POD-FW-", "kube-router"),
    ("KUBE-NWPLCY-", "kube-router"),
    ("KUBE-ROUTER-", "kube-router"),
    ("WEAVE-NPC", "Weave Net"),
    ("CILIUM_", "Cilium"),
    ("ANTREA-POL-", "Antrea"),
];

impl Judge<'_> {
    /// The packet outside, up to the device that decapsulates.
    pub(super) fn outer_rules(&mut self, encapsulation: Encapsulation) {
        let (source, destination) = (self.packet.outer_src, self.packet.outer_dst);
        let packet = Packet {
            family: Family::of(destination),
            protocol: match encapsulation {
                Encapsulation::Ipip | Encapsulation::Ipip6 => 4,
                Encapsulation::Ip6ip6 => 41,
            },
            source: Some(source),
            destination: Some(destination),
            ports: Ports::default(),
            arrives: self.outside(),
            leaves: BTreeSet::new(),
            states: [ConnectionState::New].into(),
            flags: None,
        };
        self.rules(Part::Outer, packet, &[Hook::Prerouting, Hook::Input], false);
    }

    /// The SYN that a device decapsulated, at some hooks.
    pub(super) fn inner_rules(&mut self, tunnel: Option<LinkName>, hooks: &[Hook]) {
        let Some(tunnel) = tunnel else { return };
        let (source, destination) = (self.packet.inner_src, self.packet.inner_dst);
        let family = Family::of(destination);
        let firewall = self.host.snapshot.firewall.as_deref();
        let translates = firewall.is_some_and(|firewall| firewall.translates.contains(&family));
        let leaves = match hooks.contains(&Hook::Forward) {
            true => self.exits(destination),
            false => BTreeSet::new(),
        };
        let packet = Packet {
            family,
            protocol: TCP,
            source: Some(source),
            destination: Some(destination),
            ports: Ports {
                source: None,
                destination: Some(self.packet.port),
            },
            arrives: [tunnel.to_string().into()].into(),
            leaves,
            states: [ConnectionState::New].into(),
            flags: Some(SYN),
        };
        if translates {
            self.unchecked(Unchecked::Translation);
        }
        self.rules(Part::Inner, packet, hooks, translates);
    }

    /// The SYN on its way to the service: on this host, or to another one.
    pub(super) fn delivery_rules(&mut self, tunnel: Option<LinkName>) {
        match self.has(self.packet.inner_dst) {
            Some(true) => self.inner_rules(tunnel, &[Hook::Input]),
            Some(false) => self.inner_rules(tunnel, &[Hook::Forward, Hook::Postrouting]),
            None => {}
        }
    }

    /// The answer of a service of this host.
    pub(super) fn answer_rules(&mut self) {
        if self.has(self.packet.inner_dst) != Some(true) {
            return;
        }
        let (source, destination) = (self.packet.inner_dst, self.packet.inner_src);
        let packet = Packet {
            family: Family::of(destination),
            protocol: TCP,
            source: Some(source),
            destination: Some(destination),
            ports: Ports {
                source: Some(self.packet.port),
                destination: None,
            },
            arrives: BTreeSet::new(),
            leaves: self.exits(destination),
            states: [ConnectionState::Established].into(),
            flags: Some(SYN_ACK),
        };
        self.rules(Part::Answer, packet, &[Hook::Output, Hook::Postrouting], false);
    }

    /// The parts of a firewall that were not judged.
    pub(super) fn not_in_rules(&mut self) {
        let snapshot = self.host.snapshot;
        match snapshot.firewall.as_deref() {
            None => self.unchecked(Unchecked::Firewall),
            Some(firewall) => {
                for what in &firewall.unread {
                    self.unchecked(Unchecked::FirewallPart { what: what.clone() });
                }
            }
        }
        match detect(snapshot).map(|found| found.cni) {
            Some("cilium") => self.unchecked(Unchecked::EbpfPolicies { cni: "cilium" }),
            _ => self.unchecked(Unchecked::Ebpf),
        }
    }

    /// Judges a packet at some hooks, one after the other. One that may be translated has an unknown destination
    /// from then on.
    fn rules(&mut self, part: Part, mut packet: Packet, hooks: &[Hook], translates: bool) {
        let Some(firewall) = self.host.snapshot.firewall.as_deref() else {
            return;
        };
        for hook in hooks {
            let all = i32::MIN..=i32::MAX;
            let steps = match (hook, translates) {
                (Hook::Prerouting, true) => vec![i32::MIN..=TRANSLATION, TRANSLATION + 1..=i32::MAX],
                _ => vec![all],
            };
            for priorities in steps {
                let is_later = *hook != Hook::Prerouting || *priorities.start() > TRANSLATION;
                if translates && is_later {
                    packet.destination = None;
                    packet.ports.destination = None;
                }
                let fate = judge(firewall, *hook, priorities, &mut packet);
                for (rule, by) in fate.may_drop {
                    let policies = policies(&rule.chain);
                    self.unchecked(Unchecked::MayDrop {
                        packet: part,
                        rule,
                        by,
                        policies,
                    });
                }
                if fate.is_too_much {
                    let what = format!("the rules of nftables at {hook:?}: they are too many").to_lowercase();
                    self.unchecked(Unchecked::FirewallPart { what: what.into() });
                }
                if let Some(dropped) = fate.drops {
                    self.drops(part, dropped.rule, dropped.rejects, translates && is_later);
                    return;
                }
            }
        }
    }

    fn drops(&mut self, packet: Part, rule: RuleKey, rejects: bool, perhaps: bool) {
        let policies = policies(&rule.chain);
        match perhaps {
            // A packet with another destination may not come there.
            true => self.unchecked(Unchecked::MayDrop {
                packet,
                rule,
                by: ["address translation".into()].into(),
                policies,
            }),
            false => self.reason(Reason::Firewall {
                packet,
                rule,
                rejects,
                policies,
            }),
        }
    }

    /// The interfaces by which the packet may arrive from another host. Those of pods count only where the way back
    /// leads there, or where they have its destination: a container that is a node has a veth itself.
    fn outside(&self) -> BTreeSet<Arc<str>> {
        const LOOPBACK: &[u8] = b"lo";
        let (source, destination) = (self.packet.outer_src, self.packet.outer_dst);
        let route = self.host.route(source).flatten();
        let is_way_back = |name: LinkName| {
            let mut hops = route.into_iter().flat_map(|route| route.hops());
            hops.any(|hop| hop.link == name) || self.host.holder(destination) == Some(name)
        };
        let links = self.host.snapshot.links.iter();
        let outside = links.filter(|(name, link)| {
            link.up
                && name.as_bytes() != LOOPBACK
                // What a tunnel has decapsulated is no encapsulated packet of this kind.
                && !matches!(link.kind_name(), "ipip" | "ip6tnl")
                && (!link.leads_into_a_pod() || is_way_back(**name))
        });
        outside.map(|(name, _)| name.to_string().into()).collect()
    }

    /// The interfaces by which a packet to an address leaves.
    fn exits(&self, to: IpAddr) -> BTreeSet<Arc<str>> {
        let route = match self.host.has_other_rules(Family::of(to)) {
            true => None,
            false => self.host.route(to).flatten(),
        };
        match route.map(|route| route.hops()).filter(|hops| !hops.is_empty()) {
            Some(hops) => hops.iter().map(|hop| hop.link.to_string().into()).collect(),
            None => self
                .host
                .snapshot
                .links
                .keys()
                .map(|name| name.to_string().into())
                .collect(),
        }
    }
}

/// The program whose network policies a chain has.
fn policies(chain: &str) -> Option<&'static str> {
    let mut known = POLICIES.iter();
    known
        .find(|(beginning, _)| chain.starts_with(beginning))
        .map(|(_, program)| *program)
}
