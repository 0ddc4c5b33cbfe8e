//! The old and the new document of some hosts.

use crate::load::documents::{Loaded, Read, check_texts};
use crate::load::revision::Place;
use crate::output;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_core::text::escape::printable;
use netkeel_diagnose::review::host::Version;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

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

/// The first error with its place, and the number of the others.
pub(super) fn first(diagnostics: &Diagnostics, sources: &Sources) -> String {
    let sorted = diagnostics.sorted();
    let mut all = sorted.iter();
    let Some(first) = all.next() else {
        return "no reason is known".to_owned();
    };
    let place = first.span.map(|span| {
        let location = sources.locate(span);
        format!(" ({}:{})", location.file, location.line)
    });
    let more = match all.count() + diagnostics.more {
        0 => String::new(),
        more => format!(", and {}", netkeel_render::wording::count(more, "more error")),
    };
    format!("{}{}{more}", first.message, place.unwrap_or_default())
}

/// The first names of a note, and the number of the others.
pub(super) fn some<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 5;
    let more = names.len().saturating_sub(SHOWN);
    let first: Vec<_> = names.take(SHOWN).map(printable).collect();
    match more {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
