//! Which documents each host of a review gets.

use std::collections::BTreeMap;

use crate::inspect::review::pair::Pair;
use netkeel_diagnose::review::group::Stage;
use netkeel_diagnose::review::inventory::Inventory;

/// The documents of all hosts.
pub(super) struct Documents {
    pairs: Vec<Pair>,
    stages: Vec<String>,
    of: Assignment,
}

/// Which pair a host gets.
enum Assignment {
    /// All hosts get the first.
    All,
    /// One for each entry of the inventory.
    Patterns(Inventory),
    /// Each host on its own.
    Each(BTreeMap<String, Each>),
}

/// A host of an inventory.
pub(super) struct Each {
    pub(super) stage: Option<Stage>,
    /// The number of the pair, or why there is none; `None` if nothing is for the host.
    pub(super) pair: Result<Option<usize>, String>,
}

/// The documents and the stage of a host.
pub(super) struct OfHost<'a> {
    pub(super) stage: Option<Stage>,
    /// The documents, or why there are none; `None` if nothing is for the host.
    pub(super) pair: Result<Option<&'a Pair>, &'a str>,
}

impl Documents {
    /// The documents that all hosts get.
    pub(super) fn of_all(pair: Pair) -> Self {
        Documents {
            pairs: vec![pair],
            stages: Vec::new(),
            of: Assignment::All,
        }
    }

    /// The documents of the entries of an inventory.
    pub(super) fn of_patterns(pairs: Vec<Pair>, inventory: Inventory) -> Self {
        Documents {
            pairs,
            stages: inventory.stages.clone(),
            of: Assignment::Patterns(inventory),
        }
    }

    /// The documents of hosts that an inventory names each.
    pub(super) fn of_each(pairs: Vec<Pair>, stages: Vec<String>, hosts: BTreeMap<String, Each>) -> Self {
        Documents {
            pairs,
            stages,
            of: Assignment::Each(hosts),
        }
    }

    /// The documents of a host; `None` if the inventory does not have it.
    pub(super) fn of(&self, host: &str) -> Option<OfHost<'_>> {
        let (stage, pair) = match &self.of {
            Assignment::All => (None, Ok(Some(0))),
            Assignment::Patterns(inventory) => {
                let (number, entry) = inventory.entry(host)?;
                (entry.stage, Ok(Some(number)))
            }
            Assignment::Each(hosts) => {
                let each = hosts.get(host)?;
                (each.stage, each.pair.as_ref().copied().map_err(String::as_str))
            }
        };
        let pair = pair.map(|number| self.pairs.get(number?));
        Some(OfHost { stage, pair })
    }

    /// Whether the documents of at least one host differ.
    pub(super) fn differ(&self) -> bool {
        let mut pairs = self.pairs.iter();
        pairs.any(Pair::differs)
    }

    /// The hosts that the inventory names exactly, with their stages.
    pub(super) fn exact(&self) -> BTreeMap<String, Option<Stage>> {
        match &self.of {
            Assignment::All => BTreeMap::new(),
            Assignment::Patterns(inventory) => inventory.exact(),
            Assignment::Each(hosts) => {
                let hosts = hosts.iter().filter(|(_, each)| each.pair != Ok(None));
                hosts.map(|(host, each)| (host.clone(), each.stage)).collect()
            }
        }
    }

    /// The stages of the inventory, in order.
    pub(super) fn stages(&self) -> &[String] {
        &self.stages
    }
}
