//! The inputs of an explanation: live values, sysctl.d files, evidence of other programs, and netkeel's own
//! records.

use serde::Serialize;

use crate::explain::declared::Declaring;
use crate::explain::holder::Records;
use netkeel_core::fact::{Fact, Object};
use netkeel_core::maybe_secret::MaybeSecret;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_host::evidence::Evidence;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Families;
use netkeel_host::snapshot::lookup::Lookup;
use netkeel_host::snapshot::problem::Subject;
use netkeel_host::snapshot::scope::Scope;
use netkeel_host::sysctl_d::file::Files;

/// Everything that an explanation is made from.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The live values. It must cover the [`scope`] of the keys.
    pub snapshot: &'a Snapshot,
    /// The files of sysctl.d.
    pub files: &'a Files,
    /// Evidence of other programs on the host.
    pub evidence: &'a Evidence,
    /// The records of earlier runs.
    pub kept: Records<'a>,
    /// The documents of the host, if there are any.
    pub declaring: Option<Declaring<'a>>,
    /// Whether this is the host's own network namespace, in which sysctl.d is applied; `None` if unknown.
    pub initial: Option<bool>,
}

/// The value of a key in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Live {
    /// It exists.
    Value {
        /// The value as the kernel prints it.
        value: MaybeSecret,
    },
    /// There is no such key.
    Absent,
    /// It could not be read.
    Unread {
        /// The reason.
        why: String,
    },
}

impl Live {
    /// Whether the value is one that no message may contain.
    pub fn is_secret(&self) -> bool {
        matches!(self, Live::Value { value } if value.is_secret())
    }

    /// The value as a number.
    pub fn number(&self) -> Option<i64> {
        match self {
            Live::Value { value } => value.parse().ok(),
            Live::Absent | Live::Unread { .. } => None,
        }
    }
}

/// The state that must be read to explain these keys.
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

/// The live value of a key, from whichever part of the snapshot has it.
pub fn live(snapshot: &Snapshot, key: &SysctlKey) -> Live {
    let fact = Fact::sysctl(&snapshot.netns, key);
    match snapshot.get(&fact) {
        Lookup::Value(value) => Live::Value {
            value: value.to_text(),
        },
        Lookup::Absent => Live::Absent,
        Lookup::Unread => {
            let what = Subject::sysctl(&snapshot.netns, key);
            let problem = snapshot.problems.iter().find(|problem| problem.what == what);
            Live::Unread {
                why: problem
                    .map_or("it was not read", |problem| &problem.why)
                    .to_owned(),
            }
        }
    }
}
