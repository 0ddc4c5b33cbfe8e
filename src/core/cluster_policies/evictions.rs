//! The evictions of pods on a node that are on record: they outlive a restart of the agent.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The most owners on record. Of more, the oldest are forgotten.
const MOST: usize = 1000;

/// The evictions on record, by the UID of the controller of the pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvictionRecord {
    /// The owners.
    pub owners: BTreeMap<String, OwnerRecord>,
}

/// The evictions of the pods of one owner, for one version of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnerRecord {
    /// `NAMESPACE/KIND/NAME`.
    pub owner: String,
    /// The UID of the policy.
    pub policy: String,
    /// Its generation.
    pub generation: i64,
    /// The UIDs of the owner's pods on the node before its first eviction.
    pub known: BTreeSet<String>,
    /// The UIDs of the pods whose eviction was asked for. Each is written down before that.
    pub asked: BTreeSet<String>,
    /// A pod that came later and is stale too, as `NAMESPACE/NAME`: no pod of the owner is evicted any more.
    pub stopped: Option<String>,
    /// The time of the last change, Unix seconds.
    pub at: u64,
}

impl EvictionRecord {
    /// Keeps only the owners of these versions of policies, by UID and generation.
    pub fn retain_policies(&mut self, generations: &BTreeMap<String, i64>) {
        self.owners
            .retain(|_, record| generations.get(&record.policy) == Some(&record.generation));
    }

    /// Writes down that the eviction of a pod is asked for. `now` are Unix seconds.
    pub fn ask(&mut self, owner: &str, pod: &str, new: OwnerRecord, now: u64) {
        let is_new = |record: &OwnerRecord| record.asked.is_empty() && record.stopped.is_none();
        match self.owners.get_mut(owner) {
            Some(record) if !is_new(record) => {
                record.asked.insert(pod.to_owned());
                record.at = now;
            }
            _ => {
                let asked = BTreeSet::from([pod.to_owned()]);
                let record = OwnerRecord {
                    asked,
                    at: now,
                    ..new
                };
                self.owners.insert(owner.to_owned(), record);
            }
        }
        while self.owners.len() > MOST {
            let oldest = self.owners.iter().min_by_key(|(_, record)| record.at);
            let Some(oldest) = oldest.map(|(uid, _)| uid.clone()) else {
                return;
            };
            self.owners.remove(&oldest);
        }
    }

    /// Takes back that the eviction of a pod was asked for: the server refused it.
    pub fn take_back(&mut self, pod: &str) {
        for record in self.owners.values_mut() {
            record.asked.remove(pod);
        }
        self.owners
            .retain(|_, record| !record.asked.is_empty() || record.stopped.is_some());
    }

    /// Whether the eviction of a pod was asked for.
    pub fn is_asked(&self, pod: &str) -> bool {
        self.owners.values().any(|record| record.asked.contains(pod))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(known: &[&str]) -> OwnerRecord {
        OwnerRecord {
            policy: "p".to_owned(),
            generation: 1,
            known: known.iter().map(|uid| (*uid).to_owned()).collect(),
            ..OwnerRecord::default()
        }
    }

    #[test]
    fn the_pods_before_the_first_eviction_stay_known() {
        let mut record = EvictionRecord::default();
        record.ask("o", "1", new(&["1", "2"]), 10);
        // Nothing came of it: what is known is read anew.
        record.take_back("1");
        assert_eq!(record, EvictionRecord::default());
        record.ask("o", "1", new(&["1", "2", "3"]), 11);
        record.ask("o", "2", new(&["2", "3", "4"]), 12);
        assert_eq!(record.owners["o"].known.len(), 3);
        assert!(record.is_asked("1") && record.is_asked("2") && !record.is_asked("3"));
        record.take_back("2");
        assert!(record.is_asked("1") && !record.is_asked("2"));
        record.retain_policies(&BTreeMap::from([("p".to_owned(), 1)]));
        assert_eq!(record.owners.len(), 1);
        record.retain_policies(&BTreeMap::from([("p".to_owned(), 2)]));
        assert_eq!(record.owners.len(), 0);
    }

    #[test]
    fn the_number_of_owners_is_bounded() {
        let mut record = EvictionRecord::default();
        for number in 0..=MOST as u64 {
            record.ask(&format!("o{number}"), "1", new(&[]), number);
        }
        assert_eq!(record.owners.len(), MOST);
        assert!(!record.owners.contains_key("o0"));
    }
}
