//! `netkeel explain`: why a setting is what it is.

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
use netkeel_kernel::files::root;
use netkeel_kernel::live::snapshot::Live;
use netkeel_kernel::namespace::identity::{Identity, identify};
use netkeel_kernel::sysctl::missing;
use netkeel_plan::ledger::Ledger;
use netkeel_render::explain::key;
use netkeel_render::paint;

/// Tells why a sysctl, or a setting of an interface, is what it is: its live value, the effective
/// value and the key that decides it, the owner that holds it with what was there before and who
/// wrote it last, the file and line of sysctl.d that wins at boot and for an interface that appears
/// later (under systemd's rules, and under procps's where they differ), every line that loses and
/// why, and who else is known to write it.
///
/// Exit status: 0; 1 when there is no such key or interface, or something could not be read.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A sysctl, as net.ipv4.conf.eth0.rp_filter or net/ipv4/conf/eth0.100/rp_filter, or the name of
    /// an interface.
    #[arg(value_name = "KEY|IFACE")]
    what: String,
    #[command(flatten)]
    place: Place,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    /// Where the files of sysctl.d are looked for: the root directory of a mounted image. The live
    /// values are those of the kernel that runs here.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    version: u32,
    #[serde(flatten)]
    explained: &'a Explained,
}

/// What is explained.
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
    let link = arguments.what.parse::<LinkName>().ok();
    let key = arguments.what.parse::<SysctlKey>();
    let keys: Vec<SysctlKey> = link
        .map_or_else(Vec::new, link::keys_of)
        .into_iter()
        .chain(key.clone().ok())
        .collect();
    let (snapshot, beside) = Live::with(&netns, |kernel| {
        let snapshot = kernel.snapshot(&inputs::scope(&keys));
        let beside = key.as_ref().ok().and_then(missing::beside);
        snapshot.map(|snapshot| (snapshot, beside))
    })??;
    // Where nothing was kept, or may be looked at, nobody is known to hold anything.
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
        (None, Ok(key)) => Explained::Key(Box::new(known(&host, &key, beside)?)),
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
                    format!("it cannot be written as JSON: {error}"),
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

/// The history, as far as it may be seen.
fn acts(store: &Store) -> Result<Vec<Act>, Error> {
    let act = |done: HistoryEntry| Act {
        time: done.time,
        actor: done.actor,
        document: done.document,
        result: done.result,
        commands: done.commands,
    };
    match store.history() {
        Ok(history) => Ok(history.into_iter().map(act).collect()),
        Err(error) if error.kind == ErrorKind::Permission => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// A key that the kernel or a file knows, or that an interface of that name would have.
fn known(
    host: &Inputs<'_>,
    key: &SysctlKey,
    beside: Option<missing::MissingKey>,
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
        format!("there is no sysctl {key} here, and no file of sysctl.d names it"),
    );
    let near = beside.and_then(|beside| {
        let name = nearest(&beside.missing, beside.names.iter().map(String::as_str))?;
        let path = [&*beside.parent, name, &*beside.rest].join("/");
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
        None => error.hint(format!("there are {}", names.join(", "))),
    };
    error.hint("a sysctl is named with its path, as net.ipv4.conf.eth0.rp_filter")
}
