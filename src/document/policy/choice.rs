//! Which policies are in force on a node: of those that the cluster has, and those that the node had before.

use std::collections::{BTreeMap, BTreeSet};

use crate::policy::conflict::Conflict;
use crate::policy::percent::is_among_first;
use crate::policy::{Policy, PolicyMode, Unread};

/// The policies of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodePolicies {
    /// The policies in force, by name.
    pub in_force: BTreeMap<String, Policy>,
    /// Policies that no longer apply, whose settings are not yet released or given up, by UID.
    pub leaving: BTreeMap<String, Policy>,
    /// The UIDs of those among them that were enforced at some time. Nothing was written for the others.
    pub enforced: BTreeSet<String>,
}

/// Why the newest document of a policy is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// The policy is paused.
    Paused,
    /// The node is not among those that take it first.
    Rollout,
    /// Another policy declares a setting differently.
    Conflict(Conflict),
    /// The object or its document is invalid.
    Invalid(String),
    /// The change needs a slot, for this reason.
    Slot(String),
    /// The change was rolled back, for this reason.
    RolledBack(String),
}

/// The policies of a node, and why some are not in force as the cluster has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// The policies.
    pub policies: NodePolicies,
    /// The policies whose newest document is not in force, by name.
    pub held: BTreeMap<String, Held>,
    /// The policies whose new documents may come in force once the node has a slot for each, by UID.
    pub changes: BTreeMap<String, Policy>,
}

/// A node, as a choice needs it.
#[derive(Clone, Copy, Debug)]
pub struct NodeLabels<'a> {
    /// The name of the node.
    pub name: &'a str,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
}

/// Chooses from a complete list of the cluster's policies. An object in it that this netkeel cannot read holds its
/// last version in force.
///
/// `conflict` finds what two policies declare differently. `gate` tells why a change of a policy that is enforced may not
/// begin yet.
pub fn choose(
    before: &NodePolicies,
    listed: &[Result<Policy, Unread>],
    node: NodeLabels<'_>,
    conflict: &dyn Fn(&Policy, &Policy) -> Option<Conflict>,
    gate: &dyn Fn(&Policy) -> Option<Held>,
) -> Choice {
    let mut held = BTreeMap::new();
    // Each policy that applies, with its version in force before and the one to come.
    let mut versions: BTreeMap<String, Versions<'_>> = BTreeMap::new();
    for one in listed {
        let (name, uid) = match one {
            Ok(policy) => (&policy.name, &policy.uid),
            Err(unread) => (&unread.name, &unread.uid),
        };
        let old = before.in_force.get(name).filter(|old| old.uid == *uid);
        let new = match one {
            Ok(policy) if !policy.selector.selects(node.labels) => continue,
            Ok(policy) => match hold(policy, old, node.name) {
                None => Some(policy),
                Some(why) => {
                    held.insert(name.clone(), why);
                    None
                }
            },
            Err(unread) => {
                // Nobody knows whether it selects this node: that is news only where it did.
                if old.is_some() {
                    held.insert(name.clone(), Held::Invalid(unread.why.clone()));
                }
                None
            }
        };
        versions.insert(name.clone(), Versions { old, new });
    }
    hold_conflicts(&mut versions, &mut held, conflict);
    let mut changes = BTreeMap::new();
    for (name, versions) in &mut versions {
        let enforced = versions.new.filter(|new| new.mode == PolicyMode::Enforce);
        let Some(new) = enforced.filter(|_| versions.is_news()) else {
            continue;
        };
        changes.insert(new.uid.clone(), new.clone());
        if let Some(why) = gate(new) {
            versions.new = None;
            held.insert(name.clone(), why);
        }
    }
    // The versions of before that stay may be in conflict with the changes that go on.
    hold_conflicts(&mut versions, &mut held, conflict);
    // The newest object decides whether the settings stay, whichever document is in force.
    let newest = |policy: &Policy| {
        let mut objects = listed.iter().flatten();
        let object = objects.find(|object| object.uid == policy.uid);
        object.map_or_else(|| policy.clone(), |object| policy.with_deletion(object.deletion))
    };
    let in_force: BTreeMap<String, Policy> = versions
        .iter()
        .filter_map(|(name, versions)| Some((name.clone(), newest(versions.current()?))))
        .collect();
    let mut enforced = before.enforced.clone();
    let now_enforced = in_force
        .values()
        .filter(|policy| policy.mode == PolicyMode::Enforce);
    enforced.extend(now_enforced.map(|policy| policy.uid.clone()));
    let stays = |policy: &Policy| in_force.values().any(|one| one.uid == policy.uid);
    let gone = before.in_force.values().filter(|policy| !stays(policy));
    // A policy that comes back before its settings were released does not leave.
    let still = before.leaving.values().filter(|policy| !stays(policy));
    let leaving = still.chain(gone).filter(|policy| enforced.contains(&policy.uid));
    let leaving: BTreeMap<String, Policy> = leaving
        .map(|policy| (policy.uid.clone(), newest(policy)))
        .collect();
    enforced.retain(|uid| leaving.contains_key(uid) || in_force.values().any(|one| one.uid == *uid));
    Choice {
        policies: NodePolicies {
            in_force,
            leaving,
            enforced,
        },
        held,
        changes,
    }
}

/// The version of a policy that was in force, and the one that shall be.
struct Versions<'a> {
    old: Option<&'a Policy>,
    new: Option<&'a Policy>,
}

impl Versions<'_> {
    fn current(&self) -> Option<&Policy> {
        self.new.or(self.old)
    }

    /// Whether the document that shall be in force was not in force before.
    fn is_news(&self) -> bool {
        match (self.old, self.new) {
            (Some(old), Some(new)) => old.hash != new.hash || old.mode != new.mode,
            (None, Some(_)) => true,
            (_, None) => false,
        }
    }
}

/// Why a version of a policy does not come in force on a node.
fn hold(policy: &Policy, old: Option<&Policy>, node: &str) -> Option<Held> {
    if let Some(why) = policy.fault() {
        return Some(Held::Invalid(why));
    }
    // The document that is in force already is no change to hold.
    if old.is_some_and(|old| old.hash == policy.hash && old.mode == policy.mode) {
        return None;
    }
    if policy.paused {
        return Some(Held::Paused);
    }
    (!is_among_first(node, policy.percent)).then_some(Held::Rollout)
}

/// Takes back the news of policies in conflict, until the policies in force agree.
fn hold_conflicts(
    versions: &mut BTreeMap<String, Versions<'_>>,
    held: &mut BTreeMap<String, Held>,
    conflict: &dyn Fn(&Policy, &Policy) -> Option<Conflict>,
) {
    loop {
        let mut found: BTreeMap<String, Conflict> = BTreeMap::new();
        let enforced = versions.iter().filter_map(|(name, one)| {
            let policy = one
                .current()
                .filter(|policy| policy.mode == PolicyMode::Enforce)?;
            Some((name, policy, one.is_news()))
        });
        let enforced: Vec<(&String, &Policy, bool)> = enforced.collect();
        for (at, (name, policy, is_news)) in enforced.iter().enumerate() {
            for (other, second, other_is_news) in enforced.iter().skip(at + 1) {
                if !is_news && !other_is_news {
                    continue;
                }
                let Some(conflict) = conflict(policy, second) else {
                    continue;
                };
                if *other_is_news {
                    found
                        .entry((*other).clone())
                        .or_insert_with(|| conflict.turned(name));
                }
                if *is_news {
                    found.entry((*name).clone()).or_insert(conflict);
                }
            }
        }
        if found.is_empty() {
            return;
        }
        // Each turn takes back at least one version.
        for (name, conflict) in found {
            if let Some(versions) = versions.get_mut(&name) {
                versions.new = None;
            }
            held.insert(name, Held::Conflict(conflict));
        }
    }
}
