//! A CNI configuration that somebody else writes while the service runs, as GKE does at each boot:
//! its `mtu` is back within a second, pods that were made meanwhile are listed and mended, and whoever
//! writes it again and again is named and given way.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::daemon::{Daemon, netkeel_inside};
use super::namespace::Namespace;
use super::until;

/// What the installer brings, at each start of its pod.
const INSTALLED: &str = r#"{
  "name": "k8s-pod-network",
  "cniVersion": "0.3.1",
  "plugins": [
    {
      "type": "calico",
      "datastore_type": "kubernetes",
      "ipam": { "type": "host-local" }
    },
    { "type": "portmap", "capabilities": { "portMappings": true } }
  ]
}
"#;

struct Node {
    host: Namespace,
    place: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let node = Node {
            host: Namespace::new(),
            place: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(node.place.path().join("net.d")).unwrap();
        fs::write(node.file(), INSTALLED).unwrap();
        node
    }

    fn file(&self) -> PathBuf {
        self.place.path().join("net.d/10-calico.conflist")
    }

    fn document(&self) -> String {
        format!(
            "version: 1\npersist: false\ncni:\n  calico: {{ plugin: calico, file: {}, mtu: 1460 }}\nlink:\n  pods: {{ match: {{ name: \"cali*\" }}, mtu: 1460 }}\n",
            self.file().display()
        )
    }

    /// What a CNI does with a new pod: it takes the MTU from the file as it is at the moment.
    fn pod(&self, name: &str) -> Namespace {
        let mtu = if self.is_right() { 1460 } else { 1500 };
        let pod = Namespace::new();
        self.host.sh(&format!(
            "ip link add {name} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {}; ip link set {name} up",
            pod.name
        ));
        pod.sh("ip link set eth0 up");
        pod
    }

    fn is_right(&self) -> bool {
        fs::read_to_string(self.file()).is_ok_and(|text| text.contains("\"mtu\": 1460,"))
    }

    /// What an installer does: not by a rename, so that there is a moment without a text.
    fn rewrite(&self) {
        fs::write(self.file(), INSTALLED).unwrap();
    }

    /// One that does it again and again, under the name of Calico's.
    fn installer(&self) -> Installer {
        let program = self.place.path().join("install-cni");
        // Not by this process: while a child of another test still has it open to write, it cannot be run.
        let mut copy = Command::new("install");
        copy.args(["-m", "755", "/bin/sh"]).arg(&program);
        assert!(copy.status().unwrap().success());
        let source = self.place.path().join("installed");
        fs::write(&source, INSTALLED).unwrap();
        let script = format!(
            "exec 3<{}\nwhile :; do cat {} > {}; echo >> {}; sleep 0.2; done",
            self.file().parent().unwrap().display(),
            source.display(),
            self.file().display(),
            self.written().display(),
        );
        let mut command = Command::new(program);
        command.args(["-c", &script]).stdin(Stdio::null());
        Installer(command.spawn().unwrap())
    }

    fn written(&self) -> PathBuf {
        self.place.path().join("written")
    }

    /// How often the installer has written.
    fn writes(&self) -> u64 {
        fs::metadata(self.written()).map_or(0, |file| file.len())
    }

    fn metrics(&self) -> String {
        let script =
            "import urllib.request as u; print(u.urlopen(\"http://127.0.0.1:9440/metrics\").read().decode())";
        self.host.sh(&format!("python3 -c '{script}'"))
    }

    fn run(&self, arguments: &[&str]) -> String {
        netkeel_inside(&self.host, arguments).1
    }

    /// How often the file was found to be somebody else's, by the service.
    fn rewrites(&self) -> u64 {
        let status = self.run(&["status", "--output", "json"]);
        let rest = status.split_once("\"conflist_rewrites\":").unwrap().1;
        let number = rest.trim_start().split([',', '\n', '}']).next().unwrap();
        number.trim().parse().unwrap()
    }
}

/// It runs until this ends.
struct Installer(Child);

impl Drop for Installer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn mtu_of(pod: &Namespace) -> String {
    pod.sh("ip -o link show eth0 | sed 's/.* mtu \\([0-9]*\\).*/\\1/'")
        .trim()
        .to_owned()
}

#[test]
fn a_rewritten_configuration_has_its_mtu_back() {
    let node = Node::new();
    let mut service = Daemon::start_inside(&node.host, &node.document(), &[]);
    service.wait_for("event=full-scan");
    assert!(node.is_right());
    assert_eq!(node.rewrites(), 0, "it had not been right before");
    for times in 1..=3 {
        node.rewrite();
        until("the MTU is back", || node.is_right());
        until("it was counted", || node.rewrites() == times);
        // Looks at what belongs to no interface come at most once in two seconds for long.
        std::thread::sleep(Duration::from_millis(2100));
    }
    let (code, log) = service.stop();
    assert_eq!(code, 0, "{log}");
    assert_eq!(log.matches("event=rewritten").count(), 3, "{log}");
    assert!(!log.contains("event=flap"), "{log}");
}

#[test]
fn pods_that_were_made_meanwhile_are_listed_and_mended() {
    let node = Node::new();
    let old = node.pod("cali0");
    let document = node.document();
    node.host.sh("ip link set lo up");
    let mut service = Daemon::start_inside(&node.host, &document, &["--listen", "127.0.0.1:9440"]);
    service.wait_for("event=full-scan");
    until("the pod that was there is mended", || mtu_of(&old) == "1460");
    // Nobody mends anything for a while, as before the service is up after a boot.
    node.run(&["pause", "1h"]);
    node.rewrite();
    let (one, two) = (node.pod("cali1"), node.pod("cali2"));
    let path = service.document.to_str().unwrap().to_owned();
    let listed = node.run(&["pods", "-f", &path]);
    let stale = |listed: &str| -> Vec<String> {
        let lines = listed.lines().filter(|line| line.ends_with("stale"));
        lines
            .map(|line| line.split_whitespace().next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(stale(&listed), ["cali1", "cali2"], "{listed}");
    assert_eq!((mtu_of(&one), mtu_of(&two)), ("1500".into(), "1500".into()));
    let told = |lines: &[&str]| {
        let metrics = node.metrics();
        lines
            .iter()
            .all(|line| metrics.lines().any(|other| other == *line))
    };
    until("two stale pods are in the metrics", || {
        told(&[
            "netkeel_stale_pods 2",
            "netkeel_conflist_rewrites_total 1",
            "netkeel_interfaces{class=\"veth\",rule=\"link.pods\",mtu=\"1500\",desired=\"1460\"} 2",
        ])
    });
    node.run(&["pause", "--end"]);
    until("they are mended", || {
        mtu_of(&one) == "1460" && mtu_of(&two) == "1460" && node.is_right()
    });
    until("none is stale any more", || {
        told(&["netkeel_stale_pods 0", "netkeel_conflist_rewrites_total 1"])
    });
    let listed = node.run(&["pods", "-f", &path]);
    assert_eq!(stale(&listed), [] as [&str; 0], "{listed}");
    assert_eq!(service.stop().0, 0);
}

#[test]
fn who_writes_it_again_and_again_is_named_and_given_way() {
    let node = Node::new();
    let mut service = Daemon::start_inside(&node.host, &node.document(), &[]);
    service.wait_for("event=full-scan");
    let other = node.installer();
    let told = service.wait_for("event=rewritten");
    let named = format!("install-cni (process {}, which has it open)", other.0.id());
    assert!(told.contains(&named), "{told}");
    let flap = service.wait_for("event=flap");
    assert!(flap.contains(&named), "{flap}");
    let spent = service.cpu();
    until("it goes on", || node.writes() >= 60);
    drop(other);
    let spent = service.cpu() - spent;
    assert!(spent < Duration::from_secs(2), "{spent:?}");
    let (answered, written) = (node.rewrites(), node.writes());
    assert!(answered < written / 3, "{answered} of {written} are answered");
    until("it is right at last", || node.is_right());
    assert_eq!(service.stop().0, 0);
}
