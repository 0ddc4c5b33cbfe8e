//! `netkeel pods`: lists pods, the MTUs of both veth ends, and sandboxes without a veth.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;

use crate::arguments::{Documents, Format};
use crate::load::subject::Subject;
use crate::{exit, output};
use netkeel_core::error::Error;
use netkeel_diagnose::pods::pods;
use netkeel_host::pods::Apart;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::problem::{self, Problem};
use netkeel_host::snapshot::scope::Scope;
use netkeel_kernel::pod::apart::apart;
use netkeel_kernel::pod::name::pod_names;
use netkeel_render::paint::Paint;
use netkeel_render::pods::table;

/// List pods with the MTUs of their veths and routes
///
/// For each veth into another namespace, the list has the MTU of both ends and of the pod's routes,
/// the declared values, and why netkeel skips a pod. A pod that differs from the documents is
/// stale. Without documents, a pod whose two veth ends do not match is stale. Namespaces without a veth, and
/// host-network pods, are listed last and never changed. Writes nothing.
///
/// Exit status: 0 success; 1 error; with --detailed-exitcode 2 when a pod is stale.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    documents: Documents,
    /// Use a saved snapshot instead of this host
    #[arg(long, value_name = "FILE", conflicts_with = "netns")]
    snapshot: Option<PathBuf>,
    /// Exit with status 2 when a pod is stale
    #[arg(long)]
    detailed_exitcode: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let Some(mut subject) = Subject::open(arguments.snapshot.as_deref(), &arguments.documents)? else {
        return Ok(exit::ERROR);
    };
    // A snapshot has only interfaces, so it shows no sandbox without a veth.
    let (mut host, names, apart) = match subject.saved.take() {
        Some(saved) => (saved, BTreeMap::new(), None),
        None => {
            let host = subject.scan(Scope {
                pods: true,
                ..Scope::default()
            })?;
            let names = pod_names();
            let apart = apart(&subject.netns, &host, &names)?;
            (host, names, Some(apart))
        }
    };
    let loaded = subject.loaded;
    let wants = loaded.as_ref().map(|loaded| loaded.document.wants(&host));
    if let (Some(wants), Some(loaded)) = (&wants, &loaded)
        && !wants.diagnostics.is_empty()
    {
        output::diagnostics(&wants.diagnostics, &loaded.sources);
        return Ok(exit::ERROR);
    }
    let found = pods(&host, wants.as_ref(), |sandbox| names.get(sandbox).cloned());
    let is_pod = |problem: &&Problem| matches!(problem.what, problem::Subject::PodEnd(_));
    host.problems.extend(not_held(&host));
    let unread = host.problems.iter().filter(is_pod).count();
    // One error is enough for a user who may look at none.
    let hidden = apart.as_ref().and_then(Apart::problem);
    let hidden = hidden.filter(|_| found.is_empty() && unread == 0);
    let is_blind = found.is_empty() && (unread > 0 || hidden.is_some());
    host.problems.extend(hidden);
    if arguments.output == Format::Json {
        let json = serde_json::json!({
            "pods": found,
            "unread": unread,
            "hidden_processes": apart.as_ref().map(|apart| apart.hidden_processes),
            "namespaces": apart.as_ref().map(|apart| &apart.namespaces),
            "on_the_host": apart.as_ref().map(|apart| &apart.on_the_host),
        });
        output::print(&output::pretty(&json))?;
    } else if !is_blind {
        // A number would be wrong: no pod could be looked at.
        let table = table(&found, unread, apart.as_ref(), Paint(output::stdout_colour()));
        output::print(&table)?;
    }
    output::problems(&host.problems);
    if !host.problems.is_empty() {
        return Ok(exit::ERROR);
    }
    let stale = found.iter().any(|pod| pod.stale);
    Ok(if stale && arguments.detailed_exitcode {
        exit::CHANGES
    } else {
        exit::OK
    })
}

/// The ends that a snapshot does not hold, and why. A number without them would be wrong.
fn not_held(host: &Snapshot) -> Vec<Problem> {
    let known: BTreeSet<&problem::Subject> = host.problems.iter().map(|problem| &problem.what).collect();
    let veths = host.links.iter().filter(|(_, link)| link.leads_into_a_pod());
    let unread = veths.filter(|(_, link)| link.pod.is_none());
    unread
        .map(|(name, _)| problem::Subject::PodEnd(*name))
        .filter(|what| !known.contains(what))
        .map(|what| Problem {
            what,
            why: "the snapshot does not hold it".to_owned(),
        })
        .collect()
}
