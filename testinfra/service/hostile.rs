//! Nothing stops the loop: neither named files that are no files, nor a system that has run out of something.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::asked::{free_port, get};
use super::daemon::{Daemon, PODS, netkeel, program};
use super::namespace::Namespace;
use super::{SOON, facts, until};

/// Puts a FIFO in place of a file.
fn make_fifo(path: &std::path::Path) {
    let new = path.with_extension("fifo");
    assert!(Command::new("mkfifo").arg(&new).status().unwrap().success());
    fs::rename(new, path).unwrap();
}

#[test]
fn a_fifo_in_place_of_a_file_hangs_nobody() {
    let namespace = Namespace::new();
    namespace.sh("ip link add cali1 type veth peer name eth1");
    namespace.sh("ip link add wg0 type veth peer name wg1");
    let place = tempfile::tempdir().unwrap();
    let [source, copy] = ["wg0.conf", "private/wg0.conf"].map(|name| place.path().join(name));
    fs::write(&source, "[Interface]\nPrivateKey = x=\n").unwrap();
    let document = format!(
        "{PODS}wireguard:\n  wg0: {{ source: {}, target: {}, mtu: 1420 }}\n",
        source.display(),
        copy.display()
    );
    let mut service = Daemon::start(&namespace, &document, &[]);
    service.wait_for("event=full-scan");
    make_fifo(&source);
    until("the source is reported", || {
        let arguments = ["status", "--output", "json", "--netns", &namespace.name];
        netkeel(&arguments).1.contains("it is not a regular file")
    });
    make_fifo(&service.document);
    service.wait_for("event=document-rejected");
    namespace.sh("ip link set cali1 mtu 1400");
    until("the loop goes on", || facts(&namespace, "cali1") == "1460\n1\n");
    assert_eq!(service.stop().0, 0);
}

#[test]
fn a_device_or_a_fifo_is_no_snapshot_plan_or_document() {
    let place = tempfile::tempdir().unwrap();
    let [document, fifo] = ["document.yaml", "fifo"].map(|name| place.path().join(name));
    fs::write(&document, PODS).unwrap();
    make_fifo(&fifo);
    let (document, fifo) = (document.to_str().unwrap(), fifo.to_str().unwrap());
    for name in ["/dev/zero", fifo] {
        for arguments in [
            &["plan", "-f", document, "--snapshot", name][..],
            &["plan", "-f", name],
            &["apply", "--plan", name],
        ] {
            let start = Instant::now();
            let (code, text) = netkeel(arguments);
            assert!(
                code != 0 && text.contains("it is not a regular file"),
                "{arguments:?}: {text}"
            );
            assert!(start.elapsed() < Duration::from_secs(60), "{arguments:?}");
        }
    }
}

#[test]
fn a_service_manager_that_does_not_read_holds_nothing_up() {
    let namespace = Namespace::new();
    namespace.sh("ip link add cali1 type veth peer name eth1");
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("notify");
    let _receiver = UnixDatagram::bind(&path).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    sender.set_nonblocking(true).unwrap();
    while sender.send_to(b"x", &path).is_ok() {}
    let mut command = Command::new(program());
    command
        .args(["run", "--netns", &namespace.name])
        .env("NOTIFY_SOCKET", &path);
    let mut service = Daemon::spawn(command, PODS, &[]);
    service.wait_for("event=full-scan");
    namespace.sh("ip link set cali1 mtu 1400");
    until("the loop goes on", || facts(&namespace, "cali1") == "1460\n1\n");
    assert_eq!(service.stop().0, 0);
}

/// As a journald that is stopped, or a log pipe of a container that nobody reads.
#[test]
fn a_log_that_nobody_reads_holds_nothing_up() {
    let namespace = Namespace::new();
    namespace.sh("ip link add cali1 type veth peer name eth1");
    let place = tempfile::tempdir().unwrap();
    let document = place.path().join("document.yaml");
    fs::write(&document, PODS).unwrap();
    let (_reader, writer) = std::io::pipe().unwrap();
    let set = |flags| fcntl(&writer, FcntlArg::F_SETFL(flags)).unwrap();
    set(OFlag::O_NONBLOCK);
    while (&writer).write(&[b'x'; 4096]).is_ok() {}
    set(OFlag::empty());
    let address = free_port();
    let mut service = Command::new(program())
        .args([
            "run",
            "--netns",
            &namespace.name,
            "--listen",
            &address.to_string(),
            "-f",
        ])
        .arg(&document)
        .stderr(writer.try_clone().unwrap())
        .spawn()
        .unwrap();
    let start = Instant::now();
    until("the loop goes on", || facts(&namespace, "cali1") == "1460\n1\n");
    assert!(get(address, "/healthz").starts_with("HTTP/1.1 200 OK"));
    let (code, status) = netkeel(&["status", "--netns", &namespace.name]);
    assert_eq!(code, 0, "{status}");
    assert!(start.elapsed() < SOON);
    let id = service.id().to_string();
    let stopped = Instant::now();
    assert!(Command::new("kill").arg(&id).status().unwrap().success());
    assert!(service.wait().unwrap().success());
    assert!(stopped.elapsed() < SOON);
}

#[test]
fn without_documents_it_waits_for_one() {
    let namespace = Namespace::new();
    namespace.sh("ip link add cali1 type veth peer name eth1");
    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new(program());
    command
        .args(["run", "--netns", &namespace.name, "-f"])
        .arg(place.path());
    let mut service = Daemon::run(command);
    let line = service.wait_for("event=idle");
    assert!(line.contains(place.path().to_str().unwrap()), "{line}");
    service.wait_for("event=full-scan");
    let status = || netkeel(&["status", "--netns", &namespace.name]).1;
    until("the status says so", || {
        status().contains("idle: there is no document yet")
    });
    // It holds nothing, so an apply by hand is nothing to it.
    let elsewhere = tempfile::tempdir().unwrap();
    let by_hand = elsewhere.path().join("by-hand.yaml");
    fs::write(
        &by_hand,
        "version: 1\npersist: no\nsysctl: { net.ipv4.ip_forward: 1 }\n",
    )
    .unwrap();
    let (code, said) = netkeel(&[
        "apply",
        "--netns",
        &namespace.name,
        "-f",
        by_hand.to_str().unwrap(),
    ]);
    assert_eq!(code, 0, "{said}");
    fs::write(place.path().join("a.yaml"), PODS).unwrap();
    until("it is right", || facts(&namespace, "cali1") == "1460\n1\n");
    assert!(!status().contains("idle"), "{}", status());
    assert_eq!(service.stop().0, 0);
}

/// In a user namespace of its own, which may have no inotify instance.
#[test]
fn without_inotify_the_service_scans_and_says_so() {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "sh", "-ec"]);
    let script = "echo 0 > /proc/sys/user/max_inotify_instances; exec \"$@\"";
    command.args([script, "sh", program(), "run"]);
    let document = "version: 1\npersist: no\nsysctl: { net.ipv4.tcp_mtu_probing: 2 }\n";
    let mut service = Daemon::spawn(command, document, &["--interval", "1s"]);
    let line = service.wait_for("event=files-not-watched");
    assert!(line.contains("level=warning"), "{line}");
    service.wait_for("event=full-scan");
    // Comparing the document's files finds the change.
    service.write(&document.replace('2', "1").replace("version: 1", "version: 1 "));
    service.wait_for("event=loaded");
    let (code, log) = service.stop();
    assert_eq!(code, 0, "{log}");
    assert_eq!(log.matches("event=files-not-watched").count(), 1, "{log}");
}

#[test]
fn without_file_descriptors_clients_wait_and_the_loop_does_not_spin() {
    let namespace = Namespace::new();
    namespace.sh("ip link add cali1 type veth peer name eth1");
    let address = free_port();
    let mut service = Daemon::start(&namespace, PODS, &["--listen", &address.to_string()]);
    service.wait_for("event=full-scan");
    let pid = service.pid().to_string();
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let limit = |number: usize| {
        let limit = format!("--nofile={number}:1024");
        let set = Command::new("prlimit").args(["--pid", &pid, &limit]).status();
        assert!(set.unwrap().success());
    };
    limit(open);
    let idle: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"GET /metrics").unwrap();
            stream
        })
        .collect();
    service.wait_for("event=client-not-accepted");
    let before = service.cpu();
    thread::sleep(Duration::from_secs(2));
    let spent = service.cpu() - before;
    assert!(spent < Duration::from_secs(1), "{spent:?} of 2 s");
    limit(1024);
    drop(idle);
    until("clients are answered again", || {
        get(address, "/healthz").starts_with("HTTP/1.1 200 OK")
    });
    assert_eq!(service.stop().0, 0);
}
