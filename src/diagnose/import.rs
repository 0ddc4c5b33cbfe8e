//! A document for a host as it is now: `plan` with it finds nothing to do.

pub mod default_value;
mod files;
mod links;
mod nflog;
mod others;
pub mod selection;
pub mod sysctl_d;

use std::collections::BTreeSet;

use crate::import::selection::Selection;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Field;
use netkeel_document::draft::Draft;
use netkeel_host::snapshot::Snapshot;
use netkeel_plan::goal::Goal;
use netkeel_plan::plan::Drift;
use netkeel_source::diagnostic::Diagnostics;

pub use files::import_files;

/// The document as YAML, with comments. `from` names the host.
///
/// Interfaces with equal values become one `match`. A value that the document cannot declare without a change to
/// the host is left out, and a comment names it.
///
/// # Errors
/// [`ErrorKind::Missing`] when the host has nothing of a selected name. [`ErrorKind::Unreadable`] when the document
/// of this host would be invalid whatever is left out, which is a bug.
pub fn import(host: &Snapshot, from: &str, selection: &Selection) -> Result<String, Error> {
    let selection = &selection.by_own_names(host);
    let selected = selection.of_host(host);
    selection.require(host)?;
    let mut draft = Draft::new(&[
        &format!("The network path of {from}, as `netkeel import` found it."),
        "`netkeel plan` with this document finds nothing to do.",
    ]);
    draft.live_only = true;
    links::add(&selected, host, selection, &mut draft);
    others::add(&selected, selection, &mut draft);
    nflog::add(&selected, &mut draft);
    // Each round leaves out an entry or a key.
    let rounds = draft.size() + host.links.len();
    for _ in 0..=rounds {
        match wrong(&draft, host) {
            Wrong::Nothing => return Ok(draft.text()),
            Wrong::Paths(paths) => {
                let found = paths.iter().filter(|path| draft.leave_out(path)).count();
                if found == 0 {
                    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
                    let message = format!("no document describes this host: {}", paths.join(", "));
                    return Err(Error::new(ErrorKind::Unreadable, message));
                }
            }
            Wrong::Drift(drift) => {
                for drift in &drift {
                    leave_pod_out(drift, &mut draft);
                }
            }
        }
    }
    Err(Error::new(
        ErrorKind::Unreadable,
        "no document describes this host as it is",
    ))
}

/// The differences between a document and the host.
enum Wrong {
    Nothing,
    /// The paths of keys that the host does not allow.
    Paths(BTreeSet<String>),
    Drift(Vec<Drift>),
}

fn wrong(draft: &Draft, host: &Snapshot) -> Wrong {
    let paths = |diagnostics: Diagnostics| {
        let list = diagnostics.list.into_iter();
        Wrong::Paths(list.map(|diagnostic| diagnostic.path).collect())
    };
    let (document, diagnostics) = draft.read(host.netns.clone());
    if !diagnostics.is_empty() {
        return paths(diagnostics);
    }
    match document.plan(host) {
        Err(diagnostics) => paths(*diagnostics),
        Ok(planned) if planned.plan.drift.is_empty() => Wrong::Nothing,
        Ok(planned) => Wrong::Drift(planned.plan.drift),
    }
}

/// Leaves out the key that wants another value. Where a pod's end differs from the rule of many, that pod's is left
/// alone instead.
fn leave_pod_out(drift: &Drift, draft: &mut Draft) {
    let of_pod = matches!(
        drift.fact.field,
        Field::PodMtu | Field::PodRouteMtu(_) | Field::PodAddress(_)
    );
    match drift.fact.link_name().filter(|_| of_pod) {
        Some(name) if links::leave_pod(draft, name) => {}
        _ => {
            draft.leave_out(&drift.origin.path);
        }
    }
}

#[cfg(test)]
mod tests;
