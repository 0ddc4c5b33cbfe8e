//! Faults that counters show by themselves, and the counters that a fault of the configuration raises.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::diagnosis::cause::{Evidence, Kind, Subject};
use crate::diagnosis::growth::{FEW, Growth};
use crate::diagnosis::neighbours;
use netkeel_core::name::link::LinkName;
use netkeel_host::counters::counter::{Counter, CpuStat, FilterStat, LinkStat, QdiscStat, RuleKey};
use netkeel_host::counters::deltas::Deltas;
use netkeel_host::counters::reading::{Gauge, Rule};
use netkeel_host::snapshot::Snapshot;

/// A fault that counters show.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    /// Where it is.
    pub(crate) subjects: BTreeSet<Subject>,
    /// The evidence.
    pub(crate) evidence: Vec<Evidence>,
    /// The counters grow for this fault only, and by more than an accident.
    pub(crate) is_decisive: bool,
}

impl Counted {
    /// Adds a counter. One of the whole machine decides nothing in another namespace than its first.
    fn add(&mut self, growth: Growth, subject: Option<Subject>, deltas: &Deltas, host: &Snapshot) {
        let is_of_here = !growth.counter.is_of_the_machine() || deltas.after.initial == Some(true);
        self.is_decisive |= growth.is_ample() && is_of_here && decides(&growth.counter, deltas, host);
        self.subjects.extend(subject);
        self.evidence.push(Evidence::Grew(growth));
    }
}

/// Whether a counter grows for one fault only. The others have harmless reasons too.
fn decides(counter: &Counter, deltas: &Deltas, host: &Snapshot) -> bool {
    match counter {
        // A packet that was answered with packet-too-big counts here: discovery works. A size that TCP tries and
        // that does not pass counts there.
        Counter::Protocol(_, name) if matches!(name.as_ref(), "FragFails" | "TCPMTUPFail") => false,
        // A host that forwards for nobody gets packets for an address that it had.
        Counter::Protocol(_, name) if **name == *"InAddrErrors" => forwards_for_others(host),
        // An interface that takes all frames, such as one on which a program captures, counts what a switch floods.
        Counter::Link(_, LinkStat::RxOtherhostDropped) => false,
        // It is counted over all namespaces.
        Counter::DropReason(_) => false,
        // Other qdiscs drop to slow a sender down, or have queues of their own.
        Counter::Qdisc(link, _) => is_plain_queue(*link, deltas),
        _ => true,
    }
}

/// Whether there are interfaces whose packets this host forwards: of pods, or a bridge.
pub(crate) fn forwards_for_others(host: &Snapshot) -> bool {
    let mut links = host.links.values();
    links.any(|link| link.leads_into_a_pod() || link.kind_name() == "bridge")
}

/// Whether the root qdisc drops only when its queue is full.
fn is_plain_queue(link: LinkName, deltas: &Deltas) -> bool {
    let kind = deltas.after.qdiscs.get(&link);
    kind.is_some_and(|kind| matches!(kind.as_ref(), "pfifo_fast" | "pfifo" | "bfifo" | "tbf"))
}

/// The faults, each with its counters.
pub(crate) fn causes(deltas: &Deltas, host: &Snapshot) -> BTreeMap<Kind, Counted> {
    let mut found: BTreeMap<Kind, Counted> = BTreeMap::new();
    for (counter, by) in deltas.grown.iter().filter(|(_, by)| **by > 0) {
        let Some((kind, subject)) = meaning(counter, deltas) else {
            continue;
        };
        // A switch floods a few frames whenever it forgets an address. A firewall drops a few packets of scans.
        if matches!(kind, Kind::OtherHost | Kind::Firewall) && *by < FEW {
            continue;
        }
        found
            .entry(kind)
            .or_default()
            .add(growth(counter, *by, deltas), subject, deltas, host);
    }
    full_table(deltas, host, &mut found);
    for neighbour in neighbours::silent(deltas, host) {
        let counted = found.entry(Kind::NeighbourSilent).or_default();
        counted.subjects.insert(Subject::Address(neighbour.address));
        counted.evidence.push(Evidence::Silent {
            link: neighbour.link,
            address: neighbour.address,
        });
    }
    tiny_paths(deltas, &mut found);
    if let Some(counted) = found.get_mut(&Kind::Firewall) {
        firewall(counted, deltas);
    }
    race(deltas, &mut found);
    found
}

/// The fault that raises a counter, and its place; none for counters that no fault raises alone.
fn meaning(counter: &Counter, deltas: &Deltas) -> Option<(Kind, Option<Subject>)> {
    let kind = match counter {
        Counter::Protocol(group, name) => return Some((protocol(group, name, deltas)?, None)),
        Counter::Link(link, LinkStat::TxErrors) if is_ovs_tunnel(*link, deltas) => {
            return Some((Kind::TooLarge, Some(Subject::Link(*link))));
        }
        Counter::Link(link, LinkStat::RxOtherhostDropped) => {
            return Some((Kind::OtherHost, Some(Subject::Link(*link))));
        }
        Counter::Cpu(cpu, CpuStat::Dropped) => {
            return Some((Kind::BacklogFull, Some(Subject::Cpu(*cpu))));
        }
        Counter::Qdisc(link, QdiscStat::Drops) => {
            return Some((Kind::QdiscFull, Some(Subject::Link(*link))));
        }
        Counter::Rule(key) => return Some((Kind::Firewall, Some(Subject::Rule(key.as_ref().clone())))),
        Counter::Neighbours(_, name) if **name == *"table_fulls" => Kind::NeighboursFull,
        Counter::DropReason(reason) => reason_for(reason)?,
        // A lost race counts as a drop too.
        Counter::Conntrack(name) if matches!(name.as_ref(), "insert_failed" | "drop") => Kind::ConntrackRace,
        Counter::Link(..)
        | Counter::Cpu(..)
        | Counter::Qdisc(..)
        | Counter::Filters(..)
        | Counter::Conntrack(_)
        | Counter::Neighbours(..)
        | Counter::RouteLookup(_)
        | Counter::NetlinkDrops(_)
        | Counter::QueueDrops(_) => return None,
    };
    Some((kind, None))
}

/// The fault that a drop reason of the kernel shows.
fn reason_for(reason: &str) -> Option<Kind> {
    Some(match reason {
        "IP_RPFILTER" => Kind::RpFilter,
        "NETFILTER_DROP" => Kind::Firewall,
        "PKT_TOO_BIG" => Kind::TooLarge,
        "QDISC_DROP" | "QDISC_OVERLIMIT" | "QDISC_CONGESTED" => Kind::QdiscFull,
        "CPU_BACKLOG" => Kind::BacklogFull,
        "IP_CSUM" | "TCP_CSUM" | "UDP_CSUM" | "ICMP_CSUM" | "SKB_CSUM" => Kind::Checksums,
        "NEIGH_FAILED" | "NEIGH_QUEUEFULL" => Kind::NeighbourSilent,
        "OTHERHOST" => Kind::OtherHost,
        _ => return None,
    })
}

fn protocol(group: &str, name: &str, deltas: &Deltas) -> Option<Kind> {
    Some(match (group, name) {
        ("TcpExt", "IPReversePathFilter") => Kind::RpFilter,
        // Without forwarding, a packet for another address is an address error (`ip_route_input_slow`).
        ("Ip", "InAddrErrors") if deltas.gauge(&Gauge::Forwarding4) == Some(0) => Kind::ForwardingOff,
        ("Ip" | "Ip6", "FragFails") => Kind::TooLarge,
        ("Udp" | "Udp6" | "Tcp" | "Icmp", "InCsumErrors") => Kind::Checksums,
        ("Udp" | "Udp6", "RcvbufErrors") => Kind::ReceiveBuffer,
        ("TcpExt", "TCPMTUPFail") => Kind::RemoteBlackHole,
        _ => return None,
    })
}

/// The counters that a fault of the configuration raises at its places, beyond those that show it alone.
pub(crate) fn support(kind: Kind, subjects: &BTreeSet<Subject>, deltas: &Deltas) -> Vec<Evidence> {
    let mut found = Vec::new();
    for (counter, by) in deltas.grown.iter().filter(|(_, by)| **by > 0) {
        let supports = match (kind, counter) {
            (Kind::VethEnds | Kind::BridgePort, Counter::Link(link, LinkStat::TxDropped)) => {
                subjects.contains(&Subject::Link(*link)) || is_end_of(*link, subjects, deltas)
            }
            (Kind::TooLarge, Counter::Link(link, LinkStat::TxErrors | LinkStat::TxDropped)) => {
                subjects.contains(&Subject::Link(*link))
            }
            // ICMP of IPv4 has no counter for packet-too-big alone. A tunnel that does not fit sends fragments.
            (Kind::TooLarge, Counter::Protocol(group, name)) => matches!(
                (group.as_ref(), name.as_ref()),
                ("Icmp6", "OutPktTooBigs") | ("Ip" | "Ip6", "FragCreates")
            ),
            (Kind::VethEnds, Counter::DropReason(reason)) => **reason == *"PKT_TOO_BIG",
            _ => false,
        };
        if supports {
            found.push(Evidence::Grew(growth(counter, *by, deltas)));
        }
    }
    // A full backlog raises `tx_dropped` of a veth too.
    if kind == Kind::VethEnds && !found.is_empty() {
        let mut queues = deltas
            .grown
            .iter()
            .filter(|(counter, _)| matches!(counter, Counter::Cpu(_, CpuStat::Dropped)));
        let first = queues.clone().next();
        if queues.all(|(_, by)| *by == 0) {
            found.extend(first.map(|(counter, _)| Evidence::DidNotGrow(counter.clone())));
        }
    }
    found
}

/// The other end of a subject in this namespace.
fn is_end_of(link: LinkName, subjects: &BTreeSet<Subject>, deltas: &Deltas) -> bool {
    let Some(identity) = deltas.after.links.get(&link) else {
        return false;
    };
    let peer = identity.lower.and_then(|index| deltas.after.by_index(index));
    !identity.leads_elsewhere && peer.is_some_and(|(peer, _)| subjects.contains(&Subject::Link(peer)))
}

/// From this window on, missing fragments are a share of the fragments of the same window. The kernel counts a
/// missing fragment up to 60 s after the others arrived (IPV6_FRAG_TIMEOUT, include/net/ipv6.h): of ten such times, one is
/// off at most.
const REASSEMBLY_MS: u64 = 600_000;

/// A growth with the packets of its direction.
pub(crate) fn growth(counter: &Counter, by: u64, deltas: &Deltas) -> Growth {
    let of = match counter {
        Counter::Link(link, LinkStat::TxErrors | LinkStat::TxDropped) => {
            deltas.link(*link, LinkStat::TxPackets)
        }
        Counter::Link(link, LinkStat::RxErrors | LinkStat::RxDropped | LinkStat::RxMissedErrors) => {
            deltas.link(*link, LinkStat::RxPackets)
        }
        // The driver counted them as received.
        Counter::Link(link, LinkStat::RxOtherhostDropped) => {
            let all = deltas.link(*link, LinkStat::RxPackets);
            all.map(|all| all.saturating_sub(by))
        }
        Counter::Qdisc(link, QdiscStat::Drops) => deltas.qdisc(*link, QdiscStat::Packets),
        Counter::Filters(link, FilterStat::Drops) => {
            let all = deltas.of(&Counter::Filters(*link, FilterStat::Packets));
            all.map(|all| all.saturating_sub(by))
        }
        Counter::Cpu(cpu, CpuStat::Dropped) => deltas.of(&Counter::Cpu(*cpu, CpuStat::Processed)),
        Counter::Protocol(_, name) if **name == *"ReasmFails" && deltas.window_ms < REASSEMBLY_MS => None,
        Counter::Protocol(group, name) => packets(group, name).and_then(|(group, name, includes)| {
            let all = deltas.protocol(group, name)?;
            Some(if includes { all.saturating_sub(by) } else { all })
        }),
        _ => None,
    };
    Growth {
        counter: counter.clone(),
        by,
        of,
    }
}

/// The counter of the packets among which a protocol counts a loss, and whether it includes the lost ones.
fn packets(group: &str, name: &str) -> Option<(&'static str, &'static str, bool)> {
    match (group, name) {
        ("Udp", "RcvbufErrors" | "InCsumErrors") => Some(("Udp", "InDatagrams", false)),
        ("Udp6", "RcvbufErrors" | "InCsumErrors") => Some(("Udp6", "InDatagrams", false)),
        ("Tcp", "InCsumErrors") => Some(("Tcp", "InSegs", true)),
        ("TcpExt", "IPReversePathFilter") => Some(("Ip", "InReceives", true)),
        ("Udp", "SndbufErrors") => Some(("Udp", "OutDatagrams", false)),
        ("Udp6", "SndbufErrors") => Some(("Udp6", "OutDatagrams", false)),
        ("Ip", "OutDiscards") => Some(("Ip", "OutRequests", true)),
        ("Ip6", "OutDiscards") => Some(("Ip6", "OutRequests", true)),
        ("Ip", "InDiscards") => Some(("Ip", "InReceives", true)),
        ("Ip6", "InDiscards") => Some(("Ip6", "InReceives", true)),
        ("Ip", "ReasmFails") => Some(("Ip", "ReasmReqds", true)),
        ("Ip6", "ReasmFails") => Some(("Ip6", "ReasmReqds", true)),
        _ => None,
    }
}

/// A device sends this many packets at most when IPv6 configures it: duplicate address detection, router
/// solicitations and multicast listener reports.
const AUTOCONFIGURATION: u64 = 20;

/// Whether a vxlan dropped no more than its own first packets, for which it knows no remote host (`vxlan_xmit`).
pub(crate) fn is_of_autoconfiguration(counter: &Counter, by: u64, host: &Snapshot) -> bool {
    let Counter::Link(name, LinkStat::TxDropped) = counter else {
        return false;
    };
    let link = host.links.get(name);
    by <= AUTOCONFIGURATION && link.is_some_and(|link| link.kind_name() == "vxlan")
}

/// Whether an interface counts dropped frames there. It counts frames for nobody too, so that a share of them is at
/// most worth a warning.
pub(crate) fn counts_frames_for_nobody(counter: &Counter) -> bool {
    let drops = [LinkStat::RxDropped, LinkStat::TxDropped, LinkStat::RxMissedErrors];
    matches!(counter, Counter::Link(_, stat) if drops.contains(stat))
}

/// Whether a counter is of packets that were lost.
pub(crate) fn is_loss(counter: &Counter) -> bool {
    match counter {
        Counter::Link(_, stat) => matches!(
            stat,
            LinkStat::RxErrors
                | LinkStat::TxErrors
                | LinkStat::RxDropped
                | LinkStat::TxDropped
                | LinkStat::RxMissedErrors
                | LinkStat::RxOtherhostDropped
        ),
        Counter::Qdisc(_, stat) => *stat == QdiscStat::Drops,
        Counter::Filters(_, stat) => *stat == FilterStat::Drops,
        Counter::Cpu(_, stat) => matches!(stat, CpuStat::Dropped | CpuStat::Squeezed),
        Counter::Protocol(group, name) => matches!(
            (group.as_ref(), name.as_ref()),
            ("Udp" | "Udp6", "RcvbufErrors" | "SndbufErrors" | "InCsumErrors")
                | (
                    "Ip" | "Ip6",
                    "FragFails" | "ReasmFails" | "OutNoRoutes" | "OutDiscards" | "InDiscards"
                )
                | ("Tcp" | "Icmp", "InCsumErrors")
                | ("TcpExt", "IPReversePathFilter")
        ),
        Counter::Conntrack(name) => matches!(name.as_ref(), "insert_failed" | "drop" | "early_drop"),
        Counter::Neighbours(_, name) => **name == *"table_fulls",
        Counter::NetlinkDrops(_) | Counter::QueueDrops(_) | Counter::Rule(_) | Counter::DropReason(_) => true,
        Counter::RouteLookup(_) => false,
    }
}

/// The race and the full table raise the same counters. Only the size of the table tells them apart.
fn race(deltas: &Deltas, found: &mut BTreeMap<Kind, Counted>) {
    if found.contains_key(&Kind::ConntrackFull) {
        found.remove(&Kind::ConntrackRace);
        return;
    }
    let Some(race) = found.get_mut(&Kind::ConntrackRace) else {
        return;
    };
    let fails = deltas.of(&Counter::Conntrack("insert_failed".into()));
    race.is_decisive &= fails.is_some_and(|by| by >= FEW);
    match (
        deltas.gauge(&Gauge::Connections),
        deltas.gauge(&Gauge::MaxConnections),
    ) {
        (Some(now), Some(most)) => race.evidence.push(Evidence::Connections { now, most }),
        _ => race.is_decisive = false,
    }
}

fn full_table(deltas: &Deltas, host: &Snapshot, found: &mut BTreeMap<Kind, Counted>) {
    let (Some(now), Some(most)) = (
        deltas.gauge(&Gauge::Connections),
        deltas.gauge(&Gauge::MaxConnections),
    ) else {
        return;
    };
    let counters = ["drop", "early_drop", "insert_failed"].map(|name| Counter::Conntrack(name.into()));
    let lost: Vec<Growth> = counters
        .iter()
        .filter_map(|counter| {
            let by = deltas.of(counter).filter(|by| *by > 0)?;
            Some(growth(counter, by, deltas))
        })
        .collect();
    // A limit of 0 sets no limit. Within a tenth of the limit the table was full between the readings.
    if lost.is_empty() || most == 0 || now.saturating_mul(10) < most.saturating_mul(9) {
        return;
    }
    let counted = found.entry(Kind::ConntrackFull).or_default();
    for growth in lost {
        counted.add(growth, None, deltas, host);
    }
    counted.is_decisive = true;
    counted.evidence.push(Evidence::Connections { now, most });
}

/// Path MTUs below what any link of the internet has. A forged or broken packet-too-big makes them.
fn tiny_paths(deltas: &Deltas, found: &mut BTreeMap<Kind, Counted>) {
    let Some(paths) = deltas.after.path_mtus.as_ref().filter(|paths| paths.tiny > 0) else {
        return;
    };
    let smallest = paths
        .smallest
        .iter()
        .map(|path| Subject::Address(path.destination));
    let counted = Counted {
        subjects: smallest.collect(),
        evidence: vec![Evidence::Learned(paths.clone())],
        is_decisive: false,
    };
    found.insert(Kind::PathMtuTiny, counted);
}

/// A policy or a rule drops what its writer wants to drop. Only the policy of a chain that forwards is a likely
/// mistake. Where the kernel says that the firewall drops, policies that do not count are suspects.
fn firewall(counted: &mut Counted, deltas: &Deltas) {
    let is_of_a_rule = |subject: &Subject| matches!(subject, Subject::Rule(_));
    counted.is_decisive &= counted.subjects.iter().any(|subject| match subject {
        Subject::Rule(key) => {
            key.handle.is_none() && forwards(deltas.after.rules.get(key)) && by(key, deltas) >= FEW
        }
        Subject::Link(_) | Subject::Cpu(_) | Subject::Address(_) => false,
    });
    if !counted.subjects.iter().any(is_of_a_rule) {
        let policies = deltas
            .after
            .uncounted
            .iter()
            .filter(|(key, _)| key.handle.is_none());
        let policies = policies.map(|(key, _)| Subject::Rule(key.clone()));
        counted.subjects.extend(policies);
    }
    counted.evidence.sort_by_key(|evidence| match evidence {
        Evidence::Grew(growth) => Reverse(growth.by),
        _ => Reverse(0),
    });
}

/// Whether its chain is one of forwarded packets.
fn forwards(rule: Option<&Rule>) -> bool {
    rule.is_some_and(|rule| rule.hook.as_deref() == Some("forward"))
}

fn by(key: &RuleKey, deltas: &Deltas) -> u64 {
    deltas.of(&Counter::Rule(key.clone().into())).unwrap_or(0)
}

/// A device by which Open vSwitch sends encapsulated packets: it counts packets that are too large as errors
/// (`skb_tunnel_check_pmtu`, net/ipv4/ip_tunnel_core.c).
fn is_ovs_tunnel(link: LinkName, deltas: &Deltas) -> bool {
    let tunnel = deltas.after.links.get(&link);
    tunnel.is_some_and(|tunnel| {
        let kind = tunnel.kind.as_deref();
        matches!(kind, Some("geneve" | "vxlan" | "gretap")) && tunnel.master.is_some()
    })
}
