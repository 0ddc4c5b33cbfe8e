//! Telling what was done and seen: to the picture, to the log, and to systemd.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::log::Level;
use crate::service::Service;
use crate::writers;
use netkeel_core::fact::Fact;
use netkeel_host::snapshot::problem::Problem;
use netkeel_plan::goal::part::Extent;
use netkeel_reconcile::event::{Blamed, Outcome};
use netkeel_reconcile::pass_result::PassResult;
use netkeel_reconcile::status::{FindingStatus, SuspendedStatus};
use netkeel_reconcile::suspended::{Report, Why};

impl Service<'_> {
    /// Tells what a pass came to: to the picture and to the log.
    pub fn tell(&mut self, extent: &Extent, except: &BTreeSet<Fact>, passed: &PassResult, took: Duration) {
        let known = &self.reconciler.known;
        let mut picture = self.picture.lock().unwrap_or_else(PoisonError::into_inner);
        picture.took(took);
        let right = matches!(passed.outcome, Outcome::Kept(_));
        // What was put right differs no longer in what was seen last.
        let planned = passed.plan.iter().flat_map(|plan| &plan.drift);
        let differ = planned.chain(passed.seen.iter().flat_map(|seen| &seen.drift));
        let rewritten = picture.rewritten(differ.map(|drift| &drift.fact));
        let first = *extent == Extent::All && passed.plan.is_some() && !picture.looked;
        if let Some(seen) = &passed.seen {
            picture.saw(extent, seen, &|fact| except.contains(fact), right, &|index| {
                known.link(index)
            });
            if !matches!(extent, Extent::Links(_)) {
                // The rest is read as with the whole host, and only facts of interfaces are not judged.
                let stay = |problem: &Problem| *extent == Extent::Rest && problem.what.is_of_link();
                picture.problems.retain(stay);
                picture.problems.extend(seen.problems.iter().cloned());
                picture.problems.sort();
                picture.problems.dedup();
            }
        }
        let mut told_first = Vec::new();
        if let (Some(plan), Extent::All) = (&passed.plan, extent) {
            picture.looked = true;
            let found: Vec<FindingStatus> = plan
                .findings
                .iter()
                .map(|finding| FindingStatus {
                    code: finding.code,
                    subject: finding.subjects.join(", "),
                    message: finding.message.clone(),
                })
                .collect();
            // Whoever has packets replicated is to know who else wants them.
            let of_groups = |finding: &&FindingStatus| finding.code.is_about_replication();
            let old = |finding: &&FindingStatus| picture.findings.contains(finding);
            told_first.extend(found.iter().filter(of_groups).filter(|one| !old(one)).cloned());
            picture.findings = found;
        }
        picture.counters.failures += u64::from(passed.failure.is_some());
        let blocked = matches!(passed.outcome, Outcome::Blocked);
        picture.blocked = passed.failure.clone().filter(|_| blocked);
        // What cannot be written is left alone from now on, and the others are done at once.
        let news = |blamed: &[Blamed]| blamed.iter().any(|one| !except.contains(&one.fact));
        let goes_on = matches!(&passed.outcome, Outcome::Blamed(blamed) if news(blamed));
        if *extent == Extent::All && !blocked && !goes_on {
            picture.failure.clone_from(&passed.failure);
        }
        if right && passed.writes > 0 {
            picture.counters.applies += 1;
            picture.counters.writes += passed.writes as u64;
        }
        if let Some(rollback) = &passed.rollback {
            match rollback.remaining.is_empty() {
                true => picture.counters.rollbacks += 1,
                false => picture.counters.not_rolled_back += 1,
            }
        }
        drop(picture);
        for finding in told_first {
            let (code, subject, message) = (&finding.code, &finding.subject, &finding.message);
            self.log.say(
                Level::Warning,
                "finding",
                &[("code", code), ("subject", subject), ("message", message)],
            );
        }
        for fact in rewritten {
            let writers = writers::of(&fact).join(", ");
            self.log.say(
                Level::Warning,
                "rewritten",
                &[("fact", &fact), ("put_right", &right), ("writers", &writers)],
            );
        }
        self.log_pass(passed, took);
        if first && let Some(seen) = &passed.seen {
            let differ = match right {
                true => except.len(),
                false => seen.drift.len(),
            };
            self.log.say(
                Level::Info,
                "whole",
                &[("wanted", &seen.wanted), ("differ", &differ)],
            );
        }
    }

    fn log_pass(&mut self, passed: &PassResult, took: Duration) {
        if passed.writes > 0
            && let Some(plan) = &passed.plan
        {
            let commands: Vec<String> = plan
                .steps
                .iter()
                .take(4)
                .map(|step| step.op.to_string())
                .collect();
            self.log.say(
                Level::Info,
                "applied",
                &[
                    ("writes", &passed.writes),
                    ("took", &format!("{took:?}")),
                    ("commands", &commands.join("; ")),
                ],
            );
        }
        let Some(why) = &passed.failure else { return };
        match &passed.rollback {
            Some(rollback) if !rollback.remaining.is_empty() => {
                let left: Vec<String> = rollback
                    .remaining
                    .iter()
                    .map(|(op, _)| op.command().to_string())
                    .collect();
                self.log.say(
                    Level::Error,
                    "not-rolled-back",
                    &[("why", why), ("left", &left.join("; "))],
                );
            }
            Some(rollback) => {
                self.log.say(
                    Level::Warning,
                    "rolled-back",
                    &[("why", why), ("undone", &rollback.undone.len())],
                );
            }
            None => self.log.say(Level::Warning, "pass-failed", &[("why", why)]),
        }
    }

    /// Tells what became of an apply that was interrupted.
    pub(crate) fn tell_recovered(&mut self) {
        let Some(undone) = self.keeper.recovered.take() else {
            return;
        };
        let apply = undone.apply.unwrap_or_default();
        if undone.remaining.is_empty() {
            self.log.say(
                Level::Warning,
                "recovered",
                &[("apply", &apply), ("undone", &undone.writes)],
            );
            return;
        }
        let left = undone.remaining.iter();
        let left: Vec<String> = left
            .map(|(op, error)| format!("{}: {error}", op.command()))
            .collect();
        self.log.say(
            Level::Error,
            "not-recovered",
            &[
                ("apply", &apply),
                ("undone", &undone.writes),
                ("left", &left.join("; ")),
            ],
        );
    }

    /// Tells what became known since.
    pub(crate) fn publish(&mut self) {
        let now = self.now();
        for report in self.reconciler.reports() {
            self.report(&report);
        }
        let alone: Vec<SuspendedStatus> = self
            .reconciler
            .left_alone()
            .map(|(fact, alone)| {
                let writers = self.writers.get(fact).cloned().unwrap_or_default();
                SuspendedStatus::new(fact, alone, now, writers)
            })
            .collect();
        let gone = std::mem::take(&mut self.gone);
        self.went += gone.len();
        let status = {
            let mut picture = self.picture();
            picture.left_alone = alone;
            picture.forget(&gone);
            if self.reconciler.paused().is_none() {
                picture.paused = None;
            }
            picture.sentence(Instant::now())
        };
        if status != self.status {
            let first = if self.status.is_empty() { "READY=1\n" } else { "" };
            self.notify.tell(&format!("{first}STATUS={status}"));
            self.status = status;
        }
    }

    fn report(&mut self, report: &Report) {
        match report {
            Report::Began(fact, alone) | Report::GoesOn(fact, alone) => {
                let event = match alone.why {
                    Why::Flaps => "flap",
                    Why::Refused(_) => "left-alone",
                };
                if let (Report::Began(..), "flap") = (report, event) {
                    self.picture().counters.flaps += 1;
                }
                let reason = match &alone.why {
                    Why::Flaps => "another program writes it too".to_owned(),
                    Why::Refused(reason) => reason.clone(),
                };
                let writers = self
                    .writers
                    .entry(fact.clone())
                    .or_insert_with(|| writers::of(fact))
                    .join(", ");
                self.log.say(
                    Level::Warning,
                    event,
                    &[
                        ("fact", fact),
                        ("times", &alone.times),
                        ("pause", &format!("{:?}", alone.pause)),
                        ("why", &reason),
                        ("writers", &writers),
                    ],
                );
            }
            Report::Ended(fact) => {
                self.writers.remove(fact);
                self.log.say(Level::Info, "at-peace", &[("fact", fact)]);
            }
        }
    }
}
