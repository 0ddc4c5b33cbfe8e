//! The changes of policies on this node: each takes a slot, asks its probes, begins, is applied, and holds or fails.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use netkeel_apply::store::kept::policies::FailedChange;
use netkeel_core::probe::Probe;
use netkeel_document::policy::choice::{Choice, Held};
use netkeel_document::policy::rollout::MaxUnavailable;
use netkeel_document::policy::selector::NodeSelector;
use netkeel_document::policy::slots::Phase;
use netkeel_document::policy::wish::{SlotNews, SlotState, Wish};
use netkeel_document::policy::{Policy, Unread};
use netkeel_reconcile::event::Now;

/// The changes.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Changes need slots: the agent writes.
    pub(crate) paced: bool,
    /// The changes that have a slot, by the UID of the policy.
    running: BTreeMap<String, Change>,
    /// The changes that failed, by the UID of the policy.
    failed: BTreeMap<String, FailedChange>,
    /// The slots of those, as the last list of the policies has them, by the UID of the policy.
    failed_slots: BTreeMap<String, Wish>,
    /// Why policies wait for a slot, by UID.
    waiting: BTreeMap<String, String>,
    /// Why the slots cannot be followed now.
    pub(crate) trouble: Option<String>,
    /// The passes for the running changes that wrote nothing and failed.
    tries: u8,
    /// A pass for them wrote a part of them, which holds.
    wrote: bool,
    /// Since when no pass for them could start.
    blocked: Option<Now>,
}

/// The most passes for a change that may write nothing and fail.
const TRIES: u8 = 3;

/// The longest time for which no pass for a change may start.
const BLOCKED_LONGEST: Duration = Duration::from_secs(300);

/// A change that has a slot.
#[derive(Debug)]
struct Change {
    /// The version that is to come in force.
    new: Policy,
    /// The version before.
    old: Option<Policy>,
    stage: Stage,
    /// The probes that passed before.
    passed: Vec<Probe>,
}

/// A change that failed.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The version that did not come in force.
    pub(crate) new: Policy,
    /// The version before.
    pub(crate) old: Option<Policy>,
    /// A part of it was written, and holds.
    pub(crate) wrote: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The probes are asked.
    Asking,
    /// The server is to know that the node begins.
    Beginning,
    /// The document may be written.
    Applying,
}

/// The next steps after news of the slots.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Next {
    /// Policies whose probes are to be asked now, by UID.
    pub(crate) ask: Vec<(String, Vec<Probe>)>,
    /// Other documents may come in force.
    pub(crate) chooses: bool,
    /// There are other wishes.
    pub(crate) wishes: bool,
    /// There is something to keep for the next start.
    pub(crate) keeps: bool,
}

impl Changes {
    /// No running change; those that `failed` before the start.
    pub(crate) fn new(paced: bool, failed: Vec<FailedChange>) -> Self {
        Changes {
            paced,
            failed: failed.into_iter().map(|one| (one.uid.clone(), one)).collect(),
            ..Changes::default()
        }
    }

    /// Why a change to a version of a policy may not begin yet.
    pub(crate) fn gate(&self, policy: &Policy) -> Option<Held> {
        if !self.paced {
            return None;
        }
        if let Some(failed) = self
            .failed
            .get(&policy.uid)
            .filter(|failed| is_of(failed, policy))
        {
            return Some(Held::RolledBack(failed.why.clone()));
        }
        let change = self.running.get(&policy.uid);
        match change.map(|change| (change.stage, change.new.hash == policy.hash)) {
            Some((Stage::Applying, true)) => None,
            Some((Stage::Asking, true)) => Some(Held::Slot("its probes are asked".to_owned())),
            Some((Stage::Beginning, true)) => Some(Held::Slot("the change begins".to_owned())),
            Some((_, false)) => Some(Held::Slot("an older change is not done".to_owned())),
            None => {
                let why = self.trouble.as_ref().or_else(|| self.waiting.get(&policy.uid));
                let why = why.map_or("the node has no slot yet", String::as_str);
                Some(Held::Slot(why.to_owned()))
            }
        }
    }

    /// Drops the changes that a new choice from a complete list does not have any more.
    pub(crate) fn follow(&mut self, choice: &Choice, listed: &[Result<Policy, Unread>]) {
        self.running.retain(|uid, change| {
            let is = |policy: &Policy| policy.uid == *uid && policy.hash == change.new.hash;
            match change.stage {
                Stage::Asking | Stage::Beginning => choice.changes.values().any(is),
                Stage::Applying => {
                    choice.policies.in_force.values().any(is) || choice.changes.values().any(is)
                }
            }
        });
        // Also while the version cannot be chosen, as in a conflict: the node keeps its slot until somebody edits or
        // deletes the policy.
        self.failed_slots = self
            .failed
            .iter()
            .filter_map(|(uid, failed)| Some((uid.clone(), slot_of(failed, listed)?)))
            .collect();
        self.failed.retain(|uid, _| self.failed_slots.contains_key(uid));
        self.waiting.retain(|uid, _| choice.changes.contains_key(uid));
    }

    /// Takes news of the slots. `choice` has the changes that may begin.
    pub(crate) fn learn(&mut self, news: SlotNews, choice: &Choice) -> Next {
        let mut next = Next::default();
        if self.trouble != news.trouble {
            self.trouble = news.trouble;
            next.chooses = true;
        }
        for (uid, state) in news.states {
            let Some(new) = choice.changes.get(&uid) else {
                continue;
            };
            let (document, phase, failed) = match state {
                SlotState::Waiting(why) => {
                    // It was lost before anything was begun.
                    let is_early = |change: &&Change| change.stage != Stage::Applying;
                    if self.running.get(&uid).filter(is_early).is_some() {
                        self.running.remove(&uid);
                        next.wishes = true;
                    }
                    next.chooses |= self.waiting.get(&uid) != Some(&why);
                    self.waiting.insert(uid, why);
                    continue;
                }
                SlotState::Held {
                    document,
                    phase,
                    failed,
                } => (document, phase, failed),
            };
            if document != new.hash || self.failed.get(&uid).is_some_and(|failed| is_of(failed, new)) {
                continue;
            }
            self.waiting.remove(&uid);
            if let Some(why) = failed {
                self.running.remove(&uid);
                self.record(new, &why);
                (next.chooses, next.wishes, next.keeps) = (true, true, true);
                continue;
            }
            match self.running.get_mut(&uid) {
                None => {
                    let probes = new.confirm.clone();
                    let stage = match probes.is_empty() {
                        true => Stage::Beginning,
                        false => Stage::Asking,
                    };
                    let change = Change {
                        new: new.clone(),
                        old: choice.policies.in_force.get(&new.name).cloned(),
                        stage,
                        passed: Vec::new(),
                    };
                    self.running.insert(uid.clone(), change);
                    match stage {
                        Stage::Asking => next.ask.push((uid, probes)),
                        Stage::Beginning | Stage::Applying => next.wishes = true,
                    }
                    next.chooses = true;
                }
                Some(change) if change.stage == Stage::Beginning && phase == Phase::Begun => {
                    change.stage = Stage::Applying;
                    next.chooses = true;
                }
                Some(_) => {}
            }
        }
        next
    }

    /// Takes the probes of a policy that pass now. Returns whether there are other wishes.
    pub(crate) fn asked(&mut self, uid: &str, document: &str, passed: Vec<Probe>) -> bool {
        let change = self.running.get_mut(uid);
        let change = change.filter(|change| change.stage == Stage::Asking && change.new.hash == document);
        let Some(change) = change else {
            return false;
        };
        change.stage = Stage::Beginning;
        change.passed = passed;
        true
    }

    /// The slots that the node wants; while it may not write, only those of changes that were begun.
    pub(crate) fn wishes(&self, choice: &Choice, writes: bool) -> BTreeMap<String, Wish> {
        let mut wishes = BTreeMap::new();
        if !self.paced {
            return wishes;
        }
        for (uid, new) in &choice.changes {
            if writes {
                wishes.insert(uid.clone(), wish(new, Phase::Taken, None));
            }
        }
        wishes.extend(self.failed_slots.clone());
        for (uid, change) in &self.running {
            let phase = match change.stage {
                Stage::Asking => Phase::Taken,
                Stage::Beginning | Stage::Applying => Phase::Begun,
            };
            if writes || change.stage == Stage::Applying {
                wishes.insert(uid.clone(), wish(&change.new, phase, None));
            }
        }
        wishes
    }

    /// The changes that are applied now, each with the version before it.
    pub(crate) fn applying(&self) -> impl Iterator<Item = (&Policy, Option<&Policy>)> {
        let running = self.running.values();
        let applying = running.filter(|change| change.stage == Stage::Applying);
        applying.map(|change| (&change.new, change.old.as_ref()))
    }

    /// The probes that passed before the changes that are applied now.
    pub(crate) fn confirm(&self) -> Vec<Probe> {
        let mut probes = Vec::new();
        for change in self.running.values().filter(|one| one.stage == Stage::Applying) {
            for probe in &change.passed {
                if !probes.contains(probe) {
                    probes.push(probe.clone());
                }
            }
        }
        probes
    }

    /// Ends the changes of these policies: they hold. Returns their names.
    pub(crate) fn hold(&mut self, uids: &BTreeSet<String>) -> Vec<String> {
        self.end(uids).into_iter().map(|change| change.new.name).collect()
    }

    /// Ends the changes of these policies: they failed.
    pub(crate) fn fail(&mut self, uids: &BTreeSet<String>, why: &str) -> Vec<Ended> {
        let wrote = self.wrote;
        let ended = self.end(uids);
        let ended = ended.into_iter().map(|change| {
            self.record(&change.new, why);
            Ended {
                new: change.new,
                old: change.old,
                wrote,
            }
        });
        ended.collect()
    }

    /// Records that the change to a version of a policy failed.
    fn record(&mut self, new: &Policy, why: &str) {
        let why = why.lines().next().unwrap_or_default().to_owned();
        let failed = FailedChange {
            uid: new.uid.clone(),
            generation: new.generation,
            document: new.hash.clone(),
            why: why.clone(),
        };
        self.failed.insert(new.uid.clone(), failed);
        let slot = wish(new, Phase::Failed, Some(why));
        self.failed_slots.insert(new.uid.clone(), slot);
    }

    /// No pass for the changes could start. Returns whether that lasts too long: something is in the way that does not
    /// pass, as a limit that is lower than the number of writes.
    pub(crate) fn is_blocked_too_long(&mut self, now: Now) -> bool {
        let since = *self.blocked.get_or_insert(now);
        now.saturating_sub(since) >= BLOCKED_LONGEST
    }

    /// A pass wrote a part of the changes, which holds.
    pub(crate) fn wrote(&mut self) {
        self.wrote = true;
    }

    /// A pass could start.
    pub(crate) fn goes_on(&mut self) {
        self.blocked = None;
    }

    /// Whether another pass is tried after one that wrote nothing and failed.
    pub(crate) fn tries_again(&mut self) -> bool {
        self.tries += 1;
        self.tries < TRIES
    }

    fn end(&mut self, uids: &BTreeSet<String>) -> Vec<Change> {
        self.tries = 0;
        self.blocked = None;
        self.wrote = false;
        uids.iter().filter_map(|uid| self.running.remove(uid)).collect()
    }

    /// The changes that failed.
    pub(crate) fn failed(&self) -> Vec<FailedChange> {
        self.failed.values().cloned().collect()
    }
}

fn is_of(failed: &FailedChange, policy: &Policy) -> bool {
    failed.document == policy.hash && failed.generation == policy.generation
}

fn wish(policy: &Policy, phase: Phase, why: Option<String>) -> Wish {
    Wish {
        policy: policy.name.clone(),
        document: policy.hash.clone(),
        generation: policy.generation,
        max: policy.max_unavailable,
        selector: policy.selector.clone(),
        phase,
        why,
    }
}

/// The slot of a change that failed, while a complete list has the version of the policy. Of an object that cannot be read
/// nobody knows whether it is another version.
fn slot_of(failed: &FailedChange, listed: &[Result<Policy, Unread>]) -> Option<Wish> {
    let why = Some(failed.why.clone());
    let found = listed.iter().find(|one| match one {
        Ok(policy) => policy.uid == failed.uid,
        Err(unread) => unread.uid == failed.uid,
    });
    match found? {
        Ok(policy) => is_of(failed, policy).then(|| wish(policy, Phase::Failed, why)),
        Err(unread) => Some(Wish {
            policy: unread.name.clone(),
            document: failed.document.clone(),
            generation: failed.generation,
            max: MaxUnavailable::default(),
            selector: NodeSelector::default(),
            phase: Phase::Failed,
            why,
        }),
    }
}

#[cfg(test)]
mod tests;
