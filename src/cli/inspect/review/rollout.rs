//! The step of a rollout in which a node gets the new version of a policy, as the node's agent chooses.

use std::collections::{BTreeMap, BTreeSet};

use crate::inspect::review::nodes::{InForce, Node};
use netkeel_diagnose::review::group::Stage;
use netkeel_document::policy::choice::{Choice, Held, NodeLabels, NodePolicies, choose};
use netkeel_document::policy::{DeletionPolicy, Policy, PolicyMode, Unread, is_policy};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::Node as Source;

/// The steps of a rollout, in their order.
pub(super) const STAGES: [&str; 6] = [
    "in force already",
    "first share",
    "later share",
    "paused",
    "only observes",
    "leaves",
];

const HAS_IT: Stage = 0;
const FIRST: Stage = 1;
const LATER: Stage = 2;
const PAUSED: Stage = 3;
const OBSERVES: Stage = 4;
const LEAVES: Stage = 5;

/// The keys of a document that declare no setting.
const GENERAL: [&str; 4] = ["version", "owner", "persist", "prune"];

/// One side of a review of a cluster.
#[derive(Debug)]
pub(super) enum Declared {
    /// A policy.
    Policy(Box<Policy>),
    /// A document of each node's own files.
    EveryNode,
    /// A document that declares nothing: there is no policy.
    Nothing,
}

impl Declared {
    /// Reads a file. Errors go to the diagnostics.
    pub(super) fn read(file: &Source, diagnostics: &mut Diagnostics) -> Option<Self> {
        if is_policy(file) {
            let mut policy = Policy::read(file, diagnostics)?;
            // A file may have no UID, or that of another cluster: the name tells policies apart.
            policy.uid.clone_from(&policy.name);
            return Some(Declared::Policy(Box::new(policy)));
        }
        let mut keys = file.entries().iter().map(|entry| entry.key.as_str());
        Some(match keys.all(|key| GENERAL.contains(&key)) {
            true => Declared::Nothing,
            false => Declared::EveryNode,
        })
    }

    fn policy(&self) -> Option<&Policy> {
        match self {
            Declared::Policy(policy) => Some(policy),
            Declared::EveryNode | Declared::Nothing => None,
        }
    }

    /// Whether a node corrects what this declares.
    pub(super) fn is_for(&self, node: &Node) -> bool {
        match self {
            Declared::Policy(policy) => {
                policy.mode == PolicyMode::Enforce && policy.selector.selects(&node.labels)
            }
            Declared::EveryNode => true,
            Declared::Nothing => false,
        }
    }
}

/// The effect of a change on the document of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Effect {
    /// The old version is part of the document.
    pub(super) had: bool,
    /// The new version will be.
    pub(super) gets: bool,
    /// The node releases the settings of the old version.
    pub(super) releases: bool,
}

/// What happens to a node, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) effect: Effect,
    /// `None` for a document that is not rolled out by a policy.
    pub(super) stage: Option<Stage>,
    /// The node says that it has another version than the old and the new one.
    pub(super) is_behind: bool,
    /// The node says nothing: it is taken to have the old version.
    pub(super) is_assumed: bool,
}

/// A change of a policy.
pub(super) struct Change<'a> {
    old: &'a Declared,
    new: &'a Declared,
    /// The policies of the cluster after the change.
    listed: Vec<Result<Policy, Unread>>,
}

impl<'a> Change<'a> {
    pub(super) fn new(old: &'a Declared, new: &'a Declared) -> Self {
        let listed = new.policy().into_iter().map(|policy| Ok(policy.clone()));
        Change {
            old,
            new,
            listed: listed.collect(),
        }
    }

    /// What the change does to a node.
    pub(super) fn step(&self, name: &str, node: &Node) -> Step {
        let before = self.before(node);
        let labels = NodeLabels {
            name,
            labels: &node.labels,
        };
        let choice = choose(&before, &self.listed, labels, &|_, _| None, &|_| None);
        let mut leaving = choice.policies.leaving.values();
        let effect = Effect {
            had: self.old.is_for(node),
            gets: self.new.is_for(node),
            releases: leaving.any(|policy| policy.deletion == DeletionPolicy::Release),
        };
        let of_old = self.old.policy().and_then(|old| before.in_force.get(&old.name));
        let has = |policy: Option<&Policy>| {
            let same = |one: &&Policy| of_old.is_some_and(|before| is_same(before, one));
            policy.filter(same).is_some()
        };
        Step {
            effect,
            stage: self.stage(&before, &choice, node),
            is_behind: effect.had
                && self.old.policy().is_some()
                && !has(self.old.policy())
                && !has(self.new.policy()),
            is_assumed: effect.had && self.old.policy().is_some() && node.in_force.is_none(),
        }
    }

    fn stage(&self, before: &NodePolicies, choice: &Choice, node: &Node) -> Option<Stage> {
        let new = match self.new {
            Declared::EveryNode => return None,
            Declared::Nothing => return Some(LEAVES),
            Declared::Policy(new) if !new.selector.selects(&node.labels) => return Some(LEAVES),
            Declared::Policy(new) => new,
        };
        match choice.held.get(&new.name) {
            Some(Held::Paused) => Some(PAUSED),
            Some(Held::Rollout) => Some(LATER),
            // No other policy and no slot was asked for, and the policy is valid.
            Some(Held::Conflict(_) | Held::Invalid(_) | Held::Slot(_) | Held::RolledBack(_)) => None,
            None if before
                .in_force
                .get(&new.name)
                .is_some_and(|one| is_same(one, new)) =>
            {
                Some(HAS_IT)
            }
            None if new.mode == PolicyMode::Observe => Some(OBSERVES),
            None => Some(FIRST),
        }
    }

    /// The policies in force before the change: as the node says, or the old one if it selects the node.
    fn before(&self, node: &Node) -> NodePolicies {
        let mut in_force = BTreeMap::new();
        match &node.in_force {
            None => {
                let old = self.old.policy();
                let old = old.filter(|old| old.selector.selects(&node.labels));
                in_force.extend(old.map(|old| (old.name.clone(), old.clone())));
            }
            Some(states) => {
                // A version of both names comes once, as the new one if the hash is that of the new one.
                for policy in [self.old, self.new].into_iter().filter_map(Declared::policy) {
                    if let Some(state) = states.get(&policy.name) {
                        in_force.insert(policy.name.clone(), version_of(state, policy));
                    }
                }
            }
        }
        let enforced = in_force
            .values()
            .filter(|policy| policy.mode == PolicyMode::Enforce)
            .map(|policy| policy.uid.clone())
            .collect::<BTreeSet<_>>();
        NodePolicies {
            in_force,
            leaving: BTreeMap::new(),
            enforced,
        }
    }
}

/// A policy in the version that a node says. Only what the choice compares is right.
fn version_of(state: &InForce, policy: &Policy) -> Policy {
    let mut version = policy.clone();
    version.hash.clone_from(&state.hash);
    // As for the agent, a document without a known mode is not enforced.
    version.mode = state.mode.unwrap_or(PolicyMode::Observe);
    version
}

/// Whether two versions are the same for the choice.
fn is_same(one: &Policy, other: &Policy) -> bool {
    one.hash == other.hash && one.mode == other.mode
}
