//! Waiting for udev after a device was made. Its rules apply sysctl.d to the new device some
//! 100 ms later (99-systemd.rules runs `systemd-sysctl --prefix=/net/ipv4/conf/$name`), and would
//! overwrite what is written before that.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::files::file;
use crate::namespace::identity;

/// udevd listens here while it runs.
const CONTROL: &str = "/run/udev/control";

/// udevd has events at hand while this exists.
const QUEUE: &str = "/run/udev/queue";

/// Longest wait until udev has seen the device.
const SEEN: Duration = Duration::from_secs(3);

/// Longest wait until udev has done all that is queued.
const DONE: Duration = Duration::from_secs(10);

/// Time between two looks.
const STEP: Duration = Duration::from_millis(5);

/// Waits until udev is done with a new device, where there is a udev that sees it: it listens to
/// the initial namespace only.
pub(crate) fn settle(index: i32) {
    // Where it cannot be told, a wait for nothing does less harm than a write that udev overwrites.
    let watched = file::exists(CONTROL).unwrap_or(true) && identity::is_with_pid_1().unwrap_or(true);
    if !watched {
        return;
    }
    // udev notes the device before it runs what the rules ask for, and that keeps the queue alive.
    until(SEEN, || there(format!("/run/udev/data/n{index}")));
    until(DONE, || !there(QUEUE));
}

fn there(path: impl AsRef<Path>) -> bool {
    file::exists(path).unwrap_or(false)
}

fn until(longest: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() >= longest {
            return false;
        }
        sleep(STEP);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends() {
        let mut looks = 0;
        let mut third = || {
            looks += 1;
            looks == 3
        };
        assert!(until(Duration::from_secs(60), &mut third));
        assert!(!until(Duration::from_millis(1), || false));
    }
}
