//! The facts that netkeel holds for a document which no longer applies, beside the one that still does.

use std::collections::BTreeSet;

use crate::goal::scope_of;
use crate::ledger::place::{Place, Places};
use crate::ledger::{Ledger, OwnershipRecord};
use crate::make::routers::{self, Lost};
use crate::ownership::Ownership;
use netkeel_core::fact::{Fact, Field};
use netkeel_document::document::Document;
use netkeel_document::want::wants::Wants;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::lookup::Lookup;
use netkeel_host::snapshot::scope::Scope;

/// A document that no longer applies.
#[derive(Clone, Copy, Debug)]
pub struct Leaving<'a> {
    /// The document that no longer applies.
    pub left: &'a Document,
    /// The document in force, with the same owner.
    pub in_force: &'a Document,
    /// The ownership records.
    pub ledger: &'a Ledger,
    /// Facts that the service does not write for a while.
    pub suspended: &'a BTreeSet<Fact>,
}

impl Leaving<'_> {
    /// The facts that must be read.
    pub fn scope(&self) -> Scope {
        let mut scope = self.in_force.scope();
        scope.extend(self.left.scope());
        scope.extend(scope_of(self.ledger.of(&self.in_force.owner)));
        scope
    }

    /// The facts that netkeel holds for the document that left and that the one in force does not declare.
    ///
    /// # Errors
    /// One line when that is not known: a value or a part of the host could not be read, or one of the two documents
    /// has no certain meaning on this host.
    pub fn facts(&self, host: &Snapshot) -> Result<BTreeSet<Fact>, String> {
        let wants = |document: &Document| {
            let ledger = Some(self.ledger);
            let mut wants = document.wants(host);
            let ownership = Ownership {
                ledger,
                ..Ownership::NONE
            };
            // A value that follows forwarding stays and leaves with it.
            routers::keep(
                document,
                &mut wants,
                &ownership,
                &BTreeSet::new(),
                &Lost::new(),
                host,
            );
            wants
        };
        let wanted = wants(self.in_force);
        let places = Places::new(host);
        let is_wanted = |claim: &OwnershipRecord| {
            let by_its_name = claim.is_declared_by(|fact| declares(&wanted, fact));
            by_its_name || matches!(places.of(claim), Place::Renamed(now) if declares(&wanted, &now))
        };
        let held = self.ledger.of(&self.in_force.owner);
        let others: Vec<&OwnershipRecord> = held.filter(|claim| !is_wanted(claim)).collect();
        // A doubt about the documents can only take facts away from these.
        if others.is_empty() {
            return Ok(BTreeSet::new());
        }
        let of_left = wants(self.left);
        let problems = host.problems.iter();
        let mut problems = problems.chain(&wanted.problems).chain(&of_left.problems);
        if let Some(problem) = problems.next() {
            return Err(format!("not everything could be read: {problem}"));
        }
        for (wants, whose) in [(&wanted, "in force"), (&of_left, "of the policy")] {
            let mut errors = wants.diagnostics.list.iter().chain(&wants.unbound.list);
            if let Some(error) = errors.next() {
                let message = error.message.lines().next().unwrap_or_default();
                return Err(format!(
                    "the document {whose} has an error on this host: {}: {message}",
                    error.path
                ));
            }
        }
        let is_of_left = |claim: &&OwnershipRecord| claim.is_declared_by(|fact| declares(&of_left, fact));
        let facts = others.into_iter().filter(is_of_left);
        let facts: BTreeSet<Fact> = facts.map(|claim| claim.fact.clone()).collect();
        if let Some(fact) = facts.iter().find(|fact| self.suspended.contains(fact)) {
            return Err(format!("{fact} is suspended"));
        }
        if let Some(fact) = facts.iter().find(|fact| host.get(fact) == Lookup::Unread) {
            return Err(format!("{fact} could not be read"));
        }
        Ok(facts)
    }
}

/// Whether a document declares a fact, also one that it does not write now. The routes of a pod follow the pod's end
/// of the veth: once they are lowered, no want names them.
pub(crate) fn declares(wants: &Wants, fact: &Fact) -> bool {
    let of = |field: Field| Fact {
        field,
        ..fact.clone()
    };
    let of_veth = matches!(fact.field, Field::Mtu | Field::PodMtu | Field::PodRouteMtu(_));
    let is_route = matches!(fact.field, Field::PodRouteMtu(_));
    let left_alone = |fact: &Fact| {
        let name = fact.link_name();
        name.is_some_and(|name| wants.left_alone.contains_key(&name))
    };
    wants.facts.contains_key(fact)
        || wants.withholds(fact)
        || (is_route && wants.facts.contains_key(&of(Field::PodMtu)))
        || (of_veth && left_alone(fact))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goal::testing::for_now as document;
    use netkeel_core::fact::Value;
    use netkeel_core::name::netns::Netns;
    use netkeel_host::snapshot::link::Link;
    use netkeel_host::snapshot::pod::PodEnd;

    const PODS: &str = "link: { pods: { match: { name: \"cali*\" }, mtu: 1440 } }";
    const BUDGET: &str =
        "link: { pods: { match: { name: \"cali*\" }, mtu: { underlay: vxlan9, layers: [vxlan] } } }";

    /// A host whose pod has the MTU 1440 at both ends of its veth and for its route.
    fn host() -> Snapshot {
        let pod: PodEnd = serde_json::from_str(
            r#"{"sandbox":{"path":"/run/netns/a","inode":5},"index":2,"name":"eth0","mtu":1440,"routes":{"0.0.0.0/0":{"mtu":1440}}}"#,
        )
        .unwrap();
        let link = Link {
            index: 1,
            kind: Some("veth".into()),
            mtu: 1440,
            peer_netns: Some(1),
            pod: Some(Box::new(pod)),
            ..Link::default()
        };
        let mut host = Snapshot::empty(Netns::CURRENT);
        host.links.insert("cali1".parse().unwrap(), link.into());
        host
    }

    fn fact(field: Field) -> Fact {
        Fact::link(&Netns::CURRENT, "cali1".parse().unwrap(), field)
    }

    fn written() -> [Fact; 3] {
        let route = Field::PodRouteMtu("0.0.0.0/0".parse().unwrap());
        [fact(Field::Mtu), fact(Field::PodMtu), fact(route)]
    }

    fn leave(left: &str, in_force: &str, suspended: &[Fact], host: &Snapshot) -> Result<Vec<Fact>, String> {
        let record = |fact: Fact| OwnershipRecord {
            device: None,
            fact,
            owner: "default".to_owned(),
            found: Some(Value::Number(1500)),
            wrote: Some(Value::Number(1440)),
            caused_by: None,
        };
        let ledger: Ledger = written().map(record).into_iter().collect();
        let leaving = Leaving {
            left: &document(left),
            in_force: &document(in_force),
            ledger: &ledger,
            suspended: &suspended.iter().cloned().collect(),
        };
        let facts = leaving.facts(host)?;
        Ok(written()
            .into_iter()
            .filter(|fact| facts.contains(fact))
            .collect())
    }

    #[test]
    fn all_that_a_document_wrote_leaves_with_it_also_routes_that_no_want_names() {
        let host = host();
        assert_eq!(leave(PODS, "", &[], &host).unwrap(), written());
        // Its own budget has no value now, and it declares the same facts.
        assert_eq!(leave(BUDGET, "", &[], &host).unwrap(), written());
        // Another document that leaves does not take them along.
        assert_eq!(leave("", "", &[], &host).unwrap(), []);
    }

    #[test]
    fn a_fact_that_the_other_document_declares_stays_also_without_a_value() {
        let mut host = host();
        for in_force in [PODS, BUDGET] {
            assert_eq!(leave(PODS, in_force, &[], &host).unwrap(), [], "{in_force}");
        }
        // The pod is another program's by now: the want of the host's end is left out, and still declared.
        let link = host.link_mut("cali1".parse().unwrap()).unwrap();
        let pod = link.pod.as_mut().unwrap();
        (pod.mtu, pod.sandbox) = (1500, None);
        assert_eq!(leave(PODS, PODS, &[], &host).unwrap(), []);
    }

    #[test]
    fn what_is_declared_by_the_new_name_of_its_interface_stays() {
        let mut host = host();
        // Another interface has the earlier name.
        let other = Link {
            index: 2,
            mtu: 1500,
            ..Link::default()
        };
        host.links.insert("old0".parse().unwrap(), other.into());
        let of_name = |name: &str| format!("link: {{ a: {{ match: {{ name: {name} }}, mtu: 1440 }} }}");
        let old = Fact::link(&Netns::CURRENT, "old0".parse().unwrap(), Field::Mtu);
        let record = OwnershipRecord {
            device: host.device(&fact(Field::Mtu)),
            fact: old,
            owner: "default".to_owned(),
            found: Some(Value::Number(1500)),
            wrote: Some(Value::Number(1440)),
            caused_by: None,
        };
        let leaves = |in_force: &str| {
            let leaving = Leaving {
                left: &document(&of_name("old0")),
                in_force: &document(in_force),
                ledger: &[record.clone()].into_iter().collect(),
                suspended: &BTreeSet::new(),
            };
            leaving.facts(&host).unwrap().len()
        };
        assert_eq!((leaves(&of_name("cali1")), leaves("")), (0, 1));
    }

    #[test]
    fn nothing_leaves_while_something_is_unknown() {
        let host = host();
        let default_route = BUDGET.replace("vxlan9", "default-route");
        // The snapshot has no default route, so the budget has no value.
        let why = leave(PODS, &default_route, &[], &host).unwrap_err();
        assert!(
            why.starts_with("the document in force has an error on this host"),
            "{why}"
        );
        let why = leave(&default_route, "", &[], &host).unwrap_err();
        assert!(
            why.starts_with("the document of the policy has an error"),
            "{why}"
        );
        let why = leave(PODS, "", &[fact(Field::PodMtu)], &host).unwrap_err();
        assert!(why.ends_with("is suspended"), "{why}");
        let mut unread = host.clone();
        unread.link_mut("cali1".parse().unwrap()).unwrap().pod = None;
        let why = leave(PODS, "", &[], &unread).unwrap_err();
        assert!(why.ends_with("could not be read"), "{why}");
        // A suspended fact of the document in force is declared like any other.
        assert_eq!(leave(PODS, PODS, &[fact(Field::Mtu)], &host).unwrap(), []);
    }
}
