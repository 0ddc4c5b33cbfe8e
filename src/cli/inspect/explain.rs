//! `netkeel explain`: explains where the value of a setting comes from.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::arguments::{Format, Place};
use crate::{exit, output};
use netkeel_apply::store::Store;
use netkeel_apply::store::history::HistoryEntry;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::text::suggest::nearest;
use netkeel_diagnose::explain::holder::{Act, Records};
use netkeel_diagnose::explain::inputs::Inputs;
use netkeel_diagnose::explain::key::KeyExplained;
use netkeel_diagnose::explain::link::LinkExplained;
use netkeel_diagnose::explain::writer::WATCHED;
use netkeel_diagnose::explain::{inputs, link};
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::scope::Scope;
use netkeel_kernel::files::root;
use netkeel_kernel::live::snapshot::Live;
use netkeel_kernel::namespace::identity::{Identity, identify};
use netkeel_kernel::sysctl::missing;
use netkeel_plan::ledger::Ledger;
use netkeel_render::explain::key;
use netkeel_render::paint;

/// Explain where a setting's value comes from
///
/// The output lists:
///
/// - the live value, the effective value, and the key that decides it
///
/// - the netkeel owner, the value before netkeel, and the last writer
///
/// - the sysctl.d line that applies at boot and to new interfaces, under the rules of systemd and,
///   where they differ, of procps
///
/// - the sysctl.d lines that are overridden, and why
///
/// - other programs that are known to write the setting
///
/// Exit status: 0 success; 1 no such key or interface, or state that could not be read.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Sysctl or interface name, e.g. net.ipv4.conf.eth0.rp_filter
    ///
    /// Use slashes when an interface name contains a dot: net/ipv4/conf/eth0.100/rp_filter.
    #[arg(value_name = "KEY|IFACE")]
    what: String,
    #[command(flatten)]
    place: Place,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    /// Root directory of the sysctl.d files, e.g. a mounted image
    ///
    /// Live values always come from the running kernel.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// The JSON output.
#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    version: u32,
    #[serde(flatten)]
    explained: &'a Explained,
}

/// The explained sysctl or interface.
#[derive(Serialize)]
#[serde(untagged)]
enum Explained {
    Key(Box<KeyExplained>),
    Link(Box<LinkExplained>),
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let netns = arguments.place.netns();
    let mut files = root::Root::open(&arguments.root)?;
    let (sysctl_d, evidence) = (files.sysctl_d(), files.evidence(WATCHED));
    let link = match arguments.what.parse::<LinkName>().ok() {
        // The keys below /proc/sys know no further names.
        Some(name) => Some(Live::with(&netns, |kernel| kernel.snapshot(&Scope::default()))??.resolve(name)),
        None => None,
    };
    let key = arguments.what.parse::<SysctlKey>();
    let keys: Vec<SysctlKey> = link
        .map_or_else(Vec::new, link::keys_of)
        .into_iter()
        .chain(key.clone().ok())
        .collect();
    let (snapshot, siblings) = Live::with(&netns, |kernel| {
        let snapshot = kernel.snapshot(&inputs::scope(&keys));
        let siblings = key.as_ref().ok().and_then(missing::beside);
        snapshot.map(|snapshot| (snapshot, siblings))
    })??;
    // Without a readable store there are no known owners.
    let (ledger, acts) = match Store::open(&netns) {
        Ok(store) => (store.readable_ledger()?, acts(&store)?),
        Err(_) => (Ledger::default(), Vec::new()),
    };
    let host = Inputs {
        snapshot: &snapshot,
        files: &sysctl_d,
        evidence: &evidence,
        kept: Records {
            ledger: Some(&ledger),
            acts: &acts,
        },
        initial: identify(&netns).ok().map(|identity| identity == Identity::Host),
    };
    let explained = match (link.and_then(|name| link::link(&host, name)), key) {
        (Some(link), _) => Explained::Link(Box::new(link)),
        (None, Ok(key)) => Explained::Key(Box::new(known(&host, &key, siblings)?)),
        (None, Err(_)) if link.is_some() && !arguments.what.contains(['.', '/']) => {
            return Err(no_such_link(&arguments.what, &snapshot));
        }
        (None, Err(error)) => return Err(error),
    };
    output::print(&match arguments.output {
        Format::Text => {
            let paint = paint::Paint(output::stdout_colour());
            match &explained {
                Explained::Key(key) => key::key(key, paint),
                Explained::Link(link) => key::link(link, paint),
            }
        }
        Format::Json => {
            let document = Document {
                format: "netkeel/explain",
                version: 1,
                explained: &explained,
            };
            let json = serde_json::to_value(&document).map_err(|error| {
                Error::new(
                    ErrorKind::Unreadable,
                    format!("cannot convert the result to JSON: {error}"),
                )
            })?;
            output::pretty(&json)
        }
    })?;
    let mut problems = snapshot.problems;
    problems.append(&mut files.problems);
    output::problems(&problems);
    Ok(if problems.is_empty() {
        exit::OK
    } else {
        exit::ERROR
    })
}

/// The history; empty without permission to read it.
fn acts(store: &Store) -> Result<Vec<Act>, Error> {
    let act = |done: HistoryEntry| Act {
        time: done.time,
        actor: done.actor,
        document: done.document,
        result: match &done.why {
            Some(why) => format!("{}: {why}", done.event),
            None => done.event.to_string(),
        },
        commands: done.commands,
    };
    match store.history() {
        Ok(history) => Ok(history.into_iter().map(act).collect()),
        Err(error) if error.kind == ErrorKind::Permission => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Explains a key that the kernel or a file has, or that a new interface of that name would have.
fn known(
    host: &Inputs<'_>,
    key: &SysctlKey,
    siblings: Option<missing::MissingKey>,
) -> Result<KeyExplained, Error> {
    let explained = netkeel_diagnose::explain::key::key(host, key);
    let of_default = key
        .in_slot("default")
        .map(|default| netkeel_diagnose::explain::key::key(host, &default));
    if !explained.is_unheard_of() || of_default.is_some_and(|default| !default.is_unheard_of()) {
        return Ok(explained);
    }
    let error = Error::new(
        ErrorKind::Missing,
        format!("there is no sysctl {key}, and no sysctl.d file sets it"),
    );
    if let Some(load) = key.load_module() {
        return Err(error.hint(load));
    }
    let near = siblings.and_then(|siblings| {
        let name = nearest(&siblings.missing, siblings.names.iter().map(String::as_str))?;
        let path = [&*siblings.parent, name, &*siblings.rest].join("/");
        path.trim_matches('/').parse::<SysctlKey>().ok()
    });
    Err(match near {
        Some(near) => error.hint(format!("did you mean {near}?")),
        None => error,
    })
}

fn no_such_link(what: &str, snapshot: &Snapshot) -> Error {
    let names: Vec<String> = snapshot.links.keys().map(ToString::to_string).collect();
    let error = Error::new(ErrorKind::Missing, format!("there is no interface {what}"));
    let error = match nearest(what, names.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean {near}?")),
        None => error.hint(format!("known interfaces: {}", names.join(", "))),
    };
    error.hint("write a sysctl with its full path, e.g. net.ipv4.conf.eth0.rp_filter")
}
