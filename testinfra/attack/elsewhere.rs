//! systemd starts the watchdog in the namespaces of process 1, and the apply is elsewhere.
//!
//! A stand-in for systemd-run starts it in an outer world. The apply runs in an inner one, whose network,
//! files and store are others.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::confirmed::{CHANGES, Ended, kill, until, until_unwatched, watchdog};
use crate::world::{DOCUMENT, DropIn, Place, Ran, World, inside, program};

const STAND_IN: &str = r#"#!/usr/bin/env python3
import os, socket, subprocess, sys, tempfile
command = sys.argv[sys.argv.index("--") + 1:]
assert "--property=Type=notify" in sys.argv, sys.argv
open("/run/started", "a").write(" ".join(command) + "\n")
if "OUTER" == "refuse":
    sys.exit(1)
notify = tempfile.mkdtemp(prefix="netkeel-attack-") + "/notify"
ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
ready.bind(notify)
ready.settimeout(0.1)
enter = ["nsenter", "--mount=OUTER/ns/mnt", "--net=OUTER/ns/net", "--"]
null = subprocess.DEVNULL
service = subprocess.Popen(
    enter + command, env={**os.environ, "NOTIFY_SOCKET": notify},
    stdin=null, stdout=null, stderr=null, start_new_session=True)
said = b""
while service.poll() is None and b"READY=1" not in said:
    try:
        said = ready.recv(100)
    except TimeoutError:
        pass
os.unlink(notify)
os.rmdir(os.path.dirname(notify))
sys.exit(0 if b"READY=1" in said else 1)
"#;

/// An apply with the stand-in.
fn apply(world: &World, outer: &str, within: &str) -> Ran {
    fs::create_dir_all("/run/systemd/system").unwrap();
    fs::create_dir_all("/run/bin").unwrap();
    let stand_in = Path::new("/run/bin/systemd-run");
    fs::write(stand_in, STAND_IN.replace("OUTER", outer)).unwrap();
    fs::set_permissions(stand_in, fs::Permissions::from_mode(0o755)).unwrap();
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
fn nested(work: impl Fn(&World, &str) + Send + Sync) {
    inside(Place::Host, DropIn::None, |_| {
        let thread = nix::unistd::gettid();
        let outer = format!("/proc/{}/task/{thread}", std::process::id());
        inside(Place::Other, DropIn::Theirs, |world| {
            let _ended = Ended;
            work(world, &outer);
        });
        assert!(
            !Path::new("/run/netkeel").exists(),
            "the outer world's store was used"
        );
    });
}

#[test]
fn a_watchdog_that_systemd_starts_works_where_the_apply_is() {
    nested(|world, outer| {
        let before = world.look();
        let ran = apply(world, outer, "3s");
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(world.sh("wc -l < /run/started").trim(), "1");
        let here = fs::read_link("/proc/thread-self/ns/net").unwrap();
        let number = watchdog().expect("the watchdog did not enter the mount namespace");
        assert_eq!(fs::read_link(format!("/proc/{number}/ns/net")).unwrap(), here);
        assert!(world.look().difference(&before).is_some());
        until_unwatched();
        assert_eq!(world.look().difference(&before), None);
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
    nested(|world, _| {
        let before = world.look();
        let ran = apply(world, "refuse", "2s");
        assert_eq!(ran.code, 0, "{ran:?}");
        until("it is undone", || world.look().difference(&before).is_none());
        until_unwatched();
    });
}
