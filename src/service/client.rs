//! The client of the service's socket.

use std::io::{Read, Write};
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::http::ask::body;
use netkeel_apply::store::Store;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::replication::settings::Settings;
use netkeel_core::replication::worker::WorkerHealth;
use netkeel_host::snapshot::replication::Replicating;

/// Timeout of a request.
const PATIENCE: Duration = Duration::from_secs(5);

/// A request to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Return the status as JSON.
    Status,
    /// Check whether the service is paused.
    Look,
}

impl Request {
    fn line(self) -> &'static str {
        match self {
            Request::Status => "GET /status",
            Request::Look => "POST /look",
        }
    }
}

/// Sends a request to the service and returns the body of the response.
///
/// # Errors
/// [`ErrorKind::Missing`] when the service is not running. Other kinds when the service does not answer
/// within five seconds, or sends an unexpected response.
pub fn ask(store: &Store, request: Request) -> Result<String, Error> {
    let mut stream = store.connect()?;
    let refused = |error: std::io::Error| {
        Error::new(ErrorKind::Refused, format!("no answer from the service: {error}"))
    };
    stream.set_read_timeout(Some(PATIENCE)).map_err(refused)?;
    stream
        .write_all(format!("{} HTTP/1.0\r\n\r\n", request.line()).as_bytes())
        .map_err(refused)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(refused)?;
    body(&answer).map(str::to_owned).ok_or_else(unexpected)
}

/// Requests the status of the service.
///
/// # Errors
/// Those of [`ask`], and when the response is not JSON.
pub fn status(store: &Store) -> Result<Value, Error> {
    let body = ask(store, Request::Status)?;
    serde_json::from_str(&body).map_err(|_| unexpected())
}

/// The state of the service's replication worker; `None` when it is unknown.
pub fn replicating(store: &Store) -> Option<Replicating> {
    match ask(store, Request::Status) {
        Err(error) if error.kind == ErrorKind::Missing => Some(Replicating::default()),
        body => serde_json::from_str(&body.ok()?)
            .ok()
            .map(StatusReply::replicating),
    }
}

/// The part of the status about the worker.
#[derive(Deserialize)]
struct StatusReply {
    mode: Mode,
    #[serde(default)]
    dry_run: bool,
    /// `null` without a worker. The key must be present: without it, the worker's state is unknown.
    #[serde(deserialize_with = "present")]
    worker: Option<Worker>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    Observe,
    Enforce,
}

#[derive(Default, Deserialize)]
struct Worker {
    health: Option<WorkerHealth>,
    error: Option<String>,
    settings: Option<Settings>,
}

impl StatusReply {
    fn replicating(self) -> Replicating {
        let dry_by = match (self.mode, self.dry_run) {
            (Mode::Observe, _) => Some("--mode observe"),
            (Mode::Enforce, true) => Some("--dry-run"),
            (Mode::Enforce, false) => None,
        };
        let worker = self.worker.unwrap_or_default();
        Replicating {
            service: true,
            dry_by: dry_by.map(str::to_owned),
            settings: worker.settings,
            health: worker.health,
            error: worker.error,
        }
    }
}

/// Deserializes a key that may be `null` but must be present.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Worker>, D::Error> {
    Option::deserialize(from)
}

fn unexpected() -> Error {
    Error::new(ErrorKind::Unreadable, "the service sent an unexpected response")
        .hint("it may run another version: `systemctl restart netkeel`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicating(status: &str) -> Option<Replicating> {
        serde_json::from_str(status).ok().map(StatusReply::replicating)
    }

    #[test]
    fn the_mode_keeps_a_worker_from_sending_before_the_option_does() {
        let dry_by = |status| replicating(status).and_then(|reply| reply.dry_by);
        let observes = r#"{"mode": "observe", "dry_run": true, "worker": null}"#;
        assert_eq!(dry_by(observes).as_deref(), Some("--mode observe"));
        let dry = r#"{"mode": "enforce", "dry_run": true, "worker": null}"#;
        assert_eq!(dry_by(dry).as_deref(), Some("--dry-run"));
        assert_eq!(dry_by(r#"{"mode": "enforce", "worker": null}"#), None);
    }

    #[test]
    fn a_missing_worker_is_unknown() {
        let none = replicating(r#"{"mode": "enforce", "worker": null}"#);
        assert_eq!(
            none.map(|reply| (reply.service, reply.health)),
            Some((true, None))
        );
        let bad = replicating(r#"{"mode": "enforce", "worker": {"health": "failed", "error": "no"}}"#);
        assert_eq!(
            bad.map(|reply| (reply.health, reply.error)),
            Some((Some(WorkerHealth::Failed), Some("no".to_owned())))
        );
        assert_eq!(replicating(r#"{"mode": "enforce"}"#), None);
        assert_eq!(replicating(r#"{"worker": null}"#), None);
    }
}
