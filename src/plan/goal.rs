//! The goal of a plan: a document in force, or the release of an owner's facts.

pub mod change;
pub mod leaving;
pub mod part;
pub mod planned;
pub mod saved;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod undo;

use std::collections::BTreeSet;

use crate::goal::planned::Planned;
use crate::ledger::carried::carry_over;
use crate::ledger::{Ledger, OwnershipRecord};
use crate::make::routers::accept_ra;
use crate::make::{ToDo, finish, plan_with, report_kept};
use crate::ownership::{Ownership, give_back};
use netkeel_core::fact::{Fact, Object};
use netkeel_core::finding::Findings;
use netkeel_core::name::netns::Netns;
use netkeel_document::document::Document;
use netkeel_document::want::wants::Wants;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::scope::Scope;
use netkeel_source::diagnostic::Diagnostics;

/// A desired state that can be planned for.
pub trait Goal: Sync {
    /// The facts that must be read before planning.
    fn scope(&self) -> Scope;

    /// Computes the plan.
    ///
    /// # Errors
    /// All conflicts between the goal and the host: contradictory wants, values that a device rejects, and
    /// tunnels that cannot be created.
    fn plan(&self, host: &Snapshot) -> Result<Planned, Box<Diagnostics>>;

    /// Plans again on the host as the first plan left it. The result has only the steps that remain.
    ///
    /// # Errors
    /// As [`Goal::plan`].
    fn plan_again(&self, host: &Snapshot) -> Result<Planned, Box<Diagnostics>> {
        self.plan(host)
    }
}

/// A document without a ledger, as if netkeel had never written anything.
impl Goal for Document {
    fn scope(&self) -> Scope {
        self.scope()
    }

    fn plan(&self, host: &Snapshot) -> Result<Planned, Box<Diagnostics>> {
        plan_with(self, host, &Ownership::NONE)
    }
}

/// A document on a host where netkeel may have written before.
#[derive(Clone, Copy, Debug)]
pub struct Declared<'a> {
    /// The document.
    pub document: &'a Document,
    /// The ownership records, and how the plan may use them.
    pub holdings: Ownership<'a>,
}

impl Goal for Declared<'_> {
    fn scope(&self) -> Scope {
        let mut scope = self.document.scope();
        // Facts that only the ledger names are read only if the plan may restore them.
        let prunes = self.holdings.prunes(self.document.prune);
        if let Some(ledger) = self.holdings.ledger.filter(|_| prunes) {
            scope.extend(scope_of(ledger.of(&self.document.owner)));
        }
        if scope.announced_routes {
            let claims = self
                .holdings
                .ledger
                .into_iter()
                .flat_map(|ledger| ledger.of(&self.document.owner));
            let set_for_routes = claims
                .map(|claim| &claim.fact)
                .filter(|fact| accept_ra(fact).is_some());
            set_for_routes.for_each(|fact| scope.of_fact(fact));
        }
        scope
    }

    fn plan(&self, host: &Snapshot) -> Result<Planned, Box<Diagnostics>> {
        plan_with(self.document, host, &self.holdings)
    }
}

/// The release of all facts of an owner.
#[derive(Debug)]
pub struct Release<'a> {
    /// The ownership records.
    pub ledger: &'a Ledger,
    /// The owner to release.
    pub owner: &'a str,
    /// The namespace of the host.
    pub netns: &'a Netns,
}

impl Goal for Release<'_> {
    fn scope(&self) -> Scope {
        scope_of(self.ledger.of(self.owner))
    }

    fn plan(&self, host: &Snapshot) -> Result<Planned, Box<Diagnostics>> {
        let mut planned = release(self.ledger.of(self.owner), self.owner, self.netns, host)?;
        carry_over(&mut planned.plan, self.ledger, host);
        Ok(planned)
    }
}

/// The release of some facts of an owner. A service releases the facts of [`Document::removed_on_stop`]
/// when it stops.
#[derive(Debug)]
pub struct ReleaseFacts<'a> {
    /// The ownership records.
    pub ledger: &'a Ledger,
    /// The owner to release.
    pub owner: &'a str,
    /// The namespace of the host.
    pub netns: &'a Netns,
    /// The facts to release. Facts that the owner does not own are ignored.
    pub facts: &'a BTreeSet<Fact>,
}

impl Goal for ReleaseFacts<'_> {
    fn scope(&self) -> Scope {
        scope_of(self.claims())
    }

    fn plan(&self, host: &Snapshot) -> Result<Planned, Box<Diagnostics>> {
        let mut planned = release(self.claims(), self.owner, self.netns, host)?;
        carry_over(&mut planned.plan, self.ledger, host);
        Ok(planned)
    }
}

impl ReleaseFacts<'_> {
    fn claims(&self) -> impl Iterator<Item = &OwnershipRecord> {
        let held = self.ledger.of(self.owner);
        held.filter(|claim| {
            let with = claim.caused_by.as_deref();
            self.facts.contains(&claim.fact) || with.is_some_and(|with| self.facts.contains(with))
        })
    }
}

/// Plans the release of these records.
fn release<'a>(
    claims: impl Iterator<Item = &'a OwnershipRecord>,
    owner: &str,
    netns: &Netns,
    host: &Snapshot,
) -> Result<Planned, Box<Diagnostics>> {
    let mut findings = Findings::default();
    let back = give_back(claims, host, &mut findings);
    report_kept(&back.kept, host, &mut findings);
    let wants = Wants::default();
    let to_do = ToDo {
        drift: back.drift,
        followers: back.followers,
        wanted: 0,
    };
    let (mut plan, after) = finish(owner, netns, host, &wants, to_do, findings)?;
    plan.released = back.released;
    plan.released.sort();
    plan.released.dedup();
    plan.unrestored = back.unrestored.into_keys().collect();
    Ok(Planned {
        plan,
        wants,
        after,
        observation: None,
    })
}

/// The facts that these records name.
fn scope_of<'a>(claims: impl Iterator<Item = &'a OwnershipRecord>) -> Scope {
    let mut scope = Scope::default();
    for claim in claims {
        scope.families.ipv4 = true;
        scope.families.ipv6 = true;
        scope.of_fact(&claim.fact);
        // Its interface may have another name now.
        if let Object::Sysctl(key) = &claim.fact.object
            && claim.device.is_some()
        {
            scope.of_every_link.extend(key.in_slot("default"));
        }
    }
    scope
}
