//! Workers that end: waited for without waiting, and how those ended that nobody had told to.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

/// So long a worker may take to end when it is told to.
pub(crate) const END: Duration = Duration::from_secs(2);

/// All of them.
#[derive(Default)]
pub struct ChildReaper(Vec<Ending>);

pub(crate) struct Ending {
    child: Child,
    since: Instant,
    /// Nobody told it to, and it did not say why.
    unexplained: bool,
}

impl ChildReaper {
    /// One ends; `unexplained` says that nobody told it to, and it did not say why.
    pub fn add(&mut self, child: Child, unexplained: bool) {
        self.0.push(Ending {
            child,
            since: Instant::now(),
            unexplained,
        });
    }

    /// None does.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lets go of those that have ended, and tells of each unexplained one how.
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
                // There is no such child any more.
                Err(_) => false,
            }
        });
        ends
    }
}

/// How the worker ended.
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
        libc::SIGSYS => format!("{by}: it made a system call that it is not to make, which is a bug"),
        libc::SIGKILL => format!("{by}: by somebody, or for want of memory"),
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
        assert!(of(libc::SIGKILL).contains("want of memory"));
        assert_eq!(of(libc::SIGSEGV), "the replication worker was ended by SIGSEGV");
        assert_eq!(of(64), "the replication worker was ended by signal 64");
    }
}
