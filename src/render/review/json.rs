//! A review as JSON: format `netkeel/review`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use crate::json;
use crate::json::names::object;
use crate::json::output::{Finding, Object};
use crate::review::title::Title;
use netkeel_core::fact::Value;
use netkeel_diagnose::review::class::{After, Before, Class, FieldChange};
use netkeel_diagnose::review::effect::{Effect, field_name};
use netkeel_diagnose::review::fleet::{Failures, Unplanned};
use netkeel_diagnose::review::group::Risk as GroupRisk;
use netkeel_diagnose::review::{fleet, group};

/// The format's name.
const NAME: &str = "netkeel/review";

/// The version of the format.
const VERSION: u32 = 1;

/// The output of `netkeel review --output json`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "netkeel review")]
pub(crate) struct Review<'a> {
    /// The name of the format.
    #[schemars(extend("const" = NAME))]
    format: &'static str,
    /// The version of the format.
    #[schemars(extend("const" = VERSION))]
    version: u32,
    /// The old document, as the user named it.
    old: &'a str,
    /// The new document.
    new: &'a str,
    /// The numbers of hosts.
    counts: Counts,
    /// Hosts with the same change: those with the greatest risk first, then few hosts before many.
    groups: Vec<Group<'a>>,
    /// Hosts without a change.
    unchanged: Hosts<'a>,
    /// Hosts that cannot be planned.
    unplanned: Vec<Failed<'a>>,
}

/// Numbers of hosts.
#[derive(Debug, Serialize, JsonSchema)]
struct Counts {
    /// All hosts.
    hosts: usize,
    /// Hosts that change.
    changed: usize,
    /// Hosts without a change.
    unchanged: usize,
    /// Hosts that cannot be planned.
    unplanned: usize,
}

/// Hosts.
#[derive(Debug, Serialize, JsonSchema)]
struct Hosts<'a> {
    /// Their number.
    count: usize,
    /// Their names. Names that differ in a number are one text with ranges: `k8s[1-40,42]`.
    names: Vec<String>,
    /// The number of hosts whose names are left out.
    left_out: usize,
    /// The number of hosts in each stage of the inventory.
    stages: BTreeMap<&'a str, usize>,
}

/// Hosts with the same change.
#[derive(Debug, Serialize, JsonSchema)]
struct Group<'a> {
    /// The hosts.
    hosts: Hosts<'a>,
    /// The greatest risk of the change.
    risk: Risk,
    /// The objects that change.
    objects: Vec<Objects<'a>>,
    /// Parts of the document that change and are no facts of a host: `replicate.peers`.
    parts: Vec<String>,
    /// New findings on the hosts.
    findings: Vec<OnHosts<'a>>,
    /// The number of findings that are left out, by code.
    findings_left_out: BTreeMap<String, usize>,
}

/// A finding with its hosts.
#[derive(Debug, Serialize, JsonSchema)]
struct OnHosts<'a> {
    /// The finding.
    finding: Finding<'a>,
    /// The number of hosts of the group that have it.
    hosts: usize,
    /// The first one by name.
    first: &'a str,
}

/// The risk of a change.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Risk {
    /// A device is deleted.
    Destructive,
    /// The undo of a write does not restore everything.
    Lossy,
    /// There is a new finding.
    Finding,
    /// Every write has an exact undo.
    None,
}

/// Objects with the same changes.
#[derive(Debug, Serialize, JsonSchema)]
struct Objects<'a> {
    /// The kind of the objects.
    object: Object,
    /// The name of the object; null for objects that a match found.
    name: Option<String>,
    /// A pattern that the names of matched objects have in common; null if they do not begin alike.
    pattern: Option<String>,
    /// The smallest number of objects on a host.
    least: usize,
    /// The largest number of objects on a host.
    most: usize,
    /// The number of objects on all hosts.
    total: usize,
    /// A device is deleted.
    destructive: bool,
    /// State that the undo of the first object's writes does not restore.
    loses: Vec<String>,
    /// Other objects lose other state of the same kinds.
    losses_vary: bool,
    /// The changes of each object.
    changes: Vec<Change<'a>>,
}

/// The change of a field.
#[derive(Debug, Serialize, JsonSchema)]
struct Change<'a> {
    /// The field.
    field: String,
    /// Its state with the old document.
    before: State,
    /// The value with the old document; null without one.
    old: Option<&'a Value>,
    /// Its state with the new document.
    after: State,
    /// The value with the new document; null without one.
    new: Option<&'a Value>,
    /// The file that declares it; null if no document does.
    file: Option<&'a str>,
    /// The line in that file, from 1.
    line: Option<usize>,
}

/// The state of a field.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// It has a value.
    Value,
    /// It does not exist.
    Absent,
    /// The snapshot does not have it.
    NotRead,
    /// The hosts or objects have different values.
    Various,
    /// The new document does not declare it: it keeps its value.
    NoLongerDeclared,
    /// The new document does not declare it and has `prune: true`: the value from before netkeel comes back.
    GivenBack,
}

/// Hosts that cannot be planned for the same reason.
#[derive(Debug, Serialize, JsonSchema)]
struct Failed<'a> {
    /// The reason.
    why: Why,
    /// The hosts.
    hosts: Hosts<'a>,
    /// The errors of the first hosts, by host.
    errors: &'a BTreeMap<String, String>,
}

/// Why a host cannot be planned.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Why {
    /// The new document is refused.
    NewDocument,
    /// The old document is refused.
    OldDocument,
    /// The snapshot cannot be read.
    Snapshot,
    /// The inventory has no document for the host.
    NoDocument,
    /// The inventory names the host, and it has no snapshot.
    NoSnapshot,
}

/// The review.
pub fn review(review: &fleet::Review, title: Title<'_>) -> Json {
    json::json(&Review {
        format: NAME,
        version: VERSION,
        old: title.old,
        new: title.new,
        counts: Counts {
            hosts: review.hosts(),
            changed: review.changed(),
            unchanged: review.unchanged.count(),
            unplanned: review.failed(),
        },
        groups: review.groups.iter().map(|one| group(one, title)).collect(),
        unchanged: hosts(&review.unchanged, title),
        unplanned: review
            .unplanned
            .iter()
            .map(|(why, failures)| failed(*why, failures, title))
            .collect(),
    })
}

fn group<'a>(group: &'a group::Group, title: Title<'a>) -> Group<'a> {
    Group {
        hosts: hosts(&group.hosts, title),
        risk: match group.risk() {
            GroupRisk::Destroys => Risk::Destructive,
            GroupRisk::Loses => Risk::Lossy,
            GroupRisk::Finding(_) => Risk::Finding,
            GroupRisk::None => Risk::None,
        },
        objects: group
            .shown()
            .into_iter()
            .map(|(class, effect)| objects(class, effect))
            .collect(),
        parts: group.parts.iter().map(ToString::to_string).collect(),
        findings: group
            .findings
            .values()
            .flat_map(|found| &found.kept)
            .map(|(finding, on)| OnHosts {
                finding: json::finding(finding),
                hosts: on.hosts,
                first: &on.first,
            })
            .collect(),
        findings_left_out: group
            .findings
            .iter()
            .map(|(code, found)| (code.to_string(), found.left_out()))
            .filter(|(_, number)| *number > 0)
            .collect(),
    }
}

fn objects<'a>(class: &'a Class, effect: &'a Effect) -> Objects<'a> {
    let (kind, name) = object(&effect.names.0);
    let is_named = class.subject.named().is_some() || effect.only().is_some();
    let (least, most) = effect.on_a_host;
    Objects {
        object: kind,
        name: is_named.then_some(name),
        pattern: effect.pattern().filter(|_| !is_named),
        least,
        most,
        total: effect.total,
        destructive: class.destroys,
        loses: effect.losses.iter().map(ToString::to_string).collect(),
        losses_vary: effect.losses_vary,
        changes: class
            .changes
            .iter()
            .enumerate()
            .map(|(number, one)| change(number, one, effect))
            .collect(),
    }
}

fn change<'a>(number: usize, change: &'a FieldChange, effect: &'a Effect) -> Change<'a> {
    let (before, old) = match &change.before {
        Before::Value(value) => (State::Value, Some(value)),
        Before::Absent => (State::Absent, None),
        Before::Unread => (State::NotRead, None),
        Before::Various => (State::Various, None),
    };
    let (after, new) = match &change.after {
        After::Value(value) => (State::Value, Some(value)),
        After::Absent => (State::Absent, None),
        After::NoLongerDeclared => (State::NoLongerDeclared, None),
        After::GivenBack => (State::GivenBack, None),
    };
    let line = effect
        .examples
        .get(number)
        .and_then(|example| example.line.as_ref());
    Change {
        field: field_name(change.field),
        before,
        old,
        after,
        new,
        file: line.map(|line| &*line.file),
        line: line.map(|line| line.number),
    }
}

fn failed<'a>(why: Unplanned, failures: &'a Failures, title: Title<'a>) -> Failed<'a> {
    Failed {
        why: match why {
            Unplanned::New => Why::NewDocument,
            Unplanned::Old => Why::OldDocument,
            Unplanned::Snapshot => Why::Snapshot,
            Unplanned::Document => Why::NoDocument,
            Unplanned::Missing => Why::NoSnapshot,
        },
        hosts: hosts(&failures.hosts, title),
        errors: &failures.errors,
    }
}

fn hosts<'a>(hosts: &group::Hosts, title: Title<'a>) -> Hosts<'a> {
    let stages = hosts.stages.iter();
    Hosts {
        count: hosts.count(),
        names: hosts.names.folded(),
        left_out: hosts.names.dropped(),
        stages: stages
            .filter_map(|(stage, number)| Some((title.stages.get(*stage)?.as_str(), *number)))
            .collect(),
    }
}
