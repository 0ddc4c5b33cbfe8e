//! Reports the result of passes to the status, the log and systemd.

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
    /// Reports the result of a pass to the status and the log.
    pub fn report_pass(
        &mut self,
        extent: &Extent,
        except: &BTreeSet<Fact>,
        passed: &PassResult,
        took: Duration,
    ) {
        let known = &self.reconciler.known;
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.took(took);
        let right = matches!(passed.outcome, Outcome::Kept(_));
        // Facts that this pass corrected no longer differ in the observation, so their drift is in the plan.
        let planned = passed.plan.iter().flat_map(|plan| &plan.drift);
        let differ = planned.chain(passed.seen.iter().flat_map(|seen| &seen.drift));
        let rewritten = status.rewritten(differ.map(|drift| &drift.fact));
        let first = *extent == Extent::All && passed.plan.is_some() && !status.looked;
        if let Some(seen) = &passed.seen {
            status.saw(extent, seen, &|fact| except.contains(fact), right, &|index| {
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
        let mut new_findings = Vec::new();
        if let (Some(plan), Extent::All) = (&passed.plan, extent) {
            status.looked = true;
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
            new_findings.extend(found.iter().filter(of_groups).filter(|one| !old(one)).cloned());
            status.findings = found;
        }
        status.counters.failures += u64::from(passed.failure.is_some());
        let blocked = matches!(passed.outcome, Outcome::Blocked);
        status.blocked = passed.failure.clone().filter(|_| blocked);
        // Facts that cannot be written are suspended from now on, and the next pass writes the others at once.
        let news = |blamed: &[Blamed]| blamed.iter().any(|one| !except.contains(&one.fact));
        let goes_on = matches!(&passed.outcome, Outcome::Blamed(blamed) if news(blamed));
        if *extent == Extent::All && !blocked && !goes_on {
            status.failure.clone_from(&passed.failure);
        }
        if right && passed.writes > 0 {
            status.counters.applies += 1;
            status.counters.writes += passed.writes as u64;
        }
        if let Some(rollback) = &passed.rollback {
            match rollback.remaining.is_empty() {
                true => status.counters.rollbacks += 1,
                false => status.counters.not_rolled_back += 1,
            }
        }
        drop(status);
        for finding in new_findings {
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
                &[("fact", &fact), ("corrected", &right), ("writers", &writers)],
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
                "full-scan",
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

    /// Logs the rollback of an interrupted apply.
    pub(crate) fn report_recovered(&mut self) {
        let Some(undone) = self.runner.recovered.take() else {
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

    /// Publishes suspensions, the status and the systemd status line.
    pub(crate) fn publish(&mut self) {
        let now = self.now();
        for report in self.reconciler.reports() {
            self.log_suspension(&report);
        }
        let alone: Vec<SuspendedStatus> = self
            .reconciler
            .suspended()
            .map(|(fact, alone)| {
                let writers = self.writers.get(fact).cloned().unwrap_or_default();
                SuspendedStatus::new(fact, alone, now, writers)
            })
            .collect();
        let gone = std::mem::take(&mut self.gone);
        self.went += gone.len();
        let status_line = {
            let mut status = self.status();
            status.suspended = alone;
            status.forget(&gone);
            if self.reconciler.paused().is_none() {
                status.paused = None;
            }
            status.sentence(Instant::now())
        };
        if status_line != self.status_line {
            let first = if self.status_line.is_empty() {
                "READY=1\n"
            } else {
                ""
            };
            self.notify.send(&format!("{first}STATUS={status_line}"));
            self.status_line = status_line;
        }
    }

    fn log_suspension(&mut self, report: &Report) {
        match report {
            Report::Began(fact, alone) | Report::GoesOn(fact, alone) => {
                let event = match alone.why {
                    Why::Flaps => "flap",
                    Why::Refused(_) => "suspended",
                };
                if let (Report::Began(..), "flap") = (report, event) {
                    self.status().counters.flaps += 1;
                }
                let reason = match &alone.why {
                    Why::Flaps => "another program keeps changing it".to_owned(),
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
                self.log.say(Level::Info, "settled", &[("fact", fact)]);
            }
        }
    }
}
