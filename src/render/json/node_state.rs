//! The status of the object `NetkeelNode`, from the status of the service.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::wording::count;
use crate::wording::utc::{rfc3339, utc};
use netkeel_core::fact::Object;
use netkeel_reconcile::status::Status;
use netkeel_reconcile::status::policies::{PoliciesStatus, PolicyStatus};

/// The most entries of drift.
const DRIFT: usize = 20;

/// The most findings.
const FINDINGS: usize = 50;

/// The longest message of a condition and the longest subject of a finding, characters.
const LONGEST: usize = 256;

/// The status of the node's object. It has no times of transitions: who writes it knows what was there before.
pub fn node_state(status: &Status, policies: &PoliciesStatus) -> Value {
    let drifting = || status.drifting();
    let objects: BTreeSet<&Object> = drifting().map(|(fact, _)| &fact.object).collect();
    let entries: Vec<Value> = drifting()
        .take(DRIFT)
        .map(|(_, drift)| json!({ "fact": drift.fact, "observed": drift.observed, "desired": drift.desired }))
        .collect();
    let findings = status.findings.iter().take(FINDINGS);
    let findings: Vec<Value> = findings
        .map(|finding| json!({ "code": finding.code.to_string(), "object": line(&finding.subject) }))
        .collect();
    let mut state = json!({
        "policies": policies.in_force.iter().map(policy).collect::<Vec<_>>(),
        "conditions": [
            in_sync(status),
            applied(status, policies),
            degraded(status),
            paused(status),
        ],
        "drift": { "facts": drifting().count(), "objects": objects.len(), "entries": entries },
        "findingCount": status.findings.len(),
        "findings": findings,
    });
    let mut path = Map::new();
    let veths = status.mtus.iter().map(|(_, mtu)| mtu);
    let veths = veths.filter(|mtu| mtu.class.as_deref() == Some("veth"));
    if let Some(least) = veths.map(|mtu| mtu.observed).min() {
        path.insert("podMTU".to_owned(), json!(least));
    }
    if let Some((_, mtu)) = &status.underlay {
        path.insert("underlayMTU".to_owned(), json!(mtu));
    }
    let fields = state.as_object_mut();
    let Some(fields) = fields else { return state };
    if !path.is_empty() {
        fields.insert("path".to_owned(), Value::Object(path));
    }
    if let Some(last) = &status.last_apply {
        let mut shown = json!({
            "id": last.id,
            "time": rfc3339(last.time),
            "result": last.result,
            "writes": last.writes,
            "undone": last.undone,
        });
        if let (Some(message), Some(shown)) = (&last.message, shown.as_object_mut()) {
            shown.insert("message".to_owned(), json!(line(message)));
        }
        fields.insert("lastApply".to_owned(), shown);
    }
    state
}

fn policy(policy: &PolicyStatus) -> Value {
    let mut shown = json!({
        "name": policy.name,
        "generation": policy.generation,
        "documentHash": policy.hash,
        "mode": policy.mode,
    });
    if let (Some(drift), Some(shown)) = (policy.drift, shown.as_object_mut()) {
        shown.insert("drift".to_owned(), json!(drift));
    }
    shown
}

/// Whether a condition holds; `None` if nobody knows.
fn condition(kind: &str, holds: Option<bool>, reason: &str, message: &str) -> Value {
    let status = match holds {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    };
    json!({ "type": kind, "status": status, "reason": reason, "message": line(message) })
}

/// The first line of a text.
fn line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
        None => line.to_owned(),
    }
}

fn in_sync(status: &Status) -> Value {
    let of = |holds, reason, message: &str| condition("InSync", holds, reason, message);
    let drift = status.drifting().count();
    let unread = status.reservation();
    if !status.looked && !status.idle {
        return of(None, "NoFullScan", "the first full scan has not finished");
    }
    if drift > 0 {
        let verb = if drift == 1 { "differs" } else { "differ" };
        return of(
            Some(false),
            "Drift",
            &format!("{} {verb}{unread}", count(drift, "fact")),
        );
    }
    let skipped = status.skipped_veths();
    if skipped > 0 {
        let message = format!("veths into pods that are not set as declared: {skipped}{unread}");
        return of(Some(false), "PodsSkipped", &message);
    }
    if !unread.is_empty() {
        return of(None, "Unread", &format!("no fact differs{unread}"));
    }
    if let (true, Some(why)) = (status.idle, &status.document.rejected) {
        return of(None, "DocumentRejected", why);
    }
    of(Some(true), "InSync", "every declared fact is as declared")
}

fn applied(status: &Status, policies: &PoliciesStatus) -> Value {
    let of = |holds, reason, message: &str| condition("Applied", holds, reason, message);
    if let Some(why) = &status.document.rejected {
        return of(Some(false), "DocumentRejected", why);
    }
    // A conflict, a rollback or an error needs somebody; a rollout goes on by itself.
    let weight = |reason: &str| match reason {
        "Conflict" | "RolledBack" => 0,
        "Invalid" => 1,
        _ => 2,
    };
    if let Some(held) = policies.held.iter().min_by_key(|held| weight(held.reason)) {
        return of(Some(false), held.reason, &format!("{}: {}", held.name, held.why));
    }
    if !policies.leaving.is_empty() {
        let names = policies.leaving.join(", ");
        let message = format!("settings of policies that no longer apply are still there: {names}");
        return of(Some(false), "Releasing", &message);
    }
    if let Some(why) = status.blocked.as_ref().or(status.failure.as_ref()) {
        return of(Some(false), "ApplyFailed", why);
    }
    if !status.looked && !status.idle {
        return of(None, "NoFullScan", "the first full scan has not finished");
    }
    let enforces = policies.in_force.iter().any(|one| one.mode == "enforce");
    if enforces && status.mode == "observe" {
        return of(Some(false), "Observing", "the agent runs with --mode observe");
    }
    if enforces && status.paused.is_some() {
        return of(
            Some(false),
            "Paused",
            "the agent does not write while it is paused",
        );
    }
    match policies.in_force.len() {
        0 => of(Some(true), "NoPolicy", "no policy selects the node"),
        number => of(Some(true), "InForce", &format!("policies in force: {number}")),
    }
}

fn degraded(status: &Status) -> Value {
    let of = |holds, reason, message: &str| condition("Degraded", holds, reason, message);
    if !status.looked && !status.idle && status.failure.is_none() && status.blocked.is_none() {
        return of(None, "NoFullScan", "the first full scan has not finished");
    }
    match status.healthy() {
        Err(why) if !status.idle => of(Some(true), "Unhealthy", &why),
        _ => match status.suspended.len() {
            0 => of(Some(false), "Healthy", "the agent works"),
            number => {
                let message = format!("netkeel does not write {} for a while", count(number, "fact"));
                of(Some(true), "Suspended", &message)
            }
        },
    }
}

fn paused(status: &Status) -> Value {
    let of = |holds, reason, message: &str| condition("Paused", Some(holds), reason, message);
    match &status.paused {
        None if status.mode == "observe" => of(true, "Observing", "the agent runs with --mode observe"),
        None => of(false, "NotPaused", "the agent writes"),
        Some(pause) => {
            let until = format!("until {} by {}", utc(pause.until), pause.by);
            let message = match &pause.reason {
                Some(reason) => format!("{until}: {reason}"),
                None => until,
            };
            of(true, "PausedByUser", &message)
        }
    }
}

#[cfg(test)]
mod tests;
