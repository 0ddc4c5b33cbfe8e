//! The facts of a document that comes in force as a whole or not at all.

use std::collections::BTreeSet;

use crate::goal::leaving::declares;
use crate::make::drift_of;
use netkeel_core::fact::{Fact, Field};
use netkeel_document::document::Document;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::lookup::Lookup;

/// Why a pass does not write all that a document declares, in one line: a fact could not be read, or is among `suspended` ones
/// and differs. `None` if it writes all. Pods that cannot be reached are no part of this: netkeel leaves them alone.
pub fn held_back(document: &Document, suspended: &BTreeSet<Fact>, host: &Snapshot) -> Option<String> {
    let wants = document.wants(host);
    let is_unread = |fact: &&Fact| fact.field != Field::PodMtu && host.get(fact) == Lookup::Unread;
    if let Some(fact) = wants.facts.keys().find(is_unread) {
        return Some(format!("{fact} could not be read"));
    }
    let suspended = wants
        .facts
        .into_iter()
        .filter(|(fact, _)| suspended.contains(fact));
    let (drift, _) = drift_of(&suspended.collect(), host, &mut Vec::new());
    let differs = drift.first()?;
    Some(format!("{} is suspended and differs", differs.fact))
}

/// Whether a document declares one of these facts.
pub fn declares_any<'a>(
    document: &Document,
    facts: impl IntoIterator<Item = &'a Fact>,
    host: &Snapshot,
) -> bool {
    let wants = document.wants(host);
    facts.into_iter().any(|fact| declares(&wants, fact))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goal::testing::for_now as document;
    use netkeel_core::name::netns::Netns;
    use netkeel_host::snapshot::link::Link;

    fn host(mtus: &[(&str, u32)]) -> Snapshot {
        let mut host = Snapshot::empty(Netns::CURRENT);
        for (index, (name, mtu)) in mtus.iter().enumerate() {
            let link = Link {
                index: index as u32 + 1,
                mtu: *mtu,
                ..Link::default()
            };
            host.links.insert(name.parse().unwrap(), link.into());
        }
        host
    }

    fn mtu(name: &str) -> Fact {
        Fact::link(&Netns::CURRENT, name.parse().unwrap(), Field::Mtu)
    }

    #[test]
    fn a_suspended_fact_that_differs_and_one_that_could_not_be_read_hold_a_document_back() {
        let policy = document("link: { eth0: { mtu: 1400 } }");
        let none = BTreeSet::new();
        let suspended = |name: &str| BTreeSet::from([mtu(name)]);
        let differs = host(&[("eth0", 1500), ("eth1", 1500)]);
        assert_eq!(held_back(&policy, &none, &differs), None, "the pass writes it");
        let why = held_back(&policy, &suspended("eth0"), &differs).unwrap();
        assert!(why.ends_with("is suspended and differs"), "{why}");
        // A fact that it does not declare, and one that is as declared.
        assert_eq!(held_back(&policy, &suspended("eth1"), &differs), None);
        assert_eq!(
            held_back(&policy, &suspended("eth0"), &host(&[("eth0", 1400)])),
            None
        );
        // The empty host has read no sysctl.
        let sysctl = document("sysctl: { net.ipv4.ip_forward: 1 }");
        let why = held_back(&sysctl, &none, &differs).unwrap();
        assert!(why.ends_with("could not be read"), "{why}");
    }

    #[test]
    fn facts_of_other_documents_are_not_declared() {
        let policy = document("link: { eth0: { mtu: 1400 } }");
        let host = host(&[("eth0", 1500), ("eth1", 1500)]);
        assert!(declares_any(&policy, &[mtu("eth1"), mtu("eth0")], &host));
        assert!(!declares_any(&policy, &[mtu("eth1")], &host));
    }
}
