//! The document in force.

use std::collections::BTreeSet;

use crate::options::Source;
use crate::state::policies::Policies;
use netkeel_apply::store::Store;
use netkeel_core::name::netns::Netns;
use netkeel_document::document::Document;
use netkeel_document::not_the_host::NotTheHost;
use netkeel_kernel::namespace::identity;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

/// The events that concern a document.
pub(crate) fn interest(document: &Document) -> netkeel_reconcile::event::Interest {
    netkeel_reconcile::event::Interest {
        made: document.makes().into_iter().collect::<BTreeSet<_>>(),
        whole: document.limits.max_matches.is_some(),
        pods: document.scope().pods,
    }
}

/// Reads the document of the files and of the policies in force.
pub(crate) fn read_document(
    policies: Option<&Policies>,
    source: &mut dyn Source,
    netns: &Netns,
) -> Result<Document, String> {
    let Some(policies) = policies else {
        return source.read(Vec::new(), true);
    };
    if let Some(why) = &policies.unread {
        return Err(format!("the policies that were in force cannot be read: {why}"));
    }
    let documents = policies.documents();
    // Files that are gone all at once are an error, and not a node without a document.
    if documents.is_empty() && !policies.has_files && source.is_empty() {
        return Ok(none(netns));
    }
    source.read(documents, policies.has_files)
}

/// Accepts a document unless it is invalid or was rolled back before.
pub(crate) fn accepted(read: Result<Document, String>, store: &Store) -> Result<Document, String> {
    let document = read?;
    match store.rejection(Some(&document.hash)) {
        Ok(None) => Ok(document),
        Ok(Some(rejection)) => Err(format!(
            "the document was rolled back before: {}",
            rejection.reason
        )),
        Err(error) => Err(error.message),
    }
}

/// The document of an owner that was accepted last and not rolled back since. The owner of a document that cannot be
/// read is the one that the service served last.
pub(crate) fn last_accepted(store: &Store, owner: Option<String>, netns: &Netns) -> Option<Document> {
    let owner = match owner {
        Some(owner) => owner,
        None => store.served_owner().ok()??,
    };
    let text = store.accepted(&owner).ok()??;
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let node = sources.load("document.json", text.into_bytes(), None, &mut diagnostics)?;
    let mut document = Document::read(vec![node], netns.clone(), &mut diagnostics);
    if netns.is_current()
        && let Some(why) = NotTheHost::of(identity::is_of_a_host())
    {
        document.is_not_the_hosts(why, &mut diagnostics);
    }
    let stands = diagnostics.is_empty() && matches!(store.rejection(Some(&document.hash)), Ok(None));
    stands.then_some(document)
}

/// A document that declares nothing, for a service without one.
pub(crate) fn none(netns: &Netns) -> Document {
    Document::read(Vec::new(), netns.clone(), &mut Diagnostics::default())
}

/// A short hash for people.
pub(crate) fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}
