//! `netkeel mtu`: the MTU that layers of encapsulation leave, and why.

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
use netkeel_host::snapshot::scope::{CniScope, Scope};
use netkeel_kernel::live::snapshot::Live;
use netkeel_mtu::budget::{Budget, Derivation};
use netkeel_mtu::detect::{Detected, detect};
use netkeel_mtu::layer::Layer;
use netkeel_mtu::underlay::Underlay;
use netkeel_mtu::{convention, encapsulation};
use netkeel_render::{mtu, paint, text};

/// Derives an MTU line by line: what layers of encapsulation, from the outer to the inner, leave of
/// an underlay, with the MSS of TCP; what is exact, and what a CNI takes by convention.
///
/// NETKEEL_OVERHEAD in the environment takes the place of the bytes of all layers, NETKEEL_MTU that
/// of the result.
///
/// Exit status: 0; 1 when a layer is unknown, nothing is left, or a floor leaves no room for the
/// headers.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A layer: a name (vxlan), with parameters (geneve:options=8, wireguard:ipv4), a stack of
    /// headers (ipv4+udp+vxlan+eth), or any name with its bytes (vpn:57); see --list.
    #[arg(value_name = "LAYER")]
    layers: Vec<String>,
    /// What the layers go over: an MTU, an interface with its MTU, or default-route: the least MTU
    /// of all default routes.
    #[arg(long, value_name = "MTU|IFACE|default-route", default_value = "default-route")]
    underlay: String,
    /// Bytes that are left over on purpose.
    #[arg(long, value_name = "BYTES", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..=65535))]
    margin: i64,
    /// The least that is taken. What falls below is raised into the margin; where that leaves no
    /// room for the headers, it is an error.
    #[arg(long, value_name = "MTU", value_parser = clap::value_parser!(i64).range(68..=65535))]
    floor: Option<i64>,
    /// Rounds down to a multiple.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(i64).range(1..=1024))]
    align: Option<i64>,
    /// The most that is taken.
    #[arg(long, value_name = "MTU", value_parser = clap::value_parser!(i64).range(68..=65535))]
    cap: Option<i64>,
    /// The family of the outer headers, for layers that do not say.
    #[arg(long, value_enum)]
    family: Option<OuterFamily>,
    /// Shows what each CNI makes of it, over the layers that are named.
    #[arg(long, conflicts_with_all = ["list"])]
    compare: bool,
    /// Lists the layers that can be named.
    #[arg(long)]
    list: bool,
    /// Finds out which CNI is at work here and how it encapsulates, by CNI configurations, devices and
    /// what Calico, Cilium and flannel note; what that leaves by its convention; and which MTUs in
    /// use go with it. One that is too large is a finding.
    #[arg(long, conflicts_with_all = ["list", "compare", "layers"])]
    detect: bool,
    /// Look at a saved snapshot instead of this host.
    #[arg(long, value_name = "FILE", conflicts_with = "netns", requires = "detect")]
    snapshot: Option<PathBuf>,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    place: Place,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    version: u32,
    #[serde(flatten)]
    answer: &'a Derivation,
}

/// CNIs side by side as JSON.
#[derive(Serialize)]
struct Compared<'a> {
    format: &'static str,
    version: u32,
    compared: Vec<Row<'a>>,
}

/// What was found out about a host as JSON.
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
        let mut list = mtu::known("Layers, by what is on the wire:", encapsulation::KNOWN);
        list.push('\n');
        list.push_str(&mtu::known(
            "What CNIs and platforms take off:",
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
        Format::Json => json(&Document {
            format: "netkeel/mtu",
            version: 1,
            answer: &answer,
        })?,
    })?;
    Ok(exit::OK)
}

fn detected(arguments: &Arguments) -> Result<u8, Error> {
    let scope = Scope {
        default_routes: true,
        pods: true,
        cni: CniScope {
            directory: true,
            ..CniScope::default()
        },
        ..Scope::default()
    };
    let host = match arguments.snapshot.as_deref() {
        Some(path) => read_snapshot(path)?,
        None => Live::with(&arguments.place.netns(), |kernel| kernel.snapshot(&scope))??,
    };
    let Some(detected) = detect(&host) else {
        return Err(Error::new(
            ErrorKind::Missing,
            "no CNI shows itself here, by a plugin that is known or a device of its own",
        )
        .hint("netkeel mtu --compare shows what each would take"));
    };
    let (underlay, from) = Underlay::parse(&arguments.underlay)?.on(&host)?;
    let layers = detected.layers(arguments.family.map(OuterFamily::family))?;
    let answer = budget_of(arguments, layers)?.derive(underlay, &from)?;
    let mut findings = Findings::default();
    cni::no_number(&host, &mut findings);
    detected.judge(&answer, &mut findings);
    let findings = findings.into_sorted();
    let paint = paint::Paint(output::stdout_colour());
    output::print(&match arguments.output {
        Format::Text => {
            let told = text::findings(&findings, paint);
            let blank = if told.is_empty() { "" } else { "\n" };
            mtu::detected(&detected, &answer, paint) + blank + told.trim_end_matches('\n') + blank
        }
        Format::Json => json(&DetectedDocument {
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

pub(crate) fn compare(arguments: &Arguments, underlay: i64, from: &str) -> Result<u8, Error> {
    let mut rows = Vec::new();
    for cni in convention::COMPARED {
        rows.push((*cni, budget(arguments, Some(cni))?.derive(underlay, from)?));
    }
    output::print(&match arguments.output {
        Format::Text => mtu::compared(&rows),
        Format::Json => json(&Compared {
            format: "netkeel/mtu-compared",
            version: 1,
            compared: rows.iter().map(|(cni, answer)| Row { cni, answer }).collect(),
        })?,
    })?;
    Ok(exit::OK)
}

fn json(document: &impl Serialize) -> Result<String, Error> {
    let json = serde_json::to_value(document).map_err(|error| {
        Error::new(
            ErrorKind::Unreadable,
            format!("it cannot be written as JSON: {error}"),
        )
    })?;
    Ok(output::pretty(&json))
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

/// A number that the environment sets, with the name of the variable.
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
            format!("{name} in the environment is `{value}`, which is no number of bytes"),
        )),
    }
}

/// The MTU below the layers, and where it comes from.
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
