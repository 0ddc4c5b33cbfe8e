//! Evicts pods whose MTU cannot be corrected while they run, as the policies of the cluster say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use crate::effects::log::Level;
use crate::pass::stale::StaleVeth;
use crate::service::Service;
use crate::state::evictions::{Next, stopped_sentence};
use netkeel_apply::clock;
use netkeel_core::fact::Fact;
use netkeel_document::policy::eviction::news::{EvictionEnd, EvictionNews, EvictionRequest};
use netkeel_document::policy::eviction::{EvictionRules, StalePod};
use netkeel_document::policy::{Policy, PolicyMode};
use netkeel_kernel::live::snapshot::Live;
use netkeel_kernel::pod::name::noted_pods;
use netkeel_reconcile::status::Status;

impl Service<'_> {
    /// Looks for stale pods after a full scan.
    pub(crate) fn find_stale_pods(&mut self, live: &mut Live) {
        let is_settled = self.state.policies.as_ref().is_some_and(|policies| {
            // Before the first complete list nobody knows which policies there are.
            policies.node_uid.is_some() && policies.loaded && !policies.is_changing()
        });
        if !is_settled {
            self.state.evictions.unsettled();
            return;
        }
        let policies = self.evicting();
        let generations = policies
            .iter()
            .map(|(policy, _)| (policy.uid.clone(), policy.generation));
        let generations: BTreeMap<String, i64> = generations.collect();
        let stale = match self.stale_pods(policies, live) {
            Ok(stale) => stale,
            Err((policy, why)) => {
                let fields: &[(&str, &dyn Display)] = &[("policy", &policy), ("why", &why)];
                self.effects.log.say(Level::Warning, "stale-pods-unknown", fields);
                Vec::new()
            }
        };
        self.state.evictions.scanned(stale, &generations, clock::now());
        self.state.show_stopped_evictions();
        self.keep_evictions();
    }

    /// The policies in force that evict, each with its rules.
    fn evicting(&self) -> Vec<(Policy, EvictionRules)> {
        let policies = self.state.policies.iter();
        let in_force = policies.flat_map(|policies| policies.choice.policies.in_force.values());
        let evicting = in_force.filter_map(|policy| Some((policy.clone(), policy.eviction.clone()?)));
        evicting.collect()
    }

    /// The stale pods of these policies, each once.
    fn stale_pods(
        &mut self,
        policies: Vec<(Policy, EvictionRules)>,
        live: &mut Live,
    ) -> Result<Vec<StalePod>, (String, String)> {
        let mut found: BTreeMap<String, StalePod> = BTreeMap::new();
        if policies.is_empty() {
            return Ok(Vec::new());
        }
        let suspended = self.state.reconciler.suspended().map(|(fact, _)| fact.clone());
        let suspended: BTreeSet<Fact> = suspended.collect();
        let noted = noted_pods();
        for (policy, rules) in policies {
            let only_shown = self.only_shown(&policy);
            let runner = &self.effects.runner;
            let veths = runner.stale_veths(&self.state.document, &policy, &suspended, live);
            let veths = veths.map_err(|why| (policy.name.clone(), why))?;
            for StaleVeth { link, sandbox, fault } in veths {
                let pod = sandbox.and_then(|sandbox| noted.get(&sandbox));
                let pod = pod.and_then(|pod| Some((pod.name.clone(), pod.uid.clone()?)));
                let one = found.entry(link.to_string()).or_insert_with(|| StalePod {
                    link: link.to_string(),
                    pod,
                    policy: policy.name.clone(),
                    policy_uid: policy.uid.clone(),
                    generation: policy.generation,
                    rules: rules.clone(),
                    only_shown,
                    new_pod_fault: fault.clone(),
                });
                one.rules.exclude_more(&rules);
                one.new_pod_fault = one.new_pod_fault.take().or(fault);
            }
        }
        Ok(found.into_values().collect())
    }

    /// Why a policy's evictions are only shown.
    fn only_shown(&self, policy: &Policy) -> Option<&'static str> {
        let policies = self.state.policies.as_ref();
        let is_held = policies.is_some_and(|one| one.choice.held.contains_key(&policy.name));
        let is_unknown = policies.is_none_or(|one| one.trouble.is_some());
        match policy.mode {
            PolicyMode::Observe => Some("the policy only observes"),
            PolicyMode::Enforce if !self.state.enforces => Some("the agent runs with --mode observe"),
            PolicyMode::Enforce if self.state.reconciler.paused().is_some() => Some("the agent is paused"),
            // It may be paused, deleted, or exclude more by now.
            PolicyMode::Enforce if is_unknown => Some("the policies of the cluster are not followed"),
            PolicyMode::Enforce if policy.paused => Some("the policy is paused"),
            PolicyMode::Enforce if is_held => Some("a newer version of the policy is not in force yet"),
            PolicyMode::Enforce => None,
        }
    }

    /// Lists the pods of the node, if some are stale and it is time.
    pub(crate) fn poll_evictions(&mut self) {
        let now = self.effects.now();
        let Status {
            looked,
            failure,
            blocked,
            waits,
            ..
        } = &self.state.status;
        let is_well = *looked && failure.is_none() && blocked.is_none() && waits.is_none();
        if is_well && self.state.evictions.is_due(now) {
            self.ask_for_evictions(EvictionRequest::Look);
        }
    }

    fn ask_for_evictions(&mut self, request: EvictionRequest) {
        let now = self.effects.now();
        let Some(follower) = &self.effects.policies else {
            return;
        };
        match follower.ask_for_evictions(request) {
            Ok(()) => self.state.evictions.asks = true,
            Err(why) => {
                self.state.evictions.not_listed(why, now);
            }
        }
    }

    /// Takes an answer of the API server.
    pub(crate) fn learn_evictions(&mut self, news: EvictionNews, live: &mut Live) {
        let now = self.effects.now();
        match news {
            EvictionNews::Trouble(why) => {
                if self.state.evictions.not_listed(why.clone(), now) {
                    let log = &mut self.effects.log;
                    log.say(Level::Warning, "pods-not-listed", &[("why", &why)]);
                }
            }
            EvictionNews::Pods(pods) => {
                let next = self.state.evictions.listed(pods, now);
                let evicts = next.evict.is_some();
                self.report_evictions(next);
                if evicts {
                    self.evict_next(live);
                }
            }
            EvictionNews::Ended { uid, end } => self.eviction_ended(&uid, &end),
            EvictionNews::NotWhole { owner, why } => {
                let of_owner = self.state.evictions.record.owners.get(&owner);
                let owner = of_owner.map_or(owner, |record| record.owner.clone());
                let fields: &[(&str, &dyn Display)] = &[("owner", &owner), ("why", &why)];
                self.effects.log.say(Level::Error, "evictions-stopped", fields);
                self.tell("EvictionsStopped", true, format!("{owner}: {why}"));
            }
        }
    }

    /// Evicts the next pod, if the host is still as the decision needs it.
    fn evict_next(&mut self, live: &mut Live) {
        // The configuration of the CNI, or the pods, may have changed since the last full scan.
        self.find_stale_pods(live);
        let now = self.effects.now();
        let mut next = self.state.evictions.decide(now);
        let evict = next.evict.take();
        self.report_evictions(next);
        let node_uid = self.state.policies.as_ref().and_then(|one| one.node_uid.clone());
        let (Some(mut eviction), Some(node_uid)) = (evict, node_uid) else {
            return;
        };
        eviction.node_uid = node_uid;
        self.state.evictions.ask(&eviction, clock::now());
        // What is not written down is not done.
        match self.keep_evictions() {
            true => self.ask_for_evictions(EvictionRequest::Evict(eviction)),
            false => self.state.evictions.take_back(&eviction.uid),
        }
    }

    fn eviction_ended(&mut self, uid: &str, end: &EvictionEnd) {
        let now = self.effects.now();
        let pod = self.state.evictions.name(uid);
        match end {
            EvictionEnd::Evicted => {
                let why = "its MTU cannot be corrected while it runs";
                let fields: &[(&str, &dyn Display)] = &[("pod", &pod), ("why", &why)];
                self.effects.log.say(Level::Info, "pod-evicted", fields);
                self.tell("PodEvicted", false, format!("{pod}: {why}"));
            }
            EvictionEnd::Gone => {
                let fields: &[(&str, &dyn Display)] = &[("pod", &pod), ("why", &"it is gone")];
                self.effects.log.say(Level::Info, "pod-not-evicted", fields);
            }
            EvictionEnd::Busy(_) => {}
            EvictionEnd::Unknown(why) => {
                let fields: &[(&str, &dyn Display)] = &[("pod", &pod), ("why", why)];
                self.effects.log.say(Level::Warning, "eviction-unknown", fields);
            }
            EvictionEnd::Refused { why, .. } | EvictionEnd::Failed(why) => {
                let fields: &[(&str, &dyn Display)] = &[("pod", &pod), ("why", why)];
                self.effects.log.say(Level::Warning, "eviction-refused", fields);
            }
        }
        if self.state.evictions.ended(uid, end, now) {
            self.keep_evictions();
        }
    }

    fn report_evictions(&mut self, next: Next) {
        for one in next.notices {
            let fields: &[(&str, &dyn Display)] =
                &[("pod", &one.pod), ("reason", &one.word), ("why", &one.why)];
            self.effects.log.say(Level::Info, "pod-not-evicted", fields);
            self.tell("PodNotEvicted", false, format!("{}: {}", one.pod, one.why));
        }
        if next.stopped.is_empty() {
            return;
        }
        for (owner, pod) in next.stopped {
            let why = stopped_sentence(&pod);
            let fields: &[(&str, &dyn Display)] = &[("owner", &owner), ("why", &why)];
            self.effects.log.say(Level::Error, "evictions-stopped", fields);
            self.tell("EvictionsStopped", true, format!("{owner}: {why}"));
        }
        self.state.show_stopped_evictions();
        self.keep_evictions();
    }

    /// Keeps the record. Returns whether it is on disk.
    fn keep_evictions(&mut self) -> bool {
        let evictions = &self.state.evictions;
        // A record that cannot be read is somebody's to look at.
        if evictions.unread.is_some() {
            return false;
        }
        match self.effects.runner.store.keep_evictions(&evictions.record) {
            Ok(()) => true,
            Err(error) => {
                let log = &mut self.effects.log;
                log.say(Level::Warning, "evictions-not-kept", &[("why", &error)]);
                false
            }
        }
    }
}
