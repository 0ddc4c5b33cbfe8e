//! Why a setting is what it is: its live value, what counts of it and who decides that, what the
//! files of sysctl.d make of it at boot and for an interface that appears later, and who else is
//! known to write it.

mod combine;
mod holder;
mod key;
mod link;
mod writer;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use combine::{Combined, Rule};
pub use holder::{Act, Held, Kept};
pub use key::{KeyExplained, key};
pub use link::{Device, LinkExplained, keys_of, link};
pub use writer::{Clue, WATCHED, Writer, writers as writers_of};

use crate::fact::{Fact, Object, Value};
use crate::snapshot::{Families, Observed, Scope, Snapshot};
use crate::sysctl_d::Files;
use crate::sysctl_key::SysctlKey;

/// All that an explanation is made of.
#[derive(Clone, Copy, Debug)]
pub struct Host<'a> {
    /// The live values; of the [`scope`] of the keys.
    pub snapshot: &'a Snapshot,
    /// The files of sysctl.d.
    pub files: &'a Files,
    /// What shows who is at work here.
    pub evidence: &'a Evidence,
    /// What netkeel keeps of earlier runs.
    pub kept: Kept<'a>,
    /// It is the host's own namespace, the one that the files are applied in; none when that cannot
    /// be told.
    pub initial: Option<bool>,
}

/// Traces of the programs that write settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Which of the paths that were asked for exist, such as [`WATCHED`].
    pub paths: BTreeSet<String>,
    /// The text of those that are small files and are read.
    pub texts: BTreeMap<String, String>,
}

/// What is in the kernel now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Live {
    /// It has this value.
    Value {
        /// In the kernel's words.
        value: String,
    },
    /// There is no such key now.
    Absent,
    /// It could not be read.
    Unread {
        /// Why.
        why: String,
    },
}

impl Live {
    /// The value as a number.
    pub fn number(&self) -> Option<i64> {
        match self {
            Live::Value { value } => value.parse().ok(),
            Live::Absent | Live::Unread { .. } => None,
        }
    }
}

/// What must be read of the kernel to explain keys.
pub fn scope<'a>(keys: impl IntoIterator<Item = &'a SysctlKey>) -> Scope {
    let mut scope = Scope {
        families: Families {
            ipv4: true,
            ipv6: true,
        },
        drivers: true,
        ..Scope::default()
    };
    for key in keys {
        let slots = ["all", "default"]
            .into_iter()
            .filter_map(|slot| key.in_slot(slot));
        for key in slots.chain([key.clone()]) {
            let fact = Fact::sysctl(&crate::netns::Netns::CURRENT, &key);
            if let Object::Sysctl(key) = fact.object {
                scope.sysctls.insert(key);
            }
        }
    }
    scope
}

/// The live value of a key, whatever part of a snapshot holds it.
fn live(snapshot: &Snapshot, key: &SysctlKey) -> Live {
    let fact = Fact::sysctl(&snapshot.netns, key);
    match snapshot.get(&fact) {
        Observed::Value(Value::Text(text)) => Live::Value {
            value: text.to_string(),
        },
        Observed::Value(value) => Live::Value {
            value: value.to_string(),
        },
        Observed::Absent => Live::Absent,
        Observed::Unread => {
            let what = format!("sysctl {key}");
            let problem = snapshot.problems.iter().find(|problem| problem.what == what);
            Live::Unread {
                why: problem
                    .map_or("it was not asked for", |problem| &problem.why)
                    .to_owned(),
            }
        }
    }
}
