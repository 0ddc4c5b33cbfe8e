//! What the API servers wrote down of the agents' requests.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;

use serde_json::Value;

/// The policy of the audit: the requests of the agents, without their contents.
pub const POLICY: &str = r#"{
    "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
    "rules": [
        { "level": "Metadata", "userGroups": ["system:serviceaccounts:agents"] },
        { "level": "None" }
    ]
}"#;

/// The logs of all API servers, each read up to some byte.
pub struct Audit {
    logs: Vec<(PathBuf, u64)>,
}

/// Requests by what they ask for, and those that were refused for now.
#[derive(Default)]
pub struct Requests {
    pub by_kind: BTreeMap<String, usize>,
    /// Answers 429, and those of a server that is overloaded (5xx).
    pub refused: usize,
    /// Other answers from 400 on, but 404 of an object that is not there yet, and what the guard refuses.
    pub failed: BTreeMap<String, usize>,
}

impl Audit {
    pub fn new(logs: Vec<PathBuf>) -> Self {
        Audit {
            logs: logs.into_iter().map(|path| (path, 0)).collect(),
        }
    }

    /// The requests since the last call.
    pub fn take(&mut self) -> Requests {
        let mut requests = Requests::default();
        for (path, from) in &mut self.logs {
            let mut file = File::open(path).unwrap();
            file.seek(SeekFrom::Start(*from)).unwrap();
            let mut reader = BufReader::new(file);
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap() > 0 {
                // The last one is being written.
                if !line.ends_with('\n') {
                    break;
                }
                *from += line.len() as u64;
                requests.count(&serde_json::from_str(&line).unwrap());
                line.clear();
            }
        }
        requests
    }
}

impl Requests {
    fn count(&mut self, event: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (verb, code) = (
            text(&event["verb"]),
            event["responseStatus"]["code"].as_u64().unwrap_or(0),
        );
        let has_begun = event["stage"] == "ResponseStarted";
        // A watch is one when it begins; what cannot begin, only ends.
        if has_begun != (verb == "watch" && code < 400) {
            return;
        }
        let object = &event["objectRef"];
        let what = match object["resource"].as_str() {
            Some(resource) => resource.to_owned(),
            None => text(&event["requestURI"]),
        };
        let is_dry = text(&event["requestURI"]).contains("dryRun=All");
        let kind = format!("{verb} {what}{}", if is_dry { " (dry run)" } else { "" });
        if code == 429 || code >= 500 {
            self.refused += 1;
            return;
        }
        if code >= 400 && !(code == 404 && verb == "get") && !(is_dry && matches!(code, 403 | 422)) {
            *self.failed.entry(format!("{kind}: {code}")).or_default() += 1;
        }
        *self.by_kind.entry(kind).or_default() += 1;
    }

    /// The requests that change something, but the Leases.
    pub fn writes(&self) -> usize {
        let reads = ["get ", "list ", "watch "];
        let is_write = |kind: &&String| {
            !(reads.iter().any(|verb| kind.starts_with(verb))
                || kind.ends_with(" leases")
                || kind.ends_with("(dry run)"))
        };
        self.by_kind
            .iter()
            .filter(|(kind, _)| is_write(kind))
            .map(|(_, count)| count)
            .sum()
    }

    /// The number of all requests, also of those that were refused.
    pub fn all(&self) -> usize {
        self.by_kind.values().sum::<usize>() + self.refused
    }

    /// The renewals of Leases.
    pub fn renewals(&self) -> usize {
        self.by_kind.get("update leases").copied().unwrap_or_default()
    }
}
