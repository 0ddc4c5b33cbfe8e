//! An apply that waits to be confirmed, as the attacks use it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::world::{DOCUMENT, Ran, World, program};

/// Interfaces, sysctls with a drop-in, rules and a CNI configuration.
pub const CHANGES: &str = "\
version: 1
sysctl:
  net.ipv4.conf.all.rp_filter: 0
  net.ipv4.tcp_mtu_probing: 1
link:
  eth0: { mtu: 1420, txqueuelen: 700 }
  cali1: { mtu: 1460 }
  cali1p: { mtu: 8900 }
nflog:
  packet-too-big: { interfaces: [eth0, cali1], remove_on_stop: no }
cni:
  pods: { file: /var/lib/cni/10-ptp.conf, plugin: ptp, mtu: 1460 }
";

/// The live journal.
pub const JOURNAL: &str = "/run/netkeel/journal";

/// A journal as an apply leaves it that is killed before its last line.
pub fn without_end(journal: &str) -> String {
    let lines = journal.split_inclusive('\n');
    let begun: String = lines.filter(|line| !line.starts_with("{\"complete\":")).collect();
    assert_ne!(begun, journal, "the journal has no end");
    begun
}

/// The longest wait, also on a busy machine.
pub const SOON: Duration = Duration::from_secs(120);

/// Applies [`CHANGES`] for so long.
pub fn apply(world: &World, within: &str) {
    let ran = applied(world, within);
    assert_eq!(ran.code, 0, "{ran:?}");
}

/// Applies [`CHANGES`] for so long, if that is long enough.
pub fn applied(world: &World, within: &str) -> Ran {
    world.document(CHANGES);
    let command = ["apply", "-f", DOCUMENT, "--allow-management"];
    world.netkeel(&[&command[..], &["--confirm-within", within]].concat())
}

/// Makes an attempt with a promise of so long, in a world of its own. An attempt is made again with twice the time when
/// it returns false: the time was over before all was done and seen that comes before its end.
pub fn in_time(first: Duration, mut attempt: impl FnMut(Duration) -> bool) {
    let mut within = first;
    while !attempt(within) {
        within *= 2;
        assert!(within < SOON * 3 / 4, "this machine is too slow");
    }
}

/// As `--confirm-within` takes it.
pub fn words(within: Duration) -> String {
    format!("{}ms", within.as_millis())
}

/// Starts a netkeel that nobody waits for yet, in a process group of its own.
pub fn start(arguments: &[&str]) -> Child {
    Command::new(program())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .env_remove("SSH_CONNECTION")
        .process_group(0)
        .spawn()
        .unwrap()
}

/// Processes that run netkeel with this in their command, in this world.
pub fn processes(what: &str) -> Vec<u32> {
    let here = fs::read_link("/proc/thread-self/ns/mnt").unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(number) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        // Number 1 is another name of this thread here.
        if number == 1 || fs::read_link(entry.path().join("ns/mnt")).ok().as_ref() != Some(&here) {
            continue;
        }
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.starts_with(program()) && command.contains(what) {
            found.push(number);
        }
    }
    found
}

/// The watchdog of the apply that waits.
pub fn watchdog() -> Option<u32> {
    processes("--unconfirmed=").first().copied()
}

/// A process that is killed is waited for: it loses its name first, and its locks milliseconds later.
pub fn kill(signal: &str, number: u32) {
    assert!(
        sent(signal, number),
        "process {number} has ended before SIG{signal}"
    );
    if signal == "KILL" {
        until("what was killed has ended", || has_ended(number));
    }
}

/// Whether nothing of a process is left but its exit status (proc_pid_stat(5)).
fn has_ended(number: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_none_or(|rest| rest.is_empty() || rest.starts_with(['Z', 'X']))
}

/// Sends a signal to a process that may have ended. Returns whether it had not.
pub fn sent(signal: &str, number: u32) -> bool {
    let sent = Command::new("kill")
        .args(["-s", signal, &number.to_string()])
        .status();
    sent.unwrap().success()
}

/// Waits until something is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < SOON, "it took too long until {what}");
        sleep(Duration::from_millis(10));
    }
}

/// Waits until no watchdog is left.
pub fn until_unwatched() {
    until("the watchdog has ended", || watchdog().is_none());
}

/// Ends what a test leaves running in its world: it would hold the world's namespaces.
pub struct Ended;

impl Drop for Ended {
    fn drop(&mut self) {
        for number in processes("") {
            let _ = Command::new("kill")
                .args(["-s", "KILL", &number.to_string()])
                .status();
        }
    }
}
