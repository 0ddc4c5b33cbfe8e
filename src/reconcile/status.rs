//! The status of the service, from which `netkeel status` and the metrics are made.

pub mod counters;
pub mod doctor;
pub mod handshake;
pub mod last_apply;
pub mod mtus;
pub mod policies;
pub mod probes;
pub mod replication;
pub mod suspended;
pub mod unread;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::status::counters::{BUCKETS, Counters};
use crate::status::doctor::DoctorStatus;
use crate::status::handshake::HandshakeStatus;
use crate::status::last_apply::LastApply;
use crate::status::mtus::{MtuStatus, Mtus};
use crate::status::policies::PoliciesStatus;
use crate::status::probes::ProbeStatus;
use crate::status::suspended::SuspendedStatus;
use crate::status::unread::{UnreadFacts, reservation};
use netkeel_core::fact::{Fact, Field, Object};
use netkeel_core::finding::Code;
use netkeel_core::name::link::LinkName;
use netkeel_core::replication::worker::{WorkerHealth, WorkerStatus};
use netkeel_host::snapshot::link::Link;
use netkeel_host::snapshot::problem::Problem;
use netkeel_plan::goal::part::Extent;
use netkeel_plan::goal::planned::Observation;
use netkeel_plan::plan::Drift;

/// The version of the format of `netkeel status --output json`.
const FORMAT: u32 = 1;

/// The status of the service.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The version of the format.
    pub format: u32,
    /// The version of netkeel.
    pub version: &'static str,
    /// The process ID.
    pub pid: u32,
    /// The start time, Unix seconds.
    pub since: u64,
    /// `observe` or `enforce`.
    pub mode: &'static str,
    /// The replication worker sends no packets, whatever the document says.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// There is no document: the service waits for one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub idle: bool,
    /// A full scan has ended since the service started.
    pub ready: bool,
    /// The namespace; `None` for the host's.
    pub netns: Option<String>,
    /// The document in force.
    pub document: DocumentStatus,
    /// The pause; `None` if writes are not paused.
    pub paused: Option<PauseStatus>,
    /// A full scan has ended since the document was loaded.
    pub looked: bool,
    /// The end of the last full scan, Unix seconds.
    pub scanned: Option<u64>,
    /// Declared facts that only a full scan reads, as the pods' ends of veths: `drift` has them as of `scanned`.
    pub only_by_full_scans: bool,
    /// The number of wanted facts on the whole host.
    pub wanted: usize,
    /// The facts that differ.
    pub drift: Vec<DriftStatus>,
    /// The facts that are suspended.
    pub suspended: Vec<SuspendedStatus>,
    /// The declared facts that could not be read: nobody knows whether they differ.
    pub unread: UnreadFacts,
    /// The parts of the host that could not be read.
    #[serde(serialize_with = "in_words")]
    pub problems: Vec<Problem>,
    /// The findings on the whole host.
    pub findings: Vec<FindingStatus>,
    /// The error of the last full pass, or the reason why no pass can start.
    pub failure: Option<String>,
    /// The reason why the last pass, over any part, could not start.
    #[serde(skip)]
    pub blocked: Option<String>,
    /// Why /healthz answers 503; `None` if it answers 200. Filled in for display.
    pub unhealthy: Option<String>,
    /// The process that holds the lock, while the service waits for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// Counters since the start of the service.
    pub counters: Counters,
    /// The replication worker; `None` if the document has no `replicate`.
    pub worker: Option<WorkerStatus>,
    /// The WireGuard interfaces of the document.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub handshakes: Vec<HandshakeStatus>,
    /// The causes of lost packets.
    pub doctor: DoctorStatus,
    /// The probes of the document, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<ProbeStatus>,
    /// The last pass that wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_apply: Option<LastApply>,
    /// The policies of a cluster; `None` if the service follows none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policies: Option<PoliciesStatus>,
    #[serde(skip)]
    by_fact: BTreeMap<Fact, DriftStatus>,
    /// The host's ends of skipped pods' veths, each with its index.
    #[serde(skip)]
    stale: BTreeMap<LinkName, u32>,
    /// The host's ends of veths into pods that netkeel cannot reach, each with its index. Neither end is set.
    #[serde(serialize_with = "number")]
    pub unreachable_pods: BTreeMap<LinkName, u32>,
    /// The MTU of each interface for which one is wanted.
    #[serde(skip)]
    pub mtus: Mtus,
    /// The metrics have series for each interface, also for those that a match finds.
    #[serde(skip)]
    pub metrics_per_interface: bool,
    /// The interface with the smallest MTU among the default routes, if a budget depends on them, and that
    /// MTU in bytes.
    #[serde(skip)]
    pub underlay: Option<(LinkName, i64)>,
}

/// The document in force.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DocumentStatus {
    /// Its hash.
    pub hash: String,
    /// Its owner.
    pub owner: String,
    /// The files it was read from.
    pub files: Vec<String>,
    /// The load time, Unix seconds.
    pub loaded: u64,
    /// The reason why a newer document was rejected.
    pub rejected: Option<String>,
}

/// A pause of all writes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PauseStatus {
    /// The end, Unix seconds.
    pub until: u64,
    /// The start, Unix seconds.
    pub since: u64,
    /// The user who started it.
    pub by: String,
    /// Why, as the user gave it.
    pub reason: Option<String>,
}

/// A fact that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DriftStatus {
    /// The fact.
    pub fact: String,
    /// The kind of the document that wants it.
    pub kind: String,
    /// The path in the document.
    pub path: String,
    /// The current value.
    pub observed: String,
    /// The wanted value.
    pub desired: String,
    /// The index of its interface.
    #[serde(skip)]
    index: Option<u32>,
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FindingStatus {
    /// Its code.
    pub code: Code,
    /// Its subject.
    pub subject: String,
    /// The fact that was found.
    pub message: String,
}

impl Status {
    /// The status of a service that has not scanned the host yet.
    pub fn new(mode: &'static str, netns: Option<String>, since: u64, pid: u32) -> Self {
        Status {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION"),
            pid,
            since,
            mode,
            dry_run: false,
            idle: false,
            ready: false,
            netns,
            document: DocumentStatus::default(),
            paused: None,
            looked: false,
            scanned: None,
            only_by_full_scans: false,
            wanted: 0,
            drift: Vec::new(),
            suspended: Vec::new(),
            unread: UnreadFacts::default(),
            problems: Vec::new(),
            findings: Vec::new(),
            failure: None,
            blocked: None,
            unhealthy: None,
            waits: None,
            counters: Counters::default(),
            worker: None,
            handshakes: Vec::new(),
            doctor: DoctorStatus::default(),
            probes: Vec::new(),
            last_apply: None,
            policies: None,
            by_fact: BTreeMap::new(),
            stale: BTreeMap::new(),
            unreachable_pods: BTreeMap::new(),
            mtus: Mtus::default(),
            metrics_per_interface: false,
            underlay: None,
        }
    }

    /// Records the duration of a pass.
    pub fn took(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = BUCKETS
            .iter()
            .position(|bound| seconds <= *bound)
            .unwrap_or(BUCKETS.len());
        if let Some(count) = self.counters.durations.get_mut(bucket) {
            *count += 1;
        }
        self.counters.seconds += seconds;
        self.counters.passes += 1;
    }

    /// Records the observation of a pass. `right` means that the pass corrected all drift but that of
    /// suspended facts (`suspended`). `link_of` looks interfaces up by index.
    pub fn saw<'a>(
        &mut self,
        extent: &Extent,
        seen: &Observation,
        suspended: &dyn Fn(&Fact) -> bool,
        right: bool,
        link_of: &dyn Fn(u32) -> Option<&'a Link>,
    ) {
        let within = |fact: &Fact| match (extent, fact.link_name()) {
            (Extent::All, _) | (Extent::Rest, None) => true,
            (Extent::Rest, Some(_)) => matches!(fact.field, Field::RouteMetric(..)),
            (Extent::Links(_), None) => false,
            // A scan of some interfaces reads neither routes nor pods.
            (Extent::Links(_), Some(name)) => seen.links.contains_key(&name) && !is_read_with_all(fact.field),
        };
        self.by_fact.retain(|fact, _| !within(fact));
        for drift in seen.drift.iter().filter(|drift| !right || suspended(&drift.fact)) {
            let name = drift.fact.link_name();
            let index = name.and_then(|name| seen.links.get(&name).copied());
            self.by_fact.insert(drift.fact.clone(), shown(drift, index));
        }
        let unread = seen.unread.iter().filter(|fact| within(fact)).map(|fact| {
            let index = fact.link_name().and_then(|name| seen.links.get(&name).copied());
            (fact.clone(), index)
        });
        self.unread.replace(within, unread);
        if *extent == Extent::All {
            self.mtus = Mtus::default();
            self.wanted = seen.wanted;
            self.underlay = seen.underlay;
            let indexed = |name: &LinkName| Some((*name, *seen.links.get(name)?));
            self.stale = seen.stale.keys().filter_map(indexed).collect();
            self.unreachable_pods = seen.unreachable.iter().filter_map(indexed).collect();
        }
        for (name, wanted) in &seen.mtus {
            if let Some(link) = seen.links.get(name).and_then(|index| link_of(*index)) {
                let mtu = MtuStatus {
                    index: link.index,
                    class: link.kind.clone(),
                    observed: link.mtu,
                    desired: wanted.bytes,
                    rule: wanted.rule.clone(),
                    named: wanted.named,
                };
                self.mtus.insert(*name, mtu);
            }
        }
    }

    /// The CNI configurations among these drifting facts that were in sync at the last scan, so another
    /// program wrote them. Adds them to the counter.
    pub fn rewritten<'a>(&mut self, differ: impl Iterator<Item = &'a Fact>) -> BTreeSet<Fact> {
        let news = |fact: &&Fact| {
            let of_cni = matches!(fact.object, Object::Plugin(_));
            of_cni && self.looked && !self.by_fact.contains_key(*fact)
        };
        let rewritten: BTreeSet<Fact> = differ.filter(news).cloned().collect();
        self.counters.conflist_rewrites += rewritten.len() as u64;
        rewritten
    }

    /// The number of pods whose end of the veth, or a route over it, has another MTU than is wanted.
    /// Skipped pods count too.
    pub fn stale_pods(&self) -> usize {
        let of_pod = |fact: &&Fact| matches!(fact.field, Field::PodMtu | Field::PodRouteMtu(_));
        let drift = self.by_fact.keys().filter(of_pod).filter_map(Fact::link_name);
        drift
            .chain(self.stale.keys().copied())
            .collect::<BTreeSet<_>>()
            .len()
    }

    /// The number of veths into pods whose ends are not set as declared: pods that another program manages, and those
    /// that netkeel cannot reach.
    pub fn skipped_veths(&self) -> usize {
        let skipped = self.stale.keys().chain(self.unreachable_pods.keys());
        skipped.collect::<BTreeSet<_>>().len()
    }

    /// Removes deleted interfaces.
    pub fn forget(&mut self, gone: &[u32]) {
        if gone.is_empty() {
            return;
        }
        for index in gone {
            self.mtus.forget(*index);
        }
        let gone: BTreeSet<u32> = gone.iter().copied().collect();
        for veths in [&mut self.stale, &mut self.unreachable_pods] {
            veths.retain(|_, index| !gone.contains(index));
        }
        self.unread.forget(&gone);
        self.by_fact
            .retain(|_, drift| drift.index.is_none_or(|index| !gone.contains(&index)));
    }

    /// The facts that differ, each as `FACT: OBSERVED -> DESIRED`.
    pub fn differing(&self) -> BTreeMap<Fact, String> {
        let shown = |drift: &DriftStatus| format!("{}: {} -> {}", drift.fact, drift.observed, drift.desired);
        let facts = self.by_fact.iter();
        facts.map(|(fact, drift)| (fact.clone(), shown(drift))).collect()
    }

    /// The facts that differ, each with its entry.
    pub fn drifting(&self) -> impl Iterator<Item = (&Fact, &DriftStatus)> {
        self.by_fact.iter()
    }

    /// The number of facts that differ, by the kind of the document that wants them.
    pub fn drift_by_kind(&self) -> BTreeMap<&str, usize> {
        let mut kinds = BTreeMap::new();
        for drift in self.by_fact.values() {
            *kinds.entry(drift.kind.as_str()).or_default() += 1;
        }
        kinds
    }

    /// Whether the service works. Drift does not count, since other programs can cause it.
    ///
    /// # Errors
    /// The reason why it does not.
    pub fn healthy(&self) -> Result<(), String> {
        if let Some(why) = self.blocked.as_ref().or(self.failure.as_ref()) {
            return Err(why.clone());
        }
        if !self.looked {
            return Err("the first full scan has not finished".into());
        }
        if let Some(why) = self.handshakes.iter().find_map(|one| one.stale.clone()) {
            return Err(why);
        }
        match &self.worker {
            Some(worker) if worker.health == WorkerHealth::Failed => {
                let why = worker
                    .error
                    .as_deref()
                    .unwrap_or("the worker has not answered yet");
                Err(format!("packets are not replicated: {why}"))
            }
            _ => Ok(()),
        }
    }

    /// The number of facts that could not be read, as the end of a sentence; empty if everything was read.
    pub fn reservation(&self) -> String {
        reservation(self.unread.count(), self.problems.len())
    }

    /// The status in one sentence.
    pub fn sentence(&self) -> String {
        if let Some(why) = &self.document.rejected {
            let why = why.lines().next().unwrap_or_default();
            return format!("a new document was rejected; the previous one stays in force: {why}");
        }
        if let Some(pause) = &self.paused {
            return format!("paused by {}; {} facts differ", pause.by, self.by_fact.len());
        }
        match self.healthy() {
            Err(why) => why,
            Ok(()) if self.idle => "idle: there is no document".into(),
            Ok(()) if !self.unreachable_pods.is_empty() => {
                format!(
                    "neither end is set of veths into pods that netkeel cannot reach: {}",
                    self.unreachable_pods.len()
                )
            }
            Ok(()) if self.by_fact.is_empty() && !self.stale.is_empty() => {
                let (unread, stale) = (self.reservation(), self.stale.len());
                format!("in sync{unread}; skipped pods with another MTU: {stale}")
            }
            Ok(()) if self.by_fact.is_empty() => format!("in sync{}", self.reservation()),
            Ok(()) => format!(
                "drift: {} facts differ, {} suspended{}",
                self.by_fact.len(),
                self.suspended.len(),
                self.reservation()
            ),
        }
    }

    /// A copy whose lists are filled in, for display.
    pub fn to_show(&self) -> Status {
        let mut shown = self.clone();
        shown.drift = self.by_fact.values().cloned().collect();
        shown.failure = self.blocked.clone().or(shown.failure);
        shown.unhealthy = self.healthy().err();
        shown
    }
}

/// Only a scan of the whole host reads facts of this field.
fn is_read_with_all(field: Field) -> bool {
    matches!(
        field,
        Field::PodMtu | Field::PodRouteMtu(_) | Field::PodAddress(_) | Field::RouteMetric(..)
    )
}

/// The number of entries.
fn number<S: Serializer>(veths: &BTreeMap<LinkName, u32>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(veths.len() as u64)
}

/// Problems as people read them: `sysctl net.core.rmem_max: Permission denied`.
fn in_words<S: Serializer>(problems: &[Problem], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(problems.iter().map(ToString::to_string))
}

fn shown(drift: &Drift, index: Option<u32>) -> DriftStatus {
    let (observed, desired) = drift
        .fact
        .summaries(drift.observed.as_ref(), drift.desired.as_ref());
    let section = drift.origin.section;
    DriftStatus {
        fact: drift.fact.to_string(),
        // A fact that left the document has no path.
        kind: section.map_or("released", |section| section.as_str()).to_owned(),
        path: drift.origin.path.to_string(),
        observed,
        desired,
        index,
    }
}
