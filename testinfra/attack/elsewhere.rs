//! systemd starts the watchdog in the namespaces of process 1, and the apply is elsewhere.
//!
//! A stand-in for systemd-run starts it in an outer world. The apply runs in an inner one, whose network,
//! files and store are others.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::confirmed::{CHANGES, Ended, in_time, kill, sent, until, until_unwatched, watchdog, words};
use crate::world::{DOCUMENT, DropIn, Place, Ran, World, inside, program};

/// It starts the service again when a signal ended it, with the descriptors that the service handed over, as
/// systemd does for `Restart=on-abnormal`.
const STAND_IN: &str = r#"#!/usr/bin/env python3
import os, socket, subprocess, sys, tempfile, time
command = sys.argv[sys.argv.index("--") + 1:]
for wanted in ["Type=notify", "Restart=on-abnormal", "FileDescriptorStoreMax=16"]:
    assert "--property=" + wanted in sys.argv, sys.argv
open("/run/started", "a").write(" ".join(command) + "\n")
if "OUTER" == "refuse":
    sys.exit(1)
directory = tempfile.mkdtemp(prefix="netkeel-attack-")
notify = directory + "/notify"
ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
ready.bind(notify)
ready.settimeout(0.05)
enter = ["nsenter", "--mount=OUTER/ns/mnt", "--net=OUTER/ns/net", "--"]
kept = {}

def service():
    child = os.fork()
    if child:
        return child
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    high = [os.dup2(number, 100 + at) for at, number in enumerate([null, *kept.values()])]
    for target, number in enumerate([high[0], high[0], high[0], *high[1:]]):
        os.dup2(number, target)
    os.closerange(3 + len(kept), 200)
    listen = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(kept)), "LISTEN_FDNAMES": ":".join(kept)}
    os.execvpe(enter[0], enter + command, {**os.environ, "NOTIFY_SOCKET": notify, **(listen if kept else {})})

def told():
    try:
        text, fds, _, _ = socket.recv_fds(ready, 1000, 8)
    except TimeoutError:
        return b""
    lines = dict(line.split("=", 1) for line in text.decode().splitlines())
    if lines.get("FDSTORE") == "1":
        kept.setdefault(lines["FDNAME"], fds[0])
    return text

reader, writer = os.pipe()
if os.fork():
    os.close(writer)
    sys.exit(0 if os.read(reader, 1) == b"1" else 1)
os.close(reader)
os.setsid()
child = service()
while True:
    if b"READY=1" in told():
        os.write(writer, b"1")
        os.close(writer)
        writer = os.open("/dev/null", os.O_WRONLY)
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended and os.WIFSIGNALED(status):
        child = service()
    elif ended:
        break
os.unlink(notify)
os.rmdir(directory)
"#;

/// An apply with the stand-in.
fn apply(world: &World, outer: &str, within: &str) -> Ran {
    fs::create_dir_all("/run/systemd/system").unwrap();
    fs::create_dir_all("/run/bin").unwrap();
    fs::write("/run/stand-in", STAND_IN.replace("OUTER", outer)).unwrap();
    // A file that this process had open to write cannot be run while a child of another test still has it open.
    world.sh("install -m 755 /run/stand-in /run/bin/systemd-run");
    world.document(CHANGES);
    let path = format!("/run/bin:{}", std::env::var("PATH").unwrap_or_default());
    let command = [
        "apply",
        "-f",
        DOCUMENT,
        "--allow-management",
        "--confirm-within",
        within,
    ];
    world.run(Command::new(program()).args(command).env("PATH", path))
}

/// Runs `work` in an inner world, with the path of the outer one in /proc.
fn nested<T: Send>(work: impl Fn(&World, &str) -> T + Send + Sync) -> T {
    inside(Place::Host, DropIn::None, |_| {
        let thread = nix::unistd::gettid();
        let outer = format!("/proc/{}/task/{thread}", std::process::id());
        let done = inside(Place::Other, DropIn::Theirs, |world| {
            let _ended = Ended;
            work(world, &outer)
        });
        assert!(
            !Path::new("/run/netkeel").exists(),
            "the outer world's store was used"
        );
        done
    })
}

#[test]
fn a_watchdog_that_systemd_starts_works_where_the_apply_is() {
    let attempt = |world: &World, outer: &str, within: Duration| {
        let before = world.look();
        let begun = Instant::now();
        let ran = apply(world, outer, &words(within));
        let number = watchdog();
        let there = number.and_then(|number| fs::read_link(format!("/proc/{number}/ns/net")).ok());
        let difference = world.look().difference(&before);
        if begun.elapsed() >= within {
            return false;
        }
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(world.sh("wc -l < /run/started").trim(), "1");
        assert!(number.is_some(), "the watchdog did not enter the mount namespace");
        assert_eq!(there, fs::read_link("/proc/thread-self/ns/net").ok());
        assert!(difference.is_some());
        until_unwatched();
        assert_eq!(world.look().difference(&before), None);
        true
    };
    in_time(Duration::from_secs(3), |within| {
        nested(|world, outer| attempt(world, outer, within))
    });
}

#[test]
fn it_is_ended_by_a_confirmation_and_undoes_when_systemd_stops_it() {
    nested(|world, outer| {
        let before = world.look();
        assert_eq!(apply(world, outer, "600s").code, 0);
        let confirm = world.netkeel(&["confirm"]);
        assert_eq!(confirm.code, 0, "{confirm:?}");
        until_unwatched();
        assert_eq!(world.netkeel(&["release", "--allow-lossy"]).code, 0);
        assert_eq!(world.look().difference(&before), None);
        assert_eq!(apply(world, outer, "600s").code, 0);
        kill("TERM", watchdog().unwrap());
        until_unwatched();
        assert_eq!(world.look().difference(&before), None);
    });
}

#[test]
fn without_systemd_s_help_it_is_a_process_of_netkeel() {
    let attempt = |world: &World, within: Duration| {
        let before = world.look();
        let begun = Instant::now();
        let ran = apply(world, "refuse", &words(within));
        if begun.elapsed() >= within {
            return false;
        }
        assert_eq!(ran.code, 0, "{ran:?}");
        until("it is undone", || world.look().difference(&before).is_none());
        until_unwatched();
        true
    };
    in_time(Duration::from_secs(2), |within| {
        nested(|world, _| attempt(world, within))
    });
}

/// Kills the watchdog, breaks something, and waits for the one that is started again.
fn again(breaks: &str) {
    let attempt = |world: &World, outer: &str, within: Duration| {
        let before = world.look();
        let begun = Instant::now();
        let ran = apply(world, outer, &words(within));
        let first = watchdog();
        let killed = first.is_some_and(|number| sent("KILL", number));
        world.sh(breaks);
        until("systemd's next watchdog is here", || {
            let next = watchdog().is_some_and(|number| Some(number) != first);
            next || begun.elapsed() >= within
        });
        let difference = world.look().difference(&before);
        if begun.elapsed() >= within {
            return false;
        }
        assert!(ran.code == 0 && killed, "{ran:?}");
        assert!(difference.is_some());
        until_unwatched();
        assert_eq!(world.look().difference(&before), None);
        world.sh("rm -rf /run/netkeel /var/lib/netkeel");
        true
    };
    in_time(Duration::from_secs(3), |within| {
        nested(|world, outer| attempt(world, outer, within))
    });
}

#[test]
fn a_watchdog_that_systemd_starts_again_finds_the_apply_that_has_ended() {
    again(":");
}

#[test]
fn a_killed_watchdog_and_a_removed_state_directory_lose_no_promise_under_systemd() {
    again("rm -rf /run/netkeel /var/lib/netkeel");
}
