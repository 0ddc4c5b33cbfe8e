//! A want whose budget has no value yet.

use std::sync::Arc;

use crate::kinds::mtu::UnderlayBudget;
use crate::want::Origin;
use netkeel_core::error::Error;
use netkeel_core::fact::Fact;
use netkeel_host::snapshot::Snapshot;
use netkeel_mtu::budget::Derivation;

/// A want whose value comes from a budget.
#[derive(Clone, Debug)]
pub struct Pending {
    pub(crate) fact: Fact,
    /// The place in the document.
    pub(crate) origin: Arc<Origin>,
    pub(crate) over: Arc<UnderlayBudget>,
}

impl Pending {
    pub(crate) fn derive(&self, host: &Snapshot) -> Result<Derivation, Error> {
        let (mtu, from) = self.over.underlay.on(host)?;
        self.over.budget.derive(mtu, &from)
    }
}
