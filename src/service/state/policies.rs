//! The policies of the cluster on this node: those in force, and what is known of the rest.

use std::collections::{BTreeMap, BTreeSet};

use crate::state::changes::{Changes, Ended, Next};
use netkeel_apply::store::kept::policies::KeptPolicies;
use netkeel_core::cluster_policies::ClusterNode;
use netkeel_core::error::Error;
use netkeel_core::probe::Probe;
use netkeel_document::policy::choice::{Choice, Held, NodeLabels, NodePolicies, choose};
use netkeel_document::policy::conflict::between;
use netkeel_document::policy::wish::{SlotNews, Wishes};
use netkeel_document::policy::{Policy, PolicyMode};
use netkeel_reconcile::event::Now;
use netkeel_reconcile::status::policies::{HeldStatus, PoliciesStatus, PolicyStatus};

/// The policies.
pub(crate) struct Policies {
    /// The name of the node.
    pub(crate) node: String,
    pub(crate) choice: Choice,
    /// The UID of the Node; `None` before the first complete list.
    pub(crate) node_uid: Option<String>,
    /// Why the policies cannot be followed now.
    pub(crate) trouble: Option<String>,
    /// Why the state of the node is not in the cluster.
    pub(crate) not_written: Option<String>,
    /// Why nobody knows which policies were in force before the start.
    pub(crate) unread: Option<String>,
    /// The drift of each policy that only observes, by name.
    pub(crate) observed: BTreeMap<String, Result<usize, String>>,
    /// The document in force is that of these policies.
    pub(crate) loaded: bool,
    /// The policies whose documents are part of the document in force, by name.
    accepted: BTreeMap<String, Policy>,
    /// There were files since the start.
    pub(crate) has_files: bool,
    /// When the policies that leave are released next.
    pub(crate) release_at: Now,
    /// The changes that need slots.
    pub(crate) changes: Changes,
    /// The last complete list, and the Node.
    listed: Option<(Vec<String>, ClusterNode)>,
}

/// The changes that a complete list brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Learned {
    /// Other policies, or other versions, are in force or leave.
    pub(crate) changed: bool,
    /// Other documents are enforced.
    pub(crate) reload: bool,
    /// Something about the policies is news.
    pub(crate) news: bool,
}

impl Policies {
    /// The policies at start: those that were kept. `has_files` tells whether there are documents in files, and `paced`
    /// whether changes need slots.
    pub(crate) fn new(node: String, kept: Result<KeptPolicies, Error>, has_files: bool, paced: bool) -> Self {
        let mut failed = Vec::new();
        let (policies, unread) = match kept {
            Ok(mut kept) => {
                failed = std::mem::take(&mut kept.failed);
                recall(kept)
            }
            Err(error) => (NodePolicies::default(), Some(error.message)),
        };
        Policies {
            node,
            choice: Choice {
                policies,
                ..Choice::default()
            },
            node_uid: None,
            trouble: None,
            not_written: None,
            unread,
            observed: BTreeMap::new(),
            loaded: false,
            accepted: BTreeMap::new(),
            has_files,
            release_at: Now::ZERO,
            changes: Changes::new(paced, failed),
            listed: None,
        }
    }

    /// Takes a complete list.
    pub(crate) fn learn(&mut self, objects: &[String], node: ClusterNode) -> Learned {
        self.listed = Some((objects.to_vec(), node.clone()));
        let recovered = self.trouble.take().is_some();
        let mut learned = self.choose(objects, node);
        learned.news |= recovered;
        learned
    }

    fn choose(&mut self, objects: &[String], node: ClusterNode) -> Learned {
        let documents = self.documents();
        let listed: Vec<_> = objects.iter().map(|text| Policy::from_json(text)).collect();
        let labels = NodeLabels {
            name: &self.node,
            labels: &node.labels,
        };
        let conflict = |one: &Policy, other: &Policy| between(&one.document, &other.document, &other.name);
        let gate = |policy: &Policy| self.changes.gate(policy);
        let choice = choose(&self.choice.policies, &listed, labels, &conflict, &gate);
        self.changes.follow(&choice, &listed);
        let first = self.node_uid.is_none();
        self.node_uid = Some(node.uid);
        let unread = self.unread.take().is_some();
        let before = std::mem::replace(&mut self.choice, choice);
        let changed = unread || !is_same(&before.policies, &self.choice.policies);
        let in_force = &self.choice.policies.in_force;
        self.observed.retain(|name, _| {
            let mode = in_force.get(name).map(|policy| policy.mode);
            mode == Some(PolicyMode::Observe)
        });
        let reload = unread || documents != self.documents();
        if reload {
            self.loaded = false;
        }
        Learned {
            changed,
            reload,
            news: changed || first || before.held != self.choice.held,
        }
    }

    /// Chooses from the last list anew.
    pub(crate) fn choose_again(&mut self) -> Learned {
        match self.listed.clone() {
            Some((objects, node)) => self.choose(&objects, node),
            None => Learned::default(),
        }
    }

    /// Takes news of the slots.
    pub(crate) fn learn_slots(&mut self, news: SlotNews) -> Next {
        self.changes.learn(news, &self.choice)
    }

    /// The slots that the node wants; `None` before the first complete list.
    pub(crate) fn wishes(&self, writes: bool) -> Option<Wishes> {
        Some(Wishes {
            node_uid: self.node_uid.clone()?,
            slots: self.changes.wishes(&self.choice, writes),
        })
    }

    /// The policies whose changes are part of the document in force and were not confirmed, by UID.
    fn unconfirmed(&self) -> BTreeMap<String, Option<Policy>> {
        let in_force = |new: &Policy| {
            let found = self.choice.policies.in_force.get(&new.name);
            found.is_some_and(|one| one.uid == new.uid && one.hash == new.hash)
        };
        let applying = self.changes.applying().filter(|(new, _)| in_force(new));
        applying
            .map(|(new, old)| (new.uid.clone(), old.cloned()))
            .collect()
    }

    /// The probes that must pass after a write; none while no change is applied.
    pub(crate) fn confirm(&self) -> Vec<Probe> {
        match self.is_changing() {
            true => self.changes.confirm(),
            false => Vec::new(),
        }
    }

    /// Whether changes are part of the document in force and not confirmed: a pass writes all of them or nothing.
    pub(crate) fn is_changing(&self) -> bool {
        self.loaded && !self.unconfirmed().is_empty()
    }

    /// The policies whose changes are part of the document in force and not confirmed.
    pub(crate) fn changing(&self) -> Vec<Policy> {
        let unconfirmed = self.unconfirmed();
        let applying = self.changes.applying().map(|(new, _)| new);
        let applying = applying.filter(|new| self.loaded && unconfirmed.contains_key(&new.uid));
        applying.cloned().collect()
    }

    /// Whether no pass for the changes could start for too long.
    pub(crate) fn is_blocked_too_long(&mut self, now: Now) -> bool {
        self.is_changing() && self.changes.is_blocked_too_long(now)
    }

    /// A full pass with the document of these policies ended well: their changes hold. Returns the names of the policies.
    pub(crate) fn hold_changes(&mut self) -> Vec<String> {
        if !self.loaded {
            return Vec::new();
        }
        let uids: BTreeSet<String> = self.unconfirmed().into_keys().collect();
        let names = self.changes.hold(&uids);
        if !names.is_empty() {
            self.accept();
        }
        names
    }

    /// Whether changes of which a pass wrote nothing are tried again.
    pub(crate) fn tries_again(&mut self) -> bool {
        !self.unconfirmed().is_empty() && self.changes.tries_again()
    }

    /// The changes failed, and what they wrote was undone, or is released: the versions before come back. Returns the names of the
    /// policies.
    pub(crate) fn fail_changes(&mut self, why: &str) -> Vec<String> {
        let uids: BTreeSet<String> = self.unconfirmed().into_keys().collect();
        let failed = self.changes.fail(&uids, why);
        for Ended { new, old, wrote } in &failed {
            let NodePolicies {
                in_force, leaving, ..
            } = &mut self.choice.policies;
            match old {
                Some(old) => drop(in_force.insert(new.name.clone(), old.clone())),
                None => drop(in_force.remove(&new.name)),
            }
            if old.is_none() && *wrote {
                leaving.insert(new.uid.clone(), new.clone());
            }
        }
        if !failed.is_empty() {
            // Also where the versions before are the same documents.
            self.loaded = false;
        }
        failed.into_iter().map(|ended| ended.new.name).collect()
    }

    /// Records that the document of these policies is in force; `has_files` tells whether it has one of files.
    pub(crate) fn loaded(&mut self, has_files: bool) {
        self.loaded = true;
        self.accept();
        self.has_files |= has_files;
    }

    /// Accepts the policies that are enforced; of an unconfirmed change the version before.
    fn accept(&mut self) {
        let unconfirmed = self.unconfirmed();
        let accepted = self.enforced().filter_map(|one| match unconfirmed.get(&one.uid) {
            None => Some(one.clone()),
            Some(old) => old.clone().filter(|old| old.mode == PolicyMode::Enforce),
        });
        let accepted = accepted.map(|one| (one.name.clone(), one)).collect();
        self.accepted = accepted;
    }

    /// The documents that are enforced, each with the name of its policy.
    pub(crate) fn documents(&self) -> Vec<(String, Vec<u8>)> {
        self.enforced()
            .map(|policy| {
                let name = format!("policy {}.json", policy.name);
                (name, policy.canonical.clone().into_bytes())
            })
            .collect()
    }

    /// The policies that are enforced.
    fn enforced(&self) -> impl Iterator<Item = &Policy> {
        let policies = self.choice.policies.in_force.values();
        policies.filter(|policy| policy.mode == PolicyMode::Enforce)
    }

    /// Whether `prune: true` must wait: facts that the document in force lacks may be those of a policy that is not yet
    /// read, not yet accepted, or not yet released or given up.
    pub(crate) fn defers_prune(&self) -> bool {
        let Choice { policies, held, .. } = &self.choice;
        let is_known = self.node_uid.is_some() && self.unread.is_none() && self.loaded;
        let mut without_a_version = held.keys().filter(|name| !policies.in_force.contains_key(*name));
        !is_known || !policies.leaving.is_empty() || without_a_version.next().is_some()
    }

    /// The policies that are enforced or observe, each as `NAME@GENERATION`.
    pub(crate) fn chosen(&self) -> String {
        let policies = self.choice.policies.in_force.values();
        let shown: Vec<String> = policies
            .map(|policy| format!("{}@{}", policy.name, policy.generation))
            .collect();
        shown.join(",")
    }

    /// The policies that only observe.
    pub(crate) fn observing(&self) -> impl Iterator<Item = &Policy> {
        let policies = self.choice.policies.in_force.values();
        policies.filter(|policy| policy.mode == PolicyMode::Observe)
    }

    /// The policies to keep for the next start.
    pub(crate) fn to_keep(&self) -> KeptPolicies {
        let unconfirmed = self.unconfirmed();
        let mut leaving: Vec<&Policy> = self.choice.policies.leaving.values().collect();
        let mut in_force = Vec::new();
        for policy in self.choice.policies.in_force.values() {
            match unconfirmed.get(&policy.uid) {
                None => in_force.push(policy),
                Some(Some(old)) => in_force.push(old),
                // After a crash its settings are released before it is tried again.
                Some(None) => leaving.push(policy),
            }
        }
        let texts = |policies: Vec<&Policy>| {
            let objects = policies.into_iter().map(|policy| policy.object.to_string());
            objects.collect()
        };
        KeptPolicies {
            in_force: texts(in_force),
            leaving: texts(leaving),
            enforced: self.choice.policies.enforced.iter().cloned().collect(),
            failed: self.changes.failed(),
        }
    }

    fn shown_trouble(&self) -> Option<String> {
        let of_list = self.trouble.as_ref().or(self.unread.as_ref());
        let of_slots = self.changes.trouble.as_ref().filter(|why| of_list != Some(why));
        let both: Vec<&str> = of_list.into_iter().chain(of_slots).map(String::as_str).collect();
        (!both.is_empty()).then(|| both.join("; "))
    }

    /// The policies for the status.
    pub(crate) fn status(&self) -> PoliciesStatus {
        let Choice { policies, held, .. } = &self.choice;
        // A newer object with the same document has a newer generation.
        let newest = |policy: &Policy| {
            let one = self
                .enforced()
                .find(|one| one.uid == policy.uid && one.hash == policy.hash);
            one.unwrap_or(policy).clone()
        };
        let mut in_force: BTreeMap<&str, Policy> = self
            .observing()
            .map(|policy| (&*policy.name, policy.clone()))
            .collect();
        in_force.extend(
            self.accepted
                .iter()
                .map(|(name, policy)| (&**name, newest(policy))),
        );
        let in_force = in_force.values().map(|policy| {
            let observed = self.observed.get(&policy.name);
            PolicyStatus {
                name: policy.name.clone(),
                generation: policy.generation,
                hash: policy.hash.clone(),
                mode: policy.mode.word(),
                drift: observed.and_then(|observed| observed.as_ref().ok().copied()),
                failure: observed.and_then(|observed| observed.as_ref().err().cloned()),
            }
        });
        let held = held.iter().map(|(name, held)| {
            let (reason, why) = match held {
                Held::Paused => ("PolicyPaused", "the policy is paused".to_owned()),
                Held::Rollout => ("Rollout", "the rollout has not reached this node".to_owned()),
                Held::Conflict(conflict) => ("Conflict", conflict.to_string()),
                Held::Invalid(why) => ("Invalid", why.clone()),
                Held::Slot(why) => ("Waiting", why.clone()),
                Held::RolledBack(why) => ("RolledBack", why.clone()),
            };
            HeldStatus {
                name: name.clone(),
                reason,
                why,
            }
        });
        PoliciesStatus {
            node: self.node.clone(),
            listed: self.node_uid.is_some(),
            in_force: in_force.collect(),
            held: held.collect(),
            leaving: policies
                .leaving
                .values()
                .map(|policy| policy.name.clone())
                .collect(),
            trouble: self.shown_trouble(),
            not_written: self.not_written.clone(),
            evictions: Vec::new(),
            evictions_trouble: None,
        }
    }
}

/// The policies that were kept, and why some of them cannot be read.
fn recall(kept: KeptPolicies) -> (NodePolicies, Option<String>) {
    let mut faults = Vec::new();
    let mut read = |texts: Vec<String>, key: fn(&Policy) -> &String| {
        let mut policies = BTreeMap::new();
        for text in texts {
            match Policy::from_json(&text) {
                Ok(policy) => drop(policies.insert(key(&policy).clone(), policy)),
                Err(unread) => faults.push(format!("{}: {}", unread.name, unread.why)),
            }
        }
        policies
    };
    let policies = NodePolicies {
        in_force: read(kept.in_force, |policy| &policy.name),
        leaving: read(kept.leaving, |policy| &policy.uid),
        enforced: kept.enforced.into_iter().collect(),
    };
    (policies, (!faults.is_empty()).then(|| faults.join("; ")))
}

/// Whether the same objects are in force and leave.
fn is_same(one: &NodePolicies, other: &NodePolicies) -> bool {
    fn objects(policies: &NodePolicies) -> [Vec<&str>; 2] {
        [&policies.in_force, &policies.leaving]
            .map(|policies| policies.values().map(|policy| &*policy.object).collect())
    }
    objects(one) == objects(other)
}

#[cfg(test)]
mod tests;
