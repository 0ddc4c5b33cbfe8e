//! Loads the document and the pause of the service.

mod evictions;
mod left_rules;
mod policies;
mod rollout;

use std::fmt::Display;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::document::{accepted, read_document, short};
use crate::effects::log::Level;
use crate::service::Service;
use crate::watch::files::Role;
use netkeel_apply::clock::now;
use netkeel_apply::store::pause::Pause;
use netkeel_reconcile::event::Event;
use netkeel_reconcile::status::PauseStatus;

impl Service<'_> {
    /// Reloads the document. If the new one is rejected, the previous one stays in force.
    pub fn load(&mut self) {
        self.effects.notify.reloading();
        // Hash before reading, so that a change during the read is noticed later.
        self.effects.digest = (self.effects.source.digest(), Instant::now());
        let netns = &self.state.document.netns;
        let read = read_document(self.state.policies.as_ref(), self.effects.source, netns);
        let read = accepted(read, &self.effects.runner.store);
        self.state.status.counters.loads += 1;
        match read {
            Err(_)
                if self.state.status.idle
                    && self.effects.source.is_empty()
                    && self.state.policies.is_none() =>
            {
                self.effects.files.watch_document(&self.effects.source.watched());
            }
            Ok(document) => {
                self.state.status.idle = document.hash.is_empty();
                if let Some(policies) = &mut self.state.policies {
                    policies.loaded(!self.effects.source.is_empty());
                }
                let now = self.effects.now();
                let changed = self.state.replace_document(document, now);
                self.document_loaded(None);
                self.effects.log.say(
                    Level::Info,
                    "loaded",
                    &[
                        ("document", &short(&self.state.document.hash)),
                        ("changed", &changed),
                    ],
                );
            }
            // The documents of before the change may be accepted.
            Err(why) if self.fail_changes(&why) => return self.load(),
            Err(why) => {
                self.rejected(&why);
                self.effects.files.watch_document(&self.effects.source.watched());
            }
        }
        self.read_pause();
        self.effects.notify.send(&[NotifyState::Ready]);
    }

    /// Checks the document's files for changes from time to time: inotify does not report every way to
    /// replace a file.
    pub(crate) fn poll_document(&mut self) {
        /// Documents are small, so frequent reads cost little.
        const EVERY: Duration = Duration::from_secs(20);
        if self.effects.digest.1.elapsed() >= EVERY {
            self.check_document();
        }
    }

    /// Reports a change of the document's files to the reconciler.
    pub(crate) fn check_document(&mut self) {
        let digest = self.effects.source.digest();
        let changed = std::mem::replace(&mut self.effects.digest, (digest, Instant::now())).0 != digest;
        if changed {
            let now = self.effects.now();
            self.state.reconciler.handle(Event::DocumentTouched, now);
        }
    }

    fn rejected(&mut self, why: &str) {
        self.state.reject_document(why);
        let fields: &[(&str, &dyn std::fmt::Display)] = &[
            ("kept", &short(&self.state.document.hash)),
            ("why", &why),
            ("see", &"netkeel status"),
        ];
        self.effects.log.say(Level::Error, "document-rejected", fields);
    }

    /// Puts the document in force: watches everything that it depends on.
    pub(crate) fn document_loaded(&mut self, rejected: Option<String>) {
        self.effects.files.watch_document(&self.effects.source.watched());
        self.configure_worker();
        let at = self.effects.now();
        self.effects
            .handshakes
            .watch(&self.state.document.handshakes(), at);
        let scope = self.state.document.scope();
        self.effects.paths.follow(scope.paths);
        self.follow_probes();
        let routes = scope.default_routes;
        if let Err(error) = self.effects.events.follow_default_routes(routes) {
            self.effects
                .log
                .say(Level::Warning, "routes-not-followed", &[("why", &error)]);
        }
        self.follow_rules();
        for path in &self.state.document.scope().files {
            self.effects.files.watch(path, Role::Owned);
        }
        let files = self.effects.source.paths();
        let files = files.iter().map(|path| path.display().to_string());
        self.state.show_document(files.collect(), now());
        if let Some(why) = rejected {
            self.rejected(&why);
        }
    }

    /// Keeps the document as the last accepted one of its owner, after a full scan that enforced it.
    pub(crate) fn keep_document(&mut self) {
        if self.state.status.idle {
            return;
        }
        let store = &self.effects.runner.store;
        // Another process's apply of it may wait for a confirmation, and what was not confirmed is not good.
        let unrejected = matches!(store.rejection(Some(&self.state.document.hash)), Ok(None));
        if !unrejected || !matches!(store.pending(), Ok(None)) {
            return;
        }
        let document = &self.state.document;
        if let Err(error) = store.keep_served(&document.owner, &document.canonical) {
            self.effects
                .log
                .say(Level::Warning, "document-not-kept", &[("why", &error)]);
        }
    }

    /// Subscribes to nftables events if the document has rules.
    pub(crate) fn follow_rules(&mut self) {
        match self
            .effects
            .events
            .follow_rules(!self.state.document.nflog.is_empty())
        {
            // Earlier changes were missed.
            Ok(begins) if begins => {
                let now = self.effects.now();
                self.state.reconciler.handle(Event::Rest, now);
            }
            Ok(_) => {}
            Err(error) => self
                .effects
                .log
                .say(Level::Warning, "rules-not-followed", &[("why", &error)]),
        }
    }

    /// Reads whether the service is paused.
    pub(crate) fn read_pause(&mut self) {
        /// A pause that cannot be read lasts so long, unless somebody ends it.
        const UNKNOWN: Duration = Duration::from_secs(86_400);
        let shown = match self.effects.runner.store.paused() {
            Ok(paused) => paused.map(|(pause, left)| {
                let Pause {
                    until,
                    since,
                    by,
                    reason,
                    ..
                } = pause;
                let shown = PauseStatus {
                    until,
                    since,
                    by,
                    reason,
                };
                (shown, left)
            }),
            Err(error) => {
                // An unreadable pause counts as a pause: the service must not write against an operator's wish.
                self.effects.log.say(Level::Error, "pause", &[("why", &error)]);
                let pause = PauseStatus {
                    until: now() + UNKNOWN.as_secs(),
                    since: now(),
                    by: error.message,
                    reason: None,
                };
                Some((pause, UNKNOWN))
            }
        };
        let at = self.effects.now();
        if !self.state.pause(shown, at) {
            return;
        }
        match &self.state.status.paused {
            Some(pause) => {
                let reason = pause.reason.as_deref().unwrap_or_default();
                let all: [(&str, &dyn Display); 3] =
                    [("until", &pause.until), ("by", &pause.by), ("reason", &reason)];
                let told = if reason.is_empty() { 2 } else { 3 };
                self.effects
                    .log
                    .say(Level::Warning, "paused", all.get(..told).unwrap_or(&all));
            }
            None => self.effects.log.say(Level::Info, "resumed", &[]),
        }
    }
}
