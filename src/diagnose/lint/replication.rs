//! Whether the service replicates what a document declares.

pub(crate) mod copies;
pub(crate) mod ports;
pub(crate) mod sources;

use std::collections::BTreeMap;

use serde_json::Value;

use netkeel_core::finding::{Code, Findings};
use netkeel_core::nflog::entry_name::EntryName;
use netkeel_core::replication::settings::{Replication, Settings};
use netkeel_core::replication::worker::WorkerHealth;
use netkeel_document::kinds::nflog::entry::{Entry, Prefilter};
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::replication::Replicating;

/// Compares the document with the running worker. A host whose service was not queried is not judged.
pub(crate) fn document(wanted: Option<&Replication>, host: &Snapshot, findings: &mut Findings) {
    let (Some(wanted), Some(found)) = (wanted, &host.replication) else {
        return;
    };
    if let Some((message, remedy)) = misconfigured(wanted, found) {
        findings.add(Code::NK035, "replicate", message, remedy);
    }
}

/// An ICMPv6 error quotes at most as much as fits into 1280 bytes (RFC 4443, section 2.4).
const LONGEST: u32 = 1280;

/// Compares the rules that pass packets to the worker with the worker's settings. Packets that the rules
/// withhold are not counted anywhere.
pub(crate) fn entries(
    wanted: Option<&Replication>,
    entries: &BTreeMap<EntryName, Entry>,
    findings: &mut Findings,
) {
    let Some(Replication { settings, .. }) = wanted else {
        return;
    };
    for (name, entry) in entries.iter().filter(|(_, entry)| entry.group == settings.group) {
        for (key, message) in withheld_from(entry, settings) {
            let remedy = "remove it: the worker has its own checks, limits and counters";
            findings.add(Code::NK036, format!("nflog.{name}.{key}"), message, remedy);
        }
    }
}

/// The keys of an entry that withhold packets from the worker, each with the effect.
fn withheld_from(entry: &Entry, settings: &Settings) -> Vec<(&'static str, String)> {
    let mut withheld = Vec::new();
    let Entry {
        snaplen, prefilter, ..
    } = entry;
    if *snaplen < LONGEST {
        let message = format!(
            "packets above {snaplen} bytes reach the worker cut off and are rejected as `truncated`; it replicates up to {LONGEST} bytes"
        );
        withheld.push(("snaplen", message));
    }
    let Prefilter {
        min_mtu,
        min_mtu_ipv6,
        max_mtu,
        rate,
    } = *prefilter;
    for (key, least, floor) in [
        ("prefilter.min_mtu", min_mtu, settings.floor.ipv4),
        ("prefilter.min_mtu_ipv6", min_mtu_ipv6, settings.floor.ipv6),
    ] {
        if let Some(least) = least.filter(|least| *least > u32::from(floor)) {
            let message =
                format!("the worker replicates MTUs from {floor}, but those below {least} do not reach it");
            withheld.push((key, message));
        }
    }
    if let Some(most) = max_mtu {
        let message = format!("MTUs above {most} do not reach the worker, whatever the interface's MTU is");
        withheld.push(("prefilter.max_mtu", message));
    }
    if let Some(rate) = rate {
        let message = format!(
            "no more than {} packets a second from one source reach the worker, whatever its limits are",
            rate.per_second
        );
        withheld.push(("prefilter.rate", message));
    }
    withheld
}

/// The misconfiguration and its remedy; `None` if replication works.
fn misconfigured(wanted: &Replication, found: &Replicating) -> Option<(String, &'static str)> {
    if !found.service {
        let message = "packets are not replicated: the netkeel service is not running".into();
        return Some((message, "start it: systemctl enable --now netkeel"));
    }
    let Some(settings) = &found.settings else {
        let message = "packets are not replicated: the running service has no worker".into();
        return Some((message, "load this document: systemctl reload netkeel"));
    };
    let mut differ = differ(wanted, settings);
    let dry_by = found.dry_by.as_ref().filter(|_| !wanted.settings.dry_run);
    differ.retain(|name| name != "dry_run" || dry_by.is_none());
    if !differ.is_empty() {
        let message = format!("the worker runs with other values of {}", differ.join(", "));
        return Some((message, "load this document: systemctl reload netkeel"));
    }
    if let Some(option) = dry_by {
        let message = format!("packets are checked but not replicated: the service runs with {option}");
        return Some((message, "start the service without that option"));
    }
    let why = |what: &str| match &found.error {
        Some(error) => format!("{what}: {error}"),
        None => what.to_owned(),
    };
    let message = match found.health {
        Some(WorkerHealth::Failed) => why("the worker runs as declared but does not replicate"),
        Some(WorkerHealth::Degraded) => why("the worker runs as declared, but replication is degraded"),
        None => why("the worker runs as declared, but whether it replicates is unknown"),
        // A worker that is off has no settings. An undeclared dry run is reported above.
        Some(WorkerHealth::Ok | WorkerHealth::DryRun | WorkerHealth::Off) => return None,
    };
    Some((message, "netkeel status shows each peer"))
}

/// The names of the settings that differ from the document. A peer file and a cluster may add peers.
fn differ(wanted: &Replication, found: &Settings) -> Vec<String> {
    let mut found = found.clone();
    let adds = wanted.peers_file.is_some() || wanted.cluster.is_some();
    if adds && found.peers.starts_with(&wanted.settings.peers) {
        found.peers.clone_from(&wanted.settings.peers);
    }
    let object = |settings: &Settings| match serde_json::to_value(settings) {
        Ok(Value::Object(object)) => object,
        _ => serde_json::Map::new(),
    };
    let (wanted, found) = (object(&wanted.settings), object(&found));
    let differs = wanted
        .iter()
        .filter(|(key, value)| found.get(*key) != Some(value));
    differs.map(|(key, _)| key.clone()).collect()
}
