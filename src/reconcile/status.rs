//! What the service tells of itself: kept in one place, from which `netkeel status` and the metrics
//! are read.

pub mod handshake;
pub mod mtus;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

use crate::event::Now;
use crate::status::handshake::HandshakeStatus;
use crate::status::mtus::{MtuStatus, Mtus};
use crate::suspended::{Suspension, Why};
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

/// Bounds of the histogram of how long passes take, seconds.
pub const BUCKETS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];

/// A service that showed no sign of life for so long hangs; a large host takes a while.
const HANGS: Duration = Duration::from_secs(60);

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of netkeel.
    pub version: &'static str,
    /// Its process.
    pub pid: u32,
    /// When it began, seconds since 1970.
    pub since: u64,
    /// `observe` or `enforce`.
    pub mode: &'static str,
    /// Its worker sends nothing, whatever the document says.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// The namespace; none for that of the host.
    pub netns: Option<String>,
    /// The document that holds.
    pub document: DocumentStatus,
    /// Nothing is written until then.
    pub paused: Option<PauseStatus>,
    /// The whole host was looked at since the document was read.
    pub looked: bool,
    /// How many facts of the whole host are wanted.
    pub wanted: usize,
    /// What differs.
    pub drift: Vec<DriftStatus>,
    /// What is left alone.
    pub left_alone: Vec<SuspendedStatus>,
    /// What could not be read.
    #[serde(serialize_with = "in_words")]
    pub problems: Vec<Problem>,
    /// What is worth knowing of the whole host.
    pub findings: Vec<FindingStatus>,
    /// Why the last pass over the whole host failed, or why none can be begun.
    pub failure: Option<String>,
    /// Why the last pass, over whatever part, could not be begun.
    #[serde(skip)]
    pub blocked: Option<String>,
    /// Numbers that only grow.
    pub counters: Counters,
    /// The worker that replicates; none when the document has none.
    pub worker: Option<WorkerStatus>,
    /// The WireGuard interfaces of the document.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub handshakes: Vec<HandshakeStatus>,
    /// When the service last showed that it is alive.
    #[serde(skip)]
    pub alive: Instant,
    #[serde(skip)]
    by_fact: BTreeMap<Fact, DriftStatus>,
    /// The interfaces that lead into pods which are stale and left alone, each with its index.
    #[serde(skip)]
    stale: BTreeMap<LinkName, u32>,
    /// The MTU of each interface that one is wanted of.
    #[serde(skip)]
    pub mtus: Mtus,
    /// The interface that budgets over the default routes stand on, with its MTU in bytes.
    #[serde(skip)]
    pub underlay: Option<(LinkName, i64)>,
}

/// The document.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DocumentStatus {
    /// Its hash.
    pub hash: String,
    /// Its owner.
    pub owner: String,
    /// Where it is read from.
    pub files: Vec<String>,
    /// When it was read, seconds since 1970.
    pub loaded: u64,
    /// Why a newer one was not taken.
    pub rejected: Option<String>,
}

/// A pause.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PauseStatus {
    /// When it ends, seconds since 1970.
    pub until: u64,
    /// When it began.
    pub since: u64,
    /// Who asked for it.
    pub by: String,
}

/// A fact that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DriftStatus {
    /// The fact.
    pub fact: String,
    /// The kind of the document that wants it.
    pub kind: String,
    /// The place in the document.
    pub path: String,
    /// What it is.
    pub observed: String,
    /// What it should be.
    pub desired: String,
    /// The index of its interface.
    #[serde(skip)]
    index: Option<u32>,
}

/// A fact that is left alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SuspendedStatus {
    /// The fact.
    pub fact: String,
    /// `flaps` or `refused`.
    pub why: &'static str,
    /// What was said when it could not be written.
    pub reason: Option<String>,
    /// How often it was put right, or tried to.
    pub times: u32,
    /// Seconds until it is tried again; 0 when it is on probation.
    pub(crate) again_in: u64,
    /// Who is known to write it too.
    pub writers: Vec<String>,
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FindingStatus {
    /// Its code.
    pub code: Code,
    /// What it is about.
    pub subject: String,
    /// What was found.
    pub message: String,
}

/// Numbers that only grow.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counters {
    /// Looks at a part of the host.
    pub passes: u64,
    /// Passes that wrote something and found it to hold.
    pub applies: u64,
    /// Writes of those.
    pub writes: u64,
    /// Passes that failed.
    pub failures: u64,
    /// Passes that failed and were undone.
    pub rollbacks: u64,
    /// Passes that failed and could not be undone.
    pub not_rolled_back: u64,
    /// Facts that began to flap.
    pub flaps: u64,
    /// Times that somebody else wrote a CNI configuration that was right.
    pub conflist_rewrites: u64,
    /// Times that the kernel had more to tell than there was room for.
    pub events_lost: u64,
    /// Times that the document was read.
    pub loads: u64,
    /// Times that it was not taken.
    pub load_failures: u64,
    /// How many passes took no longer than each of [`BUCKETS`], and how many there were.
    #[serde(skip)]
    pub durations: [u64; BUCKETS.len() + 1],
    /// Seconds that all passes took.
    #[serde(skip)]
    pub seconds: f64,
}

impl Status {
    /// A picture of a service that has not looked yet.
    pub fn new(mode: &'static str, netns: Option<String>, since: u64, pid: u32, now: Instant) -> Self {
        Status {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION"),
            pid,
            since,
            mode,
            dry_run: false,
            netns,
            document: DocumentStatus::default(),
            paused: None,
            looked: false,
            wanted: 0,
            drift: Vec::new(),
            left_alone: Vec::new(),
            problems: Vec::new(),
            findings: Vec::new(),
            failure: None,
            blocked: None,
            counters: Counters::default(),
            worker: None,
            handshakes: Vec::new(),
            alive: now,
            by_fact: BTreeMap::new(),
            stale: BTreeMap::new(),
            mtus: Mtus::default(),
            underlay: None,
        }
    }

    /// A pass took so long.
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

    /// A look at a part saw this. `right` says that what it found to differ was put right, all but
    /// what is left alone; `link_of` knows the interfaces.
    pub fn saw<'a>(
        &mut self,
        extent: &Extent,
        seen: &Observation,
        alone: &dyn Fn(&Fact) -> bool,
        right: bool,
        link_of: &dyn Fn(u32) -> Option<&'a Link>,
    ) {
        let within = |fact: &Fact| match (extent, fact.link_name()) {
            (Extent::All, _) | (Extent::Rest, None) => true,
            (Extent::Rest, Some(_)) | (Extent::Links(_), None) => false,
            (Extent::Links(_), Some(name)) => seen.links.contains_key(&name),
        };
        self.by_fact.retain(|fact, _| !within(fact));
        for drift in seen.drift.iter().filter(|drift| !right || alone(&drift.fact)) {
            let name = drift.fact.link_name();
            let index = name.and_then(|name| seen.links.get(&name).copied());
            self.by_fact.insert(drift.fact.clone(), shown(drift, index));
        }
        if *extent == Extent::All {
            self.mtus = Mtus::default();
            self.wanted = seen.wanted;
            self.underlay = seen.underlay;
            let indexed = |name: &LinkName| Some((*name, *seen.links.get(name)?));
            self.stale = seen.stale.keys().filter_map(indexed).collect();
        }
        for (name, desired) in &seen.mtus {
            if let Some(link) = seen.links.get(name).and_then(|index| link_of(*index)) {
                let mtu = MtuStatus {
                    index: link.index,
                    class: link.kind.clone(),
                    observed: link.mtu,
                    desired: *desired,
                };
                self.mtus.insert(*name, mtu);
            }
        }
    }

    /// Which CNI configurations among what differs were right when they were seen last: somebody else
    /// has written them. They are counted.
    pub fn rewritten<'a>(&mut self, differ: impl Iterator<Item = &'a Fact>) -> BTreeSet<Fact> {
        let news = |fact: &&Fact| {
            let of_cni = matches!(fact.object, Object::Plugin(_));
            of_cni && self.looked && !self.by_fact.contains_key(*fact)
        };
        let rewritten: BTreeSet<Fact> = differ.filter(news).cloned().collect();
        self.counters.conflist_rewrites += rewritten.len() as u64;
        rewritten
    }

    /// How many veths lead into pods whose end, or a route by it, has another MTU than is wanted, be it
    /// that netkeel may mend it or not.
    pub fn stale_pods(&self) -> usize {
        let of_pod = |fact: &&Fact| matches!(fact.field, Field::PodMtu | Field::PodRouteMtu(_));
        let drift = self.by_fact.keys().filter(of_pod).filter_map(Fact::link_name);
        drift
            .chain(self.stale.keys().copied())
            .collect::<BTreeSet<_>>()
            .len()
    }

    /// Interfaces went.
    pub fn forget(&mut self, gone: &[u32]) {
        if gone.is_empty() {
            return;
        }
        for index in gone {
            self.mtus.forget(*index);
        }
        let gone: BTreeSet<u32> = gone.iter().copied().collect();
        self.stale.retain(|_, index| !gone.contains(index));
        self.by_fact
            .retain(|_, drift| drift.index.is_none_or(|index| !gone.contains(&index)));
    }

    /// How many facts differ, by the kind that wants them.
    pub fn drift_by_kind(&self) -> BTreeMap<&str, usize> {
        let mut kinds = BTreeMap::new();
        for drift in self.by_fact.values() {
            *kinds.entry(drift.kind.as_str()).or_default() += 1;
        }
        kinds
    }

    /// Everything that is to be so is so, and nothing stands in the way of its staying so.
    pub fn healthy(&self, now: Instant) -> Result<(), String> {
        if now.saturating_duration_since(self.alive) > HANGS {
            return Err("the service hangs".into());
        }
        if let Some(why) = self.blocked.as_ref().or(self.failure.as_ref()) {
            return Err(why.clone());
        }
        if !self.looked {
            return Err("the host was not looked at yet".into());
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
                Err(format!("nothing is replicated: {why}"))
            }
            _ => Ok(()),
        }
    }

    /// All of it in a sentence.
    pub fn sentence(&self, now: Instant) -> String {
        if let Some(why) = &self.document.rejected {
            let why = why.lines().next().unwrap_or_default();
            return format!("the document was not taken, an older one holds: {why}");
        }
        if let Some(pause) = &self.paused {
            return format!("paused by {}; {} facts differ", pause.by, self.by_fact.len());
        }
        match self.healthy(now) {
            Err(why) => why,
            Ok(()) if self.by_fact.is_empty() && !self.stale.is_empty() => format!(
                "everything that may be written is as it is wanted; stale pods that are left alone: {}",
                self.stale.len()
            ),
            Ok(()) if self.by_fact.is_empty() => "everything is as it is wanted".into(),
            Ok(()) => format!(
                "{} facts differ, {} left alone",
                self.by_fact.len(),
                self.left_alone.len()
            ),
        }
    }

    /// The picture with its lists filled in, to be shown.
    pub fn to_show(&self) -> Status {
        let mut shown = self.clone();
        shown.drift = self.by_fact.values().cloned().collect();
        shown.failure = self.blocked.clone().or(shown.failure);
        shown
    }
}

impl SuspendedStatus {
    /// A fact that is left alone, at a moment.
    pub fn new(fact: &Fact, alone: &Suspension, now: Now, writers: Vec<String>) -> Self {
        let (why, reason) = match &alone.why {
            Why::Flaps => ("flaps", None),
            Why::Refused(reason) => ("refused", Some(reason.clone())),
        };
        SuspendedStatus {
            fact: fact.to_string(),
            why,
            reason,
            times: alone.times,
            again_in: alone.until.saturating_sub(now).as_secs_f64().ceil() as u64,
            writers,
        }
    }
}

/// Problems as people read them: `sysctl net.core.rmem_max: Permission denied`.
fn in_words<S: Serializer>(problems: &[Problem], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(problems.iter().map(ToString::to_string))
}

fn shown(drift: &Drift, index: Option<u32>) -> DriftStatus {
    DriftStatus {
        fact: drift.fact.to_string(),
        // What left the document has no path.
        kind: drift
            .origin
            .section
            .map_or("released", |section| section.as_str())
            .to_owned(),
        path: drift.origin.path.to_string(),
        observed: drift.fact.show(drift.observed.as_ref()),
        desired: drift.fact.show(drift.desired.as_ref()),
        index,
    }
}
