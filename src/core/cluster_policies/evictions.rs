//! The evictions of pods on a node that are on record: they outlive a restart of the agent.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The most owners on record. Of more, the oldest are forgotten.
const MOST: usize = 1000;

/// The owners of a policy that is missing are kept for so long, seconds: it may come back.
const MISSING: u64 = 7 * 24 * 3600;

/// The most pods of which only the end matters.
const MOST_ENDING: usize = 1000;

/// The evictions on record, by the UID of the controller of the pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvictionRecord {
    /// The owners.
    pub owners: BTreeMap<String, OwnerRecord>,
    /// The UIDs of pods whose eviction was asked for by a policy that is another one since: they may still end.
    #[serde(default)]
    pub ending: BTreeSet<String>,
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
    /// The time of the last eviction, Unix seconds.
    pub at: u64,
    /// The policy is missing since then, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<u64>,
}

impl EvictionRecord {
    /// Forgets the owners of policies that were edited since, by UID and generation. Those of a policy that is missing stay for
    /// some days. `now` are Unix seconds.
    pub fn retain_policies(&mut self, generations: &BTreeMap<String, i64>, now: u64) {
        let ending = &mut self.ending;
        self.owners.retain(|_, record| {
            let stays = match generations.get(&record.policy) {
                Some(generation) => *generation == record.generation,
                None => now.saturating_sub(*record.missing.get_or_insert(now)) < MISSING,
            };
            record.missing = record
                .missing
                .filter(|_| !generations.contains_key(&record.policy));
            if !stays {
                ending.append(&mut record.asked);
            }
            stays
        });
    }

    /// Forgets pods of which only the end matters and that are no more.
    pub fn retain_ending(&mut self, is_there: impl Fn(&str) -> bool) {
        self.ending.retain(|uid| is_there(uid));
    }

    /// The time of the last eviction, Unix seconds.
    pub fn last(&self) -> Option<u64> {
        let asked = self.owners.values().filter(|record| !record.asked.is_empty());
        asked.map(|record| record.at).max()
    }

    /// Writes down that the eviction of a pod is asked for. `now` are Unix seconds.
    pub fn ask(&mut self, owner: &str, pod: &str, new: OwnerRecord, now: u64) {
        let goes_on = |record: &OwnerRecord| {
            let is_new = record.asked.is_empty() && record.stopped.is_none();
            !is_new && (&record.policy, record.generation) == (&new.policy, new.generation)
        };
        match self.owners.get_mut(owner) {
            Some(record) if goes_on(record) => {
                record.asked.insert(pod.to_owned());
                record.at = now;
            }
            before => {
                if let Some(before) = before {
                    self.ending.append(&mut before.asked);
                }
                let asked = BTreeSet::from([pod.to_owned()]);
                let record = OwnerRecord {
                    asked,
                    at: now,
                    ..new
                };
                self.owners.insert(owner.to_owned(), record);
            }
        }
        while self.ending.len() > MOST_ENDING {
            self.ending.pop_first();
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
        self.ending.contains(pod) || self.owners.values().any(|record| record.asked.contains(pod))
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
    }

    #[test]
    fn an_owner_is_forgotten_after_an_edit_and_not_while_its_policy_is_missing() {
        let mut record = EvictionRecord::default();
        record.ask("o", "1", new(&["1"]), 10);
        record.retain_policies(&BTreeMap::new(), 20);
        record.retain_policies(&BTreeMap::from([("p".to_owned(), 1)]), 20 + MISSING);
        record.retain_policies(&BTreeMap::new(), 30 + MISSING);
        record.retain_policies(&BTreeMap::new(), 29 + 2 * MISSING);
        assert_eq!(record.owners.len(), 1);
        let mut later = record.clone();
        later.retain_policies(&BTreeMap::new(), 30 + 2 * MISSING);
        assert_eq!(later.owners.len(), 0);
        record.retain_policies(&BTreeMap::from([("p".to_owned(), 2)]), 11);
        assert_eq!(record.owners.len(), 0);
        // The node still ends the pod that an older version of the policy evicted.
        assert!(record.is_asked("1"));
        record.retain_ending(|uid| uid == "1");
        assert!(record.is_asked("1"));
        record.retain_ending(|_| false);
        assert!(!record.is_asked("1"));
        // Nor is it forgotten when another policy evicts the next pod of the owner.
        record.ask("o", "1", new(&[]), 12);
        let other = OwnerRecord {
            policy: "q".to_owned(),
            ..new(&["2"])
        };
        record.ask("o", "2", other, 13);
        assert_eq!(record.owners["o"].policy, "q");
        assert!(record.is_asked("1") && record.is_asked("2"));
        assert_eq!(record.last(), Some(13));
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
