//! `netkeel lint`: reports misconfigurations of a host and of documents.

mod cluster;

use std::path::PathBuf;

use clap::Args;

use crate::arguments::{Documents, Format, parse_talos_version};
use crate::fail_on::FailOn;
use crate::load::documents::load_configuration;
use crate::load::subject::Subject;
use crate::{commands, exit, output};
use netkeel_core::error::Error;
use netkeel_core::finding::{Code, Finding};
use netkeel_diagnose::lint::host::Judged;
use netkeel_diagnose::lint::{host, plan};
use netkeel_dialects::dialect::Dialect;
use netkeel_dialects::talos::lint;
use netkeel_dialects::talos::version::Version;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::problem::Problem;
use netkeel_host::snapshot::scope::Scope;
use netkeel_mtu::underlay::Underlay;
use netkeel_render::findings as wording;
use netkeel_render::paint::Paint;
use netkeel_render::wording::count;
use netkeel_source::diagnostic::Diagnostics;

/// Report misconfigurations of this host or of a document
///
/// Each finding has a code, a subject and a remedy. Writes nothing. With --from talos, only the
/// machine configuration is checked. With --objects or --cluster, only objects of a Kubernetes cluster
/// are checked: policies that drop ICMP, the size of DNS answers, and MTUs of CNI objects that
/// contradict the nodes. With --agents, only the agents of a DaemonSet are checked.
///
/// Exit status: 0 success; 1 error; with --fail-on 2 when a finding has at least that severity.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    documents: Documents,
    /// Use a saved snapshot instead of this host; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["netns", "talos_version"])]
    snapshot: Option<PathBuf>,
    /// With --from talos, also check the config against this version
    #[arg(long, value_name = "VERSION", value_parser = parse_talos_version)]
    talos_version: Option<Version>,
    /// Underlay of the pods' packets: an MTU, an interface or default-route
    ///
    /// Without it, the lower device of the CNI's tunnel counts, or the default route by which packets
    /// leave. default-route is the smallest MTU of all default routes.
    #[arg(long, value_name = "UNDERLAY", value_parser = Underlay::parse, conflicts_with = "talos_version")]
    underlay: Option<Underlay>,
    /// Check Kubernetes objects in files, a directory or standard input (-)
    ///
    /// They are YAML or JSON, as
    /// `kubectl get networkpolicies,configmaps,netkeelnodes --all-namespaces --output yaml` prints them. An object of a
    /// CNI is compared with the NetkeelNodes among the objects. May be repeated.
    #[arg(long, value_name = "FILE|DIR|-", conflicts_with_all = ["files", "snapshot", "netns", "talos_version", "underlay"])]
    objects: Vec<PathBuf>,
    /// Check the objects of the Kubernetes cluster of $KUBECONFIG
    ///
    /// This needs the build feature `kubernetes`. The rights are those of the configuration. Without $KUBECONFIG, netkeel
    /// reads ~/.kube/config, or uses the account of its pod.
    #[arg(long, conflicts_with_all = ["files", "snapshot", "netns", "talos_version", "underlay"])]
    cluster: bool,
    /// Report the agents of this DaemonSet that do not run, and why
    ///
    /// This needs the build feature `kubernetes`, and the right to list daemonsets, pods and events in the namespace. The
    /// credentials are those of --cluster. `helm test` uses it.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = cluster::DaemonSetName::parse, conflicts_with_all = ["files", "snapshot", "netns", "talos_version", "underlay"])]
    agents: Option<cluster::DaemonSetName>,
    /// Exit with status 2 on a finding of at least this severity
    #[arg(long, value_enum)]
    fail_on: Option<FailOn>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    if arguments.cluster || arguments.agents.is_some() || !arguments.objects.is_empty() {
        return cluster_objects(arguments);
    }
    if arguments.documents.origin.dialect() == Dialect::Talos {
        return talos(arguments);
    }
    let Some(mut subject) = Subject::open(arguments.snapshot.as_deref(), &arguments.documents)? else {
        return Ok(exit::ERROR);
    };
    let mut host = match subject.saved.take() {
        Some(saved) => saved,
        None => {
            let host = subject.scan(Scope::wide())?;
            // Few hosts need the routes of pods, and reading them enters every pod again.
            match host::lacks_routes(&host) {
                true => subject.scan(Scope {
                    forwarding: true,
                    ..Scope::wide()
                })?,
                false => host,
            }
        }
    };
    let (findings, unjudged) = match &subject.loaded {
        None => {
            let judged = judged(&host, arguments.underlay)?;
            (judged.findings, judged.unjudged)
        }
        // The host is judged as the document would make it.
        Some(loaded) => match plan::planned(&loaded.document, &host) {
            Ok(planned) => {
                let judged = judged(planned.after.as_ref().unwrap_or(&host), arguments.underlay)?;
                let mut findings = judged.findings;
                findings.retain(|found| !planned.plan.findings.iter().any(|other| covers(other, found)));
                // One fault has one finding: that on pods names the tunnels.
                let named = judged.named_with_pods;
                let is_named = |subject: &String| named.iter().any(|name| name.to_string() == *subject);
                let of_plan = planned.plan.findings.into_iter();
                findings.extend(of_plan.filter(|found| {
                    let on_tunnel = matches!(found.code, Code::NK016 | Code::NK047);
                    !(on_tunnel && found.subjects.iter().all(is_named))
                }));
                findings.retain(|finding| !loaded.document.allowed.contains_key(&finding.code));
                (findings, judged.unjudged)
            }
            Err(diagnostics) => {
                output::diagnostics(&diagnostics, &loaded.sources);
                return Ok(exit::ERROR);
            }
        },
    };
    host.problems.extend(unjudged);
    let code = show(findings, &host.problems, arguments)?;
    output::problems(&host.problems);
    Ok(if host.problems.is_empty() {
        code
    } else {
        exit::ERROR
    })
}

/// A host, as it is judged. An underlay that the host does not have is an error: nothing would be held against it.
fn judged(host: &Snapshot, underlay: Option<Underlay>) -> Result<Judged, Error> {
    if let Some(underlay) = underlay {
        underlay.on(host).map_err(|error| error.context("--underlay"))?;
    }
    Ok(host::judge(host, underlay))
}

/// Lints a Talos machine configuration; no host is read.
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
    show(findings, &[], arguments)
}

/// Lints objects of a Kubernetes cluster; no host is read.
fn cluster_objects(arguments: &Arguments) -> Result<u8, Error> {
    let Some((findings, is_complete)) =
        cluster::findings(&arguments.objects, arguments.cluster, arguments.agents.as_ref())?
    else {
        return Ok(exit::ERROR);
    };
    let code = show(findings, &[], arguments)?;
    Ok(if is_complete { code } else { exit::ERROR })
}

/// Whether a finding on the plan says of the same subjects what one on the host says.
fn covers(plan: &Finding, host: &Finding) -> bool {
    let named = |subject| plan.subjects.contains(subject);
    plan.code == host.code && host.subjects.iter().all(named)
}

/// Prints findings and returns the exit code.
fn show(mut findings: Vec<Finding>, problems: &[Problem], arguments: &Arguments) -> Result<u8, Error> {
    findings.sort();
    findings.dedup();
    commands::findings_here(&mut findings);
    if arguments.output == Format::Json {
        output::print(&output::pretty(&netkeel_render::json::findings(&findings)))?;
    } else {
        output::print(&wording::text(&findings, Paint(output::stdout_colour())))?;
        let found = count(findings.len(), "finding");
        output::print(&format!("{found}{}.\n", output::unread(problems)))?;
    }
    let worst = findings.iter().map(|finding| finding.code.severity()).min();
    let limit = arguments.fail_on.map(FailOn::severity);
    // The most severe is the least.
    Ok(match (limit, worst) {
        (Some(limit), Some(worst)) if worst <= limit => exit::CHANGES,
        _ => exit::OK,
    })
}
