//! A plan as JSON: format `netkeel/plan`, published by `netkeel schema plan`.

use serde_json::{Value as Json, json};

use crate::apply::{Applied, Rollback};
use crate::error::Error;
use crate::fact::{Fact, Field, Object, Value};
use crate::finding::Finding;
use crate::op::Op;
use crate::plan::{FORMAT, Plan};
use crate::source::{Locator, Sources};

/// The plan; the same for the same document and host.
pub fn plan(plan: &Plan, sources: &Sources) -> Json {
    let mut locator = Locator::new(sources);
    let drift: Vec<Json> = plan
        .drift
        .iter()
        .map(|drift| {
            let place = locator.locate(drift.origin.span);
            json!({
                "fact": fact(&drift.fact),
                "observed": drift.observed.as_ref().map(value),
                "desired": drift.desired.as_ref().map(value),
                "path": &*drift.origin.path,
                "derivation": drift.origin.derivation.as_deref(),
                "source": { "file": &*place.file, "line": place.line, "column": place.column },
            })
        })
        .collect();
    let steps: Vec<Json> = plan
        .steps
        .iter()
        .map(|step| {
            json!({
                "phase": step.phase,
                "fact": fact(&step.fact),
                "command": step.op.to_string(),
                "op": step.op,
                "restores": step.restores,
                "undo": {
                    "exact": step.undo.loses.is_empty(),
                    "commands": step.undo.ops.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "loses": step.undo.loses.iter().map(ToString::to_string).collect::<Vec<_>>(),
                },
                "permitted": step.permitted,
            })
        })
        .collect();
    json!({
        "format": "netkeel/plan",
        "version": FORMAT,
        "owner": plan.owner,
        "netns": plan.netns.name(),
        "in_sync": plan.in_sync(),
        "wanted": plan.wanted,
        "drift": drift,
        "steps": steps,
        "released": plan.released.iter().map(fact).collect::<Vec<_>>(),
        "findings": findings(&plan.findings),
        "unmatched": plan.unmatched,
        "problems": plan.problems,
    })
}

/// Findings, as a plan has them.
pub fn findings(findings: &[Finding]) -> Json {
    let one = |finding: &Finding| {
        json!({
            "code": finding.code,
            "severity": finding.code.severity(),
            "subjects": finding.subjects,
            "message": finding.message,
            "remedy": finding.remedy,
        })
    };
    findings.iter().map(one).collect()
}

/// What an apply did: format `netkeel/applied`, published by `netkeel schema applied`.
pub fn applied(applied: &Applied, sources: &Sources) -> Json {
    let Applied {
        before: _,
        plan: done,
        done: writes,
        vanished,
    } = applied;
    let mut out = ended("applied", &[]);
    out["writes"] = json!(writes);
    out["vanished"] = json!(vanished);
    out["plan"] = plan(done, sources);
    out
}

/// Why an apply did nothing.
pub fn refused(errors: &[Error]) -> Json {
    ended("refused", errors)
}

/// How an apply that failed was undone.
pub fn rolled_back(rollback: &Rollback) -> Json {
    let Rollback {
        cause,
        undone,
        remaining,
        lost,
        blamed,
    } = rollback;
    let result = if remaining.is_empty() {
        "rolled-back"
    } else {
        "not-rolled-back"
    };
    let mut out = ended(result, std::slice::from_ref(cause));
    out["undone"] = undone.iter().map(Op::command).collect();
    let left = |(op, error): &(Op, Error)| json!({ "command": op.command(), "why": error.message });
    out["remaining"] = remaining.iter().map(left).collect();
    out["lost"] = json!(lost);
    out["blamed"] = blamed.iter().map(fact).collect();
    out
}

/// What is said of every apply, however it ended.
fn ended(result: &str, errors: &[Error]) -> Json {
    let error = |error: &Error| json!({ "message": error.message, "hints": error.hints });
    json!({
        "format": "netkeel/applied",
        "version": FORMAT,
        "result": result,
        "errors": errors.iter().map(error).collect::<Vec<_>>(),
        "writes": 0,
        "vanished": [],
        "undone": [],
        "remaining": [],
        "lost": [],
        "blamed": [],
        "plan": null,
    })
}

fn fact(fact: &Fact) -> Json {
    let (object, name) = match &fact.object {
        Object::File(path) => ("file", path.display().to_string()),
        Object::Plugin(plugin) => ("cni", format!("{} {}", plugin.file.display(), plugin.kind)),
        Object::Wireguard(wireguard) => ("wireguard", wireguard.copy.display().to_string()),
        Object::Sysctl(key) => ("sysctl", key.path().to_owned()),
        Object::Link(name) => ("link", name.stored().into_owned()),
        Object::Nflog(name) => ("nflog", name.to_string()),
        Object::LogGroup(group) => ("nflog-group", group.to_string()),
    };
    json!({ "object": object, "name": name, "field": field(fact.field) })
}

fn field(field: Field) -> String {
    match field {
        Field::Up => "up".into(),
        Field::Address(address) => format!("address {address}"),
        other => other.to_string(),
    }
}

fn value(value: &Value) -> Json {
    match value {
        Value::Switch(on) => json!(on),
        Value::Number(number) => json!(number),
        Value::Text(text) => json!(&**text),
    }
}
