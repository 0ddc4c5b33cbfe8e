//! The owners of a host's facts: what each holds, and when and by whom it was written.

use std::collections::BTreeMap;

use serde::Serialize;

use netkeel_core::fact::{Fact, Value};
use netkeel_plan::ledger::{Ledger, OwnershipRecord};

/// An owner and its facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// The name.
    pub owner: String,
    /// The last write for the owner, as far as the history goes back.
    pub last: Option<Write>,
    /// Its facts, in order.
    pub facts: Vec<Held>,
}

/// A fact that an owner holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The fact.
    pub fact: String,
    /// The value before netkeel first wrote it; `absent` if it did not exist.
    pub found: String,
    /// The value that netkeel wrote last.
    pub wrote: String,
    /// The fact that netkeel wrote, if the kernel changed this one as a side effect, or netkeel wrote
    /// it only for that.
    pub with: Option<String>,
    /// Its last write, as far as the history goes back.
    pub last: Option<Write>,
}

/// An apply of the history whose writes were not rolled back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Write {
    /// The id of the entry.
    pub id: String,
    /// Unix seconds.
    pub time: u64,
    /// The user, with pid and command.
    pub actor: String,
    /// The hash of the document.
    pub document: String,
}

/// The writes of an apply.
#[derive(Clone, Debug)]
pub struct Written {
    /// The apply.
    pub write: Write,
    /// The owner of the document.
    pub owner: String,
    /// The facts that were written, as text.
    pub facts: Vec<String>,
}

/// The owners by name. `history` has the writes that hold, oldest first.
pub fn owners(ledger: &Ledger, history: &[Written]) -> Vec<Owner> {
    let mut of_owner: BTreeMap<&str, &Write> = BTreeMap::new();
    let mut of_fact: BTreeMap<(&str, &str), &Write> = BTreeMap::new();
    for Written { write, owner, facts } in history {
        of_owner.insert(owner, write);
        of_fact.extend(facts.iter().map(|fact| ((owner.as_str(), fact.as_str()), write)));
    }
    let mut owners: BTreeMap<&str, Owner> = BTreeMap::new();
    for claim in ledger.claims() {
        let owner = claim.owner.as_str();
        let entry = owners.entry(owner).or_insert_with(|| Owner {
            owner: owner.to_owned(),
            last: of_owner.get(owner).copied().cloned(),
            facts: Vec::new(),
        });
        let written = claim.caused_by.as_deref().unwrap_or(&claim.fact).to_string();
        entry
            .facts
            .push(held(claim, of_fact.get(&(owner, written.as_str()))));
    }
    owners.into_values().collect()
}

fn held(claim: &OwnershipRecord, last: Option<&&Write>) -> Held {
    let shown = |value: Option<&Value>| claim.fact.summary(value);
    Held {
        fact: claim.fact.to_string(),
        found: shown(claim.found.as_ref()),
        wrote: shown(claim.wrote.as_ref()),
        with: claim.caused_by.as_deref().map(Fact::to_string),
        last: last.copied().cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::fact::Field;
    use netkeel_core::name::netns::Netns;

    fn claim(link: &str, owner: &str) -> OwnershipRecord {
        OwnershipRecord {
            device: None,
            fact: Fact::link(&Netns::CURRENT, link.parse().unwrap(), Field::Mtu),
            owner: owner.into(),
            found: Some(Value::Number(1500)),
            wrote: Some(Value::Number(1400)),
            caused_by: None,
        }
    }

    fn written(id: &str, owner: &str, facts: &[&str]) -> Written {
        Written {
            write: Write {
                id: id.into(),
                time: 1,
                actor: "root".into(),
                document: "d".into(),
            },
            owner: owner.into(),
            facts: facts.iter().copied().map(str::to_owned).collect(),
        }
    }

    #[test]
    fn each_fact_has_its_own_last_write_for_its_owner() {
        let ledger: Ledger = [claim("eth0", "b"), claim("eth1", "a"), claim("eth2", "b")]
            .into_iter()
            .collect();
        let history = [
            written("1", "b", &["link eth0 mtu", "link eth2 mtu"]),
            written("2", "b", &["link eth2 mtu"]),
            // Of another owner, before it gave the fact away.
            written("3", "a", &["link eth0 mtu"]),
        ];
        let owners = owners(&ledger, &history);
        let id = |write: &Option<Write>| write.as_ref().map(|write| write.id.clone());
        let shown: Vec<_> = owners
            .iter()
            .map(|owner| {
                let facts: Vec<_> = owner
                    .facts
                    .iter()
                    .map(|held| (held.fact.as_str(), id(&held.last)))
                    .collect();
                (owner.owner.as_str(), id(&owner.last), facts)
            })
            .collect();
        let some = |id: &str| Some(id.to_owned());
        assert_eq!(
            shown,
            [
                ("a", some("3"), vec![("link eth1 mtu", None)]),
                (
                    "b",
                    some("2"),
                    vec![("link eth0 mtu", some("1")), ("link eth2 mtu", some("2"))]
                ),
            ]
        );
    }
}
