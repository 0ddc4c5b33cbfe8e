//! Why a setting is what it is: its live value, what counts of it and who decides that, what the
//! files of sysctl.d make of it at boot and for an interface that appears later, and who else is
//! known to write it.

use serde::Serialize;

use crate::explain::holder::Records;
use netkeel_core::fact::{Fact, Object, Value};
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_host::evidence::Evidence;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Families;
use netkeel_host::snapshot::lookup::Lookup;
use netkeel_host::snapshot::problem::Subject;
use netkeel_host::snapshot::scope::Scope;
use netkeel_host::sysctl_d::file::Files;

/// All that an explanation is made of.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The live values; of the [`scope`] of the keys.
    pub snapshot: &'a Snapshot,
    /// The files of sysctl.d.
    pub files: &'a Files,
    /// What shows who is at work here.
    pub evidence: &'a Evidence,
    /// What netkeel keeps of earlier runs.
    pub kept: Records<'a>,
    /// It is the host's own namespace, the one that the files are applied in; none when that cannot
    /// be told.
    pub initial: Option<bool>,
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
            let fact = Fact::sysctl(&netkeel_core::name::netns::Netns::CURRENT, &key);
            if let Object::Sysctl(key) = fact.object {
                scope.sysctls.insert(key);
            }
        }
    }
    scope
}

/// The live value of a key, whatever part of a snapshot holds it.
pub fn live(snapshot: &Snapshot, key: &SysctlKey) -> Live {
    let fact = Fact::sysctl(&snapshot.netns, key);
    match snapshot.get(&fact) {
        Lookup::Value(Value::Text(text)) => Live::Value {
            value: text.to_string(),
        },
        Lookup::Value(value) => Live::Value {
            value: value.to_string(),
        },
        Lookup::Absent => Live::Absent,
        Lookup::Unread => {
            let what = Subject::sysctl(&snapshot.netns, key);
            let problem = snapshot.problems.iter().find(|problem| problem.what == what);
            Live::Unread {
                why: problem
                    .map_or("it was not asked for", |problem| &problem.why)
                    .to_owned(),
            }
        }
    }
}
