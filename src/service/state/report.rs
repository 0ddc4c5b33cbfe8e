//! Records the result of a pass in the status.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::state::State;
use netkeel_core::fact::Fact;
use netkeel_host::snapshot::problem::{Problem, Subject};
use netkeel_plan::goal::part::Extent;
use netkeel_reconcile::event::{Blamed, Outcome};
use netkeel_reconcile::pass_result::PassResult;
use netkeel_reconcile::status::FindingStatus;
use netkeel_reconcile::status::unread::UnreadFacts;

/// The passes in a row that may find the lock held before that is a failure: with their growing pauses, most of a minute.
const PATIENCE: u32 = 10;

/// News of a pass.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct PassNews {
    /// Findings about replication that the status did not have.
    pub(crate) findings: Vec<FindingStatus>,
    /// CNI configurations that another program overwrote.
    pub(crate) rewritten: BTreeSet<Fact>,
    /// Whether the pass corrected all drift but that of suspended facts.
    pub(crate) corrected: bool,
    /// The number of pods that cannot be reached, and why one of them cannot, if there are more than before.
    pub(crate) unreachable: Option<(usize, String)>,
    /// Facts that began to differ, and those that no longer do, while the service does not write.
    pub(crate) drift_found: Vec<String>,
    /// See `drift_found`.
    pub(crate) drift_ended: Vec<String>,
    /// Declared facts that were read before, or never, and could not be read now.
    pub(crate) unread: Vec<String>,
    /// Facts of `unread` that can be read again.
    pub(crate) read: Vec<String>,
    /// The pass waits for the lock, and nothing failed yet; whether it is the first one that does.
    pub(crate) waits: Option<bool>,
    /// For the first full scan with a document: the number of wanted facts, and of those that differ.
    pub(crate) first: Option<(usize, usize)>,
}

impl State {
    /// Records the result of a pass over `extent` without the facts `except`.
    pub(crate) fn report(
        &mut self,
        extent: &Extent,
        except: &BTreeSet<Fact>,
        passed: &PassResult,
        took: Duration,
    ) -> PassNews {
        let known = &self.reconciler.known;
        let status = &mut self.status;
        status.took(took);
        let corrected = matches!(passed.outcome, Outcome::Kept(_));
        // Facts that this pass corrected no longer differ in the observation, so their drift is in the plan.
        let planned = passed.plan.iter().flat_map(|plan| &plan.drift);
        let differ = planned.chain(passed.seen.iter().flat_map(|seen| &seen.drift));
        let unread_before = status.unread.clone();
        let rewritten = status.rewritten(differ.map(|drift| &drift.fact));
        let is_first = *extent == Extent::All && passed.plan.is_some() && !status.looked;
        let unreachable = status.unreachable_pods.len();
        if let Some(seen) = &passed.seen {
            status.saw(extent, seen, &|fact| except.contains(fact), corrected, &|index| {
                known.link(index)
            });
            if !matches!(extent, Extent::Links(_)) {
                // `Extent::Rest` reads everything but judges no interface, so problems of interfaces stay.
                let stay = |problem: &Problem| *extent == Extent::Rest && problem.what.is_of_link();
                status.problems.retain(stay);
                status.problems.extend(seen.problems.iter().cloned());
                status.problems.sort();
                status.problems.dedup();
            }
        }
        let mut findings = Vec::new();
        if let (Some(plan), Extent::All) = (&passed.plan, extent) {
            status.looked = true;
            status.ready = true;
            let found: Vec<FindingStatus> = plan
                .findings
                .iter()
                .map(|finding| FindingStatus {
                    code: finding.code,
                    subject: finding.subjects.join(", "),
                    message: finding.message.clone(),
                })
                .collect();
            // Operators of replication must know which other programs use the same packets.
            let of_groups = |finding: &&FindingStatus| finding.code.is_about_replication();
            let old = |finding: &&FindingStatus| status.findings.contains(finding);
            findings.extend(found.iter().filter(of_groups).filter(|one| !old(one)).cloned());
            status.findings = found;
            status.findings.extend(self.evictions.findings());
        }
        self.waited = match passed.outcome {
            Outcome::Waits => self.waited.saturating_add(1),
            _ => 0,
        };
        let waits = (1..PATIENCE).contains(&self.waited);
        status.counters.failures += u64::from(passed.failure.is_some() && !waits);
        let blocked = matches!(passed.outcome, Outcome::Blocked | Outcome::Waits);
        status.blocked = passed.failure.clone().filter(|_| blocked && !waits);
        status.waits = passed.failure.clone().filter(|_| waits);
        // Facts that cannot be written are suspended from now on, and the next pass writes the others at once.
        let news = |blamed: &[Blamed]| blamed.iter().any(|one| !except.contains(&one.fact));
        let goes_on = matches!(&passed.outcome, Outcome::Blamed(blamed) if news(blamed));
        if *extent == Extent::All && !blocked && !goes_on {
            status.failure.clone_from(&passed.failure);
        }
        if corrected && passed.writes > 0 {
            status.counters.applies += 1;
            status.counters.writes += passed.writes as u64;
        }
        if let Some(rollback) = &passed.rollback {
            match rollback.remaining.is_empty() {
                true => status.counters.rollbacks += 1,
                false => status.counters.not_rolled_back += 1,
            }
        }
        let count = status.unreachable_pods.len();
        let of_pod = |problem: &&Problem| matches!(problem.what, Subject::PodEnd(_));
        let why = status.problems.iter().find(of_pod).map(ToString::to_string);
        let unreachable = (count > unreachable).then(|| (count, why.unwrap_or_default()));
        let seen = passed.seen.as_ref().filter(|_| is_first);
        let first = seen.map(|seen| match corrected {
            true => (seen.wanted, except.len()),
            false => (seen.wanted, seen.drift.len()),
        });
        let news = |now: &UnreadFacts, before: &UnreadFacts| -> Vec<String> {
            let facts = now.facts().filter(|fact| !before.has(fact));
            facts.map(ToString::to_string).collect()
        };
        let unread = news(&status.unread, &unread_before);
        let read = news(&unread_before, &status.unread);
        let (drift_found, drift_ended) = self.drift_news();
        PassNews {
            findings,
            rewritten,
            corrected,
            unreachable,
            drift_found,
            drift_ended,
            unread,
            read,
            waits: waits.then_some(self.waited == 1),
            first,
        }
    }

    /// The facts that began to differ since the last call, each with its values, and those that no longer do.
    /// A fact that could not be read may still differ: its drift has not ended. A service that writes reports its
    /// writes instead.
    fn drift_news(&mut self) -> (Vec<String>, Vec<String>) {
        if self.enforces && self.reconciler.paused().is_none() {
            self.told.clear();
            return (Vec::new(), Vec::new());
        }
        let mut now = self.status.differing();
        let unknown = self.told.iter().filter(|(fact, _)| self.status.unread.has(fact));
        let unknown: Vec<_> = unknown
            .map(|(fact, shown)| (fact.clone(), shown.clone()))
            .collect();
        now.extend(unknown);
        let found = now.iter().filter(|(fact, _)| !self.told.contains_key(*fact));
        let found = found.map(|(_, shown)| shown.clone()).collect();
        let ended = self.told.keys().filter(|fact| !now.contains_key(*fact));
        let ended = ended.map(ToString::to_string).collect();
        self.told = now;
        (found, ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::tests::state;
    use std::collections::BTreeMap;

    use crate::http::answer::Question;
    use netkeel_core::fact::{Field, Value};
    use netkeel_core::name::netns::Netns;
    use netkeel_document::want::Origin;
    use netkeel_host::snapshot::Snapshot;
    use netkeel_plan::goal::Goal;
    use netkeel_plan::goal::part::PartGoal;
    use netkeel_plan::goal::planned::Observation;
    use netkeel_plan::ownership::Ownership;
    use netkeel_plan::plan::Drift;

    /// The result of a full scan of an empty host.
    fn looked(outcome: Outcome) -> PassResult {
        let goal = PartGoal {
            document: &state(true).document,
            holdings: Ownership {
                ledger: None,
                prune: false,
                defers_prune: false,
                force_ownership: false,
            },
            extent: &Extent::All,
            except: &BTreeSet::new(),
            withheld: &BTreeMap::new(),
            enters_pods: true,
        };
        let planned = goal.plan(&Snapshot::empty(Netns::CURRENT)).unwrap();
        // The empty host lacks the facts that the document wants: here they count as read.
        let seen = planned.observation.map(|seen| Observation {
            unread: BTreeSet::new(),
            problems: Vec::new(),
            ..seen
        });
        PassResult {
            outcome,
            seen,
            plan: Some(planned.plan),
            id: None,
            writes: 0,
            failure: None,
            rollback: None,
        }
    }

    #[test]
    fn only_the_first_full_scan_of_a_document_is_news() {
        let mut state = state(true);
        let mut report = |extent: Extent| {
            let passed = looked(Outcome::Looked);
            let news = state.report(&extent, &BTreeSet::new(), &passed, Duration::from_millis(1));
            (news.first, state.status.looked)
        };
        assert_eq!(report(Extent::Rest), (None, false));
        assert_eq!(report(Extent::All), (Some((0, 0)), true));
        assert_eq!(report(Extent::All), (None, true));
    }

    #[test]
    fn pods_that_cannot_be_reached_are_counted_and_news_when_there_are_more() {
        let mut state = state(true);
        let none = BTreeSet::new();
        let mut report = |names: &[&str]| {
            let mut passed = looked(Outcome::Looked);
            let seen = passed.seen.as_mut().unwrap();
            for (index, name) in names.iter().enumerate() {
                let name = name.parse().unwrap();
                seen.links.insert(name, index as u32 + 1);
                seen.unreachable.insert(name);
                seen.problems.push(Problem {
                    what: Subject::PodEnd(name),
                    why: "not permitted".into(),
                });
            }
            let news = state.report(&Extent::All, &none, &passed, Duration::from_millis(1));
            (news.unreachable, state.status.sentence())
        };
        let sentence =
            |count: u8| format!("neither end is set of veths into pods that netkeel cannot reach: {count}");
        let why = "the pod's end of cali1: not permitted".to_owned();
        assert_eq!(report(&["cali1"]), (Some((1, why.clone())), sentence(1)));
        assert_eq!(report(&["cali1"]), (None, sentence(1)));
        assert_eq!(report(&["cali1", "cali2"]), (Some((2, why)), sentence(2)));
        assert_eq!(report(&[]), (None, "in sync".to_owned()));
    }

    #[test]
    fn drift_that_cannot_be_read_has_not_ended_and_nothing_unread_is_in_sync() {
        let mut state = state(false);
        let none = BTreeSet::new();
        let fact = Fact::link(&Netns::CURRENT, "cali1".parse().unwrap(), Field::Mtu);
        let drift = Drift {
            fact: fact.clone(),
            observed: Some(Value::Number(1500)),
            desired: Some(Value::Number(1460)),
            origin: Origin::default().into(),
            cause: None,
        };
        let mut report = |differs: bool, unread: bool| {
            let mut passed = looked(Outcome::Looked);
            let seen = passed.seen.as_mut().unwrap();
            seen.drift.extend(differs.then(|| drift.clone()));
            seen.unread.extend(unread.then(|| fact.clone()));
            let news = state.report(&Extent::All, &none, &passed, Duration::from_millis(1));
            let told = [news.drift_found, news.drift_ended, news.unread, news.read];
            let health = state.answer(Question::Health).body;
            (told.map(|facts| facts.len()), state.status.sentence(), health)
        };
        let drift = "drift: 1 facts differ, 0 suspended".to_owned();
        assert_eq!(report(true, false), ([1, 0, 0, 0], drift, "ok\n".to_owned()));
        let unread = "in sync, but 1 declared fact could not be read".to_owned();
        let health = "ok, but 1 declared fact could not be read\n".to_owned();
        assert_eq!(
            report(false, true),
            ([0, 0, 1, 0], unread.clone(), health.clone())
        );
        assert_eq!(report(false, true), ([0, 0, 0, 0], unread, health));
        let read = ("in sync".to_owned(), "ok\n".to_owned());
        assert_eq!(report(false, false), ([0, 1, 0, 1], read.0, read.1));
    }

    #[test]
    fn a_pass_that_could_not_start_makes_the_service_unhealthy_until_one_can() {
        let mut state = state(true);
        let none = BTreeSet::new();
        let took = Duration::from_millis(1);
        let blocked = PassResult::failed(Outcome::Blocked, "locked".to_owned());
        state.report(&Extent::All, &none, &blocked, took);
        assert_eq!(state.status.healthy(), Err("locked".to_owned()));
        assert_eq!(
            (state.status.counters.passes, state.status.counters.failures),
            (1, 1)
        );
        let passed = looked(Outcome::Kept(Vec::new()));
        let news = state.report(&Extent::All, &none, &passed, took);
        assert!(news.corrected);
        assert_eq!(state.status.healthy(), Ok(()));
    }

    #[test]
    fn a_held_lock_is_waited_for_and_a_failure_only_if_it_stays_held() {
        let mut state = state(true);
        let none = BTreeSet::new();
        let took = Duration::from_millis(1);
        state.report(&Extent::All, &none, &looked(Outcome::Looked), took);
        let held = PassResult::failed(Outcome::Waits, "another netkeel is at work here".to_owned());
        for number in 1..PATIENCE {
            let news = state.report(&Extent::All, &none, &held, took);
            assert_eq!(news.waits, Some(number == 1));
            assert_eq!(state.status.healthy(), Ok(()));
            assert_eq!(
                (state.status.counters.failures, &state.status.failure),
                (0, &None)
            );
            assert!(state.status.waits.is_some());
        }
        assert_eq!(state.report(&Extent::All, &none, &held, took).waits, None);
        assert_eq!(state.status.counters.failures, 1);
        assert_eq!(
            state.status.healthy(),
            Err("another netkeel is at work here".to_owned())
        );
        // Once the lock is free, nothing of it is left.
        let passed = looked(Outcome::Kept(Vec::new()));
        state.report(&Extent::All, &none, &passed, took);
        assert_eq!(state.status.waits, None);
        assert_eq!(state.status.healthy(), Ok(()));
    }
}
