//! The types of `--output json`. Their serde form is the output, and `netkeel schema` derives the published
//! schemas from them.

use schemars::JsonSchema;
use serde::Serialize;

use crate::json::diagnostics::Diagnostic;
use crate::json::place::Place;
use netkeel_core::fact::Value;
use netkeel_core::finding::{Code, Severity};
use netkeel_core::name::link::LinkName;
use netkeel_core::op::{Op, Phase};
use netkeel_host::snapshot::problem::Problem;
use netkeel_plan::make::FORMAT;

/// The format's name in a plan.
pub(crate) const PLAN: &str = "netkeel/plan";

/// The format's name in the result of an apply.
pub(crate) const APPLIED: &str = "netkeel/applied";

/// The output of `netkeel plan --output json`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "netkeel plan")]
pub(crate) struct Plan<'a> {
    /// The name of the format.
    #[schemars(extend("const" = PLAN))]
    pub format: &'static str,
    /// The version of the format.
    #[schemars(extend("const" = FORMAT))]
    pub version: u32,
    /// The owner of the document.
    pub owner: &'a str,
    /// The network namespace; null for the one in which netkeel was started.
    pub netns: Option<&'a str>,
    /// Every declared fact could be read and has its declared value, and there is no other problem.
    pub in_sync: bool,
    /// Facts that the document declares, without those of interfaces that do not exist.
    pub wanted: usize,
    /// Facts that differ from the document.
    pub drift: Vec<Drift<'a>>,
    /// The objects of the drift: those with identical changes are one group. Rare changes come first.
    pub groups: Vec<Group<'a>>,
    /// The numbers of `drift`.
    pub counts: Counts,
    /// Writes, in their order.
    pub steps: Vec<Step<'a>>,
    /// Facts that the owner no longer holds after this plan.
    pub released: Vec<Fact>,
    /// The facts that should be restored and cannot be: a finding says why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unrestored: Vec<Fact>,
    /// Findings of netkeel in addition to the drift.
    pub findings: Vec<Finding<'a>>,
    /// Matches of the document that no interface meets, each by its path.
    pub(crate) unmatched: Vec<&'a str>,
    /// Interfaces whose MTU the document sets by their exact name, and that netkeel skips (NK045).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) skipped: Vec<String>,
    /// Facts that could not be read.
    pub problems: &'a [Problem],
}

/// A fact that differs from the document.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Drift<'a> {
    /// The fact.
    pub fact: Fact,
    /// The value on the host; null if it does not exist.
    pub observed: Option<&'a Value>,
    /// The value in the document; null if the plan removes it.
    pub desired: Option<&'a Value>,
    /// The path in the document.
    pub path: &'a str,
    /// The derivation of the value, if the document gives a budget; the reason, if it follows from another value.
    pub(crate) derivation: Option<&'a str>,
    /// The place in the document.
    pub source: Place,
    /// Which side changed since netkeel wrote the fact last; null if the ledger does not have the fact.
    pub cause: Option<Cause>,
}

/// Which side of a difference changed since netkeel wrote the fact last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Cause {
    /// The side that changed.
    pub changed: Side,
    /// When netkeel wrote the fact last: Unix seconds; null if the ledger does not have the time.
    pub written: Option<u64>,
}

/// The side of a difference that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Side {
    /// The document wants another value than netkeel wrote last.
    Document,
    /// Another program changed the value that netkeel wrote last.
    Host,
    /// Both.
    Both,
}

/// Objects of one kind with identical changes.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Group<'a> {
    /// The kind of the objects.
    pub object: Object,
    /// The names of the objects, in order.
    #[schemars(length(min = 1))]
    pub names: Vec<String>,
    /// A pattern that the names have in common, as `cali*`; null for one object, and where names do not begin
    /// alike.
    pub pattern: Option<String>,
    /// The document names the objects; they were not found by a match.
    pub named: bool,
    /// The values on the host differ between the objects: too many have values of their own to be groups of
    /// their own.
    pub varies: bool,
    /// The effect of the plan on each object.
    pub action: Action,
    /// The changes of each object.
    pub changes: Vec<Change<'a>>,
    /// The fields in which the changes differ from those of a larger group for which the document has the same
    /// rules; null without such a group.
    pub differs: Option<Differs>,
}

/// The effect of a plan.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Action {
    /// It does not exist.
    Create,
    /// It has another value.
    Change,
    /// It is removed.
    Destroy,
}

/// A change of each object of a group.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Change<'a> {
    /// The field of the object.
    pub field: String,
    /// The effect of the plan on the field.
    pub action: Action,
    /// The value on the host; null if it does not exist, and if the objects have different values.
    pub observed: Option<&'a Value>,
    /// The value in the document; null if the plan removes it.
    pub desired: Option<&'a Value>,
    /// The side that changed, and the earliest time at which netkeel wrote the fact of an object last.
    pub cause: Option<Cause>,
}

/// The difference of an outlier to its group.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Differs {
    /// Fields that the objects of the group change from or to another value.
    pub other_values: Vec<String>,
    /// Fields that the objects of the group do not change.
    pub added: Vec<String>,
    /// Fields that only the objects of the group change.
    pub missing: Vec<String>,
}

/// The numbers of a plan.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Counts {
    /// Facts to create.
    pub create: usize,
    /// Facts to change.
    pub change: usize,
    /// Facts to destroy. A device that is deleted and made again counts here and as created.
    pub destroy: usize,
    /// The objects of all these facts.
    pub objects: usize,
}

/// One write of a plan.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Step<'a> {
    /// The phase in which the write is done.
    pub(crate) phase: Phase,
    /// The declared fact that the write is for.
    pub fact: Fact,
    /// The command that an operator would type.
    pub command: String,
    /// The write itself.
    pub op: &'a Op,
    /// The fact is in sync, but another write of the plan changes it.
    pub(crate) restores: bool,
    /// The undo of the write.
    pub undo: Undo,
    /// The document permits the loss.
    pub(crate) permitted: bool,
}

/// The undo of a write.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Undo {
    /// The undo loses nothing.
    pub exact: bool,
    /// The commands of the undo, in their order.
    pub commands: Vec<String>,
    /// State that the undo does not restore.
    pub loses: Vec<String>,
}

/// A fact: a field of an object.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Fact {
    /// The kind of the object.
    pub object: Object,
    /// The name of the object.
    pub name: String,
    /// The field of the object.
    pub field: String,
}

/// The kinds of objects.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Object {
    /// A file; the name is its path.
    File,
    /// The plugins of a type in a CNI configuration; the name is the path and the type.
    Cni,
    /// A copy of a WireGuard configuration; the name is its path.
    Wireguard,
    /// A sysctl; the name is its path below /proc/sys.
    Sysctl,
    /// A network interface.
    Link,
    /// netkeel's rules of an entry of `nflog`.
    Nflog,
    /// The rules of other programs for an NFLOG group; the name is its number.
    NflogGroup,
}

/// A misconfiguration, or an effect of the document that its author should know.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Finding<'a> {
    /// The code, which the documentation explains.
    #[schemars(with = "String", regex(pattern = r"^NK[0-9]{3}$"))]
    pub code: Code,
    /// How bad the finding is.
    pub severity: Severity,
    /// The interfaces, keys or files that the finding concerns.
    pub subjects: &'a [String],
    /// The fact, and its effect.
    pub message: &'a str,
    /// The remedy.
    pub(crate) remedy: &'a str,
}

/// The output of `netkeel apply --output json`, for every outcome.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "netkeel applied")]
pub(crate) struct Applied<'a> {
    /// The name of the format.
    #[schemars(extend("const" = APPLIED))]
    pub format: &'static str,
    /// The version of the format.
    #[schemars(extend("const" = FORMAT))]
    pub version: u32,
    /// The outcome.
    pub result: Outcome,
    /// The errors because of which nothing was applied.
    pub errors: Vec<Reason<'a>>,
    /// The errors of the documents, with their places; they are among `errors` too.
    pub(crate) diagnostics: Vec<Diagnostic<'a>>,
    /// The number of writes that were done and verified.
    pub writes: usize,
    /// Interfaces that a match had found and that were deleted during the apply.
    pub vanished: &'a [LinkName],
    /// Declared facts that the apply did not write and that another program changed meanwhile.
    pub(crate) new_drift: Vec<NewDrift<'a>>,
    /// The commands that undid the writes, in their order.
    pub undone: Vec<String>,
    /// The undo commands that remain, in their order.
    pub remaining: Vec<Remaining<'a>>,
    /// State that the undo did not restore.
    pub lost: Vec<String>,
    /// The facts at which the apply failed.
    pub blamed: Vec<Fact>,
    /// The plan before anything was written; null unless the plan was applied.
    pub plan: Option<Plan<'a>>,
}

/// The outcome of an apply.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// The host is in sync with the document. Exit status 0 or 2.
    Applied,
    /// The writes were done and verified, but other declared facts do not hold: `new_drift` lists them. Exit
    /// status 5.
    AppliedWithNewDrift,
    /// The writes were done, but facts that were to be restored were not: `unrestored` of the plan lists them. Exit
    /// status 4.
    NotRestored,
    /// Nothing was written. Exit status 1.
    Refused,
    /// The apply failed, and all its writes were undone. Exit status 3.
    RolledBack,
    /// The apply failed, and so did its undo. Exit status 4.
    NotRolledBack,
}

/// Declared facts that another program changed during an apply that did not write them.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct NewDrift<'a> {
    /// The facts; empty if they could not be read.
    pub facts: Vec<Fact>,
    /// The difference to the document.
    pub message: &'a str,
}

/// An error.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Reason<'a> {
    /// The failure and its reason.
    pub message: &'a str,
    /// Remedies.
    pub hints: &'a [String],
}

/// A command of an undo that was not done.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Remaining<'a> {
    /// The command.
    pub command: String,
    /// The reason why it was not done.
    pub why: &'a str,
}
