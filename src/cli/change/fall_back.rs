//! The document that is applied in place of one that was rolled back before.

use crate::arguments::LockOptions;
use crate::change::recover;
use crate::change::said::Said;
use crate::load::documents::{Loaded, read_accepted};
use crate::output;
use netkeel_apply::store::Store;
use netkeel_apply::store::actor::actor;
use netkeel_core::error::{Error, ErrorKind};

/// The document, or the one of its owner that was accepted last if it was rolled back before. Where none was, the
/// document stays, and the apply refuses it.
///
/// # Errors
/// When the state, or the accepted document, cannot be read.
pub(crate) fn unless_rejected(loaded: Loaded, lock: LockOptions) -> Result<Loaded, Error> {
    let document = &loaded.document;
    let store = Store::open(&document.netns)?;
    // At a boot this rejects the document that nobody confirmed.
    let mut said = Said::default();
    drop(recover::settle(
        &store,
        &document.netns,
        &actor(),
        lock.timeout,
        &mut said,
    )?);
    drop(said);
    let Some(rejection) = store.rejection(Some(&document.hash))? else {
        return Ok(loaded);
    };
    let Some(text) = store.accepted(&document.owner)? else {
        no_other(&document.owner);
        return Ok(loaded);
    };
    let accepted = read_accepted(text, document.netns.clone()).map_err(|invalid| {
        output::diagnostics(&invalid.diagnostics, &invalid.sources);
        Error::new(
            ErrorKind::Refused,
            "the document that was accepted last is not valid any more",
        )
        .hint("change the document that was rolled back, and apply it")
    })?;
    if store.rejection(Some(&accepted.document.hash))?.is_some() {
        no_other(&document.owner);
        return Ok(loaded);
    }
    output::say(&format!(
        "warning: this document was rolled back before: {}; the document of the owner {} that was accepted last is applied instead\n",
        rejection.reason, document.owner
    ));
    Ok(accepted)
}

/// Says that nothing can be applied in place of the document.
fn no_other(owner: &str) {
    output::say(&format!(
        "warning: there is no document to fall back to: the owner {owner} has no accepted one that was not rolled back\n"
    ));
}
