//! `netkeel lint`: what is amiss on a host and in documents.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::arguments::{Documents, parse_talos_version};
use crate::load::documents::{LoadOutcome, load_configuration, load_if_any};
use crate::load::snapshot::read_snapshot;
use crate::{exit, output};
use netkeel_core::error::Error;
use netkeel_core::finding::{Finding, Severity};
use netkeel_diagnose::lint::{host, plan};
use netkeel_dialects::dialect::Dialect;
use netkeel_dialects::talos::lint;
use netkeel_dialects::talos::version::Version;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::scope::Scope;
use netkeel_kernel::live::snapshot::Live;
use netkeel_render::paint::Paint;
use netkeel_render::text;
use netkeel_render::wording::count;
use netkeel_source::diagnostic::Diagnostics;

/// Says what is amiss on this host, and what documents would make of it: each finding has a code,
/// what it concerns, and a remedy. Writes nothing. With --from talos it looks at the machine
/// configuration alone.
///
/// Exit status: 0; 1 when it could not be told; with --fail-on 2 when there is a finding that bad.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    documents: Documents,
    /// Look at a saved snapshot instead of this host.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["netns", "talos_version"])]
    snapshot: Option<PathBuf>,
    /// With --from talos, also look whether this version of Talos Linux has the forms that are used.
    #[arg(long, value_name = "VERSION", value_parser = parse_talos_version)]
    talos_version: Option<Version>,
    /// Exit with 2 when there is a finding of this severity or a worse one.
    #[arg(long, value_enum)]
    fail_on: Option<FailOn>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    Error,
    Warning,
    Note,
}

impl FailOn {
    fn severity(self) -> Severity {
        match self {
            FailOn::Error => Severity::Error,
            FailOn::Warning => Severity::Warning,
            FailOn::Note => Severity::Note,
        }
    }
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    if arguments.documents.origin.dialect() == Dialect::Talos {
        return talos(arguments);
    }
    let saved = arguments.snapshot.as_deref().map(read_snapshot).transpose()?;
    let netns = saved
        .as_ref()
        .map_or_else(|| arguments.documents.place.netns(), |saved| saved.netns.clone());
    let loaded = match load_if_any(&arguments.documents, netns.clone())? {
        LoadOutcome::Nothing => None,
        LoadOutcome::Document(loaded) => Some(loaded),
        LoadOutcome::Wrong => return Ok(exit::ERROR),
    };
    let mut scope = Scope::wide();
    if let Some(loaded) = &loaded {
        scope.extend(loaded.document.scope());
    }
    let host = match saved {
        Some(saved) => saved,
        None => Live::with(&netns, |kernel| kernel.snapshot(&scope))??,
    };
    let mut findings = host::host(&host);
    if let Some(loaded) = &loaded {
        match plan::plan(&loaded.document, &host) {
            Ok(plan) => findings.extend(plan.findings),
            Err(diagnostics) => {
                output::diagnostics(&diagnostics, &loaded.sources);
                return Ok(exit::ERROR);
            }
        }
        findings.retain(|finding| !loaded.document.allowed.contains_key(&finding.code));
    }
    let code = show(findings, arguments)?;
    output::problems(&host.problems);
    Ok(if host.problems.is_empty() {
        code
    } else {
        exit::ERROR
    })
}

/// A machine configuration is no host's: nothing else is looked at.
fn talos(arguments: &Arguments) -> Result<u8, Error> {
    let Some(mut loaded) = load_configuration(&arguments.documents.files)? else {
        return Ok(exit::ERROR);
    };
    let mut diagnostics = Diagnostics::default();
    let (configuration, sources) = (&loaded.configuration, &mut loaded.sources);
    let findings = lint::look(configuration, arguments.talos_version, sources, &mut diagnostics);
    if !diagnostics.is_empty() {
        output::diagnostics(&diagnostics, sources);
        return Ok(exit::ERROR);
    }
    show(findings, arguments)
}

/// Prints findings, and says what they come to.
fn show(mut findings: Vec<Finding>, arguments: &Arguments) -> Result<u8, Error> {
    findings.sort();
    findings.dedup();
    if arguments.json {
        output::print(&output::pretty(&netkeel_render::json::findings(&findings)))?;
    } else {
        output::print(&text::findings(&findings, Paint(output::stdout_colour())))?;
        output::print(&format!("{}.\n", count(findings.len(), "finding")))?;
    }
    let worst = findings.iter().map(|finding| finding.code.severity()).min();
    let limit = arguments.fail_on.map(FailOn::severity);
    // The worst come first.
    Ok(match (limit, worst) {
        (Some(limit), Some(worst)) if worst <= limit => exit::CHANGES,
        _ => exit::OK,
    })
}
