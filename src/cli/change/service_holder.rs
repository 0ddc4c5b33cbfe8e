//! A running service that keeps what an owner declares: it would revert a change of the same owner within
//! seconds, so that such a change is refused, or the service is paused first.

use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;

use crate::arguments::parse_pause;
use crate::output;
use netkeel_apply::store::Store;
use netkeel_apply::store::actor::actor;
use netkeel_apply::store::pause::Pause;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_render::wording::utc::utc;
use netkeel_service::client;
use netkeel_service::client::Request;

/// Longest wait until the service has read its document or its pause.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest wait until the service has read files that changed just now. It waits for quiet itself.
const RELOAD: Duration = Duration::from_secs(2);

/// Time between two requests.
const STEP: Duration = Duration::from_millis(50);

/// The option to pause the service around a change.
#[derive(Clone, Debug, Args)]
pub(crate) struct PauseOption {
    /// Pause a running service of this owner first, e.g. 1h; at most 31 days
    ///
    /// When the pause ends, the service enforces its document again. The pause of `apply --confirm-within`
    /// lasts this long after the time to confirm.
    #[arg(long, value_name = "DURATION", value_parser = parse_pause)]
    pause: Option<Duration>,
}

impl PauseOption {
    /// The value of an option of a verb's own.
    pub(crate) fn of(pause: Option<Duration>) -> Self {
        PauseOption { pause }
    }

    /// A pause that lasts so long after the time to confirm: one that ended before would let the service revert what
    /// is confirmed late.
    pub(crate) fn after(&self, confirm_within: Option<Duration>) -> Self {
        let longer = |pause: Duration| pause.saturating_add(confirm_within.unwrap_or_default());
        PauseOption {
            pause: self.pause.map(longer),
        }
    }
}

/// The service as its status shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Running {
    pid: u32,
    enforces: bool,
    /// It has no document and writes nothing.
    idle: bool,
    owner: String,
    hash: String,
    files: Vec<String>,
    rejected: Option<String>,
    loads: u64,
    paused_until: Option<u64>,
}

/// The way for a change is clear. If the change fails, [`Way::close`] ends a pause that was begun for it.
pub(crate) struct Way<'a> {
    store: &'a Store,
    /// The pause that was begun.
    begun: Option<Begun>,
    /// A note for the user.
    note: Option<String>,
}

/// A pause that was begun for a change.
struct Begun {
    pause: Pause,
    at: Instant,
    /// The pause before, and the time that it still lasted.
    before: Option<(Pause, Duration)>,
}

/// Refuses a change of an owner whose document a service enforces. `hash` is that of the document to be
/// applied; `None` for a release. The document that the service holds itself is let through.
pub(crate) fn clear_way<'a>(
    store: &'a Store,
    owner: &str,
    hash: Option<&str>,
    option: &PauseOption,
) -> Result<Way<'a>, Error> {
    let mut way = Way::is_clear(store);
    let Some(running) = settled(store)? else {
        return Ok(way);
    };
    if !running.reverts(owner, None) {
        return Ok(way);
    }
    let running = match hash {
        Some(hash) if running.hash != hash => reloaded(store, running, hash)?,
        _ => running,
    };
    if hash == Some(running.hash.as_str()) {
        return Ok(way);
    }
    let until = match (option.pause, running.paused_until) {
        (None, None) => return Err(refused(&running, store)),
        (None, Some(until)) => until,
        (Some(pause), _) => match way.pause(pause) {
            Ok(until) => until,
            Err(error) => {
                way.close();
                return Err(error);
            }
        },
    };
    way.note = Some(format!(
        "the service (pid {}) is paused until {}; then it enforces its document again",
        running.pid,
        utc(until)
    ));
    Ok(way)
}

impl<'a> Way<'a> {
    /// The way where there is nothing to clear.
    pub(crate) fn is_clear(store: &'a Store) -> Self {
        Way {
            store,
            begun: None,
            note: None,
        }
    }

    /// Says what holds from now on.
    pub fn tell(&self) {
        if let Some(note) = &self.note {
            output::say(&format!("{note}\n"));
        }
    }

    /// Refuses the change where a service would revert it that has started since, or has another document now. To be
    /// called under the lock, which may have been waited for: a service that starts later begins with the lock.
    pub(crate) fn is_still_clear(&self, owner: &str, hash: Option<&str>) -> Result<(), Error> {
        match settled(self.store)? {
            Some(running) if running.reverts(owner, hash) && running.paused_until.is_none() => {
                Err(refused(&running, self.store))
            }
            _ => Ok(()),
        }
    }

    /// Ends the pause that was begun for a change which failed. Another pause since then stays.
    pub fn close(self) {
        let Some(Begun { pause, at, before }) = self.begun else {
            return;
        };
        let before = before.map(|(before, left)| (before, left.saturating_sub(at.elapsed())));
        let before = before.filter(|(_, left)| !left.is_zero());
        let ended = self.store.paused().and_then(|now| match (now, before) {
            (Some((now, _)), _) if now != pause => Ok(()),
            (_, Some((before, left))) => self
                .store
                .pause(left, &before.by, before.reason.as_deref())
                .map(drop),
            (_, None) => self.store.resume_service().map(drop),
        });
        let told = ended.and_then(|()| client::ask(self.store, Request::Look).map(|_| ()));
        if let Err(error) = told {
            output::error(&error.context("ending the pause of the service"));
        }
    }

    /// Pauses the service and waits until it is; returns the end of the pause.
    fn pause(&mut self, lasts: Duration) -> Result<u64, Error> {
        let before = self.store.paused()?;
        let longest = before.as_ref().map_or(lasts, |(_, left)| lasts.max(*left));
        let pause = self.store.pause(longest, &actor(), None)?;
        let until = pause.until;
        self.begun = Some(Begun {
            pause,
            at: Instant::now(),
            before,
        });
        client::ask(self.store, Request::Look)?;
        let paused = |running: &Running| running.paused_until == Some(until);
        match wait(self.store, paused)? {
            Some(running) if !paused(&running) => Err(Error::new(
                ErrorKind::Refused,
                format!("the service (pid {}) does not pause", running.pid),
            )
            .hint("netkeel status shows what it does")),
            _ => Ok(until),
        }
    }
}

/// The service, once it has read its document.
fn settled(store: &Store) -> Result<Option<Running>, Error> {
    let known = |running: &Running| running.idle || !running.enforces || !running.hash.is_empty();
    match wait(store, known)? {
        Some(running) if !known(&running) => Err(Error::new(
            ErrorKind::Refused,
            format!(
                "a service starts here (pid {}), and does not say yet which owner it serves",
                running.pid
            ),
        )
        .hint("try again; netkeel status shows it")),
        running => Ok(running),
    }
}

/// Lets the service look at its files: a configuration manager writes them and then applies them.
fn reloaded(store: &Store, running: Running, hash: &str) -> Result<Running, Error> {
    client::ask(store, Request::Look)?;
    let loads = running.loads;
    let is_so = |now: &Running| now.hash == hash || (now.loads > loads && now.rejected.is_some());
    Ok(wait_for(store, RELOAD, is_so)?.unwrap_or(running))
}

/// Asks until the status is as it should be, or for as long as the patience lasts. `None` if no service runs.
fn wait(store: &Store, is_so: impl Fn(&Running) -> bool) -> Result<Option<Running>, Error> {
    wait_for(store, PATIENCE, is_so)
}

fn wait_for(
    store: &Store,
    longest: Duration,
    is_so: impl Fn(&Running) -> bool,
) -> Result<Option<Running>, Error> {
    let start = Instant::now();
    loop {
        let status = match client::status(store) {
            Ok(status) => status,
            // A user who may not ask may not write either: the lock is in the same directory.
            Err(error) if matches!(error.kind, ErrorKind::Missing | ErrorKind::Permission) => {
                return Ok(None);
            }
            Err(error) => {
                let message = format!(
                    "a service runs here and does not say which owner it serves: {}",
                    error.message
                );
                return Err(Error::new(ErrorKind::Refused, message)
                    .hint("restart it with `systemctl restart netkeel`, or stop it"));
            }
        };
        let running = Running::read(&status).ok_or_else(|| {
            Error::new(
                ErrorKind::Refused,
                "the service here does not say which owner it serves",
            )
            .hint("it may be another version: `systemctl restart netkeel`")
        })?;
        if is_so(&running) || start.elapsed() >= longest {
            return Ok(Some(running));
        }
        sleep(STEP);
    }
}

impl Running {
    /// Whether it would revert a change of that owner by that document, or by none.
    fn reverts(&self, owner: &str, hash: Option<&str>) -> bool {
        !self.idle && self.enforces && self.owner == owner && hash != Some(self.hash.as_str())
    }

    /// Reads a status; `None` if it is not one.
    fn read(status: &Value) -> Option<Self> {
        let text = |path: &str| status.pointer(path)?.as_str().map(str::to_owned);
        let files = status.pointer("/document/files")?.as_array()?;
        Some(Running {
            pid: status.pointer("/pid")?.as_u64()?.try_into().ok()?,
            enforces: text("/mode")? == "enforce",
            // The status has it only if it is so.
            idle: status.pointer("/idle").and_then(Value::as_bool).unwrap_or(false),
            owner: text("/document/owner")?,
            hash: text("/document/hash")?,
            files: files
                .iter()
                .filter_map(|file| file.as_str().map(str::to_owned))
                .collect(),
            rejected: text("/document/rejected"),
            loads: status.pointer("/counters/loads")?.as_u64()?,
            paused_until: status.pointer("/paused/until").and_then(Value::as_u64),
        })
    }
}

fn refused(running: &Running, store: &Store) -> Error {
    let stop = match store.is_of_the_host() {
        true => "systemctl stop netkeel".to_owned(),
        // No unit serves another namespace.
        false => format!("kill {}", running.pid),
    };
    refused_unless(running, &stop)
}

/// Refuses; `stop` is the command that stops the service.
fn refused_unless(running: &Running, stop: &str) -> Error {
    let message = format!(
        "netkeel run (pid {}) enforces the document of the owner {}, and would revert this within seconds",
        running.pid, running.owner
    );
    let error = Error::new(ErrorKind::Refused, message);
    let error = match &running.rejected {
        Some(why) => error.hint(format!("the service rejected its new document: {why}")),
        None => error,
    };
    error
        .hint(format!("edit its document: {}", running.files.join(", ")))
        .hint(format!("or stop the service: {stop}"))
        .hint("or pause it for this change: --pause 1h; then it enforces its document again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Value {
        serde_json::json!({
            "pid": 812, "mode": "enforce", "paused": null, "counters": {"loads": 1},
            "document": {"hash": "a", "owner": "default", "files": ["/etc/netkeel/desired.d"], "rejected": null},
        })
    }

    #[test]
    fn a_refusal_names_the_service_and_every_way_out() {
        let running = Running::read(&status()).unwrap();
        assert!(running.enforces && running.paused_until.is_none());
        let error = refused_unless(&running, "systemctl stop netkeel");
        assert_eq!(
            error.message,
            "netkeel run (pid 812) enforces the document of the owner default, and would revert this within seconds"
        );
        assert_eq!(
            error.hints,
            [
                "edit its document: /etc/netkeel/desired.d",
                "or stop the service: systemctl stop netkeel",
                "or pause it for this change: --pause 1h; then it enforces its document again",
            ]
        );
    }

    #[test]
    fn a_status_that_lacks_something_is_unknown() {
        for path in ["pid", "mode", "document", "counters"] {
            let mut without = status();
            without.as_object_mut().unwrap().remove(path);
            assert_eq!(Running::read(&without), None, "{path}");
        }
    }
}
