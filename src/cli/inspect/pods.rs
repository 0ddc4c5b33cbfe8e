//! `netkeel pods`: lists pods, the MTUs of both veth ends, and sandboxes without a veth.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use crate::arguments::{Documents, Format};
use crate::load::subject::Subject;
use crate::{exit, output};
use netkeel_apply::store::Store;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::text::escape::one_line;
use netkeel_diagnose::pods::pods;
use netkeel_host::pods::Apart;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::problem::{self, Problem};
use netkeel_host::snapshot::scope::Scope;
use netkeel_kernel::pod::apart::apart;
use netkeel_kernel::pod::name::pod_names;
use netkeel_render::paint::Paint;
use netkeel_render::pods::{eviction_table, table};
use netkeel_service::client;

/// List pods with the MTUs of their veths and routes
///
/// For each veth into another namespace, the list has the MTU of both ends and of the pod's routes,
/// the declared values, and why netkeel skips a pod. A pod that differs from the documents is
/// stale. Without documents, a pod whose two veth ends do not match is stale. Namespaces without a veth, and
/// host-network pods, are listed last and never changed. Writes nothing.
///
/// With --evictions, the list has the pods that the service of a node evicts for the policies of its
/// cluster, in their order, and why it waits or skips a pod.
///
/// Exit status: 0 success; 1 error; with --detailed-exitcode 2 when a pod is stale.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    documents: Documents,
    /// Use a saved snapshot instead of this host; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "netns")]
    snapshot: Option<PathBuf>,
    /// List the pods that the service evicts, in order, and why not others
    #[arg(long, conflicts_with_all = ["files", "snapshot"])]
    evictions: bool,
    /// Exit with status 2 when a pod is stale
    #[arg(long)]
    detailed_exitcode: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    if arguments.evictions {
        return evictions(arguments);
    }
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

/// Lists the evictions of the service.
fn evictions(arguments: &Arguments) -> Result<u8, Error> {
    let store = Store::open_to_read(&arguments.documents.place.netns())?;
    let status = client::status(&store)?;
    let policies = status.get("policies").filter(|policies| !policies.is_null());
    let Some(policies) = policies else {
        return Err(
            Error::new(ErrorKind::Refused, "the service follows no policies of a cluster")
                .hint("`netkeel run --node-name` follows them"),
        );
    };
    let found = policies.get("evictions").and_then(Value::as_array);
    let found = found.cloned().unwrap_or_default();
    output::print(&match arguments.output {
        Format::Json => output::pretty(&serde_json::json!({
            "evictions": found,
            "trouble": policies.get("evictions_trouble"),
        })),
        Format::Text => eviction_table(&found),
    })?;
    if let Some(why) = policies.get("evictions_trouble").and_then(Value::as_str) {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("no pod is evicted: {}", one_line(why)),
        ));
    }
    let stale = !found.is_empty();
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
