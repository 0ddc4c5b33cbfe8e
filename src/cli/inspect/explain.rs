//! `netkeel explain`: explains where the value of a setting comes from.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::arguments::{Documents, Format};
use crate::load::documents::{Host, LoadOutcome, load_if_any};
use crate::{exit, output};
use netkeel_apply::store::Store;
use netkeel_apply::store::history::HistoryEntry;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Field;
use netkeel_core::finding::{Code, Severity};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::text::suggest::nearest;
use netkeel_diagnose::explain::declared::Declaring;
use netkeel_diagnose::explain::field::FieldExplained;
use netkeel_diagnose::explain::holder::{Act, Records};
use netkeel_diagnose::explain::inputs::Inputs;
use netkeel_diagnose::explain::key::KeyExplained;
use netkeel_diagnose::explain::link::LinkExplained;
use netkeel_diagnose::explain::writer::WATCHED;
use netkeel_diagnose::explain::{field, inputs, link};
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::scope::{Scope, on_host};
use netkeel_kernel::files::root;
use netkeel_kernel::live::snapshot::Live;
use netkeel_kernel::namespace::identity::{Identity, identify};
use netkeel_kernel::sysctl::missing;
use netkeel_plan::ledger::Ledger;
use netkeel_render::explain::{finding, key};
use netkeel_render::paint;

/// Explain where a setting's value comes from
///
/// The output lists:
///
/// - the live value, the effective value, and the key that decides it
///
/// - the line of a document that wants it
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
    /// Sysctl, interface, setting of an interface, or code of a finding
    ///
    /// Examples: net.ipv4.conf.eth0.rp_filter, eth0, eth0.mtu, NK013. Use slashes when the name of an interface in
    /// a sysctl has a dot: net/ipv4/conf/eth0.100/rp_filter. The page of a finding is part of netkeel: it needs
    /// no host.
    #[arg(value_name = "KEY|IFACE|IFACE.KEY|CODE")]
    what: String,
    #[command(flatten)]
    documents: Documents,
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
struct Shown<'a> {
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
    Field(Box<FieldExplained>),
    Finding(FindingExplained),
}

/// The page of a finding.
#[derive(Serialize)]
struct FindingExplained {
    code: Code,
    severity: Severity,
    /// Markdown.
    page: &'static str,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    if let Some(code) = code(&arguments.what)? {
        let explained = Explained::Finding(FindingExplained {
            code,
            severity: code.severity(),
            page: finding::page(code),
        });
        show(&explained, arguments.output)?;
        return Ok(exit::OK);
    }
    let netns = arguments.documents.place.netns();
    // An explanation of the host is of use without the documents too.
    let (loaded, invalid) = match load_if_any(&arguments.documents, netns.clone(), Host::Live)? {
        LoadOutcome::Nothing => (None, false),
        LoadOutcome::Document(loaded) => (Some(loaded), false),
        LoadOutcome::Wrong => (None, true),
    };
    let mut files = root::Root::open(&arguments.root)?;
    let (sysctl_d, evidence) = (files.sysctl_d(), files.evidence(WATCHED));
    let subject = subject(&arguments.what, &netns)?;
    let (link, asked) = match subject {
        Subject::Link(name) => (Some(name), None),
        Subject::Field(name, field) => (Some(name), Some(field)),
        Subject::Key => (None, None),
    };
    let key = match asked.and_then(|field| field.sysctl_of(link?)) {
        Some(key) => Ok(key),
        None => match arguments.what.parse::<SysctlKey>() {
            Ok(key) => Ok(by_own_name(key, &netns)?),
            Err(error) => Err(error),
        },
    };
    let keys: Vec<SysctlKey> = link
        .map_or_else(Vec::new, link::keys_of)
        .into_iter()
        .chain(key.clone().ok())
        .collect();
    let (snapshot, siblings) = Live::with(&netns, |kernel| {
        let mut scope = inputs::scope(&keys);
        scope.pods |= asked == Some(Field::PodMtu);
        if let Some(loaded) = &loaded {
            scope.extend(loaded.document.scope());
        }
        let snapshot = kernel.snapshot(&scope);
        let siblings = key.as_ref().ok().and_then(missing::beside);
        snapshot.map(|snapshot| (snapshot, siblings))
    })??;
    // Without a readable store there are no known owners.
    let (ledger, acts) = match Store::open(&netns) {
        Ok(store) => (store.readable_ledger()?, acts(&store)?),
        Err(_) => (Ledger::default(), Vec::new()),
    };
    let declaring = loaded
        .as_ref()
        .map(|loaded| (loaded.document.wants(&snapshot), &loaded.sources));
    let host = Inputs {
        snapshot: &snapshot,
        files: &sysctl_d,
        evidence: &evidence,
        kept: Records {
            ledger: Some(&ledger),
            acts: &acts,
        },
        declaring: declaring
            .as_ref()
            .map(|(wants, sources)| Declaring { wants, sources }),
        initial: identify(&netns).ok().map(|identity| identity == Identity::Host),
    };
    let of_field = |field| field::field(&host, link?, field);
    let explained = match (link.and_then(|name| link::link(&host, name)), key) {
        (Some(_), Ok(key)) if asked.is_some_and(is_sysctl) => {
            Explained::Key(Box::new(netkeel_diagnose::explain::key::key(&host, &key)))
        }
        (Some(link), _) => match asked.and_then(of_field) {
            Some(field) => Explained::Field(Box::new(field)),
            None => Explained::Link(Box::new(link)),
        },
        (None, Ok(key)) => Explained::Key(Box::new(known(&host, &key, siblings)?)),
        (None, Err(_)) if link.is_some() && !arguments.what.contains(['.', '/']) => {
            return Err(no_such_link(&arguments.what, &snapshot));
        }
        (None, Err(error)) => return Err(error),
    };
    show(&explained, arguments.output)?;
    let mut problems = snapshot.problems;
    problems.append(&mut files.problems);
    output::problems(&problems);
    Ok(if problems.is_empty() && !invalid {
        exit::OK
    } else {
        exit::ERROR
    })
}

/// The code of a finding; `None` if the text does not have the form of one.
fn code(text: &str) -> Result<Option<Code>, Error> {
    let upper = text.to_ascii_uppercase();
    let is_code = |digits: &str| digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    match upper.strip_prefix("NK").is_some_and(is_code) {
        true => match upper.parse() {
            Ok(code) => Ok(Some(code)),
            Err(_) => {
                let known = Code::ALL.iter().map(ToString::to_string).collect::<Vec<_>>();
                let error = Error::new(ErrorKind::Missing, format!("there is no finding {upper}"));
                Err(error.hint(format!("the findings are {}", known.join(", "))))
            }
        },
        false => Ok(None),
    }
}

/// The object that an argument names.
enum Subject {
    /// An interface, or the first part of a key of the same form.
    Link(LinkName),
    /// A setting of an interface that exists.
    Field(LinkName, Field),
    /// A key.
    Key,
}

/// A key of an interface by the interface's own name: /proc/sys has no further names.
fn by_own_name(key: SysctlKey, netns: &Netns) -> Result<SysctlKey, Error> {
    if key.link().is_none() && key.long_name().is_none() {
        return Ok(key);
    }
    let host = Live::with(netns, |kernel| kernel.snapshot(&Scope::default()))??;
    Ok(on_host(&key, &host.links).unwrap_or(key))
}

fn subject(what: &str, netns: &Netns) -> Result<Subject, Error> {
    let is_prefix = what
        .split_once('/')
        .is_some_and(|(address, length)| address.parse::<IpAddr>().is_ok() && length.parse::<u8>().is_ok());
    if what == "default" || is_prefix {
        let message = format!("{what} is a route, and not a sysctl, an interface or a finding");
        return Err(Error::new(ErrorKind::Input, message)
            .hint(format!("`ip route show {what}` shows the route and its mtu")));
    }
    let link = what.parse::<LinkName>().ok();
    let field = field::parse(what);
    let is_short = link.is_some() || field.is_some();
    if !is_short && (what.contains('/') || what.starts_with("net.")) {
        return Ok(Subject::Key);
    }
    let host = Live::with(netns, |kernel| kernel.snapshot(&Scope::default()))??;
    // A further name can be longer than that of an interface, and have dots.
    if let Some(name) = host.named(what) {
        return Ok(Subject::Link(name));
    }
    // eth0.100 may be the name of a VLAN.
    if let Some((name, word)) = what.rsplit_once('.')
        && field.is_none()
        && host.named(name).is_some()
        && !word.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(no_such_field(name, word));
    }
    if !is_short && what.contains('.') {
        return Ok(Subject::Key);
    }
    if let Some((name, field)) = field {
        let (before, _) = what.rsplit_once('.').unwrap_or((what, ""));
        return match host.named(name) {
            Some(name) => Ok(Subject::Field(name, field)),
            // net.ipv6.conf.eth0.mtu is a key.
            None if before.contains('.') => Ok(Subject::Key),
            None => Err(no_such_link(before, &host)),
        };
    }
    Ok(link.map_or(Subject::Key, Subject::Link))
}

/// Whether a setting of an interface is a sysctl.
fn is_sysctl(field: Field) -> bool {
    field.sysctl_of(LinkName::LOOPBACK).is_some()
}

/// Prints an explanation.
fn show(explained: &Explained, output: Format) -> Result<(), Error> {
    output::print(&match output {
        Format::Text => {
            let paint = paint::Paint(output::stdout_colour());
            match explained {
                Explained::Key(key) => key::key(key, paint),
                Explained::Link(link) => key::link(link, paint),
                Explained::Field(field) => netkeel_render::explain::field::field(field, paint),
                Explained::Finding(found) => finding::finding(found.code, paint),
            }
        }
        Format::Json => output::json(&Shown {
            format: "netkeel/explain",
            version: 1,
            explained,
        })?,
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

fn no_such_field(name: &str, word: &str) -> Error {
    let message = format!("the interface {name} has no setting {word}");
    let error = Error::new(ErrorKind::Missing, message);
    match nearest(word, field::names()) {
        Some(near) => error.hint(format!("did you mean {name}.{near}?")),
        None => error.hint(format!(
            "settings of an interface are {}",
            field::names().collect::<Vec<_>>().join(", ")
        )),
    }
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
