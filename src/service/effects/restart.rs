//! Whether systemd stops this service in order to start it again. Then what the next run needs stays: the rules of
//! NFLOG, and the socket in which packets queue up meanwhile.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use netkeel_kernel::files::read;

/// How long systemd may take to list its jobs. Packets are replicated meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the end of systemctl is checked.
const POLL: Duration = Duration::from_millis(5);

/// Whether systemd has a job to restart the unit of this process. False where that cannot be found out: then
/// nothing stays that the document wants removed at a stop.
pub(crate) fn is_under_way() -> bool {
    let Ok(groups) = read::system("/proc/self/cgroup") else {
        return false;
    };
    unit(&groups).is_some_and(|unit| jobs(unit).is_some_and(|jobs| restarts(&jobs, unit)))
}

/// The service of a process by its control groups (cgroups(7)): `systemd` names the group after the unit.
fn unit(groups: &str) -> Option<&str> {
    let mut names = groups.lines().filter_map(|line| line.rsplit('/').next());
    names.find(|name| name.ends_with(".service"))
}

/// The jobs of a unit, as systemctl prints them.
fn jobs(unit: &str) -> Option<String> {
    let mut systemctl = Command::new("systemctl")
        .args(["list-jobs", "--no-legend", "--no-pager", "--plain", "--", unit])
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let begun = Instant::now();
    while systemctl.try_wait().ok()?.is_none() {
        if begun.elapsed() > PATIENCE {
            let _ = systemctl.kill();
        }
        std::thread::sleep(POLL);
    }
    // One line: it fits into the pipe.
    let output = systemctl.wait_with_output().ok()?;
    String::from_utf8(output.stdout).ok()
}

/// Whether a line is the job that restarts the unit: its number, the unit, what it does, its state.
fn restarts(jobs: &str, unit: &str) -> bool {
    let mut lines = jobs.lines().map(|line| line.split_ascii_whitespace().skip(1));
    lines.any(|mut words| words.next() == Some(unit) && words.next() == Some("restart"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_the_last_part_of_a_control_group() {
        assert_eq!(
            unit("0::/system.slice/netkeel.service\n"),
            Some("netkeel.service")
        );
        let hybrid = "2:cpu:/\n1:name=systemd:/system.slice/other.service\n0::/\n";
        assert_eq!(unit(hybrid), Some("other.service"));
        assert_eq!(unit("0::/user.slice/user-0.slice/session-1.scope\n"), None);
        assert_eq!(unit("0::/\n"), None);
    }

    #[test]
    fn only_a_restart_of_the_unit_itself_counts() {
        let unit = "netkeel.service";
        assert!(restarts("  1041 netkeel.service restart running\n", unit));
        assert!(!restarts("  1041 netkeel.service stop    running\n", unit));
        assert!(!restarts("  1041 other.service restart running\n", unit));
        assert!(!restarts(
            "1 other.service start waiting\n2 netkeel.service stop running\n",
            unit
        ));
        assert!(!restarts("", unit));
    }
}
