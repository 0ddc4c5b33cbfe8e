//! Whether what a document has replicated is replicated, as far as the service of the host says.

use serde_json::Value;

use crate::finding::{Code, Findings};
use crate::replication::{Replicating, Replication, Settings};
use crate::snapshot::Snapshot;

/// Holds what the document says against the worker. A host that was not asked is not judged.
pub fn document(wanted: Option<&Replication>, host: &Snapshot, findings: &mut Findings) {
    let (Some(wanted), Some(found)) = (wanted, &host.replication) else {
        return;
    };
    if let Some((message, remedy)) = amiss(wanted, found) {
        findings.add(Code::NK035, "replicate", message, remedy);
    }
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
    let differ = differ(wanted, settings);
    if !differ.is_empty() {
        let message = format!("the worker runs with other values of {}", differ.join(", "));
        return Some((
            message,
            "have the service read this document: systemctl reload netkeel",
        ));
    }
    let why = |what: &str| match &found.error {
        Some(error) => format!("{what}: {error}"),
        None => what.to_owned(),
    };
    let message = match found.health.as_deref() {
        Some("bad") => why("the worker runs as declared and does not replicate"),
        Some("partly") => why("the worker runs as declared and does not reach all peers"),
        _ => return None,
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
