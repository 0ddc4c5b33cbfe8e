//! Reaps ended workers without blocking, and reports unexpected exits.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

/// The time that a worker may take to end.
pub(crate) const END: Duration = Duration::from_secs(2);

/// The workers that have not exited yet.
#[derive(Default)]
pub struct ChildReaper(Vec<Ending>);

pub(crate) struct Ending {
    child: Child,
    since: Instant,
    /// Whether the exit is unexpected: the worker was not stopped and reported no error.
    unexplained: bool,
}

impl ChildReaper {
    /// Adds a worker; `unexplained` says that it was not stopped and reported no error.
    pub fn add(&mut self, child: Child, unexplained: bool) {
        self.0.push(Ending {
            child,
            since: Instant::now(),
            unexplained,
        });
    }

    /// Whether no worker remains.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reaps the workers that have exited. Returns a message for each unexpected exit.
    pub(crate) fn reap(&mut self) -> Vec<String> {
        let now = Instant::now();
        let mut ends = Vec::new();
        self.0.retain_mut(|ending| {
            if now.saturating_duration_since(ending.since) >= END {
                let _ = ending.child.kill();
            }
            match ending.child.try_wait() {
                Ok(None) => true,
                Ok(Some(status)) => {
                    ends.extend(ending.unexplained.then(|| of_end(status)));
                    false
                }
                // The child does not exist any more.
                Err(_) => false,
            }
        });
        ends
    }
}

/// Describes how the worker ended.
fn of_end(status: ExitStatus) -> String {
    let Some(number) = status.signal() else {
        let code = status.code().unwrap_or_default();
        return format!("the replication worker ended with exit status {code}");
    };
    let by = match Signal::try_from(number) {
        Ok(signal) => format!("the replication worker was ended by {signal}"),
        Err(_) => format!("the replication worker was ended by signal {number}"),
    };
    match number {
        libc::SIGSYS => format!("{by}: it made a forbidden system call, which is a bug"),
        libc::SIGKILL => format!("{by}: by another process, or by the kernel for lack of memory"),
        _ => by,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_by_its_signal_or_its_status() {
        let of = |raw| of_end(ExitStatus::from_raw(raw));
        assert_eq!(of(1 << 8), "the replication worker ended with exit status 1");
        assert!(of(libc::SIGSYS).starts_with("the replication worker was ended by SIGSYS: "));
        assert!(of(libc::SIGKILL).contains("lack of memory"));
        assert_eq!(of(libc::SIGSEGV), "the replication worker was ended by SIGSEGV");
        assert_eq!(of(64), "the replication worker was ended by signal 64");
    }
}
