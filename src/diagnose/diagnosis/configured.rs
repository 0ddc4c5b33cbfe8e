//! Faults that the configuration shows: black holes of paths, and findings.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnosis::cause::{Evidence, Kind, Subject};
use crate::path::capacity::{BlackHole, Capacity};
use crate::path::drawing::Path;
use crate::path::gateway::{Answered, Silence};
use crate::path::hop::{Above, Cause as Hole, Place};
use crate::path::origin::Origin;
use crate::path::select::{Start, paths};
use crate::path::unknown::Unknown;
use netkeel_core::finding::{Code, Finding};
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::forwarding::Family;

/// A fault of the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fault {
    /// Where it is.
    pub(crate) subjects: BTreeSet<Subject>,
    /// The evidence, without counters.
    pub(crate) evidence: Vec<Evidence>,
    /// Its effect.
    pub(crate) effect: Effect,
    /// The largest packet that passes whole, bytes, where that is known.
    pub(crate) whole: Option<u32>,
    /// Where packets of a family arrive and are not forwarded.
    pub(crate) not_forwarding: BTreeSet<(Family, LinkName)>,
    /// Why nobody answers for the gateway.
    pub(crate) silence: Option<Silence>,
}

/// The effect of a fault, the worst last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effect {
    /// Packets may be lost.
    #[default]
    May,
    /// Large packets are lost.
    Large,
    /// Every packet of a path is lost.
    Everything,
}

/// All faults, and the facts about paths that are not known.
pub(crate) fn causes(host: &Snapshot, findings: &[Finding]) -> (BTreeMap<Kind, Fault>, BTreeSet<Unknown>) {
    let mut unknown = BTreeSet::new();
    let mut found: BTreeMap<Kind, Fault> = BTreeMap::new();
    // Of a tunnel that takes its headers from each packet, the path of its senders is of interest.
    let tunnels = host
        .links
        .iter()
        .filter(|(_, link)| link.external && link.master.is_none());
    let starts = tunnels.map(|(name, _)| Start::Interface(*name));
    for start in starts.chain([Start::Everywhere]) {
        for path in paths(host, &start, None, &|_| None) {
            of_path(&path, &mut found);
            unknown.extend(path.unknown);
        }
    }
    for finding in findings {
        of_finding(host, finding, &mut found);
    }
    (found, unknown)
}

fn of_path(path: &Path, found: &mut BTreeMap<Kind, Fault>) {
    for capacity in [&path.out, &path.back] {
        if let Some(hole) = capacity.black_hole {
            black_hole(path, &hole, found);
        }
    }
    limited(path, &path.out, found);
}

fn black_hole(path: &Path, hole: &BlackHole, found: &mut BTreeMap<Kind, Fault>) {
    let Some(hop) = path.hops.get(hole.at) else {
        return;
    };
    let link = match (&path.origin, hop.place) {
        // The pod's interface is named by the host's end of its veth.
        (Origin::Pod { link, .. }, Place::Origin) => *link,
        (Origin::Host | Origin::Pod { .. }, _) => hop.device,
    };
    let fault = found.entry(kind(hole.cause)).or_default();
    fault.subjects.insert(Subject::Link(link));
    if hole.cause == Hole::VethEnd
        && let Origin::Pod { alike, .. } = &path.origin
    {
        fault.subjects.extend(alike.iter().copied().map(Subject::Link));
    }
    if hole.cause == Hole::ForwardingOff {
        fault.not_forwarding.insert((path.family, link));
    }
    let effect = match (hole.certain, hole.from) {
        (false, _) => Effect::May,
        (true, ..=1) => Effect::Everything,
        (true, _) => Effect::Large,
    };
    fault.effect = fault.effect.max(effect);
    if hole.from > 1 {
        let whole = hole.from - 1;
        fault.whole = Some(fault.whole.map_or(whole, |known| known.min(whole)));
    }
    if let Some(Answered::Nobody(silence)) = hop.gateway.map(|gateway| gateway.answered) {
        fault.silence = Some(silence);
    }
    add(
        fault,
        Evidence::BlackHole {
            link,
            from: hole.from,
            to: hole.to,
            why: hole.cause,
        },
    );
}

/// A pod whose packets do not fit its path: they are answered, or sent as fragments.
fn limited(path: &Path, out: &Capacity, found: &mut BTreeMap<Kind, Fault>) {
    let sent = path.hops.first().and_then(|hop| {
        let refused = hop.out.iter().find(|limit| limit.above == Above::Refused)?;
        Some(refused.bytes)
    });
    let at = out.limited_by.and_then(|at| path.hops.get(at));
    let (Origin::Pod { .. }, Some(sent), Some(whole), Some(hop)) = (&path.origin, sent, out.whole, at) else {
        return;
    };
    if whole >= sent || whole == 0 || out.black_hole.is_some() {
        return;
    }
    let fault = found.entry(Kind::TooLarge).or_default();
    fault.subjects.insert(Subject::Link(hop.device));
    fault.whole = Some(fault.whole.map_or(whole, |known| known.min(whole)));
    let link = hop.device;
    add(fault, Evidence::Limited { link, whole, sent });
}

fn of_finding(host: &Snapshot, finding: &Finding, found: &mut BTreeMap<Kind, Fault>) {
    let (kind, effect) = match finding.code {
        Code::NK002 | Code::NK009 => (Kind::RpFilter, Effect::Everything),
        Code::NK063 => (Kind::RpFilter, Effect::May),
        Code::NK064 => (Kind::ForwardingOff, Effect::May),
        Code::NK013 => (Kind::VethEnds, Effect::Large),
        Code::NK080 => (Kind::BridgePort, Effect::Large),
        Code::NK014 | Code::NK016 | Code::NK017 | Code::NK047 => (Kind::TooLarge, Effect::May),
        Code::NK021 | Code::NK022 => (Kind::DiscoveryOff, Effect::May),
        _ => return,
    };
    let fault = found.entry(kind).or_default();
    fault.effect = fault.effect.max(effect);
    let named = |name: &&LinkName| finding.subjects.contains(&name.to_string());
    let links: Vec<LinkName> = host.links.keys().filter(named).copied().collect();
    if kind == Kind::ForwardingOff {
        let of_ipv4 = links.iter().map(|link| (Family::Ipv4, *link));
        fault.not_forwarding.extend(of_ipv4);
    }
    fault.subjects.extend(links.into_iter().map(Subject::Link));
    add(fault, Evidence::Finding(finding.clone()));
}

fn add(fault: &mut Fault, evidence: Evidence) {
    if !fault.evidence.contains(&evidence) {
        fault.evidence.push(evidence);
    }
}

fn kind(hole: Hole) -> Kind {
    match hole {
        Hole::VethEnd => Kind::VethEnds,
        Hole::BridgePort => Kind::BridgePort,
        Hole::LowerDevice | Hole::OuterDontFragment | Hole::TooSmallForIpv6 => Kind::TooLarge,
        Hole::ForwardingOff => Kind::ForwardingOff,
        Hole::RpFilter => Kind::RpFilter,
        Hole::NoRoute | Hole::RouteRefuses => Kind::NoRoute,
        Hole::NobodyAnswers => Kind::GatewaySilent,
        Hole::Down => Kind::DeviceDown,
        Hole::NoRouteForAnswer => Kind::DiscoveryOff,
    }
}
