//! Changes by hand that wait for the lock, beside a service.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};

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
    let child = Command::new(program())
        .args(["apply", "--netns", &namespace.name, "-f"])
        .arg(document)
        .args(more)
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
    until("the service answers", || {
        netkeel(&["status", "--netns", &namespace.name]).1.contains("pid")
    });
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
