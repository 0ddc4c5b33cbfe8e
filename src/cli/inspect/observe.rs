//! `netkeel observe`: prints a snapshot of the host as JSON.

use clap::Args;

use crate::arguments::Documents;
use crate::load::documents::{Host, LoadOutcome, load_if_any};
use crate::{exit, output};
use netkeel_apply::recover::refuse_pending;
use netkeel_apply::store::Store;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::scope::Scope;
use netkeel_kernel::live::snapshot::Live;
use netkeel_service::client;

/// Print a snapshot of the host as JSON
///
/// The snapshot has all interfaces, the sysctls of the network path, and everything that the
/// documents name, with the routes and neighbours that `netkeel path --snapshot` needs, and the rules of
/// nftables that `netkeel probe ipip --snapshot` needs. `netkeel plan --snapshot` reads it too.
///
/// Exit status: 0 success; 1 state that could not be read.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    documents: Documents,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let netns = arguments.documents.place.netns();
    let mut scope = Scope {
        forwarding: true,
        firewall: true,
        ..Scope::wide()
    };
    let mut replicates = false;
    match load_if_any(&arguments.documents, netns.clone(), Host::Saved)? {
        // Without documents the snapshot has the interfaces and sysctls of the network path.
        LoadOutcome::Nothing => {}
        LoadOutcome::Document(loaded) => {
            replicates = loaded.document.replicate.is_some();
            scope.extend(loaded.document.scope());
        }
        LoadOutcome::Wrong => return Ok(exit::ERROR),
    }
    let store = Store::open_to_read(&netns)?;
    refuse_pending(&store)?;
    let mut snapshot = Live::with(&netns, |kernel| kernel.snapshot(&scope))??;
    // A plan asks the service too.
    if replicates {
        snapshot.replication = client::replicating(&store);
    }
    let json = serde_json::to_value(&snapshot).map_err(|error| {
        Error::new(
            ErrorKind::Unreadable,
            format!("cannot convert the snapshot to JSON: {error}"),
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
