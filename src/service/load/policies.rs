//! Puts the policies of the cluster in force.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::effects::log::Level;
use crate::service::Service;
use crate::state::policies::Learned;
use netkeel_core::cluster_policies::PolicyNews;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Fact;
use netkeel_document::policy::{DeletionPolicy, Policy};
use netkeel_kernel::live::snapshot::Live;
use netkeel_reconcile::event::Event;
use netkeel_render::json::node_state::node_state;

/// The pause after a policy could not be released.
const AGAIN: Duration = Duration::from_secs(30);

impl Service<'_> {
    /// Takes what was learned of the cluster's policies.
    pub(crate) fn learn_policies(&mut self, news: PolicyNews) {
        let Some(policies) = &mut self.state.policies else {
            return;
        };
        let (objects, node) = match news {
            PolicyNews::Policies { objects, node } => (objects, node),
            PolicyNews::Trouble(why) => {
                let then = "the last good policies stay in force";
                self.effects.log.say(
                    Level::Warning,
                    "policies-not-followed",
                    &[("why", &why), ("then", &then)],
                );
                policies.trouble = Some(why);
                return;
            }
        };
        let learned = policies.learn(&objects, node);
        self.follow_choice(learned);
    }

    /// Follows another choice of the policies.
    pub(crate) fn follow_choice(&mut self, learned: Learned) {
        let Learned {
            changed,
            reload,
            news,
        } = learned;
        if changed {
            self.keep_policies();
        }
        if reload {
            let now = self.effects.now();
            self.state.reconciler.handle(Event::Reload, now);
        }
        if news {
            self.log_policies();
        }
        self.wish();
    }

    fn log_policies(&mut self) {
        let Some(policies) = &self.state.policies else {
            return;
        };
        let (chosen, status) = (policies.chosen(), policies.status());
        let log = &mut self.effects.log;
        log.say(
            Level::Info,
            "policies",
            &[("in_force", &chosen), ("leaving", &status.leaving.join(","))],
        );
        for one in &status.held {
            log.say(
                Level::Warning,
                "policy-held",
                &[("policy", &one.name), ("reason", &one.reason), ("why", &one.why)],
            );
        }
    }

    /// Keeps the policies for the next start.
    pub(crate) fn keep_policies(&mut self) {
        let Some(policies) = &self.state.policies else {
            return;
        };
        if let Err(error) = self.effects.runner.store.keep_policies(&policies.to_keep()) {
            self.effects
                .log
                .say(Level::Warning, "policies-not-kept", &[("why", &error)]);
        }
    }

    /// Records whether the state of the node is in the cluster.
    pub(crate) fn node_state_written(&mut self, trouble: Option<String>) {
        let Some(policies) = &mut self.state.policies else {
            return;
        };
        match &trouble {
            Some(why) => self
                .effects
                .log
                .say(Level::Warning, "node-state-not-written", &[("why", why)]),
            None => self.effects.log.say(Level::Info, "node-state-written", &[]),
        }
        policies.not_written = trouble;
    }

    /// Publishes the state of the node.
    pub(crate) fn publish_node_state(&mut self) {
        // A pause may have begun or ended.
        self.wish();
        if let (Some(follower), Some(policies), Some(shown)) = (
            &self.effects.policies,
            &self.state.policies,
            &self.state.status.policies,
        ) && let Some(uid) = &policies.node_uid
        {
            follower.publish(uid, node_state(&self.state.status, shown));
        }
    }

    /// Releases the settings of policies that no longer apply, or gives them up. The document without them is in force
    /// by then, and the whole host was scanned with it.
    pub(crate) fn release_policies(&mut self, live: &mut Live) {
        let now = self.effects.now();
        let writes = self.state.enforces && self.state.reconciler.paused().is_none();
        let is_settled = self.state.status.looked || self.state.status.idle;
        let Some(policies) = &mut self.state.policies else {
            return;
        };
        let due = policies.loaded && now >= policies.release_at;
        if !writes || !is_settled || !due || policies.choice.policies.leaving.is_empty() {
            return;
        }
        let leaving = policies.choice.policies.leaving.values().cloned();
        // A kept setting is given up first, so that no other policy releases it.
        let (kept, released): (Vec<Policy>, Vec<Policy>) =
            leaving.partition(|policy| policy.deletion == DeletionPolicy::Keep);
        let mut not_given_up = None;
        let suspended = self.state.reconciler.suspended().map(|(fact, _)| fact.clone());
        let suspended: BTreeSet<Fact> = suspended.collect();
        let mut done = Vec::new();
        for policy in kept.into_iter().chain(released) {
            let keeps = policy.deletion == DeletionPolicy::Keep;
            let result = match &not_given_up {
                Some(name) if !keeps => Err(Error::new(
                    ErrorKind::Refused,
                    format!("the settings of the policy {name} are not given up yet, and it may share some"),
                )),
                _ => {
                    let runner = &mut self.effects.runner;
                    runner.leave(&self.state.document, &policy, &suspended, live)
                }
            };
            if keeps && result.is_err() {
                not_given_up = Some(policy.name.clone());
            }
            self.report_recovered();
            match result {
                Ok(facts) => {
                    let deletion = policy.deletion.word();
                    self.effects.log.say(
                        Level::Info,
                        "policy-left",
                        &[
                            ("policy", &policy.name),
                            ("deletion", &deletion),
                            ("facts", &facts),
                        ],
                    );
                    done.push(policy.uid);
                }
                Err(error) => self.effects.log.say(
                    Level::Warning,
                    "policy-not-left",
                    &[("policy", &policy.name), ("why", &error)],
                ),
            }
        }
        let now = self.effects.now();
        if let Some(policies) = &mut self.state.policies {
            let leaving = &mut policies.choice.policies.leaving;
            leaving.retain(|uid, _| !done.contains(uid));
            policies
                .choice
                .policies
                .enforced
                .retain(|uid| !done.contains(uid));
            policies.release_at = match leaving.is_empty() {
                true => now,
                false => now + AGAIN,
            };
        }
        if done.is_empty() {
            return;
        }
        self.keep_policies();
        self.state.reconciler.handle(Event::Everything, now);
    }

    /// Counts the drift of policies that only observe.
    pub(crate) fn observe_policies(&mut self, live: &mut Live) {
        let Some(policies) = &mut self.state.policies else {
            return;
        };
        let observing: Vec<Policy> = policies.observing().cloned().collect();
        for policy in observing {
            let result = self.effects.runner.observe(&self.state.document, &policy, live);
            policies.observed.insert(policy.name, result);
        }
    }
}
