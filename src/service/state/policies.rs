//! The policies of the cluster on this node: those in force, and what is known of the rest.

use std::collections::BTreeMap;

use netkeel_apply::store::kept::policies::KeptPolicies;
use netkeel_core::cluster_policies::ClusterNode;
use netkeel_core::error::Error;
use netkeel_document::policy::choice::{Choice, Held, NodeLabels, NodePolicies, choose};
use netkeel_document::policy::conflict::between;
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
    /// The policies at start: those that were kept. `has_files` tells whether there are documents in files.
    pub(crate) fn new(node: String, kept: Result<KeptPolicies, Error>, has_files: bool) -> Self {
        let (policies, unread) = match kept {
            Ok(kept) => recall(kept),
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
        }
    }

    /// Takes a complete list.
    pub(crate) fn learn(&mut self, objects: &[String], node: ClusterNode) -> Learned {
        let documents = self.documents();
        let listed: Vec<_> = objects.iter().map(|text| Policy::from_json(text)).collect();
        let labels = NodeLabels {
            name: &self.node,
            labels: &node.labels,
        };
        let choice = choose(&self.choice.policies, &listed, labels, &|one, other| {
            between(&one.document, &other.document, &other.name)
        });
        let first = self.node_uid.is_none();
        let recovered = self.trouble.take().is_some();
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
            news: changed || first || recovered || before.held != self.choice.held,
        }
    }

    /// Records that the document of these policies is in force; `has_files` tells whether it has one of files.
    pub(crate) fn loaded(&mut self, has_files: bool) {
        self.loaded = true;
        self.accepted = self
            .enforced()
            .map(|one| (one.name.clone(), one.clone()))
            .collect();
        self.has_files |= has_files;
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
        let Choice { policies, held } = &self.choice;
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
        let texts = |policies: &BTreeMap<String, Policy>| {
            let objects = policies.values().map(|policy| policy.object.to_string());
            objects.collect()
        };
        KeptPolicies {
            in_force: texts(&self.choice.policies.in_force),
            leaving: texts(&self.choice.policies.leaving),
            enforced: self.choice.policies.enforced.iter().cloned().collect(),
        }
    }

    /// The policies for the status.
    pub(crate) fn status(&self) -> PoliciesStatus {
        let Choice { policies, held } = &self.choice;
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
            trouble: self.trouble.clone().or_else(|| self.unread.clone()),
            not_written: self.not_written.clone(),
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
mod tests {
    use super::*;

    const ALL: Learned = Learned {
        changed: true,
        reload: true,
        news: true,
    };

    fn object(name: &str, spec: &str) -> String {
        format!(
            r#"{{"apiVersion": "netkeel.io/v1alpha1", "kind": "NetkeelPolicy",
            "metadata": {{"name": "{name}", "uid": "u-{name}", "generation": 2}}, "spec": {spec}}}"#
        )
    }

    fn forward(name: &str, value: u8, more: &str) -> String {
        let document = format!(r#"{{"version": 1, "sysctl": {{"net.ipv4.ip_forward": {value}}}}}"#);
        object(name, &format!(r#"{{"document": {document}{more}}}"#))
    }

    fn node() -> ClusterNode {
        ClusterNode {
            uid: "n-1".to_owned(),
            labels: BTreeMap::new(),
        }
    }

    #[test]
    fn policies_hold_across_a_restart_until_a_complete_list_says_otherwise() {
        let mut policies = Policies::new("n1".to_owned(), Ok(KeptPolicies::default()), false);
        assert!(!policies.status().listed);
        assert_eq!(policies.learn(&[forward("a", 1, "")], node()), ALL);
        // Only the document counts for a reload.
        let paused = Learned { reload: false, ..ALL };
        assert_eq!(
            policies.learn(&[forward("a", 1, r#", "paused": true"#)], node()),
            paused
        );
        policies.learn(&[forward("a", 1, "")], node());
        assert_eq!(policies.learn(&[forward("a", 1, "")], node()), Learned::default());
        let again = Policies::new("n1".to_owned(), Ok(policies.to_keep()), false);
        assert_eq!(again.documents(), policies.documents());
        assert_eq!(again.documents().len(), 1);
        assert!(!again.status().listed);
        let mut again = again;
        assert_eq!(again.learn(&[], node()), ALL);
        assert_eq!(again.status().leaving, ["a"]);
        let third = Policies::new("n1".to_owned(), Ok(again.to_keep()), false);
        assert_eq!(third.status().leaving, ["a"]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_a_node_without_policies() {
        let kept = KeptPolicies {
            in_force: vec![object("a", "{}"), forward("b", 1, "")],
            enforced: vec!["u-a".to_owned(), "u-b".to_owned()],
            leaving: Vec::new(),
        };
        let mut policies = Policies::new("n1".to_owned(), Ok(kept), false);
        let why = policies.unread.clone().unwrap();
        assert!(why.starts_with("a: spec.document"), "{why}");
        assert_eq!(policies.status().trouble, Some(why));
        // The others are known.
        assert_eq!(policies.documents().len(), 1);
        assert_eq!(policies.learn(&[], node()), ALL);
        assert_eq!(policies.unread, None);
        assert_eq!(policies.status().leaving, ["b"]);
    }

    #[test]
    fn a_policy_that_observes_is_not_enforced() {
        let mut policies = Policies::new("n1".to_owned(), Ok(KeptPolicies::default()), false);
        let observe = forward("a", 1, r#", "mode": "observe""#);
        policies.learn(&[observe], node());
        assert_eq!((policies.documents().len(), policies.observing().count()), (0, 1));
        policies.observed.insert("a".to_owned(), Ok(3));
        assert_eq!(policies.status().in_force[0].drift, Some(3));
        policies.learn(&[forward("a", 1, "")], node());
        policies.loaded(false);
        assert_eq!(policies.status().in_force[0].drift, None);
        assert_eq!(policies.documents()[0].0, "policy a.json");
    }

    #[test]
    fn a_policy_is_in_force_once_its_document_is_accepted() {
        let mut policies = Policies::new("n1".to_owned(), Ok(KeptPolicies::default()), false);
        let shown = |policies: &Policies| -> Vec<(String, i64, String)> {
            let in_force = policies.status().in_force.into_iter();
            in_force.map(|one| (one.name, one.generation, one.hash)).collect()
        };
        policies.learn(&[forward("a", 0, "")], node());
        assert_eq!(policies.chosen(), "a@2");
        assert_eq!(shown(&policies), []);
        policies.loaded(false);
        let accepted = shown(&policies);
        assert_eq!(accepted.len(), 1);
        // The document of the newer version is rejected: the older one is in force.
        policies.learn(&[forward("a", 1, "")], node());
        assert_eq!(shown(&policies), accepted);
        policies.loaded(false);
        assert_ne!(shown(&policies), accepted);
        // It is in force until the document without it is.
        policies.learn(&[], node());
        assert_eq!(shown(&policies).len(), 1);
        policies.loaded(false);
        assert_eq!(shown(&policies), []);
    }

    #[test]
    fn nothing_is_pruned_while_the_policies_are_not_known() {
        let mut policies = Policies::new("n1".to_owned(), Ok(KeptPolicies::default()), true);
        policies.loaded(true);
        assert!(policies.defers_prune(), "no list came yet");
        policies.learn(&[forward("a", 1, "")], node());
        assert!(policies.defers_prune(), "the document is not accepted yet");
        policies.loaded(true);
        assert!(!policies.defers_prune());
        policies.learn(
            &[forward("a", 1, ""), forward("b", 1, r#", "paused": true"#)],
            node(),
        );
        assert!(
            policies.defers_prune(),
            "another version of b may have been here before"
        );
        policies.learn(&[], node());
        policies.loaded(true);
        assert!(policies.defers_prune(), "a leaves");
        policies.choice.policies.leaving.clear();
        assert!(!policies.defers_prune());
    }

    #[test]
    fn what_holds_a_policy_is_one_line() {
        let mut policies = Policies::new("n1".to_owned(), Ok(KeptPolicies::default()), false);
        let learned = policies.learn(&[forward("a", 1, ""), forward("b", 0, "")], node());
        assert_eq!(
            learned,
            Learned {
                news: true,
                ..Learned::default()
            }
        );
        let held = policies.status().held;
        let shown: Vec<_> = held
            .iter()
            .map(|one| format!("{} {}: {}", one.name, one.reason, one.why))
            .collect();
        assert_eq!(
            shown,
            [
                r#"a Conflict: sysctl."net.ipv4.ip_forward" is "1" here and "0" in the policy b"#,
                r#"b Conflict: sysctl."net.ipv4.ip_forward" is "0" here and "1" in the policy a"#
            ]
        );
    }
}
