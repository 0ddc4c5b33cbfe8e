//! `netkeel review`: shows what a change of documents does to a fleet.

mod cluster;
mod documents;
mod fleet;
mod hosts;
mod nodes;
mod pair;
mod read;
mod rollout;
mod side;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::arguments::Origin;
use crate::inspect::review::documents::Documents;
use crate::inspect::review::fleet::Fleet;
use crate::inspect::review::hosts::Hosts;
use crate::inspect::review::nodes::Nodes;
use crate::load::revision::Place;
use crate::{exit, output};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::finding::Severity;
use netkeel_diagnose::review::fleet::Review;
use netkeel_diagnose::review::group::{Group, Risk};
use netkeel_render::paint::Paint;
use netkeel_render::path::compared::Compared;
use netkeel_render::review::title::Title;
use netkeel_render::review::{html, json, markdown, text};
use netkeel_render::wording::count;

/// Show what a change of documents does to a fleet
///
/// Plans the old and the new documents for each snapshot in a directory, without root and without the hosts, and
/// shows the difference. Drift that exists today, and that both documents correct, is not shown. Hosts with the
/// same change are one group; the greatest risk comes first.
///
/// The name of a snapshot is the name of the host: worker1.json is worker1. Other files are ignored and counted.
///
/// Exit status: 0 success; 1 error (bad input, or a host that cannot be planned); with --fail-on 2 on such a change.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Old documents: a file, a directory, or git:REVISION:PATH
    #[arg(value_name = "OLD")]
    old: Place,
    /// New documents: the same
    #[arg(value_name = "NEW")]
    new: Place,
    /// Directory of snapshots (`netkeel observe`), one HOST.json for each host
    #[arg(long, value_name = "DIR")]
    snapshots: PathBuf,
    /// Inventory that gives hosts their layers and stages
    ///
    /// `hosts` maps names or patterns to `layers`, files below OLD and NEW, and to a `stage`. The first entry that
    /// matches a host decides. A host that it names without a pattern must have a snapshot.
    ///
    /// With --from ansible it is an Ansible inventory in YAML or INI: the layers of a host are the files of its groups in
    /// group_vars, and its own in host_vars. The variable `netkeel_stage` names its stage.
    ///
    /// With --from hiera it is a directory of facts, HOST.json or HOST.yaml: the layers are the files of the hierarchy
    /// in hiera.yaml of OLD and NEW.
    #[arg(long, value_name = "FILE|DIR")]
    hosts: Option<PathBuf>,
    /// Output of `kubectl get nodes,netkeelnodes -o json`; - is standard input
    ///
    /// OLD and NEW are then a NetkeelPolicy each. The nodes that they are for are the hosts, and their stages are the
    /// steps of the rollout. `version: 1` stands for no policy; any other document that is no policy is for every node.
    #[arg(long, value_name = "FILE", conflicts_with = "hosts")]
    nodes: Option<PathBuf>,
    /// Read the nodes from the Kubernetes cluster of $KUBECONFIG
    ///
    /// A policy is reviewed as with --nodes. This needs the build feature `kubernetes`, and the right to list nodes and netkeelnodes. Without $KUBECONFIG,
    /// netkeel reads ~/.kube/config, or uses the account of its pod. Nothing is written.
    #[arg(long, conflicts_with_all = ["hosts", "nodes"])]
    cluster: bool,
    #[command(flatten)]
    origin: Origin,
    /// Number of threads; the default is the number of processors
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Exit with status 2 on such a change; may be a list
    #[arg(long, value_enum, value_name = "KIND", value_delimiter = ',')]
    fail_on: Vec<FailOn>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    output: ReviewOutput,
}

/// Output formats of a review.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ReviewOutput {
    /// For people
    #[default]
    Text,
    /// For programs; `netkeel schema review` prints the schema
    Json,
    /// For a review comment
    Markdown,
    /// One page for a browser, with the paths of packets before and after
    Html,
}

/// The number of groups whose paths of packets are drawn.
const DRAWN: usize = 8;

/// A change that makes a review fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Any change of a host, or of a part of its document such as `replicate`
    Change,
    /// A device is deleted, or state is lost that the undo does not restore
    Destructive,
    /// A new finding of severity error or warning
    Finding,
}

impl FailOn {
    fn is_met(self, group: &Group) -> bool {
        match self {
            FailOn::Change => !group.effects.is_empty() || !group.parts.is_empty(),
            FailOn::Destructive => matches!(group.risk(), Risk::Destroys | Risk::Loses),
            FailOn::Finding => {
                let mut codes = group.findings.keys();
                codes.any(|code| code.severity() <= Severity::Warning)
            }
        }
    }

    /// The verb and its object, for so many hosts.
    fn what(self, hosts: usize) -> &'static str {
        match (self, hosts) {
            (FailOn::Change, 1) => "changes",
            (FailOn::Change, _) => "change",
            (FailOn::Destructive, 1) => "has destructive or lossy writes",
            (FailOn::Destructive, _) => "have destructive or lossy writes",
            (FailOn::Finding, 1) => "has new findings of severity error or warning",
            (FailOn::Finding, _) => "have new findings of severity error or warning",
        }
    }
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let nodes = match (arguments.nodes.as_deref(), arguments.cluster) {
        (Some(path), _) => Some(Nodes::File(path)),
        (None, true) => Some(Nodes::Cluster),
        (None, false) => None,
    };
    let hosts = match (arguments.hosts.as_deref(), nodes) {
        (None, None) => None,
        (Some(path), _) => Some(Hosts::read(path, &arguments.origin)?),
        (None, Some(nodes)) => Some(Hosts::nodes(nodes, &arguments.origin)?),
    };
    let (old, new) = (arguments.old.to_string(), arguments.new.to_string());
    let Some(documents) = read::read(&arguments.old, &arguments.new, &arguments.origin, hosts)? else {
        return Ok(exit::ERROR);
    };
    let fleet = Fleet::in_directory(&arguments.snapshots)?;
    let review = fleet.review(&documents, arguments.jobs);
    let title = Title {
        old: &old,
        new: &new,
        stages: documents.stages(),
        differ: documents.differ(),
    };
    output::print(&match arguments.output {
        ReviewOutput::Text => text::review(&review, title, Paint(output::stdout_colour())),
        ReviewOutput::Json => output::pretty(&json::review(&review, title)),
        ReviewOutput::Markdown => markdown::review(&review, title),
        ReviewOutput::Html => html::review(&review, title, &paths(&review, &fleet, &documents)),
    })?;
    let failing = failing(&review, &arguments.fail_on);
    if let Some(why) = &failing {
        output::error(why);
    }
    Ok(match (review.failed(), failing) {
        (0, None) => exit::OK,
        (0, Some(_)) => exit::CHANGES,
        _ => exit::ERROR,
    })
}

/// The paths of packets on the first host of the first groups, by the group's number.
fn paths(review: &Review, fleet: &Fleet, documents: &Documents) -> BTreeMap<usize, Compared> {
    let groups = review.groups.iter().enumerate().take(DRAWN);
    let paths = groups.filter_map(|(number, group)| {
        let host = group.hosts.names.first()?;
        Some((number, fleet.paths(host, documents)?))
    });
    paths.collect()
}

/// The error for changes that `--fail-on` names; `None` if no host has one.
fn failing(review: &Review, kinds: &[FailOn]) -> Option<Error> {
    let found = kinds.iter().filter_map(|kind| {
        let number = review.hosts_with(|group| kind.is_met(group));
        (number > 0).then(|| format!("{} {}", count(number, "host"), kind.what(number)))
    });
    let found: Vec<String> = found.collect();
    (!found.is_empty()).then(|| Error::new(ErrorKind::Refused, format!("--fail-on: {}", found.join("; "))))
}
