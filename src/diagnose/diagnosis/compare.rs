//! Compares the losses of two hosts, or of one host at two moments: the outlier and its factor.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use crate::bundle::Bundle;
use crate::diagnosis::counted::{counts_frames_for_nobody, growth, is_loss};
use crate::diagnosis::growth::{CRITICAL, FEW, SHARE};
use netkeel_core::finding::{Code, Severity};
use netkeel_host::counters::counter::{Counter, LinkStat};
use netkeel_host::counters::deltas::Deltas;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::reading::SysctlReading;

/// From this factor on, a difference is worth a line.
const FACTOR: f64 = 3.0;

/// The differences of two bundles.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Comparison {
    /// The losses that differ: errors, then drops, each with the worst first.
    pub losses: Vec<Difference>,
    /// The settings that differ, by name.
    pub settings: BTreeMap<String, [String; 2]>,
    /// The findings that only one of them has.
    #[schemars(with = "[Vec<String>; 2]")]
    pub findings: [BTreeSet<Code>; 2],
}

/// A loss that differs.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Difference {
    /// The counter, or the sum over the pods' interfaces.
    pub what: String,
    /// Whether packets could not be handled, or found no room. The two are ranked apart.
    pub group: Group,
    /// An error from a share of 0.1 % of the packets on, a warning from 0.001 % on, else a note. Dropped frames of an
    /// interface are a warning at most.
    pub severity: Severity,
    /// The growth of each side; none if it is unknown.
    pub growth: [Option<u64>; 2],
    /// The rate of each side: a share of the packets, or packets a second.
    pub rate: [f64; 2],
    /// The unit of the rates.
    pub unit: Unit,
    /// The side with the larger rate: 0 or 1.
    pub outlier: usize,
    /// How much larger it is; none if the other side lost nothing.
    pub factor: Option<f64>,
}

/// A group of losses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Packets that could not be sent, received or understood.
    Errors,
    /// Packets that were dropped: by a full queue, a full table or a rule.
    #[default]
    Drops,
}

impl Group {
    /// Both.
    pub const ALL: [Group; 2] = [Group::Errors, Group::Drops];

    fn of(counter: &Counter) -> Self {
        let is_error = match counter {
            Counter::Link(_, stat) => matches!(stat, LinkStat::RxErrors | LinkStat::TxErrors),
            Counter::Protocol(group, name) => {
                matches!(
                    name.as_ref(),
                    "InCsumErrors" | "FragFails" | "ReasmFails" | "OutNoRoutes"
                ) || **group == *"Xfrm"
            }
            Counter::Cpu(..)
            | Counter::Qdisc(..)
            | Counter::Filters(..)
            | Counter::Conntrack(_)
            | Counter::Neighbours(..)
            | Counter::RouteLookup(_)
            | Counter::NetlinkDrops(_)
            | Counter::QueueDrops(_)
            | Counter::Rule(_)
            | Counter::DropReason(_) => false,
        };
        match is_error {
            true => Group::Errors,
            false => Group::Drops,
        }
    }
}

/// The unit of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Lost packets of all packets.
    Share,
    /// Packets a second.
    PerSecond,
}

/// A loss, and the packets that it is a share of.
#[derive(Clone, Copy, Debug, Default)]
struct Loss {
    by: u64,
    of: Option<u64>,
    group: Group,
    /// It is at most worth a warning.
    is_mild: bool,
}

/// Compares two bundles.
pub fn compare(bundles: [&Bundle; 2]) -> Comparison {
    let deltas = bundles.map(Bundle::deltas);
    let sides = [losses(&deltas[0]), losses(&deltas[1])];
    let names: BTreeSet<&String> = sides.iter().flat_map(BTreeMap::keys).collect();
    let mut found: Vec<Difference> = names
        .into_iter()
        .filter_map(|name| {
            let both = [sides[0].get(name).copied(), sides[1].get(name).copied()];
            difference(name, both, [deltas[0].window_ms, deltas[1].window_ms])
        })
        .collect();
    found.sort_by(|one, other| {
        let order = |found: &Difference| {
            let place = (found.group, found.severity);
            (place, found.factor.map_or(f64::INFINITY, |factor| factor))
        };
        let ((one_place, one_factor), (other_place, other_factor)) = (order(one), order(other));
        one_place
            .cmp(&other_place)
            .then(other_factor.total_cmp(&one_factor))
            .then_with(|| one.what.cmp(&other.what))
    });
    let codes = bundles.map(|bundle| bundle.findings.iter().map(|finding| finding.code).collect());
    let [one, other]: [BTreeSet<Code>; 2] = codes;
    Comparison {
        losses: found,
        settings: settings(bundles.map(|bundle| &bundle.snapshot)),
        findings: [
            one.difference(&other).copied().collect(),
            other.difference(&one).copied().collect(),
        ],
    }
}

/// The severity of the larger rate. How bad a number of packets a second is depends on the host.
fn severity(rate: [f64; 2], unit: Unit) -> Severity {
    match (unit, rate[0].max(rate[1])) {
        (Unit::Share, share) if share >= CRITICAL => Severity::Error,
        (Unit::Share, share) if share >= SHARE => Severity::Warning,
        (Unit::Share | Unit::PerSecond, _) => Severity::Note,
    }
}

/// The losses by name. The names of pods' interfaces differ from host to host, so those are added up.
fn losses(deltas: &Deltas) -> BTreeMap<String, Loss> {
    let mut found: BTreeMap<String, Loss> = BTreeMap::new();
    for (counter, by) in deltas.grown.iter().filter(|(counter, _)| is_loss(counter)) {
        let of = growth(counter, *by, deltas).of;
        let loss = found.entry(name(counter, deltas)).or_default();
        loss.group = Group::of(counter);
        loss.is_mild = counts_frames_for_nobody(counter);
        loss.by = loss.by.saturating_add(*by);
        loss.of = match (loss.of, of) {
            (Some(known), Some(more)) => Some(known.saturating_add(more)),
            (known, more) => known.or(more),
        };
    }
    found
}

fn name(counter: &Counter, deltas: &Deltas) -> String {
    let leads_elsewhere = |link| {
        deltas
            .after
            .links
            .get(link)
            .is_some_and(|link| link.leads_elsewhere)
    };
    match counter {
        Counter::Link(link, stat) if leads_elsewhere(link) => {
            format!("{} of pods' interfaces", LinkStat::name(*stat))
        }
        Counter::Qdisc(link, _) if leads_elsewhere(link) => "qdisc drops of pods' interfaces".to_owned(),
        Counter::Filters(link, _) if leads_elsewhere(link) => {
            "tc filter drops of pods' interfaces".to_owned()
        }
        Counter::Cpu(_, stat) => format!("{} of all CPUs", stat_name(*stat)),
        Counter::NetlinkDrops(socket) => format!("drops of netlink {}", socket.protocol),
        _ => counter.to_string(),
    }
}

fn stat_name(stat: netkeel_host::counters::counter::CpuStat) -> &'static str {
    use netkeel_host::counters::counter::CpuStat;
    match stat {
        CpuStat::Processed => "softnet processed",
        CpuStat::Dropped => "softnet dropped",
        CpuStat::Squeezed => "softnet time_squeeze",
    }
}

fn difference(name: &str, both: [Option<Loss>; 2], windows: [u64; 2]) -> Option<Difference> {
    let [Some(one), Some(other)] = both else {
        // A counter that one side did not read is unknown.
        return None;
    };
    let share = |loss: Loss| {
        let all = loss.of?.checked_add(loss.by)?;
        (all > 0).then(|| loss.by as f64 / all as f64)
    };
    let per_second = |loss: Loss, window: u64| loss.by as f64 * 1000.0 / window.max(1) as f64;
    let (rate, unit) = match (share(one), share(other)) {
        (Some(one), Some(other)) => ([one, other], Unit::Share),
        _ => (
            [per_second(one, windows[0]), per_second(other, windows[1])],
            Unit::PerSecond,
        ),
    };
    let outlier = usize::from(rate[1] > rate[0]);
    let (large, small) = (rate[0].max(rate[1]), rate[0].min(rate[1]));
    let by = if outlier == 0 { one.by } else { other.by };
    let factor = (small > 0.0).then(|| large / small);
    if by < FEW || factor.is_some_and(|factor| factor < FACTOR) {
        return None;
    }
    Some(Difference {
        what: name.to_owned(),
        group: one.group,
        severity: match one.is_mild {
            true => severity(rate, unit).max(Severity::Warning),
            false => severity(rate, unit),
        },
        growth: [Some(one.by), Some(other.by)],
        rate,
        unit,
        outlier,
        factor,
    })
}

/// The settings that both read and that differ.
fn settings(sides: [&Snapshot; 2]) -> BTreeMap<String, [String; 2]> {
    let mut found = BTreeMap::new();
    let mut add = |name: String, one: String, other: String| {
        if one != other {
            found.insert(name, [one, other]);
        }
    };
    let [one, other] = sides;
    add("kernel".to_owned(), one.kernel.clone(), other.kernel.clone());
    for (name, link) in &one.links {
        if let Some(same) = other.link(*name).filter(|_| !link.leads_into_a_pod()) {
            add(
                format!("mtu of {name}"),
                link.mtu.to_string(),
                same.mtu.to_string(),
            );
        }
    }
    let mtus = sides.map(|side| {
        let pods = side.links.values().filter_map(|link| link.pod.as_ref());
        let mtus: BTreeSet<String> = pods.map(|pod| pod.mtu.to_string()).collect();
        mtus.into_iter().collect::<Vec<_>>().join(", ")
    });
    if mtus.iter().all(|mtus| !mtus.is_empty()) {
        let [one, other] = mtus;
        add("mtu of pods".to_owned(), one, other);
    }
    for (key, reading) in &one.sysctls {
        let (SysctlReading::Value { value, .. }, Some(SysctlReading::Value { value: same, .. })) =
            (reading, other.sysctls.get(key))
        else {
            continue;
        };
        if !value.is_secret() && !same.is_secret() && !key.is_secret() {
            add(key.to_string(), value.to_string(), same.to_string());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_host::counters::reading::{LinkIdentity, Reading};

    #[test]
    fn frames_for_nobody_are_a_warning_at_most() {
        let severity = |stat, of| {
            let link = || "eth0".parse().unwrap();
            let identity = LinkIdentity {
                index: 2,
                mtu: 1500,
                ..LinkIdentity::default()
            };
            let reading = |by, packets| Reading {
                counters: [
                    (Counter::Link(link(), stat), by),
                    (Counter::Link(link(), of), packets),
                ]
                .into(),
                links: [(link(), identity.clone())].into(),
                ..Reading::default()
            };
            let deltas = |by| Deltas::between(reading(0, 0), reading(by, 1000));
            let sides = [losses(&deltas(400)), losses(&deltas(0))];
            let name = sides[0].keys().next().unwrap();
            let both = [sides[0].get(name).copied(), sides[1].get(name).copied()];
            difference(name, both, [1000, 1000]).unwrap().severity
        };
        for (stat, of) in [
            (LinkStat::RxDropped, LinkStat::RxPackets),
            (LinkStat::TxDropped, LinkStat::TxPackets),
            (LinkStat::RxMissedErrors, LinkStat::RxPackets),
        ] {
            assert_eq!(severity(stat, of), Severity::Warning);
        }
        assert_eq!(severity(LinkStat::TxErrors, LinkStat::TxPackets), Severity::Error);
    }
}
