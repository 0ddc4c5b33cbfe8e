//! What a run leaves to the next one when systemd restarts the service, and what it removes at any other stop. What it
//! could not remove is left too.

use std::time::Duration;

use crate::effects::log::Level;
use crate::effects::restart;
use crate::pass::WAIT_FOR_OTHERS;
use crate::service::Service;
use netkeel_apply::store::kept::left_rules::LeftRules;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_kernel::live::snapshot::Live;

/// The time after which rules are tried to be removed again.
const AGAIN: Duration = Duration::from_secs(5);

impl Service<'_> {
    /// Leaves the rules and the worker's group to the next run, if systemd restarts the service.
    pub(crate) fn hand_over(&mut self) -> bool {
        // Named descriptors are of the service's own namespace.
        let may = self.effects.notify.has_manager() && self.state.document.netns.name().is_none();
        if !may || !restart::is_under_way() {
            return false;
        }
        let document = &self.state.document;
        let left = LeftRules {
            owner: document.owner.clone(),
            facts: document.removed_on_stop(),
        };
        // A list that cannot be kept would leave rules for good.
        if self.state.enforces && self.keep_left_rules(left).is_err() {
            return false;
        }
        let kept = self.effects.supervisor.keep();
        let kept = kept.filter(|group| self.effects.notify.keep(group));
        let socket = kept.map_or_else(|| "none".to_owned(), |group| group.name());
        self.effects
            .log
            .say(Level::Info, "handover", &[("socket", &socket)]);
        true
    }

    /// Keeps a list of rules, with those of an earlier run that could not be removed yet.
    fn keep_left_rules(&self, mut left: LeftRules) -> Result<(), Error> {
        let store = &self.effects.runner.store;
        match store.left_rules()? {
            Some(earlier) if earlier.owner == left.owner => left.facts.extend(earlier.facts),
            Some(earlier) => {
                let message = format!("rules of the owner `{}` are still to be removed", earlier.owner);
                return Err(Error::new(ErrorKind::Refused, message));
            }
            None => {}
        }
        store.keep_left_rules(&left)
    }

    /// Tries again to remove what the run before left, as an apply may have been pending.
    pub(crate) fn poll_left_rules(&mut self, live: &mut Live) {
        let due = self.effects.left_rules_due;
        if due.is_some_and(|due| due <= self.effects.now()) {
            self.remove_left_rules(live, Duration::ZERO);
        }
    }

    /// Removes what the run before left for this one, and this one does not have: other options, or another document.
    /// What cannot be removed now is tried again later.
    pub(crate) fn remove_left_rules(&mut self, live: &mut Live, patience: Duration) {
        let store = &self.effects.runner.store;
        let removed = store.left_rules().and_then(|left| {
            let Some(LeftRules { owner, mut facts }) = left else {
                return Ok(0);
            };
            let document = &self.state.document;
            if self.state.enforces && document.owner == owner {
                facts = &facts - &document.removed_on_stop();
            }
            let netns = document.netns.clone();
            let removed = self.effects.runner.stop(&owner, &netns, &facts, live, patience)?;
            self.effects.runner.store.forget_left_rules()?;
            Ok(removed)
        });
        let tried_before = self.effects.left_rules_due.take().is_some();
        match removed {
            Ok(count) if tried_before => {
                self.effects
                    .log
                    .say(Level::Info, "left-rules-removed", &[("rules", &count)]);
            }
            Ok(_) => {}
            Err(error) => {
                self.effects.left_rules_due = Some(self.effects.now() + AGAIN);
                if !tried_before {
                    self.report_not_removed(&error);
                }
            }
        }
        self.report_recovered();
    }

    /// Removes what exists only while the service runs, if the service writes.
    pub(crate) fn remove_on_stop(&mut self, live: &mut Live) {
        if !self.state.enforces {
            return;
        }
        // The signal that stops the service must not stop this.
        self.effects.interrupt.hold(true);
        let document = &self.state.document;
        let (owner, facts) = (document.owner.clone(), document.removed_on_stop());
        let removed = self
            .effects
            .runner
            .stop(&owner, &document.netns, &facts, live, WAIT_FOR_OTHERS);
        if let Err(error) = removed {
            self.report_not_removed(&error);
            // The next run removes them, before it does anything else.
            if let Err(error) = self.keep_left_rules(LeftRules { owner, facts }) {
                self.report_not_removed(&error);
            }
        }
    }

    fn report_not_removed(&mut self, error: &Error) {
        self.effects
            .log
            .say(Level::Warning, "not-given-back", &[("why", &error.message)]);
    }
}
