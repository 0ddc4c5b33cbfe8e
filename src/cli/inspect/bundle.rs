//! The bundles of `netkeel doctor`: records one, opens one, and compares two.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use clap::{Args, ValueEnum};
use nix::sys::utsname::uname;

use crate::arguments::parse_duration;
use crate::fail_on::FailOn;
use crate::load::file::read_printed;
use crate::{exit, output};
use netkeel_apply::clock::now;
use netkeel_apply::store::Store;
use netkeel_apply::store::history::HistoryEntry;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_core::text::escape::printable;
use netkeel_diagnose::bundle::{Bundle, BundledApply, Origin};
use netkeel_diagnose::diagnosis::cause::Diagnosis;
use netkeel_diagnose::diagnosis::compare::compare;
use netkeel_diagnose::diagnosis::scope;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::problem::{Problem, Subject};
use netkeel_kernel::counters::drop_reasons::DropReasons;
use netkeel_kernel::counters::reading::reading;
use netkeel_kernel::files::plugins::programs;
use netkeel_kernel::live::snapshot::Live;
use netkeel_kernel::namespace::enter::inside;
use netkeel_render::diagnosis::{compare as compared, html, text};
use netkeel_render::paint::Paint;

/// Applies that a bundle has.
const APPLIES: usize = 10;

/// The options for bundles.
#[derive(Debug, Args)]
pub(crate) struct BundleArguments {
    /// Open a bundle instead of reading this host
    #[arg(long, value_name = "FILE", conflicts_with_all = ["window", "netns"])]
    bundle: Option<PathBuf>,
    /// Compare two bundles: of two hosts, or of two moments
    #[arg(long, num_args = 2, value_names = ["FILE", "FILE"], conflicts_with_all = ["bundle", "window", "netns"])]
    compare: Vec<PathBuf>,
    /// Write a bundle with the growth of the counters over this time, e.g. 5m
    ///
    /// A bundle has the snapshot, the counters, the findings, the last applies, and the versions of the kernel and of
    /// the plugins that the CNI lists. It has no keys, no text of files and no environment.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "out",
        conflicts_with_all = ["bundle", "compare", "window", "output"])]
    record: Option<Duration>,
    /// File for the bundle
    #[arg(short, long, value_name = "FILE", requires = "record")]
    out: Option<PathBuf>,
    /// Count why the kernel drops packets, on the whole machine
    ///
    /// netkeel attaches counters to the tracepoint skb:kfree_skb for the time of the window. Each packet that any
    /// program or namespace loses then costs a few microseconds more. This needs tracefs, CAP_PERFMON and Linux 5.17,
    /// and the first network namespace.
    #[arg(long, conflicts_with_all = ["bundle", "compare"])]
    pub(crate) drop_reasons: bool,
    /// Fail with status 2 on a cause or a sign of at least this severity
    ///
    /// A cause that is certain is an error, and one that is possible a warning. A cause that only counters show is a
    /// warning if it loses less than 0.1 % of the packets. A sign, such as a loss that no cause explains, is an error
    /// from 0.1 % of the packets on, a warning from 0.001 % on, else a note. Losses of
    /// IPsec and of an NFQUEUE, and resets to packets of no connection, are a warning from 10 packets on.
    #[arg(long, value_enum, value_name = "SEVERITY", conflicts_with = "compare")]
    fail_on: Option<FailOn>,
}

impl BundleArguments {
    /// The exit status of a diagnosis. A host that was not read whole is an error, whatever was found.
    pub(crate) fn status(&self, diagnosis: &Diagnosis, problems: &[Problem]) -> u8 {
        if !problems.is_empty() {
            return exit::ERROR;
        }
        match (self.fail_on.map(FailOn::severity), diagnosis.worst()) {
            (Some(limit), Some(worst)) if worst <= limit => exit::CHANGES,
            _ => exit::OK,
        }
    }
}

/// Output formats of a diagnosis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// For people
    #[default]
    Text,
    /// For programs; `netkeel schema diagnosis` prints the schema
    Json,
    /// A page for a browser
    Html,
}

/// Opens or compares bundles, if the options ask for that.
pub(crate) fn run(arguments: &BundleArguments, netns: &Netns, shape: Shape) -> Result<Option<u8>, Error> {
    if let (Some(window), Some(out)) = (arguments.record, &arguments.out) {
        let file = private_file(out)?;
        let written = record(netns, window, arguments.drop_reasons).and_then(|(bundle, problems)| {
            fill(file, out, &output::json(&bundle)?)?;
            Ok((bundle, problems))
        });
        // A file that was made before the window and got no bundle is of no use.
        let (bundle, problems) = written.inspect_err(|_| drop(fs::remove_file(out)))?;
        let shown = printable(&out.display().to_string()).into_owned();
        output::print(&format!(
            "{}\nWritten to {shown}\n",
            text::bundle(&bundle, Paint(output::stdout_colour()))
        ))?;
        output::problems(&problems);
        return Ok(Some(arguments.status(&bundle.diagnosis(), &problems)));
    }
    if let Some(file) = &arguments.bundle {
        let bundle = read(file)?;
        let diagnosis = bundle.diagnosis();
        output::print(&match shape {
            Shape::Text => text::bundle(&bundle, Paint(output::stdout_colour())),
            Shape::Json => output::json(&diagnosis)?,
            Shape::Html => html::bundle(&bundle),
        })?;
        return Ok(Some(arguments.status(&diagnosis, &[])));
    }
    let [one, other] = arguments.compare.as_slice() else {
        return Ok(None);
    };
    let is_json = match shape {
        Shape::Json => true,
        Shape::Text => false,
        Shape::Html => {
            return Err(Error::new(
                ErrorKind::Input,
                "--compare has no output html; use text or json",
            ));
        }
    };
    let bundles = [read(one)?, read(other)?];
    let found = compare([&bundles[0], &bundles[1]]);
    let names = match bundles[0].host == bundles[1].host {
        true => [one, other].map(|path| path.display().to_string()),
        false => [bundles[0].host.clone(), bundles[1].host.clone()],
    };
    output::print(&match is_json {
        true => output::json(&found)?,
        false => compared::comparison(&found, [&names[0], &names[1]]),
    })?;
    Ok(Some(exit::OK))
}

/// The growth of the counters over a window, with the state of the host at its end. The counters are read first:
/// reading the host may raise some of them.
pub(crate) fn record(
    netns: &Netns,
    window: Duration,
    drop_reasons: bool,
) -> Result<(Bundle, Vec<Problem>), Error> {
    let reasons = match drop_reasons {
        true => DropReasons::attach(),
        false => DropReasons::not_asked(),
    };
    let first = inside(netns, || reading(netns, &reasons))?;
    std::thread::sleep(window);
    let last = inside(netns, || reading(netns, &reasons))?;
    drop(reasons);
    let mut snapshot = Live::with(netns, |kernel| kernel.snapshot(&scope()))??;
    // The last applies are no reason to lose the window.
    let history = Store::open_to_read(netns).and_then(|store| store.history());
    let history = history.unwrap_or_else(|error| {
        snapshot.problems.push(Problem {
            what: Subject::Other("the history of applies".to_owned()),
            why: error.message,
        });
        Vec::new()
    });
    let problems = snapshot.problems.clone();
    let name = uname().map_err(|cause| {
        Error::new(
            ErrorKind::Unreadable,
            format!("cannot read the host's name: {cause}"),
        )
    })?;
    let origin = Origin {
        netkeel: env!("CARGO_PKG_VERSION").to_owned(),
        host: name.nodename().to_string_lossy().into_owned(),
        time: now(),
        programs: snapshot.cni.as_ref().map(programs).unwrap_or_default(),
    };
    let applies = history.iter().rev().take(APPLIES).map(bundled).collect();
    Ok((Bundle::new(origin, snapshot, (first, last), applies), problems))
}

/// An apply without its caller, whose command line may name anything, and without its commands.
fn bundled(entry: &HistoryEntry) -> BundledApply {
    BundledApply {
        id: entry.id.clone(),
        time: entry.time,
        event: entry.event.to_string(),
        owner: entry.owner.clone(),
        changes: entry
            .changes
            .iter()
            .map(|change| (change.fact.clone(), change.from.clone(), change.to.clone()))
            .collect(),
    }
}

/// Makes a new file that only this user can read.
fn private_file(path: &Path) -> Result<fs::File, Error> {
    let options = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .clone();
    options.open(path).map_err(|cause| match cause.kind() {
        io::ErrorKind::AlreadyExists => unwritten(&cause, path).hint("name a file that does not exist yet"),
        _ => unwritten(&cause, path),
    })
}

fn fill(mut file: fs::File, path: &Path, text: &str) -> Result<(), Error> {
    file.write_all(text.as_bytes())
        .map_err(|cause| unwritten(&cause, path))
}

fn unwritten(cause: &io::Error, path: &Path) -> Error {
    Error::new(ErrorKind::Refused, format!("cannot write the bundle: {cause}")).context(path.display())
}

fn read(path: &Path) -> Result<Bundle, Error> {
    let text = read_printed(path)?;
    Bundle::from_json(&text).map_err(|error| error.context(path.display()))
}
