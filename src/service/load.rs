//! The document and the pause of a service: read when it begins, when they change, and when it is
//! told to.

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
    /// Reads the document again; a bad one leaves the old one in force.
    pub fn load(&mut self) {
        self.notify.reloading();
        // Before it is read: what changes meanwhile is seen later.
        self.digest = (self.source.digest(), Instant::now());
        let read = accepted(self.source.read(), &self.keeper.store);
        self.picture().counters.loads += 1;
        match read {
            Ok(document) => {
                let same = document.hash == self.document.hash;
                self.document = document;
                self.took_document(None);
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
                self.picture().counters.load_failures += 1;
                self.rejected(&why);
                self.files.watch_document(&self.source.paths());
            }
        }
        self.look_for_pause();
        self.notify.tell("READY=1");
    }

    /// Looks at what the document is read from, when it was not looked at for a while: not every way in
    /// which it can be replaced is told.
    pub(crate) fn mind_document(&mut self) {
        /// It is small: reading it so often takes no time that shows.
        const EVERY: Duration = Duration::from_secs(20);
        if self.digest.1.elapsed() >= EVERY {
            self.look_at_document();
        }
    }

    /// Looks whether what the document is read from is another than what was read.
    pub(crate) fn look_at_document(&mut self) {
        let digest = self.source.digest();
        let changed = std::mem::replace(&mut self.digest, (digest, Instant::now())).0 != digest;
        if changed {
            let now = self.now();
            self.reconciler.handle(Event::DocumentTouched, now);
        }
    }

    fn rejected(&mut self, why: &str) {
        self.picture().document.rejected = Some(why.to_owned());
        let fields: &[(&str, &dyn std::fmt::Display)] =
            &[("kept", &short(&self.document.hash)), ("why", &why)];
        self.log.say(Level::Error, "document-rejected", fields);
    }

    /// A document is in force: what it concerns is watched.
    pub(crate) fn took_document(&mut self, rejected: Option<String>) {
        self.files.watch_document(&self.source.paths());
        self.want_worker();
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
            let mut picture = self.picture();
            picture.document.hash.clone_from(&self.document.hash);
            picture.document.owner.clone_from(&self.document.owner);
            picture.document.files = self
                .source
                .paths()
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            picture.document.loaded = now();
            picture.document.rejected = None;
            picture.looked = false;
        }
        match rejected {
            Some(why) => {
                self.picture().counters.load_failures += 1;
                self.rejected(&why);
            }
            None => {
                if let Err(error) = self.keeper.store.keep_good(&self.document.canonical) {
                    self.log
                        .say(Level::Warning, "document-not-kept", &[("why", &error)]);
                }
            }
        }
    }

    /// Hears what changes in nftables, where the document has rules there.
    pub(crate) fn follow_rules(&mut self) {
        match self.events.follow_rules(!self.document.nflog.is_empty()) {
            // What changed until now was not heard.
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

    /// Looks whether somebody has paused the service, or ended a pause.
    pub(crate) fn look_for_pause(&mut self) {
        let paused = match self.keeper.store.paused(now()) {
            Ok(paused) => paused,
            Err(error) => {
                // Nobody knows what was meant: nothing is written, and it is said.
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
        self.picture().paused = shown;
        self.reconciler.handle(event, at);
    }
}
