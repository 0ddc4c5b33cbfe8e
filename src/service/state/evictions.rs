//! The evictions of stale pods on this node: what is asked next, what waits, and what is on record.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use netkeel_core::cluster_policies::evictions::{EvictionRecord, OwnerRecord};
use netkeel_core::error::Error;
use netkeel_core::finding::Code;
use netkeel_document::policy::eviction::judge::{Judged, Verdict, View, judge, pods_of, stop_owners};
use netkeel_document::policy::eviction::news::{Eviction, EvictionEnd};
use netkeel_document::policy::eviction::{PodSeen, StalePod};
use netkeel_reconcile::event::Now;
use netkeel_reconcile::status::FindingStatus;
use netkeel_reconcile::status::policies::EvictionStatus;

/// The pause of a node after each eviction.
const BETWEEN: Duration = Duration::from_secs(30);

/// The first pause of a pod whose owner is not whole, or whose answer was lost; it doubles.
const AGAIN_LATER: Duration = BETWEEN;

/// The first pause after a refusal without advice; it doubles.
const AGAIN: Duration = Duration::from_secs(10);

/// The longest pause after a refusal without advice.
const AGAIN_LONGEST: Duration = Duration::from_secs(600);

/// The time between two looks at the pods while some are stale.
const LOOK: Duration = Duration::from_secs(10);

/// The time after the pods could not be listed.
const LOOK_AFTER_TROUBLE: Duration = Duration::from_secs(60);

/// The evictions.
#[derive(Debug, Default)]
pub(crate) struct Evictions {
    /// What is on record.
    pub(crate) record: EvictionRecord,
    /// Why nobody knows what is on record: nothing is evicted.
    pub(crate) unread: Option<String>,
    /// The stale pods, as the last scan found them.
    stale: Vec<StalePod>,
    /// The pods of the node at the last look.
    pods: BTreeMap<String, PodSeen>,
    /// A request is not answered.
    pub(crate) asks: bool,
    /// The next look.
    due: Now,
    /// The node evicts nothing before.
    rests: Now,
    /// Pods that are not evicted before, by UID.
    refused: BTreeMap<String, Refused>,
    /// The decisions that were reported, by pod.
    told: BTreeMap<String, String>,
    /// The pod that is asked for was on record before: its last answer was lost, and it may be evicted.
    was_asked: bool,
    /// The UIDs of the policies that evict.
    policies: BTreeSet<String>,
    /// The decisions, for the status.
    pub(crate) shown: Vec<EvictionStatus>,
    /// Why the pods cannot be listed.
    pub(crate) trouble: Option<String>,
}

#[derive(Debug)]
struct Refused {
    until: Now,
    tries: u32,
    why: String,
}

/// A decision that was not reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EvictionNotice {
    /// The pod, or the interface.
    pub(crate) pod: String,
    /// One word: `wait`, `shown`, or that of the reason.
    pub(crate) word: &'static str,
    /// One line.
    pub(crate) why: String,
}

/// What follows from a look.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Next {
    /// The pod to evict, if the scan of this moment agrees.
    pub(crate) evict: Option<Eviction>,
    /// Decisions that are news.
    pub(crate) notices: Vec<EvictionNotice>,
    /// Owners whose evictions stop, each with the pod that shows why.
    pub(crate) stopped: Vec<(String, String)>,
}

impl Evictions {
    /// Those on record before the start. `time` are Unix seconds.
    pub(crate) fn new(kept: Result<EvictionRecord, Error>, now: Now, time: u64) -> Self {
        match kept {
            Ok(record) => {
                let rest = record.last().map_or(Duration::ZERO, |last| {
                    // Of a clock that went back nobody knows how long ago it was.
                    let ago = time.checked_sub(last).map_or(Duration::ZERO, Duration::from_secs);
                    BETWEEN.saturating_sub(ago)
                });
                Evictions {
                    record,
                    rests: now + rest,
                    ..Evictions::default()
                }
            }
            Err(error) => Evictions {
                unread: Some(error.to_string()),
                ..Evictions::default()
            },
        }
    }

    /// Nobody knows now which policies hold: nothing is evicted, and what is on record stays.
    pub(crate) fn unsettled(&mut self) {
        self.stale.clear();
        self.shown.clear();
    }

    /// Takes the stale pods of a scan. `generations` are those of the policies that evict, by UID. `time` are Unix seconds.
    pub(crate) fn scanned(&mut self, stale: Vec<StalePod>, generations: &BTreeMap<String, i64>, time: u64) {
        self.record.retain_policies(generations, time);
        self.policies = generations.keys().cloned().collect();
        let uids: BTreeSet<&String> = stale
            .iter()
            .filter_map(|one| Some(&one.pod.as_ref()?.1))
            .collect();
        self.refused.retain(|uid, _| uids.contains(uid));
        self.stale = stale;
        if self.stale.is_empty() {
            self.shown.clear();
            self.told.clear();
            self.trouble = None;
        }
    }

    /// Whether the pods of the node are to be listed now.
    pub(crate) fn is_due(&self, now: Now) -> bool {
        !self.stale.is_empty() && !self.asks && now >= self.due
    }

    /// The pods cannot be listed. Returns whether that is news.
    pub(crate) fn not_listed(&mut self, why: String, now: Now) -> bool {
        self.asks = false;
        self.due = now + LOOK_AFTER_TROUBLE;
        let is_news = self.trouble.as_ref() != Some(&why);
        self.trouble = Some(why);
        is_news
    }

    /// Takes a list of the node's pods.
    pub(crate) fn listed(&mut self, pods: BTreeMap<String, PodSeen>, now: Now) -> Next {
        self.asks = false;
        self.due = now + LOOK;
        self.trouble = None;
        self.record.retain_ending(|uid| pods.contains_key(uid));
        self.pods = pods;
        self.decide(now)
    }

    /// Decides with the stale pods and the list that are known.
    pub(crate) fn decide(&mut self, now: Now) -> Next {
        let stopped = stop_owners(&mut self.record, &self.stale, &self.pods);
        let waits = self.refused.iter().filter(|(_, one)| now < one.until);
        let waits = waits.map(|(uid, one)| (uid.clone(), one.why.clone())).collect();
        let rest = (now < self.rests).then(|| format!("{} s after the last eviction", BETWEEN.as_secs()));
        let unread = self.unread.as_ref();
        let unread = unread.map(|why| format!("nobody knows which pods were evicted before: {why}"));
        let pause = unread.or(rest);
        let judged = judge(View {
            stale: &self.stale,
            pods: &self.pods,
            record: &self.record,
            waits: &waits,
            pause: pause.as_deref(),
        });
        self.shown = judged.iter().map(shown).collect();
        let evict = judged.iter().find(|one| one.verdict == Verdict::Evict);
        let evict = evict.and_then(|one| {
            let (pod, (_, uid)) = (one.pod?, one.stale.pod.as_ref()?);
            Some(Eviction {
                namespace: pod.namespace.clone(),
                name: pod.name.clone(),
                uid: uid.clone(),
                owner: pod.owner.as_ref()?.uid.clone(),
                policy: one.stale.policy.clone(),
                policy_uid: one.stale.policy_uid.clone(),
                generation: one.stale.generation,
                node_uid: String::new(),
            })
        });
        let notices = judged
            .iter()
            .filter_map(|one| notice(one, &waits))
            .collect::<Vec<_>>();
        // Of a pod that is tried again in between, the next refusal is no news.
        let stale: BTreeSet<String> = judged.iter().map(name).collect();
        self.told.retain(|pod, _| stale.contains(pod));
        let notices = self.news(&notices);
        Next {
            evict,
            notices,
            stopped,
        }
    }

    /// The decisions that differ from those that were reported. The text of one that waits changes often: its word counts.
    fn news(&mut self, notices: &[EvictionNotice]) -> Vec<EvictionNotice> {
        let is_news = |one: &&EvictionNotice| self.told.get(&one.pod).map(String::as_str) != Some(one.word);
        let news: Vec<EvictionNotice> = notices
            .iter()
            .filter(is_news)
            .take(MOST_AT_ONCE)
            .cloned()
            .collect();
        let told = news.iter().map(|one| (one.pod.clone(), one.word.to_owned()));
        self.told.extend(told);
        news
    }

    /// Writes down that a pod is evicted. `time` are Unix seconds.
    pub(crate) fn ask(&mut self, eviction: &Eviction, time: u64) {
        let pod = self.pods.get(&eviction.uid);
        let new = OwnerRecord {
            owner: pod.map(PodSeen::shown_owner).unwrap_or_default(),
            policy: eviction.policy_uid.clone(),
            generation: eviction.generation,
            known: pods_of(&eviction.owner, &self.pods),
            ..OwnerRecord::default()
        };
        self.was_asked = self.record.is_asked(&eviction.uid);
        self.record.ask(&eviction.owner, &eviction.uid, new, time);
    }

    /// Takes back that a pod was asked for: nothing was asked, or the server refused it. One that an earlier request may have
    /// evicted stays on record.
    pub(crate) fn take_back(&mut self, uid: &str) {
        if !self.was_asked {
            self.record.take_back(uid);
        }
    }

    /// The pod with a UID, as `NAMESPACE/NAME`.
    pub(crate) fn name(&self, uid: &str) -> String {
        self.pods.get(uid).map_or_else(|| uid.to_owned(), PodSeen::shown)
    }

    /// Takes the end of an eviction. Returns whether the record changed.
    pub(crate) fn ended(&mut self, uid: &str, end: &EvictionEnd, now: Now) -> bool {
        self.asks = false;
        self.due = now;
        let (why, after, first) = match end {
            EvictionEnd::Evicted => {
                self.rests = now + BETWEEN;
                self.refused.remove(uid);
                return false;
            }
            EvictionEnd::Gone => ("the API server has no pod with this UID", None, AGAIN),
            EvictionEnd::Busy(why) => (why.as_str(), None, AGAIN_LATER),
            EvictionEnd::Refused { after, why } => (why.as_str(), *after, AGAIN),
            EvictionEnd::Failed(why) => (why.as_str(), None, AGAIN),
            EvictionEnd::Unknown(why) => {
                // It may be evicted.
                self.rests = now + BETWEEN;
                (why.as_str(), None, AGAIN_LATER)
            }
        };
        let tries = self.refused.get(uid).map_or(0, |one| one.tries);
        let backoff = first.saturating_mul(1_u32 << tries.min(16)).min(AGAIN_LONGEST);
        let one = Refused {
            until: now + after.unwrap_or(backoff),
            tries: tries.saturating_add(1),
            why: why.to_owned(),
        };
        self.refused.insert(uid.to_owned(), one);
        if matches!(end, EvictionEnd::Gone | EvictionEnd::Unknown(_)) {
            return false;
        }
        self.take_back(uid);
        true
    }

    /// A finding for each owner whose new pods are stale as well.
    pub(crate) fn findings(&self) -> Vec<FindingStatus> {
        let owners = self.record.owners.values();
        let owners = owners.filter(|one| self.policies.contains(&one.policy));
        let stopped = owners.filter_map(|one| Some((one, one.stopped.as_ref()?)));
        stopped
            .map(|(one, pod)| FindingStatus {
                code: Code::NK090,
                subject: one.owner.clone(),
                message: stopped_sentence(pod),
            })
            .collect()
    }
}

/// Decisions that are reported at one time. The others follow.
const MOST_AT_ONCE: usize = 8;

/// What a stale new pod means.
pub(crate) fn stopped_sentence(pod: &str) -> String {
    format!(
        "its pod {pod} was created after an eviction and has a wrong MTU as well: netkeel evicts no more of its pods on this node"
    )
}

/// A decision as news. That a pod waits for its turn is none.
fn notice(judged: &Judged<'_>, waits: &BTreeMap<String, String>) -> Option<EvictionNotice> {
    let is_refused = judged
        .stale
        .pod
        .as_ref()
        .is_some_and(|(_, uid)| waits.contains_key(uid));
    let (word, why) = match &judged.verdict {
        Verdict::Evict => return None,
        Verdict::Wait(_) if !is_refused => return None,
        Verdict::Wait(why) => ("wait", why.clone()),
        Verdict::OnlyShown(why) => ("shown", (*why).to_owned()),
        Verdict::Skip(skip) => (skip.word(), skip.to_string()),
    };
    Some(EvictionNotice {
        pod: name(judged),
        word,
        why,
    })
}

fn name(judged: &Judged<'_>) -> String {
    match (judged.pod, &judged.stale.pod) {
        (Some(pod), _) => pod.shown(),
        (None, Some((name, _))) => name.clone(),
        (None, None) => judged.stale.link.clone(),
    }
}

fn shown(judged: &Judged<'_>) -> EvictionStatus {
    let (action, why) = match &judged.verdict {
        Verdict::Evict => ("evict", None),
        Verdict::Wait(why) => ("wait", Some(why.clone())),
        Verdict::OnlyShown(why) => ("only-shown", Some((*why).to_owned())),
        Verdict::Skip(skip) => ("skip", Some(skip.to_string())),
    };
    EvictionStatus {
        link: judged.stale.link.clone(),
        pod: judged.stale.pod.as_ref().map(|_| name(judged)),
        owner: judged
            .pod
            .map(PodSeen::shown_owner)
            .filter(|owner| !owner.is_empty()),
        policy: judged.stale.policy.clone(),
        action,
        why,
    }
}

#[cfg(test)]
mod tests;
