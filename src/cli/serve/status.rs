//! `netkeel status`: shows the status of the running service.

use clap::Args;
use serde_json::Value;

use crate::arguments::{Format, Place};
use crate::{commands, exit, output};
use netkeel_apply::recover::unconfirmed_yet;
use netkeel_apply::store::Store;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::text::escape::{one_line, printable};
use netkeel_reconcile::status::unread::reservation;
use netkeel_render::wording::count;
use netkeel_render::wording::utc::utc;
use netkeel_service::client;

/// Show the status of the running service
///
/// The status has the document in force, the pause, the drift, and the suspended settings with the
/// reason.
///
/// Exit status: 0 success; 1 the service is not running; with --fail 2 when a document was rejected,
/// replication is degraded or failed, or /healthz answers 503.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Exit with status 2 for a rejected document or an unhealthy service
    ///
    /// A degraded replication counts too.
    #[arg(long)]
    fail: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let store = Store::open_to_read(&arguments.place.netns())?;
    // Told first, and without a service too: a promise is kept by its watchdog.
    match store.pending() {
        Ok(Some(pending)) if pending.is_unconfirmed() => output::error(&unconfirmed_yet(&pending)),
        // Without privilege nobody's journal can be seen.
        Err(error) if error.kind != ErrorKind::Permission => output::error(&error),
        _ => {}
    }
    let status = client::status(&store)?;
    output::print(&match arguments.output {
        Format::Json => output::pretty(&status),
        Format::Text => text(&status),
    })?;
    Ok(match arguments.fail && is_bad(&status) {
        true => exit::CHANGES,
        false => exit::OK,
    })
}

/// Whether somebody must look: a rejected document, an unhealthy service, or replication that is not whole.
fn is_bad(status: &Value) -> bool {
    let is_set = |path: &str| status.pointer(path).is_some_and(|value| !value.is_null());
    let health = status.pointer("/worker/health").and_then(Value::as_str);
    is_set("/document/rejected") || is_set("/unhealthy") || matches!(health, Some("degraded" | "failed"))
}

/// Text of the status in one line that is safe to print; empty if it is missing.
fn shown(value: Option<&Value>) -> String {
    one_line(value.and_then(Value::as_str).unwrap_or_default())
}

/// The policies of a cluster as text; empty if the service follows none.
fn policies(status: &Value) -> String {
    let of = |value: &Value, key: &str| shown(value.get(key));
    let list = |key: &str| {
        let list = status
            .pointer(&format!("/policies/{key}"))
            .and_then(Value::as_array);
        list.cloned().unwrap_or_default()
    };
    let Some(node) = status.pointer("/policies/node").and_then(Value::as_str) else {
        return String::new();
    };
    let in_force: Vec<String> = list("in_force").iter().map(|one| of(one, "name")).collect();
    let in_force = match in_force.is_empty() {
        true => "none".to_owned(),
        false => in_force.join(", "),
    };
    let mut out = format!("policies of the node {}: {in_force}\n", one_line(node));
    for one in list("in_force") {
        let name = of(&one, "name");
        if let Some(drift) = one.get("drift").and_then(Value::as_u64) {
            out.push_str(&format!("    {name} only observes: facts that differ: {drift}\n"));
        }
        if let Some(why) = one.get("failure").and_then(Value::as_str) {
            out.push_str(&format!(
                "    {name} only observes, and its drift is unknown: {}\n",
                one_line(why)
            ));
        }
    }
    for one in list("held") {
        let (name, why) = (of(&one, "name"), of(&one, "why"));
        out.push_str(&format!("    the newest {name} is not in force: {why}\n"));
    }
    for name in list("leaving") {
        out.push_str(&format!(
            "    {} no longer applies, and is not released yet\n",
            shown(Some(&name))
        ));
    }
    for (key, what) in [
        ("trouble", "the policies are not followed"),
        ("not_written", "the state of the node in the cluster"),
        ("evictions_trouble", "no pod is evicted"),
    ] {
        if let Some(why) = status
            .pointer(&format!("/policies/{key}"))
            .and_then(Value::as_str)
        {
            out.push_str(&format!("    {what}: {}\n", one_line(why)));
        }
    }
    let evictions = list("evictions");
    if !evictions.is_empty() {
        let skipped = evictions.iter().filter(|one| of(one, "action") == "skip").count();
        out.push_str(&format!(
            "    pods to evict: {}; skipped: {skipped}; `netkeel pods --evictions` lists them\n",
            evictions.len() - skipped
        ));
    }
    out
}

/// The status as text.
fn text(status: &Value) -> String {
    let word = |path: &str| shown(status.pointer(path));
    let number = |path: &str| status.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    let list = |key: &str| {
        status
            .get(key)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let hash = word("/document/hash");
    let mut out = format!(
        "netkeel {}, pid {}, since {}: {}s\n",
        word("/version"),
        number("/pid"),
        utc(number("/since")),
        word("/mode")
    );
    out.push_str(&format!(
        "document {}, owner {}, read {}\n",
        hash.get(..12).unwrap_or(&hash),
        word("/document/owner"),
        utc(number("/document/loaded"))
    ));
    let files = status.pointer("/document/files").and_then(Value::as_array);
    for file in files.into_iter().flatten() {
        out.push_str(&format!("    {}\n", shown(Some(file))));
    }
    if status.get("idle").and_then(Value::as_bool) == Some(true) {
        out.push_str("idle: there is no document yet; the service waits for one\n");
    }
    if let Some(why) = status.pointer("/document/rejected").and_then(Value::as_str) {
        out.push_str("a newer document was REJECTED; the previous one stays in force:\n");
        out.extend(why.lines().map(|line| format!("    {}\n", printable(line))));
    }
    if let Some(pause) = status.get("paused").filter(|pause| !pause.is_null()) {
        let of = |key: &str| pause.get(key).and_then(Value::as_u64).unwrap_or_default();
        let by = shown(pause.get("by"));
        out.push_str(&format!("PAUSED until {} by {by}\n", utc(of("until"))));
        if let Some(reason) = pause.get("reason").and_then(Value::as_str) {
            out.push_str(&format!("    reason: {}\n", one_line(reason)));
        }
    }
    out.push_str(&policies(status));
    if let Some(holder) = status.get("waits").and_then(Value::as_str) {
        out.push_str(&format!("waiting: {}\n", one_line(holder)));
    }
    if let Some(why) = status.get("failure").and_then(Value::as_str) {
        out.push_str(&format!("FAILED: {}\n", one_line(why)));
    }
    if let Some(at) = status.get("scanned").and_then(Value::as_u64) {
        let others = match status.get("only_by_full_scans").and_then(Value::as_bool) {
            Some(true) => "; changes inside pods are found by the next one",
            _ => "",
        };
        out.push_str(&format!("last full scan {}{others}\n", utc(at)));
    }
    let drift = list("drift");
    let wanted = number("/wanted") as usize;
    let unread = reservation(list("unread").len(), list("problems").len());
    out.push_str(
        &match (status.get("looked").and_then(Value::as_bool), drift.len()) {
            (Some(false), _) => "no full scan has finished yet\n".to_owned(),
            (_, 0) => format!("in sync: {}{unread}\n", count(wanted, "declared fact")),
            // A restored fact is no longer declared, so drift can exceed the declared facts.
            (_, differ) if differ > wanted => format!("{} differ{unread}:\n", count(differ, "fact")),
            (_, differ) => format!("{} of {wanted} declared differ{unread}:\n", count(differ, "fact")),
        },
    );
    let of = |value: &Value, key: &str| shown(value.get(key));
    for one in &drift {
        out.push_str(&format!(
            "    {}: {} -> {}    {}\n",
            of(one, "fact"),
            of(one, "observed"),
            of(one, "desired"),
            of(one, "path")
        ));
    }
    for one in &list("suspended") {
        let times = one.get("times").and_then(Value::as_u64).unwrap_or_default();
        let again = one.get("again_in").and_then(Value::as_u64).unwrap_or_default();
        let why = match of(one, "why").as_str() {
            "flaps" => {
                let writers = one
                    .get("writers")
                    .and_then(Value::as_array)
                    .cloned()
                    .unwrap_or_default();
                let writers: Vec<String> = writers.iter().map(|writer| shown(Some(writer))).collect();
                let who = if writers.is_empty() {
                    "another program".to_owned()
                } else {
                    format!("another program ({}?)", writers.join(", "))
                };
                format!("{who} keeps changing it; corrected {times} times")
            }
            _ => of(one, "reason"),
        };
        out.push_str(&format!(
            "suspended: {}: {why}; retry in {again} s\n",
            of(one, "fact")
        ));
    }
    let unreachable = number("/unreachable_pods") as usize;
    if unreachable > 0 {
        out.push_str(&format!(
            "{} out of reach: neither end of their veths is set; `netkeel render netkeel-pods.conf` prints the drop-in that permits it\n",
            count(unreachable, "pod")
        ));
    }
    for problem in &list("problems") {
        out.push_str(&format!("could not be read: {}\n", shown(Some(problem))));
    }
    /// Number of findings to show; `netkeel plan` shows all.
    const FINDINGS: usize = 20;
    let findings = list("findings");
    for one in findings.iter().take(FINDINGS) {
        let (code, subject, message) = (of(one, "code"), of(one, "subject"), of(one, "message"));
        out.push_str(&format!("{code} {subject}: {message}\n"));
    }
    if findings.len() > FINDINGS {
        out.push_str(&format!(
            "{} more ({})\n",
            count(findings.len() - FINDINGS, "finding"),
            commands::here("`netkeel plan` shows them")
        ));
    }
    let causes = status.pointer("/doctor/causes").and_then(Value::as_array);
    for one in causes.into_iter().flatten() {
        let (cause, grounds) = (of(one, "cause"), of(one, "grounds"));
        out.push_str(&format!(
            "packets may be lost: {cause} ({grounds}); {}\n",
            commands::here("`netkeel doctor` has the evidence")
        ));
    }
    out.extend(list("probes").iter().map(probe));
    let counter = |key: &str| number(&format!("/counters/{key}")) as usize;
    out.push_str(&format!(
        "{}, {} with {}, {}, {}, {}\n",
        match counter("passes") {
            1 => "1 pass".to_owned(),
            passes => format!("{passes} passes"),
        },
        match counter("applies") {
            1 => "1 apply".to_owned(),
            applies => format!("{applies} applies"),
        },
        count(counter("writes"), "write"),
        count(counter("failures"), "failure"),
        count(counter("rollbacks"), "rollback"),
        count(counter("flaps"), "flap")
    ));
    if let Some(worker) = status.get("worker").filter(|worker| !worker.is_null()) {
        out.push_str(&replication(worker));
    }
    out
}

/// The result of a probe as text.
fn probe(probe: &Value) -> String {
    let of = |key: &str| shown(probe.get(key));
    let name = of("name");
    let Some(at) = probe.get("at").and_then(Value::as_u64) else {
        return format!("probe {name}: no result yet\n");
    };
    let verdict = match probe.get("as_expected").and_then(Value::as_bool) {
        Some(true) => "as expected",
        Some(false) => "NOT as expected",
        None => "unknown",
    };
    let mut out = format!("probe {name}: {verdict}: {}", of("outcome"));
    for key in ["mtu", "mss"] {
        if let Some(bytes) = probe.get(key).and_then(Value::as_u64) {
            out.push_str(&format!(", {key} {bytes}"));
        }
    }
    for key in ["reason", "from", "message"] {
        if probe.get(key).is_some() {
            out.push_str(&format!(", {}", of(key)));
        }
    }
    let nodes = probe.get("nodes").and_then(Value::as_array);
    let nodes: Vec<&str> = nodes.into_iter().flatten().filter_map(Value::as_str).collect();
    if !nodes.is_empty() {
        out.push_str(&format!(", see {}", nodes.join(", ")));
    }
    out.push_str(&format!(", at {}\n", utc(at)));
    out
}

/// The status of the replication worker as text.
fn replication(worker: &Value) -> String {
    let number = |path: &str| worker.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    let mut out = format!(
        "replication {}, pid {}, {}: {} received, {} replicated, {} copies sent, {} failed, {} lost\n",
        shown(worker.get("health")),
        number("/pid"),
        count(number("/restarts") as usize, "restart"),
        number("/statistics/received"),
        number("/statistics/replicated"),
        number("/statistics/sent"),
        number("/statistics/failed"),
        number("/statistics/lost"),
    );
    if let Some(why) = worker.get("error").and_then(Value::as_str) {
        out.push_str(&format!("    {}\n", one_line(why)));
    }
    let refused = worker.pointer("/statistics/refused").and_then(Value::as_object);
    for (reason, count) in refused.into_iter().flatten() {
        out.push_str(&format!("    refused {count}: {}\n", printable(reason)));
    }
    let peers = worker.pointer("/statistics/peers").and_then(Value::as_array);
    for peer in peers.into_iter().flatten() {
        let of = |key: &str| shown(peer.get(key));
        let hint = match of("state").as_str() {
            "refused" => {
                "; this host drops the copies: check its packet filter and, with mode ipip, IPAddressAllow= of the unit"
            }
            "behind-router" => "; a router is between: use mode: ipip",
            "router" => {
                "; it has the router's link-layer address: packets from the router look like its copies and are not replicated"
            }
            _ => "",
        };
        out.push_str(&format!("    peer {}: {}{hint}\n", of("address"), of("state")));
    }
    out
}
