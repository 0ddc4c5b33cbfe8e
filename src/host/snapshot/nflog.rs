//! The NFLOG rules and listeners that were read.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::snapshot::reading::Support;
use netkeel_core::nflog::entry_name::EntryName;
use netkeel_core::nflog::entry_rules::EntryRules;
use netkeel_core::nflog::foreign::ForeignRule;

/// The NFLOG state of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Nflog")]
pub struct NflogState {
    /// Whether the kernel has nftables.
    pub support: Support,
    /// netkeel's rules by entry; an entry without rules is not listed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub entries: BTreeMap<EntryName, EntryRules>,
    /// Rules of others that hand path MTU messages to a group, in the order in which they stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<ForeignRule>,
    /// Rules of other programs in netkeel's own table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strangers: Vec<Arc<str>>,
    /// The listener of each group.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub listeners: BTreeMap<u16, Listener>,
}

/// The program that reads a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Listener {
    /// Its netlink port: for most programs the process id, if it is their first socket.
    pub port: u32,
    /// The program, if its process is visible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
}

impl NflogState {
    /// No rules and no listeners.
    pub fn empty(support: Support) -> Self {
        NflogState {
            support,
            entries: BTreeMap::new(),
            others: Vec::new(),
            strangers: Vec::new(),
            listeners: BTreeMap::new(),
        }
    }

    /// Removes other programs' rules; the rules behind them move up.
    pub fn remove(&mut self, gone: &[ForeignRule]) {
        for rule in gone {
            let Some(at) = self.others.iter().position(|other| other.is_the_same(rule)) else {
                continue;
            };
            let old = self.others.remove(at);
            for other in self.others.iter_mut().filter(|other| other.is_beside(&old)) {
                if other.position > old.position {
                    other.position -= 1;
                }
            }
        }
    }

    /// Restores other programs' rules that are missing; the rules at those positions move down.
    pub(crate) fn restore(&mut self, back: &[ForeignRule]) {
        let mut there = self.others.clone();
        for rule in back {
            if let Some(at) = there.iter().position(|other| other.is_the_same(rule)) {
                there.remove(at);
                continue;
            }
            for other in self.others.iter_mut().filter(|other| other.is_beside(rule)) {
                if other.position >= rule.position {
                    other.position += 1;
                }
            }
            self.others.push(rule.clone());
        }
        self.sort();
    }

    /// Sorts other programs' rules, whatever order they were listed in.
    pub fn sort(&mut self) {
        self.others.sort();
    }

    /// The rules of others that log to a group and that can be taken away.
    pub fn removable(&self, group: u16) -> Arc<[ForeignRule]> {
        let removable = |rule: &&ForeignRule| rule.content.is_some() && rule.group == group;
        self.others.iter().filter(removable).cloned().collect()
    }
}
