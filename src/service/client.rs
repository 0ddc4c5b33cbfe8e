//! Asks a running service over its socket.

use std::io::{Read, Write};
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use netkeel_apply::store::Store;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::replication::settings::Settings;
use netkeel_core::replication::worker::WorkerHealth;
use netkeel_host::snapshot::replication::Replicating;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Its status, as JSON.
    Status,
    /// To look whether it is paused.
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

/// Asks the service, and returns the body of its answer.
///
/// # Errors
/// [`ErrorKind::Missing`] when no service runs; else when it does not answer in five seconds, or not
/// as this version does.
pub fn ask(store: &Store, request: Request) -> Result<String, Error> {
    let mut stream = store.connect()?;
    let refused = |error: std::io::Error| {
        Error::new(
            ErrorKind::Refused,
            format!("the service does not answer: {error}"),
        )
    };
    stream.set_read_timeout(Some(PATIENCE)).map_err(refused)?;
    stream
        .write_all(format!("{} HTTP/1.0\r\n\r\n", request.line()).as_bytes())
        .map_err(refused)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(refused)?;
    body(&answer).map(str::to_owned).ok_or_else(strange)
}

/// The status of the service, as it tells it.
///
/// # Errors
/// Those of [`ask`], and when the answer is no JSON.
pub fn status(store: &Store) -> Result<Value, Error> {
    let body = ask(store, Request::Status)?;
    serde_json::from_str(&body).map_err(|_| strange())
}

/// What the service says of its worker; none when that cannot be told.
pub fn replicating(store: &Store) -> Option<Replicating> {
    match ask(store, Request::Status) {
        Err(error) if error.kind == ErrorKind::Missing => Some(Replicating::default()),
        body => serde_json::from_str(&body.ok()?)
            .ok()
            .map(StatusReply::replicating),
    }
}

/// The part of a status that tells of the worker.
#[derive(Deserialize)]
struct StatusReply {
    mode: Mode,
    #[serde(default)]
    dry_run: bool,
    /// It is `null` where there is none; a service that says nothing of it is of another version.
    #[serde(deserialize_with = "said")]
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

/// A value that may be `null` and not left out.
fn said<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Worker>, D::Error> {
    Option::deserialize(from)
}

/// The body of an answer that says that it went well.
fn body(answer: &str) -> Option<&str> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let code = head.split(' ').nth(1)?;
    code.starts_with('2').then_some(body)
}

fn strange() -> Error {
    Error::new(ErrorKind::Unreadable, "the service answers something strange")
        .hint("it may be of another version: systemctl restart netkeel")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicating(status: &str) -> Option<Replicating> {
        serde_json::from_str(status).ok().map(StatusReply::replicating)
    }

    #[test]
    fn only_an_answer_that_went_well_has_a_body() {
        assert_eq!(body("HTTP/1.0 200 OK\r\nA: b\r\n\r\n{}"), Some("{}"));
        assert_eq!(body("HTTP/1.0 404 Not Found\r\n\r\n{}"), None);
        assert_eq!(body("{}"), None);
    }

    #[test]
    fn the_mode_keeps_a_worker_from_sending_before_the_option_does() {
        let dry_by = |status| replicating(status).and_then(|told| told.dry_by);
        let observes = r#"{"mode": "observe", "dry_run": true, "worker": null}"#;
        assert_eq!(dry_by(observes).as_deref(), Some("--mode observe"));
        let dry = r#"{"mode": "enforce", "dry_run": true, "worker": null}"#;
        assert_eq!(dry_by(dry).as_deref(), Some("--dry-run"));
        assert_eq!(dry_by(r#"{"mode": "enforce", "worker": null}"#), None);
    }

    #[test]
    fn what_is_not_said_is_not_known() {
        let none = replicating(r#"{"mode": "enforce", "worker": null}"#);
        assert_eq!(none.map(|told| (told.service, told.health)), Some((true, None)));
        let bad = replicating(r#"{"mode": "enforce", "worker": {"health": "failed", "error": "no"}}"#);
        assert_eq!(
            bad.map(|told| (told.health, told.error)),
            Some((Some(WorkerHealth::Failed), Some("no".to_owned())))
        );
        assert_eq!(replicating(r#"{"mode": "enforce"}"#), None);
        assert_eq!(replicating(r#"{"worker": null}"#), None);
    }
}
