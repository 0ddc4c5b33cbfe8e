//! Follows the slots of changes of policies: begins a change, and ends it when it holds or has failed.

use std::collections::BTreeSet;
use std::fmt::Display;

use crate::effects::log::Level;
use crate::effects::policies::NodeNews;
use crate::service::Service;
use crate::state::change_end::{ChangeEnd, Doubts};
use crate::state::changes::Next;
use crate::state::policies::Policies;
use netkeel_core::fact::Fact;
use netkeel_core::probe::Probe;
use netkeel_document::policy::Policy;
use netkeel_document::policy::wish::SlotNews;
use netkeel_kernel::live::snapshot::Live;
use netkeel_reconcile::event::Outcome;
use netkeel_reconcile::pass_result::PassResult;
use netkeel_reconcile::status::last_apply::LastApply;

impl Service<'_> {
    /// Takes news of the slots.
    pub(crate) fn learn_slots(&mut self, news: SlotNews) {
        let trouble = news.trouble.clone();
        let Some(policies) = &mut self.state.policies else {
            return;
        };
        let before = policies.changes.trouble.clone();
        let Next {
            ask,
            chooses,
            wishes,
            keeps,
        } = policies.learn_slots(news);
        if let Some(why) = trouble.filter(|why| before.as_ref() != Some(why)) {
            let log = &mut self.effects.log;
            log.say(Level::Warning, "slots-not-followed", &[("why", &why)]);
        }
        let netns = self.state.document.netns.clone();
        for (uid, probes) in ask {
            let document = policies.choice.changes.get(&uid).map(|new| new.hash.clone());
            if let (Some(follower), Some(document)) = (&self.effects.policies, document) {
                follower.ask(uid, document, probes, netns.clone());
            }
        }
        if chooses {
            let learned = policies.choose_again();
            self.follow_choice(learned);
        } else if wishes {
            self.wish();
        }
        if keeps {
            self.keep_policies();
        }
    }

    /// The policies whose changes a pass is for, if it writes.
    pub(crate) fn changing(&self, writes: bool) -> Vec<Policy> {
        let policies = self.state.policies.as_ref().filter(|_| writes);
        policies.map(Policies::changing).unwrap_or_default()
    }

    /// Judges a pass for the changes of these policies: the parts that it did not write, and their reasons.
    pub(crate) fn doubts(
        &mut self,
        changing: &[Policy],
        except: &BTreeSet<Fact>,
        passed: &PassResult,
        live: &mut Live,
    ) -> Doubts {
        let mut doubts = Doubts::default();
        if changing.is_empty() {
            return doubts;
        }
        let (runner, document) = (&self.effects.runner, &self.state.document);
        if let Outcome::Blamed(blamed) = &passed.outcome {
            let facts: BTreeSet<Fact> = blamed.iter().map(|one| one.fact.clone()).collect();
            // A pass without those facts that fails at them all the same fails again.
            let goes_on = !facts.is_subset(except);
            doubts.of_others = goes_on && runner.are_of_others(document, changing, &facts, live);
        }
        // Before the pass nothing was held back. The pass may have seen something else.
        let seen = passed.seen.as_ref().is_some_and(|seen| {
            let mut drift = seen.drift.iter().map(|drift| &drift.fact);
            !seen.unread.is_empty() || drift.any(|fact| except.contains(fact))
        });
        if seen && passed.failure.is_none() {
            doubts.held_back = runner.held_back(document, changing, except, live);
        }
        doubts
    }

    /// Takes the probes of a policy that pass before its change.
    pub(crate) fn learn_probes(&mut self, uid: &str, document: &str, passed: Vec<Probe>) {
        let Some(policies) = &mut self.state.policies else {
            return;
        };
        let name = policies.choice.changes.get(uid).map(|new| new.name.clone());
        let count = passed.len();
        if policies.changes.asked(uid, document, passed) {
            let fields: &[(&str, &dyn Display)] = &[("policy", &name.unwrap_or_default()), ("pass", &count)];
            self.effects.log.say(Level::Info, "policy-probes", fields);
            self.wish();
        }
    }

    /// Asks for the slots that the node wants now.
    pub(crate) fn wish(&mut self) {
        let writes = self.state.enforces && self.state.reconciler.paused().is_none();
        if let (Some(follower), Some(policies)) = (&self.effects.policies, &self.state.policies)
            && let Some(wishes) = policies.wishes(writes)
        {
            follower.wish(Some(wishes));
        }
    }

    /// Ends the changes that a pass was for.
    pub(crate) fn end_changes(&mut self, end: ChangeEnd) {
        if !matches!(end, ChangeEnd::Blocked(_))
            && let Some(policies) = &mut self.state.policies
        {
            policies.changes.goes_on();
        }
        match end {
            ChangeEnd::Open => {}
            ChangeEnd::Blocked(why) => {
                let now = self.effects.now();
                let policies = self.state.policies.as_mut();
                let lasts = policies.is_some_and(|policies| policies.is_blocked_too_long(now));
                if lasts && self.fail_changes(&format!("no pass can start: {why}")) {
                    self.load();
                }
            }
            ChangeEnd::Partly(why) => {
                if let Some(policies) = &mut self.state.policies {
                    policies.changes.wrote();
                }
                self.try_again(&why, true);
            }
            ChangeEnd::Holds => self.hold_changes(),
            ChangeEnd::Failed { why, may_pass } => self.try_again(&why, may_pass),
        }
    }

    /// Tries the changes that are not confirmed again, or ends them.
    fn try_again(&mut self, why: &str, may_pass: bool) {
        let policies = self.state.policies.as_mut();
        let again = may_pass && policies.is_some_and(Policies::tries_again);
        if again || self.fail_changes(why) {
            // At once: no part of the document that failed is written meanwhile.
            self.load();
        }
    }

    fn hold_changes(&mut self) {
        let Some(policies) = &mut self.state.policies else {
            return;
        };
        let names = policies.hold_changes();
        if names.is_empty() {
            return;
        }
        for name in &names {
            self.effects
                .log
                .say(Level::Info, "policy-applied", &[("policy", name)]);
        }
        self.tell("PolicyApplied", false, format!("in force: {}", names.join(", ")));
        self.keep_policies();
        // A newer version may have waited for the end of this one.
        self.choose_again();
    }

    /// Ends the changes that are not confirmed: they failed. The policies before are chosen, and their document is to be
    /// loaded. Returns whether there was any change.
    pub(crate) fn fail_changes(&mut self, why: &str) -> bool {
        let Some(policies) = &mut self.state.policies else {
            return false;
        };
        let names = policies.fail_changes(why);
        if names.is_empty() {
            return false;
        }
        for name in &names {
            let fields: &[(&str, &dyn Display)] = &[("policy", name), ("why", &why)];
            self.effects.log.say(Level::Error, "policy-rolled-back", fields);
        }
        let message = format!("{}: {why}", names.join(", "));
        self.tell("PolicyRolledBack", true, message);
        self.choose_again();
        self.keep_policies();
        true
    }

    fn choose_again(&mut self) {
        if let Some(policies) = &mut self.state.policies {
            let learned = policies.choose_again();
            self.follow_choice(learned);
        }
    }

    /// Writes an event for an apply, unless one with the same result was written within the last minute.
    pub(crate) fn tell_apply(&mut self, last: &LastApply) {
        let (reason, is_warning) = match last.result {
            "Applied" => ("Applied", false),
            "RolledBack" => ("RolledBack", true),
            _ => ("NotRolledBack", true),
        };
        let now = self.effects.now();
        let Some(left_out) = self.state.event_pace.due(reason, now) else {
            return;
        };
        let mut message = format!("apply {}: {} writes", last.id, last.writes);
        if last.undone > 0 {
            message = format!("apply {}: {} writes undone", last.id, last.undone);
        }
        if let Some(why) = &last.message {
            message = format!("{message}: {why}");
        }
        if left_out > 0 {
            message = format!("{left_out} more since the last event; {message}");
        }
        self.tell(reason, is_warning, message);
    }

    pub(crate) fn event_lost(&mut self, why: &str) {
        let log = &mut self.effects.log;
        log.say(Level::Warning, "event-not-written", &[("why", &why)]);
    }

    /// Writes an event on the Node.
    pub(crate) fn tell(&mut self, reason: &'static str, is_warning: bool, message: String) {
        let uid = self.state.policies.as_ref().and_then(|one| one.node_uid.clone());
        if let (Some(follower), Some(node_uid)) = (&self.effects.policies, uid) {
            let told = follower.tell(NodeNews {
                node_uid,
                reason,
                is_warning,
                message,
            });
            if let Err(why) = told {
                self.event_lost(&why);
            }
        }
    }
}
