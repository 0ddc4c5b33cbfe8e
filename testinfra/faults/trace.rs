//! netkeel below strace, which kills it or fails its calls.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::world::{Ran, World, program};

/// All calls that change something outside of the process, or that make it last.
pub const CALLS: &[&str] = &[
    "write",
    "pwrite64",
    "writev",
    "sendto",
    "sendmsg",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "linkat",
    "symlinkat",
    "fsync",
    "fdatasync",
    "mkdir",
    "mkdirat",
    "ftruncate",
    "fchmod",
    "fchmodat",
    "fchown",
    "fchownat",
    "ioctl",
    "flock",
    "openat",
    "openat2",
    "exit_group",
];

/// The n-th time of a call, from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    pub call: &'static str,
    pub number: usize,
    /// What it did, for messages.
    pub line: String,
}

impl Point {
    /// The call asks rtnetlink to change an interface.
    pub fn changes_a_link(&self) -> bool {
        ["nlmsg_type=RTM_SETLINK", "nlmsg_type=RTM_NEWLINK"]
            .iter()
            .any(|request| self.line.contains(request))
    }

    /// The call can change something outside of the process. Killed before one that only reads, netkeel leaves
    /// what it leaves when it is killed before the next one that writes.
    pub fn writes(&self) -> bool {
        let has = |words: &[&str]| words.iter().any(|word| self.line.contains(word));
        match self.call {
            "openat" | "openat2" => has(&["O_CREAT", "O_WRONLY", "O_RDWR", "O_TRUNC"]),
            "ioctl" => !has(&["TCGETS", "SIOCGIF"]),
            // rtnetlink, and nftables where no batch begins.
            "sendto" | "sendmsg" => !has(&["RTM_GET", "NFT_MSG_GET"]) || has(&["BATCH_BEGIN"]),
            _ => true,
        }
    }

    /// The call puts a file in the place of another one.
    pub fn replaces(&self, path: &str) -> bool {
        self.call.starts_with("rename") && self.line.contains(&format!(", \"{path}\""))
    }

    /// The call removes a file.
    pub fn removes(&self, path: &str) -> bool {
        self.call.starts_with("unlink") && self.line.contains(&format!("\"{path}\""))
    }
}

/// The n-th point, from 1, that is of a kind.
///
/// # Panics
///
/// When the trace has fewer of them.
pub fn nth(points: &[Point], number: usize, what: &str, is: impl Fn(&Point) -> bool) -> Point {
    let mut found = points.iter().filter(|point| is(point));
    let there = points.iter().filter(|point| is(point)).count();
    found
        .nth(number - 1)
        .unwrap_or_else(|| panic!("{there} calls {what}, and number {number} is wanted: {points:#?}"))
        .clone()
}

/// Runs netkeel once and lists the points that it passes, with how it ended. There is at least the end of
/// the program: a trace without it is none.
pub fn points(world: &World, arguments: &[&str]) -> (Vec<Point>, Ran) {
    let log = "/run/trace";
    let ran = world.run(
        Command::new("strace")
            .args(["-f", "-qq", "-y", "-s", "40", "-o", log, "-e"])
            .arg(format!("trace={}", CALLS.join(",")))
            .arg(program())
            .args(arguments),
    );
    let mut counts = BTreeMap::new();
    let mut points = Vec::new();
    let text = fs::read_to_string(log).expect("this test needs strace");
    for line in text.lines() {
        let line = line.split_once(' ').map_or("", |(_, rest)| rest.trim_start());
        let name = line.split('(').next().unwrap_or_default();
        let Some(call) = CALLS.iter().find(|call| **call == name) else {
            continue;
        };
        let number = counts.entry(*call).or_insert(0);
        *number += 1;
        points.push(Point {
            call,
            number: *number,
            line: line.to_owned(),
        });
    }
    fs::remove_file(log).unwrap();
    assert!(
        points.iter().any(|point| point.call == "exit_group"),
        "strace shows no calls: {ran:?}\n{text}"
    );
    (points, ran)
}

/// The points at which there is something to lose: from the lock on, and for a sample from the
/// journal on, since nothing is written before. Loading the program is not interesting.
///
/// # Panics
///
/// When the trace has no lock, or no journal.
pub fn interesting(points: Vec<Point>, all: bool) -> Vec<Point> {
    let is_journal = |point: &Point| point.line.contains("/journal");
    let lock = points.iter().position(|point| point.call == "flock");
    let lock = lock.unwrap_or_else(|| panic!("nothing takes the lock: {points:#?}"));
    let journal = points.iter().skip(lock).position(is_journal);
    let journal = journal.unwrap_or_else(|| panic!("nothing touches the journal: {points:#?}"));
    points
        .into_iter()
        .skip(if all { lock } else { lock + journal })
        .collect()
}

/// Runs netkeel and kills it when it comes to a point: the call is not done any more.
pub fn kill(world: &World, point: &Point, arguments: &[&str]) -> Ran {
    let ran = inject(
        world,
        &format!("{}:signal=KILL:when={}", point.call, point.number),
        &[],
        arguments,
    );
    assert_eq!(
        ran.code,
        128 + libc::SIGKILL,
        "it was not killed at {}: {}",
        point.line,
        ran.stderr
    );
    ran
}

/// Runs netkeel with what strace(1) calls an injection, for calls on these paths only where there
/// are any.
pub fn inject(world: &World, what: &str, paths: &[&str], arguments: &[&str]) -> Ran {
    inject_all(world, &[what], paths, arguments)
}

/// The same with several injections.
pub fn inject_all(world: &World, what: &[&str], paths: &[&str], arguments: &[&str]) -> Ran {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null"]);
    for what in what {
        command.arg("-e").arg(format!("inject={what}"));
    }
    for path in paths {
        command.args(["-P", path]);
    }
    world.run(command.arg(program()).args(arguments))
}

/// Calls as strace shows them.
fn sample(lines: &[(&'static str, &str)]) -> Vec<Point> {
    let point = |(number, (call, line)): (usize, &(&'static str, &str))| Point {
        call,
        number: number + 1,
        line: (*line).to_owned(),
    };
    lines.iter().enumerate().map(point).collect()
}

#[test]
#[should_panic(expected = "nothing takes the lock")]
fn a_trace_without_a_lock_is_found() {
    interesting(sample(&[("write", "write(3</run/netkeel/journal>, ...)")]), true);
}

#[test]
#[should_panic(expected = "nothing touches the journal")]
fn a_trace_without_a_journal_is_found() {
    interesting(sample(&[("flock", "flock(3</run/netkeel/lock>, LOCK_EX)")]), true);
}

#[test]
#[should_panic(expected = "1 calls change an interface, and number 2 is wanted")]
fn a_write_that_is_not_there_is_found() {
    let points = sample(&[
        ("sendto", "sendto(5, [{nlmsg_type=RTM_GETLINK}])"),
        ("sendto", "sendto(5, [{nlmsg_type=RTM_SETLINK}])"),
    ]);
    let first = nth(&points, 1, "change an interface", Point::changes_a_link);
    assert_eq!(first.number, 2);
    nth(&points, 2, "change an interface", Point::changes_a_link);
}

#[test]
fn calls_that_only_read_are_told_from_those_that_write() {
    for (call, line, writes) in [
        (
            "openat",
            "openat(AT_FDCWD, \"/proc/x\", O_RDONLY|O_CLOEXEC) = 3",
            false,
        ),
        (
            "openat",
            "openat(AT_FDCWD, \"/run/x\", O_WRONLY|O_CREAT, 0600) = 3",
            true,
        ),
        ("ioctl", "ioctl(5, SIOCGIFNAME, {ifr_ifindex=8})", false),
        ("ioctl", "ioctl(5, SIOCSIFTXQLEN, {ifr_name=\"eth0\"})", true),
        ("sendto", "sendto(5, [{nlmsg_type=RTM_GETLINK}])", false),
        ("sendto", "sendto(5, [{nlmsg_type=RTM_NEWADDR}])", true),
        (
            "sendto",
            "sendto(8, [[{nlmsg_type=NFNL_MSG_BATCH_BEGIN}], [NFT_MSG_GETGEN]])",
            true,
        ),
        ("fsync", "fsync(3)", true),
    ] {
        assert_eq!(sample(&[(call, line)])[0].writes(), writes, "{line}");
    }
}
