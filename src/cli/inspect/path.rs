//! `netkeel path`: draws the way of packets with the MTUs on it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::arguments::{Documents, Origin, Place};
use crate::load::documents::{Host, load};
use crate::load::snapshot::read_snapshot;
use crate::{exit, output};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::text::escape::quoted;
use netkeel_diagnose::lint::plan;
use netkeel_diagnose::path::scope::scope;
use netkeel_diagnose::path::select;
use netkeel_diagnose::path::select::Start;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_kernel::live::snapshot::Live;
use netkeel_kernel::pod::name::pod_names;
use netkeel_render::paint::Paint;
use netkeel_render::path::text::Style;
use netkeel_render::path::{json, svg, text};

/// Draw the path of a packet with its MTUs
///
/// The drawing is made from the configuration; no packet is sent. It shows each device with its MTU,
/// the overhead of tunnels, rp_filter, forwarding, who answers ARP for the gateway, the largest
/// packet that passes each way, and the sizes that vanish without an answer (a black hole). A fact
/// that could not be read is shown as unknown, and the sizes are then upper bounds.
///
/// Without an argument, all pods and the default route of this host are drawn; pods that differ only
/// in names are drawn once.
///
/// Exit status: 0 success; 1 error; with --detailed-exitcode 2 when there is a black hole, or
/// nothing passes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where packets begin, or the address that they go to
    ///
    /// A pod is `NAMESPACE/NAME`, `NAME`, its address, its network namespace, or the host's end of
    /// its veth. Packets begin at this host for any other interface or address.
    #[arg(value_name = "POD|IFACE|ADDRESS")]
    begin: Option<String>,
    /// The address that packets go to
    #[arg(long, value_name = "ADDRESS")]
    to: Option<IpAddr>,
    /// Draw the paths as this document would make them
    ///
    /// Repeat the option to layer documents. Without it, documents are not read.
    #[arg(short, long = "file", value_name = "FILE|DIR|-")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    origin: Origin,
    #[command(flatten)]
    place: Place,
    /// Use a saved snapshot instead of this host; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "netns")]
    snapshot: Option<PathBuf>,
    /// Draw with ASCII characters only
    ///
    /// This is the default where the locale is not UTF-8.
    #[arg(long)]
    ascii: bool,
    /// Exit with status 2 when there is a black hole, or nothing passes
    #[arg(long)]
    detailed_exitcode: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    output: Drawing,
}

/// Output formats of a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Drawing {
    /// For people
    #[default]
    Text,
    /// For programs; `netkeel schema path` prints the schema
    Json,
    /// A picture
    Svg,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let saved = arguments.snapshot.as_deref().map(read_snapshot).transpose()?;
    let netns = saved
        .as_ref()
        .map_or_else(|| arguments.place.netns(), |saved| saved.netns.clone());
    let loaded = if arguments.files.is_empty() {
        None
    } else {
        let documents = Documents {
            files: arguments.files.clone(),
            origin: arguments.origin.clone(),
            place: arguments.place.clone(),
        };
        match load(&documents, netns.clone(), Host::of(&saved))? {
            Some(loaded) => Some(loaded),
            None => return Ok(exit::ERROR),
        }
    };
    let mut scope = scope();
    if let Some(loaded) = &loaded {
        scope.extend(loaded.document.scope());
    }
    let (host, names) = match saved {
        Some(saved) => (saved, BTreeMap::new()),
        None => (
            Live::with(&netns, |kernel| kernel.snapshot(&scope))??,
            pod_names(),
        ),
    };
    let planned = match &loaded {
        None => None,
        Some(loaded) => match plan::planned(&loaded.document, &host) {
            Ok(planned) => planned.after,
            Err(diagnostics) => {
                output::diagnostics(&diagnostics, &loaded.sources);
                return Ok(exit::ERROR);
            }
        },
    };
    let drawn = planned.as_ref().unwrap_or(&host);
    let named = |sandbox: &str| names.get(sandbox).cloned();
    let start = match &arguments.begin {
        None => Start::Everywhere,
        Some(word) => select::start(drawn, word, &named).ok_or_else(|| nothing(word, drawn))?,
    };
    if let (Start::Address(from), Some(_)) = (&start, arguments.to) {
        let error = Error::new(ErrorKind::Input, format!("no pod has the address {from}"));
        return Err(error.hint("name a pod or an interface before --to, or leave --to out"));
    }
    let paths = select::paths(drawn, &start, arguments.to, &named);
    let is_planned = loaded.is_some();
    output::print(&match arguments.output {
        Drawing::Json => output::pretty(&json::paths(&paths, is_planned, &host.problems)),
        Drawing::Svg => svg::paths(&paths, is_planned),
        Drawing::Text => {
            let style = Style {
                paint: Paint(output::stdout_colour()),
                ascii: arguments.ascii || !is_utf8(),
            };
            text::paths(&paths, is_planned, style)
        }
    })?;
    output::problems(&host.problems);
    if !host.problems.is_empty() {
        return Ok(exit::ERROR);
    }
    let is_lost = paths
        .iter()
        .flat_map(|path| [&path.out, &path.back])
        .any(|capacity| capacity.black_hole.is_some() || capacity.largest == Some(0));
    Ok(match is_lost && arguments.detailed_exitcode {
        true => exit::CHANGES,
        false => exit::OK,
    })
}

/// The error for a word that names neither a pod nor an interface.
fn nothing(word: &str, host: &Snapshot) -> Error {
    let error = Error::new(
        ErrorKind::Missing,
        format!("{} is no pod, interface or address here", quoted(word)),
    );
    let names = host.links.keys().map(ToString::to_string);
    let names: Vec<String> = names.collect();
    let near = netkeel_core::text::suggest::nearest(word, names.iter().map(String::as_str));
    match near {
        Some(near) => error.hint(format!("did you mean {near}?")),
        None => error.hint("`netkeel pods` lists the pods, and `ip link` the interfaces"),
    }
}

/// Whether the locale encodes text as UTF-8: the first variable that is set decides, as in setlocale(3).
fn is_utf8() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
    let lower = |value: &OsStr| value.to_string_lossy().to_lowercase();
    locale.is_some_and(|locale| {
        let locale = lower(&locale);
        locale.contains("utf-8") || locale.contains("utf8")
    })
}
