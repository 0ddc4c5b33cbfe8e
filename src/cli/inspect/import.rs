//! `netkeel import`: writes a document from what a host is.

use std::path::PathBuf;

use clap::Args;

use crate::arguments::Place;
use crate::load::snapshot::read_snapshot;
use crate::{exit, output};
use netkeel_core::error::Error;
use netkeel_diagnose::import::import;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::scope::Scope;
use netkeel_kernel::live::snapshot::Live;

/// Print a document for a host as it is now
///
/// `netkeel plan` with the document finds nothing to do: change it from there. Interfaces with equal values become
/// one rule with `match`. The document has the MTU and the rp_filter of each interface, tunnels in collect-metadata
/// mode, sysctls that differ from a known default of the kernel, and the MTU of CNI plugins. It has no NFLOG rules
/// and no routes. Comments name the origin, and whatever had to be left out.
///
/// Exit status: 0 success; 1 error, or parts of the host could not be read: the document lacks them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  netkeel import > site.yaml
  netkeel import --snapshot host.json | netkeel plan -f - --snapshot host.json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Use a saved snapshot (`netkeel observe`), not this host
    #[arg(long, value_name = "FILE", conflicts_with = "netns")]
    snapshot: Option<PathBuf>,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let netns = arguments.place.netns();
    let (host, from) = match &arguments.snapshot {
        Some(path) => (read_snapshot(path)?, path.display().to_string()),
        None => {
            let mut scope = Scope::wide();
            scope.pods = true;
            scope.drivers = true;
            scope.cni.directory = netns.is_current();
            let host = Live::with(&netns, |kernel| kernel.snapshot(&scope))??;
            (host, netns.to_string())
        }
    };
    output::print(&import(&host, &from)?)?;
    output::problems(&host.problems);
    Ok(if host.problems.is_empty() {
        exit::OK
    } else {
        exit::ERROR
    })
}
