//! The host that a verb judges: this one or a saved snapshot, with the documents that were given for it.

use std::path::Path;

use crate::arguments::Documents;
use crate::commands;
use crate::load::documents::{Host, LoadOutcome, Loaded, load_if_any};
use crate::load::snapshot::read_snapshot;
use netkeel_core::error::Error;
use netkeel_core::name::netns::Netns;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::scope::Scope;
use netkeel_kernel::live::snapshot::Live;

/// The host and the documents that a verb judges.
pub(crate) struct Subject {
    /// The saved snapshot; `None` for the host itself.
    pub saved: Option<Snapshot>,
    /// The network namespace.
    pub netns: Netns,
    /// The documents; `None` without any.
    pub loaded: Option<Box<Loaded>>,
}

impl Subject {
    /// Reads the snapshot, if one is named, and the documents. `None` if the documents are invalid; the diagnostics
    /// were printed.
    pub fn open(snapshot: Option<&Path>, documents: &Documents) -> Result<Option<Self>, Error> {
        let saved = snapshot.map(read_snapshot).transpose()?;
        let netns = saved
            .as_ref()
            .map_or_else(|| documents.place.netns(), |saved| saved.netns.clone());
        commands::name_of(&netns);
        let loaded = match load_if_any(documents, netns.clone(), Host::of(&saved))? {
            LoadOutcome::Nothing => None,
            LoadOutcome::Document(loaded) => Some(loaded),
            LoadOutcome::Wrong => return Ok(None),
        };
        Ok(Some(Subject { saved, netns, loaded }))
    }

    /// Reads the host itself, with what the documents need too.
    pub fn scan(&self, mut scope: Scope) -> Result<Snapshot, Error> {
        if let Some(loaded) = &self.loaded {
            scope.extend(loaded.document.scope());
        }
        Live::with(&self.netns, |kernel| kernel.snapshot(&scope))?
    }
}
