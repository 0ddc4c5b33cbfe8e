//! What a plan is to reach: what a document declares, or that an owner holds nothing any more.

use super::holdings::{Holdings, give_back};
use super::{Plan, finish, plan_with};
use crate::document::Document;
use crate::error::Diagnostics;
use crate::fact::{Fact, Object};
use crate::finding::Findings;
use crate::ledger::Ledger;
use crate::netns::Netns;
use crate::snapshot::{Scope, Snapshot};

/// Something to plan for.
pub trait Goal: Sync {
    /// The facts that must be read to plan.
    fn scope(&self) -> Scope;

    /// Plans.
    ///
    /// # Errors
    /// Everything that is wrong between the goal and the host.
    fn plan(&self, host: &Snapshot) -> Result<Plan, Box<Diagnostics>>;
}

/// A document alone, as if netkeel had never written anything.
impl Goal for Document {
    fn scope(&self) -> Scope {
        self.scope()
    }

    fn plan(&self, host: &Snapshot) -> Result<Plan, Box<Diagnostics>> {
        plan_with(self, host, &Holdings::NONE)
    }
}

/// A document on a host on which netkeel has written before.
#[derive(Clone, Copy, Debug)]
pub struct Declared<'a> {
    /// The document.
    pub document: &'a Document,
    /// What is held, by whom.
    pub holdings: Holdings<'a>,
}

impl Goal for Declared<'_> {
    fn scope(&self) -> Scope {
        let mut scope = self.document.scope();
        // What the document does not name is looked at only where it is to be put back.
        let prunes = self.holdings.prune || self.document.prune;
        if let Some(ledger) = self.holdings.ledger.filter(|_| prunes) {
            scope.extend(scope_of(ledger, &self.document.owner));
        }
        scope
    }

    fn plan(&self, host: &Snapshot) -> Result<Plan, Box<Diagnostics>> {
        plan_with(self.document, host, &self.holdings)
    }
}

/// That an owner gives back everything.
#[derive(Debug)]
pub struct Release<'a> {
    /// Who holds what.
    pub ledger: &'a Ledger,
    /// Whose.
    pub owner: &'a str,
    /// The namespace.
    pub netns: &'a Netns,
}

impl Goal for Release<'_> {
    fn scope(&self) -> Scope {
        scope_of(self.ledger, self.owner)
    }

    fn plan(&self, host: &Snapshot) -> Result<Plan, Box<Diagnostics>> {
        let mut findings = Findings::default();
        let back = give_back(self.ledger.of(self.owner), host, &mut findings);
        let mut plan = finish(
            self.owner,
            self.netns,
            host,
            &Default::default(),
            back.drift,
            findings,
        )?;
        plan.released = back.released;
        plan.released.sort();
        Ok(plan)
    }
}

/// The facts that an owner holds.
fn scope_of(ledger: &Ledger, owner: &str) -> Scope {
    let mut scope = Scope::default();
    for claim in ledger.of(owner) {
        scope.families.ipv4 = true;
        scope.families.ipv6 = true;
        match &claim.fact {
            Fact {
                object: Object::File(path),
                ..
            } => {
                scope.files.insert(path.to_path_buf());
            }
            Fact {
                object: Object::Plugin { file, .. },
                ..
            } => {
                scope.cni.files.insert(file.to_path_buf());
            }
            Fact {
                object: Object::Sysctl(key),
                ..
            } => {
                scope.of_copies(key);
                scope.sysctls.insert(key.clone());
            }
            Fact {
                object: Object::Link(_),
                ..
            } => {}
        }
    }
    scope
}
