//! The old and the new document of some hosts.

use crate::load::documents::{Loaded, Read, check_texts};
use crate::load::revision::Place;
use crate::output;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_diagnose::review::host::Version;

/// The old and the new document.
pub(super) struct Pair {
    pub(super) old: Loaded,
    pub(super) new: Loaded,
}

impl Pair {
    /// Pairs documents of one owner: an apply of the new one would not touch what another owner holds.
    pub(super) fn new(old: Loaded, new: Loaded) -> Result<Self, Error> {
        let owners = (&old.document.owner, &new.document.owner);
        if owners.0 == owners.1 {
            return Ok(Pair { old, new });
        }
        let message = format!(
            "the old document has the owner {}, and the new one {}",
            owners.0, owners.1
        );
        Err(Error::new(ErrorKind::Input, message)
            .hint("give both the same `owner`: netkeel compares what one owner declares"))
    }

    /// Whether the documents differ.
    pub(super) fn differs(&self) -> bool {
        self.old.document.hash != self.new.document.hash
    }

    /// The old document.
    pub(super) fn old_version(&self) -> Version<'_> {
        version(&self.old)
    }

    /// The new document.
    pub(super) fn new_version(&self) -> Version<'_> {
        version(&self.new)
    }
}

fn version(loaded: &Loaded) -> Version<'_> {
    Version {
        document: &loaded.document,
        sources: &loaded.sources,
    }
}

/// A document of the same owner that declares nothing.
pub(super) fn nothing(place: &Place, other: &Loaded) -> Result<Loaded, Error> {
    let document = &other.document;
    let text = serde_json::json!({ "version": 1, "owner": document.owner, "persist": false });
    let read = check_texts(
        vec![(format!("{place} (nothing)"), text.to_string().into_bytes())],
        Netns::CURRENT,
    );
    report(read).ok_or_else(|| Error::new(ErrorKind::Input, format!("{place} has no document")))
}

/// The document, or `None` after its diagnostics are printed.
pub(super) fn report(read: Read) -> Option<Loaded> {
    read.inspect_err(|invalid| output::diagnostics(&invalid.diagnostics, &invalid.sources))
        .ok()
}
