//! Changes by hand that wait for the lock, beside a service.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use netkeel_kernel::process::signals::ENDING;
use nix::sys::signal::Signal;
use serde_json::Value;

use super::daemon::{Daemon, PODS, netkeel, program, status};
use super::namespace::Namespace;
use super::{facts, until};

const OTHER: &str = "version: 1\npersist: no\nlink:\n  pods: { match: { name: \"cali*\" }, mtu: 1400 }\n";

/// The lock of a namespace, held by another program.
struct Held(Child);

impl Held {
    /// A netkeel has made the state of the namespace before.
    fn of(namespace: &Namespace) -> Self {
        // SO_NETNS_COOKIE (asm-generic/socket.h).
        let ask = "import socket, struct\n\
            print(struct.unpack('Q', socket.socket().getsockopt(socket.SOL_SOCKET, 71, 8))[0])";
        let cookie = namespace.sh(&format!("python3 -c \"{ask}\""));
        let mut child = Command::new("flock")
            .arg(Path::new("/run/netkeel/netns").join(cookie.trim()))
            .args(["sh", "-c", "echo; exec sleep 600"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        Held(child)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The child of flock(1) has the lock, too.
        let id = self.0.id().to_string();
        let _ = Command::new("pkill").args(["-KILL", "-P", &id]).status();
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An apply of another document that waits for the lock.
fn waiting(namespace: &Namespace, document: &Path, more: &[&str]) -> Child {
    fs::write(document, OTHER).unwrap();
    let apply = ["apply", "-f", document.to_str().unwrap()];
    command_waiting(namespace, &[&apply, more].concat())
}

/// A netkeel that waits for the lock.
fn command_waiting(namespace: &Namespace, arguments: &[&str]) -> Child {
    let child = Command::new(program())
        .args(arguments)
        .args(["--netns", &namespace.name])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let wchan = format!("/proc/{}/wchan", child.id());
    until("it waits for the lock", || {
        fs::read_to_string(&wchan).is_ok_and(|function| function.contains("nanosleep"))
    });
    child
}

fn ended(child: Child) -> (Option<i32>, String) {
    let done = child.wait_with_output().unwrap();
    (done.status.code(), String::from_utf8(done.stderr).unwrap())
}

fn paused(namespace: &Namespace) -> Value {
    status(namespace)["paused"].clone()
}

/// A namespace with an interface, and a service that keeps it.
fn answers(namespace: &Namespace) {
    until("the service answers", || {
        netkeel(&["status", "--netns", &namespace.name]).1.contains("pid")
    });
}

fn kept() -> (Namespace, Daemon) {
    let namespace = Namespace::new();
    namespace.sh("ip link add cali1 type veth peer name eth1");
    let mut service = Daemon::start(&namespace, PODS, &[]);
    service.wait_for("event=full-scan");
    (namespace, service)
}

#[test]
fn a_signal_ends_the_wait_and_the_pause() {
    let (namespace, service) = kept();
    let directory = tempfile::tempdir().unwrap();
    let held = Held::of(&namespace);
    let wait = ["--pause", "1h", "--lock-timeout", "600s"];
    let apply = waiting(&namespace, &directory.path().join("other.yaml"), &wait);
    until("the service is paused", || !paused(&namespace).is_null());
    let id = apply.id().to_string();
    assert!(Command::new("kill").arg(&id).status().unwrap().success());
    let (code, said) = ended(apply);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("interrupted; nothing was written"), "{said}");
    assert!(paused(&namespace).is_null());
    drop(held);
    assert_eq!(service.stop().0, 0);
}

#[test]
fn a_pause_of_somebody_else_outlives_a_change_that_failed() {
    let (namespace, service) = kept();
    let directory = tempfile::tempdir().unwrap();
    let held = Held::of(&namespace);
    let wait = ["--pause", "10m", "--lock-timeout", "600s"];
    let apply = waiting(&namespace, &directory.path().join("other.yaml"), &wait);
    until("the service is paused", || !paused(&namespace).is_null());
    let reason = [
        "pause",
        "8h",
        "--reason",
        "CNI upgrade",
        "--netns",
        &namespace.name,
    ];
    let (code, said) = netkeel(&reason);
    assert_eq!(code, 0, "{said}");
    let id = apply.id().to_string();
    assert!(Command::new("kill").arg(&id).status().unwrap().success());
    assert_eq!(ended(apply).0, Some(1));
    assert_eq!(paused(&namespace)["reason"], "CNI upgrade");
    drop(held);
    assert_eq!(service.stop().0, 0);
}

#[test]
fn a_service_that_starts_during_the_wait_is_not_written_against() {
    let (namespace, service) = kept();
    assert_eq!(service.stop().0, 0);
    let directory = tempfile::tempdir().unwrap();
    let held = Held::of(&namespace);
    let apply = waiting(
        &namespace,
        &directory.path().join("other.yaml"),
        &["--lock-timeout", "600s"],
    );
    let service = Daemon::start(&namespace, PODS, &[]);
    answers(&namespace);
    drop(held);
    let (code, said) = ended(apply);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("would revert this")
            || said.contains("a service starts here")
            || said.contains("a service runs here"),
        "{said}"
    );
    assert_eq!(facts(&namespace, "cali1"), "1460\n1\n");
    assert_eq!(service.stop().0, 0);
}

/// A stopped process would keep the lock, also from the watchdog. A handler is no way out: the kernel would begin a write to
/// a terminal that stops those in the background again and again.
#[test]
fn no_command_that_waits_for_the_lock_is_stopped_or_ended_by_a_signal() {
    let (namespace, service) = kept();
    assert_eq!(service.stop().0, 0);
    let directory = tempfile::tempdir().unwrap();
    let document = directory.path().join("other.yaml");
    fs::write(&document, OTHER).unwrap();
    let apply = ["apply", "-f", document.to_str().unwrap()];
    let held = Held::of(&namespace);
    for verb in [
        &apply[..],
        &["release"],
        &["confirm"],
        &["recover"],
        &["recover", "--resume"],
    ] {
        let waits = command_waiting(&namespace, &[verb, &["--lock-timeout", "600s"]].concat());
        let status = fs::read_to_string(format!("/proc/{}/status", waits.id())).unwrap();
        let mask = |name: &str| {
            let mask = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            u64::from_str_radix(mask.trim(), 16).unwrap()
        };
        let (ignored, caught) = (mask("SigIgn:"), mask("SigCgt:"));
        // Bit n - 1 is signal n (proc(5)).
        let is_in = |mask: u64, signal: Signal| mask & 1 << (signal as u32 - 1) != 0;
        for signal in [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU] {
            assert!(is_in(ignored, signal), "{verb:?}: {signal}");
        }
        // nohup(1) has that one ignored.
        for signal in ENDING.into_iter().filter(|signal| *signal != Signal::SIGHUP) {
            assert!(is_in(caught, signal), "{verb:?}: {signal}");
        }
        let id = waits.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", "INT", &id])
                .status()
                .unwrap()
                .success()
        );
        let (code, said) = ended(waits);
        assert_eq!(code, Some(1), "{verb:?}: {said}");
        assert!(
            said.contains("interrupted; nothing was written"),
            "{verb:?}: {said}"
        );
    }
    drop(held);
}

#[test]
fn a_service_that_starts_before_a_confirmation_or_resumption_is_not_written_against() {
    let (namespace, service) = kept();
    assert_eq!(service.stop().0, 0);
    let directory = tempfile::tempdir().unwrap();
    let document = directory.path().join("other.yaml");
    fs::write(&document, OTHER).unwrap();
    let document = document.to_str().unwrap();
    let netns = ["--netns", namespace.name.as_str()];
    let apply = ["apply", "-f", document, "--confirm-within", "600s"];
    let (code, said) = netkeel(&[&apply[..], &netns].concat());
    assert_eq!(code, 0, "{said}");
    let held = Held::of(&namespace);
    let confirm = command_waiting(&namespace, &["confirm", "--lock-timeout", "600s"]);
    let service = Daemon::start(&namespace, PODS, &[]);
    answers(&namespace);
    drop(held);
    let (code, said) = ended(confirm);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("would revert this") && said.contains("the changes are not kept"),
        "{said}"
    );
    assert_eq!(service.stop().0, 0);
    let (code, said) = netkeel(&[&["recover"], &netns[..]].concat());
    assert_eq!(code, 0, "{said}");
}

/// Another program's pause is as long as before, and not longer by the time of a change that failed.
#[test]
fn a_pause_that_a_change_prolonged_ends_when_it_was_to_end() {
    let (namespace, service) = kept();
    let (code, said) = netkeel(&["pause", "8h", "--netns", &namespace.name]);
    assert_eq!(code, 0, "{said}");
    let until_before = || paused(&namespace)["until"].as_u64().unwrap();
    let before = until_before();
    let directory = tempfile::tempdir().unwrap();
    let held = Held::of(&namespace);
    let wait = ["--pause", "10h", "--lock-timeout", "600s"];
    let apply = waiting(&namespace, &directory.path().join("other.yaml"), &wait);
    until("the pause is longer", || until_before() > before + 3600);
    std::thread::sleep(Duration::from_secs(4));
    let id = apply.id().to_string();
    assert!(Command::new("kill").arg(&id).status().unwrap().success());
    assert_eq!(ended(apply).0, Some(1));
    // Each of the two times is rounded up.
    let after = until_before();
    assert!(after <= before + 2, "{before} {after}");
    drop(held);
    assert_eq!(service.stop().0, 0);
}

#[test]
fn a_document_that_the_service_has_no_more_is_not_written_against_it() {
    let (namespace, service) = kept();
    let held = Held::of(&namespace);
    let document = service.document.with_file_name("same.yaml");
    fs::copy(&service.document, &document).unwrap();
    let apply = [
        "apply",
        "-f",
        document.to_str().unwrap(),
        "--lock-timeout",
        "600s",
    ];
    let apply = command_waiting(&namespace, &apply);
    let loads = || status(&namespace)["counters"]["loads"].as_u64();
    let before = loads();
    service.write(OTHER);
    until("the service has read it", || loads() > before);
    drop(held);
    let (code, said) = ended(apply);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("would revert this"), "{said}");
    assert_eq!(service.stop().0, 0);
}
