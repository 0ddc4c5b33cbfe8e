//! A cause of lost packets, its evidence and its place among others.

use std::collections::BTreeSet;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::diagnosis::fix::Fix;
use crate::diagnosis::growth::{CRITICAL, Growth};
use crate::diagnosis::sign::Sign;
use crate::path::hop::Cause as Hole;
use crate::path::unknown::Unknown;
use netkeel_core::finding::{Finding, Severity};
use netkeel_core::name::link::LinkName;
use netkeel_host::counters::counter::{Counter, RuleKey};
use netkeel_host::counters::reading::PathMtus;
use netkeel_host::counters::unread::Source;
use netkeel_host::snapshot::forwarding::Attached;

/// The causes of a host, the most likely first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Diagnosis {
    /// The causes.
    pub causes: Vec<Cause>,
    /// Losses that were counted and that none of the causes explains.
    pub also: Vec<Growth>,
    /// Counters that grew beside those, each with its meaning, the most severe first.
    pub signs: Vec<Sign>,
    /// The length of the window, milliseconds; none if no counters were read.
    pub window_ms: Option<u64>,
    /// Rules and policies that drop or reject without a count of their own: what they drop is unknown.
    pub uncounted: BTreeSet<RuleKey>,
    /// The interfaces with programs of XDP and with qdiscs for filters of tc. Drop reasons count a part of what they
    /// drop, and no other counter here does.
    pub attached: Attached,
    /// The number of interfaces that appeared, vanished or changed their name within the window: their growth is
    /// unknown.
    pub changed: usize,
    /// Sources of counters that could not be read. Those that the kernel does not have are left out.
    pub unread: BTreeSet<Source>,
    /// The number of parts of the host that were not read.
    pub problems: usize,
    /// Facts that decide about paths and are not known.
    pub unknown: BTreeSet<Unknown>,
}

/// One cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Cause {
    /// The fault.
    pub kind: Kind,
    /// Where the fault is, sorted.
    pub subjects: BTreeSet<Subject>,
    /// The grounds for its place.
    pub grounds: Grounds,
    /// The severity.
    pub severity: Severity,
    /// The evidence: counters, then configuration.
    pub evidence: Vec<Evidence>,
    /// A command whose result refutes the cause, and that result.
    pub refute: Refutation,
    /// The remedy: document fragments, or commands.
    pub fix: Vec<Fix>,
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Reverse path filtering drops packets.
    RpFilter,
    /// Nobody answers for the address of a gateway.
    GatewaySilent,
    /// Packets are to be forwarded, and forwarding is off.
    ForwardingOff,
    /// A device on the way is down.
    DeviceDown,
    /// There is no route, or one that drops everything.
    NoRoute,
    /// The ends of a veth have different MTUs.
    VethEnds,
    /// A port of a bridge is smaller than the others.
    BridgePort,
    /// Pods or tunnels send packets that do not fit the device below.
    TooLarge,
    /// Path MTU discovery is off, or a packet-too-big cannot return.
    DiscoveryOff,
    /// The connection table is full.
    ConntrackFull,
    /// Two packets of one flow raced to create its connection.
    ConntrackRace,
    /// The neighbour table is full.
    NeighboursFull,
    /// Rules of the firewall drop packets.
    Firewall,
    /// Checksums are wrong.
    Checksums,
    /// A qdisc drops packets.
    QdiscFull,
    /// The queue of received packets of a CPU is full.
    BacklogFull,
    /// The receive buffers of UDP sockets are full.
    ReceiveBuffer,
    /// TCP found segments that vanish: a router beyond this host drops large packets without an answer.
    RemoteBlackHole,
    /// Neighbours do not answer.
    NeighbourSilent,
    /// A path MTU that the kernel learned is far too small: packets are sent in tiny pieces.
    PathMtuTiny,
    /// Frames with another MAC address than the interface's arrive, and are dropped.
    OtherHost,
}

/// A place of a fault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// An interface.
    Link(LinkName),
    /// A CPU.
    Cpu(u32),
    /// An address.
    Address(IpAddr),
    /// A rule or a policy.
    Rule(RuleKey),
}

impl Subject {
    /// The interface, if it is one.
    pub(crate) fn link(&self) -> Option<LinkName> {
        match self {
            Subject::Link(link) => Some(*link),
            Subject::Cpu(_) | Subject::Address(_) | Subject::Rule(_) => None,
        }
    }
}

/// Why a cause has its place: the first is the most likely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Grounds {
    /// The configuration loses packets, and counters of that loss grew.
    ConfiguredAndCounted,
    /// The configuration loses every packet of a path. No counter needs to grow.
    LosesEverything,
    /// Counters that grow for this cause only.
    Counted,
    /// The configuration loses large packets. No counter needs to grow.
    LosesLarge,
    /// Few packets were counted, or the configuration may lose packets.
    Possible,
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// A counter grew.
    Grew(Growth),
    /// A counter that a look-alike would raise did not grow.
    DidNotGrow(#[schemars(with = "String")] Counter),
    /// A finding on the configuration.
    Finding(#[schemars(with = "FindingForm")] Finding),
    /// Packets vanish on a path.
    BlackHole {
        /// The interface that drops them.
        link: LinkName,
        /// The smallest packet that is lost, bytes; 1 where all are lost.
        from: u32,
        /// The largest one that may come there, bytes.
        to: Option<u32>,
        /// Why they are dropped.
        why: Hole,
    },
    /// Packets of a pod are larger than its path.
    Limited {
        /// The interface that limits.
        link: LinkName,
        /// The largest packet that passes whole, bytes.
        whole: u32,
        /// The largest packet that is sent, bytes.
        sent: u32,
    },
    /// The effective rp_filter of an interface.
    RpFilter {
        /// The interface.
        link: LinkName,
        /// The value of `all`.
        all: i64,
        /// The interface's own value.
        own: i64,
    },
    /// The number of connections in the table, and its limit.
    Connections {
        /// Connections.
        now: u64,
        /// `nf_conntrack_max`.
        most: u64,
    },
    /// The path MTUs that the kernel learned.
    Learned(PathMtus),
    /// An address that did not answer on an interface.
    Silent {
        /// The interface.
        link: LinkName,
        /// The address.
        address: IpAddr,
    },
}

/// The form of a finding in JSON.
#[derive(JsonSchema)]
#[schemars(rename = "Finding")]
#[expect(dead_code, reason = "it is a schema only")]
struct FindingForm {
    /// The kind of finding.
    code: String,
    /// The affected interfaces, keys or files, sorted.
    subjects: Vec<String>,
    /// The fact.
    message: String,
    /// The remedy.
    remedy: String,
}

/// A test that can refute a cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Refutation {
    /// The command.
    pub command: String,
    /// The result that refutes the cause.
    pub refuted_if: &'static str,
    /// The command is for another host.
    #[serde(skip)]
    pub elsewhere: bool,
}

impl Diagnosis {
    /// The worst severity: of the causes, of the signs, or a note for a loss that no cause explains. None if
    /// nothing was found.
    pub fn worst(&self) -> Option<Severity> {
        let causes = self.causes.iter().map(|cause| cause.severity);
        let signs = self.signs.iter().map(|sign| sign.severity);
        let unexplained = self.also.iter().map(|_| Severity::Note);
        // The most severe is the least.
        causes.chain(signs).chain(unexplained).min()
    }

    /// Whether a counter is evidence of a cause.
    pub(crate) fn explains(&self, counter: &Counter) -> bool {
        let mut explained = self.causes.iter().flat_map(Cause::counters);
        explained.any(|one| one == counter)
    }
}

impl Kind {
    /// The word of it in JSON and in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Kind::RpFilter => "rp-filter",
            Kind::GatewaySilent => "gateway-silent",
            Kind::ForwardingOff => "forwarding-off",
            Kind::DeviceDown => "device-down",
            Kind::NoRoute => "no-route",
            Kind::VethEnds => "veth-ends",
            Kind::BridgePort => "bridge-port",
            Kind::TooLarge => "too-large",
            Kind::DiscoveryOff => "discovery-off",
            Kind::ConntrackFull => "conntrack-full",
            Kind::ConntrackRace => "conntrack-race",
            Kind::NeighboursFull => "neighbours-full",
            Kind::Firewall => "firewall",
            Kind::Checksums => "checksums",
            Kind::QdiscFull => "qdisc-full",
            Kind::BacklogFull => "backlog-full",
            Kind::ReceiveBuffer => "receive-buffer",
            Kind::RemoteBlackHole => "remote-black-hole",
            Kind::NeighbourSilent => "neighbour-silent",
            Kind::PathMtuTiny => "path-mtu-tiny",
            Kind::OtherHost => "other-host",
        }
    }
}

impl Grounds {
    /// The word of it in JSON and in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Grounds::ConfiguredAndCounted => "configured-and-counted",
            Grounds::LosesEverything => "loses-everything",
            Grounds::Counted => "counted",
            Grounds::LosesLarge => "loses-large",
            Grounds::Possible => "possible",
        }
    }

    /// A cause that is certain is an error, and one that is possible a warning. One that only counters show is an
    /// error where its loss is critical, or its share of the packets is not known.
    pub(crate) fn severity(self, evidence: &[Evidence]) -> Severity {
        match self {
            Grounds::ConfiguredAndCounted | Grounds::LosesEverything | Grounds::LosesLarge => Severity::Error,
            Grounds::Counted => {
                let shares = evidence.iter().filter_map(|one| match one {
                    Evidence::Grew(growth) => Some(growth.share()),
                    _ => None,
                });
                let shares: Vec<Option<f64>> = shares.collect();
                let is_small = |share: &Option<f64>| share.is_some_and(|share| share < CRITICAL);
                match !shares.is_empty() && shares.iter().all(is_small) {
                    true => Severity::Warning,
                    false => Severity::Error,
                }
            }
            Grounds::Possible => Severity::Warning,
        }
    }
}

impl Cause {
    /// The packets that were counted as lost, the largest of its counters.
    pub fn lost(&self) -> u64 {
        self.growths().map(|growth| growth.by).max().unwrap_or(0)
    }

    /// The counters of its evidence.
    pub(crate) fn counters(&self) -> impl Iterator<Item = &Counter> {
        self.growths().map(|growth| &growth.counter)
    }

    fn growths(&self) -> impl Iterator<Item = &Growth> {
        self.evidence.iter().filter_map(|evidence| match evidence {
            Evidence::Grew(growth) => Some(growth),
            Evidence::DidNotGrow(_)
            | Evidence::Finding(_)
            | Evidence::BlackHole { .. }
            | Evidence::Limited { .. }
            | Evidence::RpFilter { .. }
            | Evidence::Connections { .. }
            | Evidence::Learned(_)
            | Evidence::Silent { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_the_most_severe() {
        let mut found = Diagnosis::default();
        assert_eq!(found.worst(), None);
        found.also.push(Growth {
            counter: Counter::protocol("Ip", "InDiscards"),
            by: 1,
            of: None,
        });
        assert_eq!(found.worst(), Some(Severity::Note));
        for (grounds, worst) in [
            (Grounds::Possible, Severity::Warning),
            (Grounds::LosesLarge, Severity::Error),
            (Grounds::Possible, Severity::Error),
        ] {
            found.causes.push(Cause {
                kind: Kind::Checksums,
                subjects: BTreeSet::new(),
                grounds,
                severity: grounds.severity(&[]),
                evidence: Vec::new(),
                refute: Refutation {
                    command: String::new(),
                    refuted_if: "",
                    elsewhere: false,
                },
                fix: Vec::new(),
            });
            assert_eq!(found.worst(), Some(worst));
        }
    }

    #[test]
    fn what_counters_alone_show_is_critical_from_a_share_on() {
        let of = |by, of| {
            let counter = Counter::protocol("Udp", "RcvbufErrors");
            Grounds::Counted.severity(&[Evidence::Grew(Growth { counter, by, of })])
        };
        assert_eq!(of(20, Some(100_000)), Severity::Warning);
        assert_eq!(of(20, Some(10_000)), Severity::Error);
        // An unknown share is never harmless.
        assert_eq!(of(20, None), Severity::Error);
    }

    #[test]
    fn words_are_those_of_json() {
        for kind in [
            Kind::RpFilter,
            Kind::PathMtuTiny,
            Kind::ConntrackRace,
            Kind::OtherHost,
        ] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
        for grounds in [
            Grounds::ConfiguredAndCounted,
            Grounds::LosesLarge,
            Grounds::Possible,
        ] {
            assert_eq!(serde_json::to_value(grounds).unwrap(), grounds.word());
        }
    }
}
