//! The state of the service. It does no I/O and reads no clock: the caller passes the time and what was
//! observed.

pub(crate) mod change_end;
pub(crate) mod changes;
mod event_pace;
pub(crate) mod evictions;
pub(crate) mod policies;
mod report;

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::StatusCode;

use crate::document::interest;
use crate::http::answer::{Answer, Question};
use crate::state::event_pace::EventPace;
use crate::state::evictions::Evictions;
use crate::state::policies::Policies;
use netkeel_core::fact::Fact;
use netkeel_core::finding::Code;
use netkeel_core::replication::settings::Replication;
use netkeel_document::document::Document;
use netkeel_reconcile::event::{Event, Now};
use netkeel_reconcile::reconciler::Reconciler;
use netkeel_reconcile::status::suspended::SuspendedStatus;
use netkeel_reconcile::status::{PauseStatus, Status};
use netkeel_render::html::status;
use netkeel_render::html::status::Recent;
use netkeel_render::metrics;

/// Minimum time between purges of the ledger after full scans; just below the default `--interval`.
const PURGE_INTERVAL: Duration = Duration::from_secs(240);

/// Minimum number of deleted interfaces for an earlier purge, which limits the memory that their entries take.
const PURGE_THRESHOLD: usize = 128;

/// The state.
pub(crate) struct State {
    /// The document in force.
    pub(crate) document: Document,
    pub(crate) enforces: bool,
    pub(crate) dry_run: bool,
    pub(crate) reconciler: Reconciler,
    /// Indices of interfaces that were deleted since the last publication.
    pub(crate) gone: Vec<u32>,
    /// Likely writers of suspended facts.
    pub(crate) writers: BTreeMap<Fact, Vec<String>>,
    /// The time of the last purge.
    purged: Now,
    /// Number of interfaces deleted since the last purge.
    went: usize,
    pub(crate) status: Status,
    /// The status line that `systemctl status` shows.
    status_line: String,
    /// The drift that was reported, while the service does not write.
    told: BTreeMap<Fact, String>,
    /// The number of passes in a row that found the lock held.
    waited: u32,
    /// Whether the service was healthy at the last publication; `None` until it is ready.
    healthy: Option<bool>,
    /// Parts of the page that the status does not have.
    pub(crate) recent: Recent,
    /// The policies of the cluster; `None` if the service follows none.
    pub(crate) policies: Option<Policies>,
    pub(crate) event_pace: EventPace,
    /// The evictions of stale pods.
    pub(crate) evictions: Evictions,
}

impl State {
    /// Shows the owners whose evictions stopped among the findings.
    pub(crate) fn show_stopped_evictions(&mut self) {
        let findings = self.evictions.findings();
        self.status.findings.retain(|one| one.code != Code::NK090);
        self.status.findings.extend(findings);
    }

    /// The state at start.
    pub(crate) fn new(
        document: Document,
        enforces: bool,
        dry_run: bool,
        interval: Duration,
        mut status: Status,
    ) -> Self {
        status.dry_run = dry_run;
        State {
            reconciler: Reconciler::new(enforces, interval, interest(&document)),
            document,
            enforces,
            dry_run,
            gone: Vec::new(),
            writers: BTreeMap::new(),
            purged: Now::ZERO,
            went: 0,
            status,
            status_line: String::new(),
            told: BTreeMap::new(),
            waited: 0,
            healthy: None,
            recent: Recent::default(),
            policies: None,
            event_pace: EventPace::default(),
            evictions: Evictions::default(),
        }
    }

    /// Puts a document in force; returns whether it differs from the previous one.
    pub(crate) fn replace_document(&mut self, document: Document, now: Now) -> bool {
        let differs = document.hash != self.document.hash;
        self.document = document;
        self.reconciler
            .handle(Event::Loaded(interest(&self.document)), now);
        differs
    }

    /// Shows the document in force in the status. `files` were read, at `loaded` Unix seconds.
    pub(crate) fn show_document(&mut self, files: Vec<String>, loaded: u64) {
        self.status.only_by_full_scans = self.document.scope().pods;
        let document = &mut self.status.document;
        document.hash.clone_from(&self.document.hash);
        document.owner.clone_from(&self.document.owner);
        document.files = files;
        document.loaded = loaded;
        document.rejected = None;
        self.status.looked = false;
    }

    /// Records that a document was rejected.
    pub(crate) fn reject_document(&mut self, why: &str) {
        self.status.counters.load_failures += 1;
        self.status.document.rejected = Some(why.to_owned());
    }

    /// The replication that the worker runs. Only a service that writes sends copies.
    pub(crate) fn replication(&self) -> Option<Replication> {
        let mut wanted = self.document.replicate.clone();
        if let Some(wanted) = &mut wanted {
            wanted.settings.dry_run |= self.dry_run || !self.enforces;
        }
        wanted
    }

    /// Starts or ends a pause; `left` is its remaining time. Returns whether something changed or the pause
    /// goes on.
    pub(crate) fn pause(&mut self, pause: Option<(PauseStatus, Duration)>, now: Now) -> bool {
        let event = match &pause {
            Some((_, left)) => Event::Paused(now + *left),
            None if self.reconciler.paused().is_some() => Event::Resumed,
            None => return false,
        };
        self.status.paused = pause.map(|(shown, _)| shown);
        self.reconciler.handle(event, now);
        true
    }

    /// The answer to a client's question.
    pub(crate) fn answer(&self, question: Question) -> Answer {
        match question {
            Question::Metrics => Answer {
                code: StatusCode::OK,
                kind: metrics::TYPE,
                body: metrics::text(self.status.clone()),
            },
            Question::Page => Answer {
                code: StatusCode::OK,
                kind: "text/html; charset=utf-8",
                body: status::html(&self.status.to_show(), &self.recent),
            },
            Question::Health => match self.status.healthy() {
                Ok(()) => {
                    let unread = self.status.reservation();
                    Answer::text(StatusCode::OK, format!("ok{unread}\n"))
                }
                Err(why) => Answer::text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
            },
            // The loop answers, so it turns.
            Question::Alive => Answer::text(StatusCode::OK, "ok\n"),
            Question::Ready => match self.status.ready {
                true => Answer::text(StatusCode::OK, "ok\n"),
                false => Answer::text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the first full scan has not finished\n",
                ),
            },
            Question::Probe { token, peers } => Answer::json(&self.status.node_report(token, &peers)),
            Question::Status => Answer::json(&self.status.to_show()),
            Question::Look => Answer::text(StatusCode::ACCEPTED, "the service will check\n"),
        }
    }

    /// Brings the list of suspended facts up to date: an answer between two passes has it too.
    pub(crate) fn list_suspended(&mut self, now: Now) {
        let suspended = self.reconciler.suspended().map(|(fact, alone)| {
            let writers = self.writers.get(fact).cloned().unwrap_or_default();
            SuspendedStatus::new(fact, alone, now, writers)
        });
        self.status.suspended = suspended.collect();
    }

    /// Brings the status up to date. Returns the line for `systemctl status` if it changed, and whether it
    /// is the first one.
    pub(crate) fn publish(&mut self, now: Now) -> Option<(String, bool)> {
        self.list_suspended(now);
        let gone = std::mem::take(&mut self.gone);
        self.went += gone.len();
        self.status.forget(&gone);
        if self.reconciler.paused().is_none() {
            self.status.paused = None;
        }
        self.status.policies = self.policies.as_ref().map(Policies::status);
        if let Some(shown) = &mut self.status.policies {
            shown.evictions.clone_from(&self.evictions.shown);
            shown.evictions_trouble = self.evictions.trouble.clone().or(self.evictions.unread.clone());
        }
        let line = self.status.sentence();
        if line == self.status_line {
            return None;
        }
        let first = self.status_line.is_empty();
        self.status_line.clone_from(&line);
        Some((line, first))
    }

    /// The status line could not be sent: the next publication repeats it.
    pub(crate) fn status_not_sent(&mut self) {
        self.status_line.clear();
    }

    /// Whether the service became healthy, or the reason why it no longer is. News only, and none before the
    /// first full scan.
    pub(crate) fn health_news(&mut self) -> Option<Result<(), String>> {
        if !self.status.ready {
            return None;
        }
        let health = self.status.healthy();
        let before = self.healthy.replace(health.is_ok());
        // A service that starts healthy is no news.
        (before.unwrap_or(true) != health.is_ok()).then_some(health)
    }

    /// Whether so many interfaces were deleted that the ledger should be purged. A purge reads all
    /// interfaces, so the threshold grows with their number.
    pub(crate) fn should_purge(&self, now: Now) -> bool {
        let many = self.went > PURGE_THRESHOLD.max(self.reconciler.known.count() / 4);
        let writes = self.enforces && self.reconciler.paused().is_none();
        many && writes && !self.reconciler.waits_for_its_turn(now)
    }

    /// Whether a full scan may be followed by a purge.
    pub(crate) fn may_purge(&self, now: Now) -> bool {
        now.saturating_sub(self.purged) > PURGE_INTERVAL
    }

    /// Records a purge of the ledger.
    pub(crate) fn purged(&mut self, now: Now) {
        self.purged = now;
        self.went = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::name::netns::Netns;
    use netkeel_source::diagnostic::Diagnostics;
    use netkeel_source::sources::Sources;

    pub(super) fn document(text: &str) -> Document {
        let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
        let node = sources.load("document.yaml", text.into(), None, &mut diagnostics);
        let document = Document::read(vec![node.unwrap()], Netns::CURRENT, &mut diagnostics);
        assert!(diagnostics.is_empty(), "{:?}", diagnostics.list);
        document
    }

    pub(super) fn state(enforces: bool) -> State {
        let document = document("version: 1\nsysctl: { net.ipv4.ip_forward: 1 }\n");
        let status = Status::new("enforce", None, 7, 1);
        State::new(document, enforces, false, Duration::from_secs(300), status)
    }

    fn seconds(count: u64) -> Now {
        Duration::from_secs(count)
    }

    #[test]
    fn health_comes_with_the_first_full_scan() {
        let mut state = state(true);
        let health = state.answer(Question::Health);
        assert_eq!(health.code, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(health.body, "the first full scan has not finished\n");
        state.status.looked = true;
        assert_eq!(
            state.answer(Question::Health),
            Answer::text(StatusCode::OK, "ok\n")
        );
        let shown: serde_json::Value = serde_json::from_str(&state.answer(Question::Status).body).unwrap();
        assert_eq!(shown["looked"], true);
        assert!(
            state
                .answer(Question::Metrics)
                .body
                .contains("netkeel_healthy 1\n")
        );
    }

    #[test]
    fn a_failure_makes_the_service_unhealthy_but_neither_dead_nor_unready() {
        let mut state = state(true);
        let code = |state: &State, question| state.answer(question).code;
        assert_eq!(code(&state, Question::Alive), StatusCode::OK);
        assert_eq!(code(&state, Question::Ready), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(state.health_news(), None);
        (state.status.ready, state.status.looked) = (true, true);
        assert_eq!(state.health_news(), None, "a good start is no news");
        state.status.failure = Some("no".into());
        assert_eq!(state.health_news(), Some(Err("no".into())));
        state.status.failure = Some("still no".into());
        assert_eq!(state.health_news(), None, "once is enough");
        assert_eq!(code(&state, Question::Alive), StatusCode::OK);
        assert_eq!(code(&state, Question::Ready), StatusCode::OK);
        assert_eq!(code(&state, Question::Health), StatusCode::SERVICE_UNAVAILABLE);
        state.status.failure = None;
        assert_eq!(state.health_news(), Some(Ok(())));
    }

    #[test]
    fn only_a_new_status_line_is_sent() {
        let mut state = state(true);
        let first = state.publish(seconds(1));
        let waiting = "the first full scan has not finished".to_owned();
        assert_eq!(first, Some((waiting, true)));
        assert_eq!(state.publish(seconds(2)), None);
        state.status.looked = true;
        assert_eq!(state.publish(seconds(3)), Some(("in sync".to_owned(), false)));
        state.status_not_sent();
        assert_eq!(state.publish(seconds(4)), Some(("in sync".to_owned(), true)));
    }

    #[test]
    fn a_pause_is_shown_until_it_ends() {
        let mut state = state(true);
        let shown = PauseStatus {
            until: 100,
            since: 40,
            by: "me".into(),
            reason: Some("upgrade".into()),
        };
        assert!(!state.pause(None, seconds(1)), "there was none");
        assert!(state.pause(Some((shown.clone(), seconds(60))), seconds(1)));
        assert_eq!(state.reconciler.paused(), Some(seconds(61)));
        state.publish(seconds(2));
        assert_eq!(state.status.paused, Some(shown));
        assert!(state.pause(None, seconds(3)));
        assert_eq!((state.reconciler.paused(), &state.status.paused), (None, &None));
    }

    #[test]
    fn the_ledger_is_purged_after_many_deletions_and_by_a_service_that_writes() {
        for enforces in [true, false] {
            let mut state = state(enforces);
            state.reconciler.poll(Now::ZERO);
            state.gone = (1..=PURGE_THRESHOLD as u32).collect();
            state.publish(seconds(1));
            assert!(!state.should_purge(seconds(1)));
            state.gone = vec![1000];
            state.publish(seconds(1));
            assert_eq!(state.should_purge(seconds(1)), enforces);
            state.purged(seconds(2));
            assert!(!state.should_purge(seconds(3)));
            assert!(!state.may_purge(seconds(2) + PURGE_INTERVAL));
            assert!(state.may_purge(seconds(3) + PURGE_INTERVAL));
        }
    }

    #[test]
    fn a_rejected_document_stays_out_of_force() {
        let mut state = state(true);
        state.show_document(vec!["/etc/netkeel/a.yaml".into()], 8);
        state.reject_document("no");
        assert_eq!(state.status.document.rejected.as_deref(), Some("no"));
        assert_eq!(state.status.counters.load_failures, 1);
        let again = document("version: 1\nsysctl: { net.ipv4.ip_forward: 1 }\n");
        assert!(!state.replace_document(again, seconds(1)));
        let other = document("version: 1\nsysctl: { net.ipv4.ip_forward: 0 }\n");
        assert!(state.replace_document(other, seconds(2)));
        state.show_document(Vec::new(), 9);
        assert_eq!(state.status.document.rejected, None);
        assert_eq!(state.status.document.hash, state.document.hash);
    }
}
