//! Loads the document and the pause of the service.

use std::time::{Duration, Instant};

use crate::document::{accepted, interest, short};
use crate::log::Level;
use crate::service::Service;
use crate::watch::files::Role;
use netkeel_apply::clock::now;
use netkeel_apply::store::pause::Pause;
use netkeel_reconcile::event::Event;
use netkeel_reconcile::status::PauseStatus;

impl Service<'_> {
    /// Reloads the document. If the new one is rejected, the previous one stays in force.
    pub fn load(&mut self) {
        self.notify.reloading();
        // Hash before reading, so that a change during the read is noticed later.
        self.digest = (self.source.digest(), Instant::now());
        let read = accepted(self.source.read(), &self.runner.store);
        self.status().counters.loads += 1;
        match read {
            Ok(document) => {
                let same = document.hash == self.document.hash;
                self.document = document;
                self.document_loaded(None);
                self.log.say(
                    Level::Info,
                    "loaded",
                    &[("document", &short(&self.document.hash)), ("changed", &!same)],
                );
                let now = self.now();
                self.reconciler
                    .handle(Event::Loaded(interest(&self.document)), now);
            }
            Err(why) => {
                self.status().counters.load_failures += 1;
                self.rejected(&why);
                self.files.watch_document(&self.source.paths());
            }
        }
        self.read_pause();
        self.notify.send("READY=1");
    }

    /// Checks the document's files for changes from time to time: inotify does not report every way to
    /// replace a file.
    pub(crate) fn poll_document(&mut self) {
        /// Documents are small, so frequent reads cost little.
        const EVERY: Duration = Duration::from_secs(20);
        if self.digest.1.elapsed() >= EVERY {
            self.check_document();
        }
    }

    /// Reports a change of the document's files to the reconciler.
    pub(crate) fn check_document(&mut self) {
        let digest = self.source.digest();
        let changed = std::mem::replace(&mut self.digest, (digest, Instant::now())).0 != digest;
        if changed {
            let now = self.now();
            self.reconciler.handle(Event::DocumentTouched, now);
        }
    }

    fn rejected(&mut self, why: &str) {
        self.status().document.rejected = Some(why.to_owned());
        let fields: &[(&str, &dyn std::fmt::Display)] =
            &[("kept", &short(&self.document.hash)), ("why", &why)];
        self.log.say(Level::Error, "document-rejected", fields);
    }

    /// Puts the document in force: watches everything that it depends on.
    pub(crate) fn document_loaded(&mut self, rejected: Option<String>) {
        self.files.watch_document(&self.source.paths());
        self.configure_worker();
        self.handshakes.watch(&self.document.handshakes());
        let scope = self.document.scope();
        self.paths.follow(scope.paths);
        let routes = scope.default_routes;
        if let Err(error) = self.events.follow_default_routes(routes) {
            self.log
                .say(Level::Warning, "routes-not-followed", &[("why", &error)]);
        }
        self.follow_rules();
        for path in &self.document.scope().files {
            self.files.watch(path, Role::Owned);
        }
        {
            let mut status = self.status();
            status.document.hash.clone_from(&self.document.hash);
            status.document.owner.clone_from(&self.document.owner);
            status.document.files = self
                .source
                .paths()
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            status.document.loaded = now();
            status.document.rejected = None;
            status.looked = false;
        }
        match rejected {
            Some(why) => {
                self.status().counters.load_failures += 1;
                self.rejected(&why);
            }
            None => {
                if let Err(error) = self.runner.store.keep_good(&self.document.canonical) {
                    self.log
                        .say(Level::Warning, "document-not-kept", &[("why", &error)]);
                }
            }
        }
    }

    /// Subscribes to nftables events if the document has rules.
    pub(crate) fn follow_rules(&mut self) {
        match self.events.follow_rules(!self.document.nflog.is_empty()) {
            // Earlier changes were missed.
            Ok(begins) if begins => {
                let now = self.now();
                self.reconciler.handle(Event::Rest, now);
            }
            Ok(_) => {}
            Err(error) => self
                .log
                .say(Level::Warning, "rules-not-followed", &[("why", &error)]),
        }
    }

    /// Reads whether the service is paused.
    pub(crate) fn read_pause(&mut self) {
        let paused = match self.runner.store.paused(now()) {
            Ok(paused) => paused,
            Err(error) => {
                // An unreadable pause counts as a pause: the service must not write against an operator's wish.
                self.log.say(Level::Error, "pause", &[("why", &error)]);
                let reason = error.message;
                Some(Pause::unknown(now(), reason))
            }
        };
        let at = self.now();
        let event = match &paused {
            Some(pause) => Event::Paused(at + Duration::from_secs(pause.until.saturating_sub(now()))),
            None if self.reconciler.paused().is_some() => Event::Resumed,
            None => return,
        };
        let shown = paused.map(|Pause { until, since, by, .. }| PauseStatus { until, since, by });
        match &shown {
            Some(pause) => self.log.say(
                Level::Warning,
                "paused",
                &[("until", &pause.until), ("by", &pause.by)],
            ),
            None => self.log.say(Level::Info, "resumed", &[]),
        }
        self.status().paused = shown;
        self.reconciler.handle(event, at);
    }
}
