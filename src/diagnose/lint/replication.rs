//! Whether what a document has replicated is replicated, as far as the service of the host says.

use std::collections::BTreeMap;

use serde_json::Value;

use netkeel_core::finding::{Code, Findings};
use netkeel_core::nflog::entry_name::EntryName;
use netkeel_core::replication::settings::{Replication, Settings};
use netkeel_core::replication::worker::WorkerHealth;
use netkeel_document::kinds::nflog::entry::{Entry, Prefilter};
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::replication::Replicating;

/// Holds what the document says against the worker. A host that was not asked is not judged.
pub(crate) fn document(wanted: Option<&Replication>, host: &Snapshot, findings: &mut Findings) {
    let (Some(wanted), Some(found)) = (wanted, &host.replication) else {
        return;
    };
    if let Some((message, remedy)) = amiss(wanted, found) {
        findings.add(Code::NK035, "replicate", message, remedy);
    }
}

/// A router's answer quotes what fits: no more than this comes of one (RFC 4443, section 2.4).
const LONGEST: u32 = 1280;

/// Holds the rules that hand packets to the worker against what it would replicate: what they keep from
/// it is counted by nobody.
pub(crate) fn entries(
    wanted: Option<&Replication>,
    entries: &BTreeMap<EntryName, Entry>,
    findings: &mut Findings,
) {
    let Some(Replication { settings, .. }) = wanted else {
        return;
    };
    for (name, entry) in entries.iter().filter(|(_, entry)| entry.group == settings.group) {
        for (key, message) in kept_from(entry, settings) {
            let remedy = "leave it out: the worker judges, limits and counts by itself";
            findings.add(Code::NK036, format!("nflog.{name}.{key}"), message, remedy);
        }
    }
}

/// The keys of an entry that keep packets from the worker, and which.
fn kept_from(entry: &Entry, settings: &Settings) -> Vec<(&'static str, String)> {
    let mut kept = Vec::new();
    let Entry {
        snaplen, prefilter, ..
    } = entry;
    if *snaplen < LONGEST {
        let message = format!(
            "packets of more than {snaplen} bytes reach the worker cut short, and are refused as `truncated`; they may have {LONGEST}"
        );
        kept.push(("snaplen", message));
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
            let message = format!(
                "MTUs from {floor} on are to be replicated, and those below {least} do not reach the worker"
            );
            kept.push((key, message));
        }
    }
    if let Some(most) = max_mtu {
        let message = format!("MTUs above {most} do not reach the worker, whatever the interface has");
        kept.push(("prefilter.max_mtu", message));
    }
    if let Some(rate) = rate {
        let message = format!(
            "no more than {} packets a second of a source reach the worker, whatever its limits are",
            rate.per_second
        );
        kept.push(("prefilter.rate", message));
    }
    kept
}

/// What is amiss, and what to do about it.
fn amiss(wanted: &Replication, found: &Replicating) -> Option<(String, &'static str)> {
    if !found.service {
        let message = "nothing is replicated: no service runs here".into();
        return Some((message, "start it: systemctl enable --now netkeel"));
    }
    let Some(settings) = &found.settings else {
        let message = "nothing is replicated: the service that runs here has no worker".into();
        return Some((message, "have it read this document: systemctl reload netkeel"));
    };
    let mut differ = differ(wanted, settings);
    let dry_by = found.dry_by.as_ref().filter(|_| !wanted.settings.dry_run);
    differ.retain(|name| name != "dry_run" || dry_by.is_none());
    if !differ.is_empty() {
        let message = format!("the worker runs with other values of {}", differ.join(", "));
        return Some((
            message,
            "have the service read this document: systemctl reload netkeel",
        ));
    }
    if let Some(option) = dry_by {
        let message = format!("packets are judged and not replicated: the service runs with {option}");
        return Some((message, "start the service without that option"));
    }
    let why = |what: &str| match &found.error {
        Some(error) => format!("{what}: {error}"),
        None => what.to_owned(),
    };
    let message = match found.health {
        Some(WorkerHealth::Failed) => why("the worker runs as declared and does not replicate"),
        Some(WorkerHealth::Degraded) => why("the worker runs as declared and does not reach all peers"),
        None => why("the worker runs as declared, and whether it replicates is unknown"),
        // A worker that is off has no settings, and a dry run is reported above unless it is declared.
        Some(WorkerHealth::Ok | WorkerHealth::DryRun | WorkerHealth::Off) => return None,
    };
    Some((message, "netkeel status shows each peer"))
}

/// The settings that are not as the document has them, by name. A file names peers beyond those of the
/// document.
fn differ(wanted: &Replication, found: &Settings) -> Vec<String> {
    let mut found = found.clone();
    if wanted.peers_file.is_some() && found.peers.starts_with(&wanted.settings.peers) {
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
