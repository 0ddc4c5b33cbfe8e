//! `netkeel import`: writes a document from what a host is.

mod from;

use std::path::{Path, PathBuf};

use clap::Args;

use crate::arguments::Place;
use crate::inspect::import::from::From;
use crate::load::file::name;
use crate::load::snapshot::read_snapshot;
use crate::{exit, output};
use netkeel_core::error::Error;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_diagnose::import::selection::Selection;
use netkeel_diagnose::import::{default_value, import, import_files};
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::scope::Scope;
use netkeel_kernel::files::root::Root;
use netkeel_kernel::live::snapshot::Live;
use netkeel_kernel::sysctl::list;

/// Print a document for a host as it is now
///
/// `netkeel plan` with the document finds nothing to do: change it from there. Interfaces with equal values become
/// one rule with `match`. The document has the MTU and the rp_filter of each interface, tunnels in collect-metadata
/// mode, sysctls that differ from a known default of the kernel, the MTU of CNI plugins, and NFLOG rules. It has no
/// routes. Comments name the origin, and whatever is not declared.
///
/// With `--from`, the document is made from the configuration of another program instead: MTUs, queue lengths and
/// reverse path filters of interfaces, tunnels in collect-metadata mode, sysctls, and the MTU and MSS of routes. A
/// comment names every part that netkeel does not manage.
///
/// Exit status: 0 success; 1 error, or parts of the host could not be read: the document lacks them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  netkeel import > site.yaml
  netkeel import eth0 'cali*' 'net.core.*'
  netkeel import --root /mnt/image
  netkeel import --from netplan -f /etc/netplan
  netkeel import --snapshot host.json | netkeel plan -f - --snapshot host.json")]
pub(crate) struct Arguments {
    /// Import these interfaces, sysctls, CNI plugins and NFLOG entries
    ///
    /// A name or a pattern (`cali*`, `net.core.*`, `calico`). A sysctl that a selector finds is imported even if it
    /// has its default. A selector that finds nothing is an error. Without a selector, everything is imported.
    #[arg(value_name = "SELECTOR")]
    selectors: Vec<String>,
    #[command(flatten)]
    place: Place,
    /// Use a saved snapshot instead of this host; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "netns")]
    snapshot: Option<PathBuf>,
    /// Import the sysctl.d files and CNI configurations of this root directory
    ///
    /// For a mounted image, or another root. Nothing of this host is read. With --from, the directory below which the
    /// files are by default.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["netns", "snapshot"])]
    root: Option<PathBuf>,
    /// Import the configuration of another program
    ///
    /// netplan reads /etc/netplan by default, ifupdown /etc/network, networkd /etc/systemd/network, and sysctl.d the
    /// directories of sysctl.d. nmstate and puppet-wmf-hiera need -f.
    #[arg(long, value_enum, conflicts_with_all = ["netns", "snapshot"])]
    from: Option<From>,
    /// File or directory to import with --from, or - for standard input
    ///
    /// Repeat the option for more: later files override earlier ones. With networkd, the first file that matches an
    /// interface counts, in the order of their names.
    #[arg(short, long = "file", value_name = "FILE|DIR|-", requires = "from")]
    files: Vec<PathBuf>,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let selection = Selection::new(&arguments.selectors)?;
    if let Some(from) = arguments.from {
        return from::run(from, &arguments.files, arguments.root.as_deref(), &selection);
    }
    if let Some(root) = &arguments.root {
        return of_root(root, &selection);
    }
    let netns = arguments.place.netns();
    let (host, from) = match &arguments.snapshot {
        Some(path) => (read_snapshot(path)?, name(path)),
        None => (scan(arguments, &selection)?, netns.to_string()),
    };
    output::print(&import(&host, &from, &selection)?)?;
    output::problems(&host.problems);
    Ok(if host.problems.is_empty() {
        exit::OK
    } else {
        exit::ERROR
    })
}

fn scan(arguments: &Arguments, selection: &Selection) -> Result<Snapshot, Error> {
    let netns = arguments.place.netns();
    Live::with(&netns, |kernel| {
        let mut scope = Scope::wide();
        scope.nflog = true;
        scope.next_hops = true;
        scope.cni.directory = netns.is_current();
        scope.sysctls.extend(default_value::keys().map(SysctlKey::known));
        scope.sysctls.extend(selection.named_sysctls());
        for directory in selection.sysctl_directories() {
            let found = list::below(&directory).into_iter();
            let wanted = |key: &SysctlKey| selection.finds_sysctl(key) && !key.is_command();
            scope.sysctls.extend(found.filter(wanted));
        }
        kernel.snapshot(&scope)
    })?
}

/// Imports the files of another root.
fn of_root(root: &Path, selection: &Selection) -> Result<u8, Error> {
    let mut files = Root::open(root)?;
    let (sysctl_d, cni) = (files.sysctl_d(), files.cni());
    let from = root.display().to_string();
    output::print(&import_files(&sysctl_d, &cni, &from, selection)?)?;
    output::problems(&files.problems);
    Ok(if files.problems.is_empty() {
        exit::OK
    } else {
        exit::ERROR
    })
}
