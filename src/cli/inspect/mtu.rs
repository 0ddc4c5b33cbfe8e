//! `netkeel mtu`: derives the MTU inside layers of encapsulation.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::arguments::{Format, OuterFamily, Place};
use crate::load::snapshot::read_snapshot;
use crate::{exit, output};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::finding::{Finding, Findings};
use netkeel_core::text::number::decimal;
use netkeel_diagnose::lint::cni;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Families;
use netkeel_host::snapshot::problem::{Problem, Subject};
use netkeel_host::snapshot::scope::{CniScope, Scope};
use netkeel_kernel::live::snapshot::Live;
use netkeel_mtu::budget::{Budget, Derivation};
use netkeel_mtu::detect::{Detected, detect, loaded_plugins};
use netkeel_mtu::layer::Layer;
use netkeel_mtu::pods;
use netkeel_mtu::underlay::{Underlay, preferred};
use netkeel_mtu::{convention, encapsulation};
use netkeel_render::{findings as wording, mtu, paint};

/// Calculate the MTU inside layers of encapsulation
///
/// The output shows each layer from the outermost to the innermost, the resulting MTU and TCP MSS,
/// the exact value, and the value that a CNI uses by convention.
///
/// The environment variable NETKEEL_OVERHEAD overrides the overhead of all layers; NETKEEL_MTU
/// overrides the result.
///
/// Exit status: 0 success; 1 unknown layer, no bytes left, or the floor leaves no room for the headers.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Layers, outermost first, e.g. vxlan or geneve:options=8
    ///
    /// A layer is a name (vxlan), a name with parameters (geneve:options=8, wireguard:ipv4), a stack
    /// of headers (ipv4+udp+vxlan+eth), or any name with a number of bytes (vpn:57). --list shows
    /// the names.
    #[arg(value_name = "LAYER")]
    layers: Vec<String>,
    /// Underlay of the layers: an MTU, an interface or default-route
    ///
    /// default-route is the smallest MTU of all default routes. With --detect, it is the underlay that
    /// the CNI uses, or the default route by which packets leave.
    #[arg(long, value_name = "MTU|IFACE|default-route", default_value = "default-route")]
    underlay: String,
    /// Bytes to keep free
    #[arg(long, value_name = "BYTES", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..=65535))]
    margin: i64,
    /// Smallest MTU to use
    ///
    /// A smaller result is raised at the expense of the margin. An error if the headers then do not fit.
    #[arg(long, value_name = "MTU", value_parser = clap::value_parser!(i64).range(68..=65535))]
    floor: Option<i64>,
    /// Round down to a multiple of this
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(i64).range(1..=1024))]
    align: Option<i64>,
    /// Largest MTU to use
    #[arg(long, value_name = "MTU", value_parser = clap::value_parser!(i64).range(68..=65535))]
    cap: Option<i64>,
    /// IP version of outer headers, for layers that do not set it
    #[arg(long, value_enum)]
    family: Option<OuterFamily>,
    /// Show the MTU that each CNI would use over these layers
    #[arg(long, conflicts_with_all = ["list"])]
    compare: bool,
    /// List the known layers
    #[arg(long)]
    list: bool,
    /// Detect the CNI of this host and check its MTUs
    ///
    /// netkeel reads the CNI configs, the devices, and the files of Calico, Cilium and flannel. It
    /// derives the MTU by the CNI's convention and compares it with the MTUs in use. An MTU that is
    /// too large is a finding.
    #[arg(long, conflicts_with_all = ["list", "compare", "layers"])]
    detect: bool,
    /// Use a saved snapshot instead of this host; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "netns", requires = "detect")]
    snapshot: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    place: Place,
}

/// The JSON output of a derivation.
#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    version: u32,
    #[serde(flatten)]
    answer: &'a Derivation,
}

/// The JSON output of `--compare`.
#[derive(Serialize)]
struct Compared<'a> {
    format: &'static str,
    version: u32,
    compared: Vec<Row<'a>>,
}

/// The JSON output of `--detect`.
#[derive(Serialize)]
struct DetectedDocument<'a> {
    format: &'static str,
    version: u32,
    #[serde(flatten)]
    detected: &'a Detected,
    answer: &'a Derivation,
    findings: &'a [Finding],
}

#[derive(Serialize)]
struct Row<'a> {
    cni: &'a str,
    #[serde(flatten)]
    answer: &'a Derivation,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    if arguments.list {
        let mut list = mtu::known("Layers, by their bytes on the wire:", encapsulation::KNOWN);
        list.push('\n');
        list.push_str(&mtu::known(
            "Overhead that CNIs and platforms subtract:",
            convention::CONVENTIONS,
        ));
        output::print(&list)?;
        return Ok(exit::OK);
    }
    if arguments.detect {
        return detected(arguments);
    }
    let (underlay, from) = underlay(arguments)?;
    if arguments.compare {
        return compare(arguments, underlay, &from);
    }
    let answer = budget(arguments, None)?.derive(underlay, &from)?;
    output::print(&match arguments.output {
        Format::Text => mtu::answer(&answer, paint::Paint(output::stdout_colour())),
        Format::Json => output::json(&Document {
            format: "netkeel/mtu",
            version: 1,
            answer: &answer,
        })?,
    })?;
    Ok(exit::OK)
}

fn detected(arguments: &Arguments) -> Result<u8, Error> {
    // All that `lint` judges pods by: the two must not disagree.
    let scope = Scope {
        families: Families {
            ipv4: true,
            ipv6: true,
        },
        peer_routes: true,
        default_routes: true,
        next_hops: true,
        pods: true,
        cni: CniScope {
            directory: true,
            ..CniScope::default()
        },
        ..Scope::default()
    };
    let scan = |scope: &Scope| Live::with(&arguments.place.netns(), |kernel| kernel.snapshot(scope))?;
    let mut host = match arguments.snapshot.as_deref() {
        Some(path) => read_snapshot(path)?,
        None => scan(&scope)?,
    };
    let is_unplaced = detect(&host).is_some_and(|detected| detected.unplaced(&host).is_some());
    if is_unplaced && arguments.snapshot.is_none() {
        let scope = Scope {
            forwarding: true,
            ..scope
        };
        host = scan(&scope)?;
    }
    let Some(detected) = detect(&host) else {
        return unknown(arguments, &host);
    };
    host.problems
        .extend(detected.unplaced(&host).map(|error| Problem {
            what: Subject::Other("whether the packets of pods fit their underlay".to_owned()),
            why: error.message,
        }));
    let (underlay, from) = match Underlay::parse(&arguments.underlay)? {
        Underlay::DefaultRoute => detected.underlay(&host)?,
        given => given.on(&host)?,
    };
    let layers = detected.layers(arguments.family.map(OuterFamily::family))?;
    let answer = budget_of(arguments, layers)?.derive(underlay, &from)?;
    let mut findings = Findings::default();
    cni::no_number(&host, &mut findings);
    detected.judge(&host, &answer, &mut findings);
    let findings = findings.into_sorted();
    let paint = paint::Paint(output::stdout_colour());
    output::print(&match arguments.output {
        Format::Text => {
            let shown = wording::text(&findings, paint);
            let blank = if shown.is_empty() { "" } else { "\n" };
            mtu::detected(&detected, &answer, paint) + blank + shown.trim_end_matches('\n') + blank
        }
        Format::Json => output::json(&DetectedDocument {
            format: "netkeel/mtu-detected",
            version: 1,
            detected: &detected,
            answer: &answer,
            findings: &findings,
        })?,
    })?;
    output::problems(&host.problems);
    Ok(if host.problems.is_empty() {
        exit::OK
    } else {
        exit::ERROR
    })
}

/// Pods of a CNI that netkeel does not know: their packets must fit the underlay itself.
fn unknown(arguments: &Arguments, host: &Snapshot) -> Result<u8, Error> {
    let message = match loaded_plugins(host).as_slice() {
        [] => "no CNI found: neither a known plugin nor a known device".to_owned(),
        plugins => format!(
            "the container runtime loads {}, and netkeel knows no rule for the MTU of its pods",
            plugins.join(", ")
        ),
    };
    let mut error = Error::new(ErrorKind::Missing, message);
    if !pods::pods(host).is_empty() {
        let (underlay, from) = match Underlay::parse(&arguments.underlay)? {
            Underlay::DefaultRoute => preferred(host, None)?,
            given => given.on(host)?,
        };
        let mut findings = Findings::default();
        pods::judge_pods(host, underlay, &from, &mut findings);
        let findings = findings.into_sorted();
        let paint = paint::Paint(false);
        output::say(wording::text(&findings, paint).trim_end());
        let smaller = match pods::smaller_tunnels(host).as_slice() {
            [] => String::new(),
            names => format!(
                " and sends none by a smaller tunnel that is up ({})",
                names.join(", ")
            ),
        };
        let fit = match findings.is_empty() {
            true => {
                format!("all pods fit {from} with {underlay}, if their CNI adds nothing to packets{smaller}")
            }
            false => format!("not all pods fit {from} with {underlay}"),
        };
        error = error.hint(fit);
    }
    Err(error.hint("`netkeel mtu --compare` shows the MTU of each CNI"))
}

pub(crate) fn compare(arguments: &Arguments, underlay: i64, from: &str) -> Result<u8, Error> {
    let mut rows = Vec::new();
    for cni in convention::COMPARED {
        rows.push((*cni, budget(arguments, Some(cni))?.derive(underlay, from)?));
    }
    output::print(&match arguments.output {
        Format::Text => mtu::compared(&rows),
        Format::Json => output::json(&Compared {
            format: "netkeel/mtu-compared",
            version: 1,
            compared: rows.iter().map(|(cni, answer)| Row { cni, answer }).collect(),
        })?,
    })?;
    Ok(exit::OK)
}

fn budget(arguments: &Arguments, innermost: Option<&str>) -> Result<Budget, Error> {
    let family = arguments.family.map(OuterFamily::family);
    let layers: Result<Vec<Layer>, Error> = arguments
        .layers
        .iter()
        .map(String::as_str)
        .chain(innermost)
        .map(|text| Layer::parse(text, family))
        .collect();
    budget_of(arguments, layers?)
}

fn budget_of(arguments: &Arguments, layers: Vec<Layer>) -> Result<Budget, Error> {
    Ok(Budget {
        layers,
        margin: arguments.margin,
        floor: arguments.floor,
        align: arguments.align,
        cap: arguments.cap,
        forced: from_environment("NETKEEL_MTU")?,
        forced_overhead: from_environment("NETKEEL_OVERHEAD")?,
    })
}

/// Reads a number of bytes from an environment variable; returns it with the variable's name.
pub(crate) fn from_environment(name: &str) -> Result<Option<(i64, String)>, Error> {
    let value = match std::env::var(name) {
        Ok(value) if value.is_empty() => return Ok(None),
        Ok(value) => value,
        Err(std::env::VarError::NotPresent) => return Ok(None),
        Err(std::env::VarError::NotUnicode(value)) => value.to_string_lossy().into_owned(),
    };
    match decimal(&value).filter(|bytes| (0..=65_535).contains(bytes)) {
        Some(bytes) => Ok(Some((bytes, name.to_owned()))),
        None => Err(Error::new(
            ErrorKind::Input,
            format!("environment variable {name}: `{value}` is not a number of bytes (0 to 65535)"),
        )),
    }
}

/// The MTU of the underlay, and its source.
pub(crate) fn underlay(arguments: &Arguments) -> Result<(i64, String), Error> {
    let underlay = Underlay::parse(&arguments.underlay)?;
    if let Underlay::Mtu(mtu) = underlay {
        return Ok((mtu, "as given".to_owned()));
    }
    let scope = Scope {
        default_routes: true,
        ..Scope::default()
    };
    let host = Live::with(&arguments.place.netns(), |kernel| kernel.snapshot(&scope))??;
    match (underlay, host.problems.first()) {
        (Underlay::DefaultRoute, Some(problem)) => {
            Err(Error::new(ErrorKind::Unreadable, problem.to_string()))
        }
        _ => underlay.on(&host),
    }
}
