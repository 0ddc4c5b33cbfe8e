//! The rules of the firewall on the way of the packet, of the SYN inside and of its answer.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::decapsulation::filter::{Dropped, Packet, Ports, judge};
use crate::decapsulation::{Judge, Part, Reason, Unchecked, takes_all};
use netkeel_core::name::link::LinkName;
use netkeel_host::counters::counter::RuleKey;
use netkeel_host::snapshot::firewall::{ConnectionState, Hook};
use netkeel_host::snapshot::forwarding::{AttachPoint, Family, PathRoute, RouteTarget};
use netkeel_host::snapshot::link::Link;
use netkeel_mtu::detect::detect;
use netkeel_mtu::probe::encapsulated::Encapsulation;

const TCP: u8 = 6;
const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;

/// The priority at which destinations are translated (NF_IP_PRI_NAT_DST, include/uapi/linux/netfilter_ipv4.h).
const TRANSLATION: i32 = -100;

/// The last priority of INPUT before IPVS takes the packets of its services (`ip_vs_ops4`,
/// net/netfilter/ipvs/ip_vs_core.c).
const BEFORE_IPVS: i32 = 98;

/// Why a drop is possible where it is not known whether the host takes the packet for its own.
const UNKNOWN_DELIVERY: &str = "whether the address is this host's";

/// The interface whose addresses IPVS takes for kube-proxy.
const IPVS: &[u8] = b"kube-ipvs0";

/// The states that a connection may have.
type States = BTreeSet<ConnectionState>;

/// What makes a certain drop a possible one.
#[derive(Clone, Copy, Debug, Default)]
struct Doubts {
    /// The packet may not come to the hooks after PREROUTING: it is not known whether its destination is this host's.
    comes: bool,
    /// Rules may send it to another destination.
    rules: bool,
    /// IPVS may do so.
    ipvs: bool,
}

impl Doubts {
    /// The priorities of a hook, in order, each with whether the packet may have another destination there.
    fn steps(self, hook: Hook) -> Vec<(RangeInclusive<i32>, bool)> {
        let split = |last: i32| vec![(i32::MIN..=last, false), (last + 1..=i32::MAX, true)];
        match (hook, self) {
            (Hook::Prerouting, Doubts { rules: true, .. }) => split(TRANSLATION),
            (Hook::Prerouting, _) => vec![(i32::MIN..=i32::MAX, false)],
            (_, Doubts { rules: true, .. }) => vec![(i32::MIN..=i32::MAX, true)],
            (Hook::Input, Doubts { ipvs: true, .. }) => split(BEFORE_IPVS),
            (_, Doubts { ipvs, .. }) => vec![(i32::MIN..=i32::MAX, ipvs)],
        }
    }
}

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
            arrives: Some(self.outside()),
            leaves: None,
            states: self.outer_states(encapsulation),
            flags: None,
        };
        // A packet for another host does not come to INPUT.
        let is_own = self.has(destination);
        let hooks: &[Hook] = match is_own {
            Ok(true) | Err(_) => &[Hook::Prerouting, Hook::Input],
            Ok(false) => &[Hook::Prerouting],
        };
        let firewall = self.host.snapshot.firewall.as_deref();
        let translates =
            firewall.is_some_and(|firewall| firewall.translates_tunnels.contains(&packet.family));
        if translates {
            self.unchecked(Unchecked::Translation);
        }
        let doubts = Doubts {
            comes: is_own.is_err(),
            rules: translates,
            ipvs: false,
        };
        self.rules(Part::Outer, packet, hooks, doubts);
    }

    /// The states that the connection of the outer packet may have. The first packet makes it, unless this host sends
    /// packets of the same kind to the sender.
    fn outer_states(&self, encapsulation: Encapsulation) -> BTreeSet<ConnectionState> {
        let sender = self.packet.outer_src;
        let is_tunnel = |link: &Link| link.up && matches!(link.kind_name(), "ipip" | "ip6tnl");
        let tunnels = || {
            let links = self.host.snapshot.links.iter();
            links.filter(|(_, link)| is_tunnel(link))
        };
        let ends = |name: &LinkName| self.host.forwarding?.tunnels.get(name);
        let has_it_as_end = tunnels().any(|(name, link)| match ends(name) {
            Some(ends) => ends.remote == Some(sender),
            // The ends were not read.
            None => !takes_all(encapsulation, *name, link),
        });
        let leads_there = |route: &PathRoute| match &route.to {
            RouteTarget::Hops(hops) => hops.iter().any(|hop| {
                hop.via == Some(sender) && self.host.snapshot.link(hop.link).is_some_and(is_tunnel)
            }),
            // It may have the outer address of the packets that such a device sends.
            RouteTarget::Elsewhere => tunnels().any(|(_, link)| link.external),
            RouteTarget::Nowhere => false,
        };
        let routes = self.host.forwarding.and_then(|found| found.routes.as_ref());
        let is_read = !self.host.has_other_rules(Family::of(self.packet.inner_dst));
        let leads_there = match routes.filter(|routes| is_read && !routes.more) {
            Some(routes) => routes.routes.iter().any(leads_there),
            // The routes were not read as a whole.
            None => tunnels().next().is_some(),
        };
        let mut states = BTreeSet::from([ConnectionState::New]);
        if has_it_as_end || leads_there {
            states.insert(ConnectionState::Established);
        }
        states
    }

    /// The interfaces on which the SYN inside may arrive: those that take the packets of one sender go first.
    pub(super) fn arrivals(
        &self,
        encapsulation: Encapsulation,
        tunnel: Option<LinkName>,
    ) -> BTreeSet<Arc<str>> {
        let links = self.host.snapshot.links.iter();
        let taking = links.filter(|(name, link)| {
            let takes = tunnel == Some(**name) || !takes_all(encapsulation, **name, link);
            link.up && link.kind_name() == encapsulation.kind() && takes
        });
        // A VRF is the interface of arrival too.
        let both = taking.flat_map(|(name, link)| {
            let master = link.master.and_then(|index| self.host.by_index(index));
            [Some(*name), master.map(|(name, _)| name)]
        });
        both.flatten().map(|name| name.to_string().into()).collect()
    }

    /// Whether rules may send the SYN to another destination, or did so with its connection.
    fn rules_translate(&self) -> bool {
        let firewall = self.host.snapshot.firewall.as_deref();
        let family = Family::of(self.packet.inner_dst);
        firewall.is_some_and(|firewall| firewall.translates.contains(&family))
    }

    /// Whether IPVS may send the SYN to another destination, or did so with its connection.
    fn is_of_ipvs(&self) -> bool {
        let (service, port) = (self.packet.inner_dst, self.packet.port);
        let firewall = self.host.snapshot.firewall.as_deref();
        let is_of_kube_proxy = self.host.snapshot.links.iter().any(|(name, link)| {
            name.as_bytes() == IPVS && link.addresses.iter().any(|own| own.addr() == service)
        });
        is_of_kube_proxy
            || firewall.is_some_and(|firewall| {
                let mut services = firewall.ipvs.iter();
                services.any(|one| one.address == service && one.takes(TCP, port))
            })
    }

    /// Whether the service may be on another host than the one that has its address.
    pub(super) fn is_translated(&self) -> bool {
        self.rules_translate() || self.is_of_ipvs()
    }

    /// The SYN that a device decapsulated, at some hooks: the states of its connection after them.
    pub(super) fn inner_rules(
        &mut self,
        arrives: &BTreeSet<Arc<str>>,
        hooks: &[Hook],
        states: States,
    ) -> States {
        let is_own = self.has(self.packet.inner_dst);
        let is_forwarded = is_own == Ok(false) || hooks.contains(&Hook::Forward);
        let doubts = Doubts {
            comes: is_own.is_err(),
            rules: self.rules_translate(),
            // What the host forwards does not come to IPVS.
            ipvs: self.is_of_ipvs() && !is_forwarded,
        };
        if arrives.is_empty() {
            return states;
        }
        let (source, destination) = (self.packet.inner_src, self.packet.inner_dst);
        let family = Family::of(destination);
        let forwards = hooks.contains(&Hook::Forward);
        let packet = Packet {
            family,
            protocol: TCP,
            source: Some(source),
            destination: Some(destination),
            ports: Ports {
                source: None,
                destination: Some(self.packet.port),
            },
            arrives: Some(arrives.clone()),
            leaves: forwards.then(|| self.exits(destination)),
            states,
            flags: Some(SYN),
        };
        if doubts.rules || doubts.ipvs {
            self.unchecked(Unchecked::Translation);
        }
        self.rules(Part::Inner, packet, hooks, doubts)
    }

    /// The SYN on its way to the service: on this host, or to another one.
    pub(super) fn delivery_rules(&mut self, arrives: &BTreeSet<Arc<str>>, states: States) -> States {
        match self.has(self.packet.inner_dst) {
            Ok(true) => self.inner_rules(arrives, &[Hook::Input], states),
            Ok(false) => self.inner_rules(arrives, &[Hook::Forward, Hook::Postrouting], states),
            // It is judged both ways, and no drop is certain.
            Err(_) => {
                self.inner_rules(arrives, &[Hook::Forward, Hook::Postrouting], states.clone());
                self.inner_rules(arrives, &[Hook::Input], states)
            }
        }
    }

    /// The answer of a service of this host, to a SYN whose connection has some states.
    pub(super) fn answer_rules(&mut self, states: &States) {
        let is_own = self.has(self.packet.inner_dst);
        if matches!(is_own, Ok(false)) {
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
            arrives: None,
            leaves: Some(self.exits(destination)),
            states: states
                .iter()
                .flat_map(|state| answered(*state))
                .copied()
                .collect(),
            flags: Some(SYN_ACK),
        };
        let doubts = Doubts {
            comes: is_own.is_err(),
            rules: self.rules_translate(),
            ipvs: self.is_of_ipvs(),
        };
        self.rules(Part::Answer, packet, &[Hook::Output, Hook::Postrouting], doubts);
    }

    /// What is attached to the interfaces by which the outer packet, the SYN and the answer go.
    pub(super) fn attached(&mut self, arrives: &BTreeSet<Arc<str>>) {
        let Some(attached) = self.host.forwarding.map(|found| &found.attached) else {
            return;
        };
        let mut ways = self.outside();
        ways.extend(self.exits(self.packet.inner_src));
        ways.extend(arrives.iter().cloned());
        // The veth of a pod is where a CNI attaches its filters.
        if !matches!(self.has(self.packet.inner_dst), Ok(true)) {
            ways.extend(self.exits(self.packet.inner_dst));
        }
        for what in [AttachPoint::Xdp, AttachPoint::Tc] {
            let links: BTreeSet<Arc<str>> = attached
                .of(what)
                .into_iter()
                .flatten()
                .map(|link| link.to_string().into())
                .filter(|link| ways.contains(link))
                .collect();
            if !links.is_empty() {
                self.unchecked(Unchecked::Attached { what, links });
            }
        }
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

    /// Judges a packet at some hooks, one after the other: the states of its connection after them. One that may be
    /// translated has an unknown destination from then on, and its answer an unknown source.
    fn rules(&mut self, part: Part, mut packet: Packet, hooks: &[Hook], doubts: Doubts) -> States {
        let Some(firewall) = self.host.snapshot.firewall.as_deref() else {
            return packet.states;
        };
        for hook in hooks {
            for (priorities, may_be_another) in doubts.steps(*hook) {
                match part {
                    _ if !may_be_another => {}
                    Part::Outer | Part::Inner => {
                        (packet.destination, packet.ports.destination) = (None, None);
                    }
                    Part::Answer => (packet.source, packet.ports.source) = (None, None),
                }
                let may_not_come = doubts.comes && *hook != Hook::Prerouting;
                let fate = judge(firewall, *hook, priorities, &mut packet);
                for (rule, mut by) in fate.may_drop {
                    if may_not_come {
                        by.insert(UNKNOWN_DELIVERY.into());
                    }
                    self.may_drop(part, rule, by);
                }
                if fate.is_too_much {
                    let what = format!("the rules of nftables at {hook:?}: they are too many").to_lowercase();
                    self.unchecked(Unchecked::FirewallPart { what: what.into() });
                }
                let Some(dropped) = fate.drops else {
                    continue;
                };
                // A packet with another destination may not come there.
                let why = [
                    (may_be_another, "address translation"),
                    (may_not_come, UNKNOWN_DELIVERY),
                ];
                let by: BTreeSet<Arc<str>> = why
                    .iter()
                    .filter(|(applies, _)| *applies)
                    .map(|(_, why)| Arc::from(*why))
                    .collect();
                match by.is_empty() {
                    true => self.drops(part, dropped),
                    false => self.may_drop(part, dropped.rule, by),
                }
                return packet.states;
            }
        }
        packet.states
    }

    fn drops(&mut self, packet: Part, dropped: Dropped) {
        let policies = policies(&dropped.rule.chain);
        self.reason(Reason::Firewall {
            packet,
            rule: dropped.rule,
            rejects: dropped.rejects,
            policies,
        });
    }

    fn may_drop(&mut self, packet: Part, rule: RuleKey, by: BTreeSet<Arc<str>>) {
        let policies = policies(&rule.chain);
        self.unchecked(Unchecked::MayDrop {
            packet,
            rule,
            by,
            policies,
        });
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
                // A packet that comes out of a tunnel is not encapsulated any more.
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

/// The states of a SYN-ACK to a SYN of some state. Without an entry of the SYN, it fits no connection
/// (`tcp_conntracks`, net/netfilter/nf_conntrack_proto_tcp.c), or begins one.
fn answered(state: ConnectionState) -> &'static [ConnectionState] {
    match state {
        ConnectionState::New | ConnectionState::Established | ConnectionState::Related => {
            &[ConnectionState::Established]
        }
        ConnectionState::Untracked | ConnectionState::Invalid => {
            &[ConnectionState::Invalid, ConnectionState::New]
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
