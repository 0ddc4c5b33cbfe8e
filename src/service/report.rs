//! Reports the result of passes to the log and to systemd.

use std::collections::BTreeSet;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::effects::log::{Level, Log};
use crate::effects::writers;
use crate::service::Service;
use netkeel_core::fact::Fact;
use netkeel_core::text::list::some;
use netkeel_core::value::Value;
use netkeel_host::model::Change;
use netkeel_plan::goal::part::Extent;
use netkeel_reconcile::pass_result::PassResult;
use netkeel_reconcile::suspended::{Report, Why};

impl Service<'_> {
    /// Reports the result of a pass to the status and the log.
    pub(crate) fn report_pass(
        &mut self,
        extent: &Extent,
        except: &BTreeSet<Fact>,
        passed: &PassResult,
        took: Duration,
    ) {
        let news = self.state.report(extent, except, passed, took);
        let log = &mut self.effects.log;
        for finding in &news.findings {
            let (code, subject, message) = (&finding.code, &finding.subject, &finding.message);
            log.say(
                Level::Warning,
                "finding",
                &[("code", code), ("subject", subject), ("message", message)],
            );
        }
        for fact in &news.rewritten {
            let writers = writers::of(fact).join(", ");
            log.say(
                Level::Warning,
                "rewritten",
                &[
                    ("fact", fact),
                    ("corrected", &news.corrected),
                    ("writers", &writers),
                ],
            );
        }
        match news.waits {
            Some(true) => {
                let why = passed.failure.as_deref().unwrap_or_default();
                log.say(Level::Info, "waiting", &[("why", &why)]);
            }
            Some(false) => {}
            None => log_pass(log, passed, took),
        }
        for (event, level, facts) in [
            ("drift-found", Level::Warning, &news.drift_found),
            ("drift-ended", Level::Info, &news.drift_ended),
            ("facts-unread", Level::Warning, &news.unread),
            ("facts-read", Level::Info, &news.read),
        ] {
            if !facts.is_empty() {
                let shown = some(facts.iter().cloned(), SHOWN, "; ");
                log.say(level, event, &[("count", &facts.len()), ("facts", &shown)]);
            }
        }
        if let Some((pods, why)) = &news.unreachable {
            log.say(
                Level::Warning,
                "pods-unreachable",
                &[("pods", pods), ("why", why), ("then", &"neither end is set")],
            );
        }
        if let Some((wanted, differ)) = news.first {
            log.say(
                Level::Info,
                "full-scan",
                &[("wanted", &wanted), ("differ", &differ)],
            );
        }
    }

    /// Logs the rollback of an interrupted apply.
    pub(crate) fn report_recovered(&mut self) {
        let Some(undone) = self.effects.runner.recovered.take() else {
            return;
        };
        let apply = undone.apply.unwrap_or_default();
        if undone.remaining.is_empty() {
            self.effects.log.say(
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
        self.effects.log.say(
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
        let now = self.effects.now();
        for report in self.state.reconciler.reports() {
            self.log_suspension(&report);
        }
        match self.state.health_news() {
            Some(Ok(())) => self.effects.log.say(Level::Info, "healthy", &[]),
            Some(Err(why)) => self
                .effects
                .log
                .say(Level::Warning, "unhealthy", &[("why", &why)]),
            None => {}
        }
        self.effects.log.report_dropped();
        self.state.status.counters.log_lines_dropped = self.effects.log.dropped();
        if let Some((line, first)) = self.state.publish(now) {
            let status = NotifyState::Status(&line);
            let sent = match first {
                true => self.effects.notify.send(&[NotifyState::Ready, status]),
                false => self.effects.notify.send(&[status]),
            };
            if !sent {
                self.state.status_not_sent();
            }
        }
        self.publish_node_state();
    }

    fn log_suspension(&mut self, report: &Report) {
        match report {
            Report::Began(fact, alone) | Report::GoesOn(fact, alone) => {
                let event = match alone.why {
                    Why::Flaps => "flap",
                    Why::Refused(_) => "suspended",
                };
                if let (Report::Began(..), "flap") = (report, event) {
                    self.state.status.counters.flaps += 1;
                }
                let reason = match &alone.why {
                    Why::Flaps => "another program keeps changing it".to_owned(),
                    Why::Refused(reason) => reason.clone(),
                };
                let writers = self
                    .state
                    .writers
                    .entry(fact.clone())
                    .or_insert_with(|| writers::of(fact))
                    .join(", ");
                self.effects.log.say(
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
                self.state.writers.remove(fact);
                self.effects.log.say(Level::Info, "settled", &[("fact", fact)]);
            }
        }
    }
}

/// The number of changes that a line of the log names.
const SHOWN: usize = 4;

/// A change for the log: `link eth0 mtu: 1500 -> 1460`.
fn changed(fact: &Fact, from: Option<&Value>, to: Option<&Value>) -> String {
    let (from, to) = fact.summaries(from, to);
    format!("{fact}: {from} -> {to}")
}

fn log_pass(log: &mut Log, passed: &PassResult, took: Duration) {
    if passed.writes > 0
        && let Some(plan) = &passed.plan
    {
        let changes = plan.steps.iter().map(|step| {
            // A device that is created again is deleted first.
            let mut own = step.changes.iter().filter(|change| change.fact == step.fact);
            match (own.next(), step.changes.first()) {
                (Some(first), _) => {
                    let last = own.next_back().unwrap_or(first);
                    changed(&step.fact, first.from.as_ref(), last.to.as_ref())
                }
                (None, Some(Change { fact, from, to })) => changed(fact, from.as_ref(), to.as_ref()),
                // It writes the value that another write of the pass changes.
                (None, None) => step.fact.to_string(),
            }
        });
        log.say(
            Level::Info,
            "applied",
            &[
                ("writes", &passed.writes),
                ("took", &format!("{took:?}")),
                ("changes", &some(changes, SHOWN, "; ")),
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
            log.say(
                Level::Error,
                "not-rolled-back",
                &[("why", why), ("left", &left.join("; "))],
            );
        }
        Some(rollback) => {
            log.say(
                Level::Warning,
                "rolled-back",
                &[("why", why), ("undone", &rollback.undone.len())],
            );
        }
        None => log.say(Level::Warning, "pass-failed", &[("why", why)]),
    }
}
