//! `netkeel observe`: the snapshot, as JSON.

use clap::Args;

use super::arguments::{DEFAULT_DOCUMENTS, Documents};
use super::load::load;
use super::{exit, output, recover};
use crate::error::{Error, ErrorKind};
use crate::kernel::{Kernel, Live};
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
    let files = &arguments.documents.files;
    // Without documents there is still something to see.
    let named = files.iter().any(|file| file.as_os_str() != DEFAULT_DOCUMENTS)
        || files.iter().any(|file| file.exists());
    if named {
        let Some(loaded) = load(&arguments.documents, netns.clone())? else {
            return Ok(exit::ERROR);
        };
        scope.extend(loaded.document.scope());
    }
    recover::refuse_pending(&Store::open(&netns)?)?;
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
