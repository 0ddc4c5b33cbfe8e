//! `netkeel observe`: the snapshot, as JSON.

use clap::Args;

use super::arguments::Documents;
use super::load::{Found, load_if_any};
use super::{exit, output};
use crate::error::{Error, ErrorKind};
use crate::kernel::{Kernel, Live};
use crate::recover::refuse_pending;
use crate::snapshot::Scope;
use crate::store::Store;

/// Prints what netkeel sees of the host: every interface, the sysctls that matter to network
/// paths, and whatever the documents name. `netkeel plan --snapshot` reads it.
///
/// Exit status: 0; 1 when something could not be read.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    documents: Documents,
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> Result<u8, Error> {
    let netns = arguments.documents.place.netns();
    let mut scope = Scope::wide();
    match load_if_any(&arguments.documents, netns.clone())? {
        // Without documents there is still something to see.
        Found::Nothing => {}
        Found::Document(loaded) => scope.extend(loaded.document.scope()),
        Found::Wrong => return Ok(exit::ERROR),
    }
    refuse_pending(&Store::open_to_read(&netns)?)?;
    let snapshot = Live::with(&netns, |kernel| kernel.snapshot(&scope))??;
    let json = serde_json::to_value(&snapshot).map_err(|error| {
        Error::new(
            ErrorKind::Unreadable,
            format!("the snapshot cannot be written as JSON: {error}"),
        )
    })?;
    output::print(&output::pretty(&json))?;
    output::problems(&snapshot.problems);
    Ok(if snapshot.problems.is_empty() {
        exit::OK
    } else {
        exit::ERROR
    })
}
