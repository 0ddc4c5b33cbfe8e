//! The kind `wireguard` while the service runs: the copy follows the underlay and its source, and no
//! key gets anywhere but into it. wg0 is a veth here: the MTU of an interface is nothing that
//! WireGuard has of its own.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::asked::{free_port, get};
use super::daemon::{Daemon, netkeel, settled, status};
use super::namespace::Namespace;
use super::until;

/// What a session takes of the keys of a configuration: two that are unlike anything else on a host.
const KEYS: [&str; 2] = [
    "bmV0a2VlbCdzIGZpcnN0IHRlc3Qga2V5LCBub25lJ3M=",
    "bmV0a2VlbCdzIG90aGVyIHRlc3Qga2V5LCBub25lJ3M=",
];

/// A Secret as kubelet mounts it: files are links through a link to a directory that is exchanged.
struct Secret(tempfile::TempDir);

impl Secret {
    fn new(text: &str) -> Self {
        let secret = Secret(tempfile::tempdir().unwrap());
        symlink("..data/wg0.conf", secret.at("wg0.conf")).unwrap();
        secret.hold("1", text);
        secret
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn hold(&self, version: &str, text: &str) {
        let directory = format!("..{version}");
        fs::create_dir(self.at(&directory)).unwrap();
        fs::write(self.at(&directory).join("wg0.conf"), text).unwrap();
        symlink(&directory, self.at("..data_tmp")).unwrap();
        fs::rename(self.at("..data_tmp"), self.at("..data")).unwrap();
    }
}

fn configuration(key: &str) -> String {
    format!("[Interface]\r\nPrivateKey = {key}\r\nAddress = 10.64.0.2/32\r\n\r\n[Peer]\r\nPublicKey = x=\r\n")
}

fn expected(key: &str, mtu: u32) -> String {
    configuration(key).replacen("[Interface]\r\n", &format!("[Interface]\r\nMTU = {mtu}\r\n"), 1)
}

/// The files of what netkeel keeps in which one of these stands.
fn kept(texts: &[&str]) -> String {
    let mut grep = Command::new("grep");
    grep.arg("-rlF");
    for text in texts {
        grep.args(["-e", text]);
    }
    grep.args(["/var/lib/netkeel", "/run/netkeel"]);
    String::from_utf8(grep.output().unwrap().stdout).unwrap()
}

struct World {
    namespace: Namespace,
    secret: Secret,
    place: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let namespace = Namespace::new();
        namespace.sh("ip link add eth0 type veth peer name far
            ip link set eth0 mtu 1450 up && ip link set far up
            ip address add 192.0.2.1/24 dev eth0 && ip route add default via 192.0.2.2
            ip link add wg0 type veth peer name w1");
        World {
            namespace,
            secret: Secret::new(&configuration(KEYS[0])),
            place: tempfile::tempdir().unwrap(),
        }
    }

    fn copy(&self) -> PathBuf {
        self.place.path().join("private/wg0.conf")
    }

    fn document(&self) -> String {
        format!(
            "version: 1\nwireguard:\n  wg0:\n    source: {}\n    target: {}\n    mtu: {{ underlay: default-route, layers: [wireguard] }}\nlink:\n  pods: {{ match: {{ name: \"cali*\" }}, mtu: 1440 }}\n",
            self.secret.at("wg0.conf").display(),
            self.copy().display(),
        )
    }

    fn has(&self, text: &str) -> bool {
        fs::read_to_string(self.copy()).is_ok_and(|found| found == text)
    }

    fn mtu(&self, link: &str) -> String {
        self.namespace
            .sh(&format!(
                "ip -o link show {link} | sed 's/.* mtu \\([0-9]*\\).*/\\1/'"
            ))
            .trim()
            .to_owned()
    }

    fn status(&self) -> String {
        netkeel(&["status", "--netns", &self.namespace.name, "--output", "json"]).1
    }
}

#[test]
fn a_copy_follows_the_underlay_and_its_source_and_keeps_its_keys() {
    let world = World::new();
    let document = world.document();
    let mut service = Daemon::start(&world.namespace, &document, &[]);
    service.wait_for("event=full-scan");
    assert!(world.has(&expected(KEYS[0], 1370)));
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(world.copy()), 0o600);
    assert_eq!(mode(world.place.path().join("private")), 0o700);
    assert_eq!(world.mtu("wg0"), "1370");

    // The underlay falls: both follow.
    world.namespace.sh("ip link set eth0 mtu 1400");
    until("the copy follows eth0", || world.has(&expected(KEYS[0], 1320)));
    until("wg0 follows eth0", || world.mtu("wg0") == "1320");

    // The Secret is renewed: with another key, the old copy is none.
    world.secret.hold("2", &configuration(KEYS[1]));
    until("the copy has the new key", || world.has(&expected(KEYS[1], 1320)));
    assert_eq!(mode(world.copy()), 0o600);

    // Somebody edits the copy, and opens it to others.
    fs::write(world.copy(), "[Interface]\nMTU = 9000\n").unwrap();
    fs::set_permissions(world.copy(), fs::Permissions::from_mode(0o644)).unwrap();
    until("the copy is mended", || {
        world.has(&expected(KEYS[1], 1320)) && mode(world.copy()) == 0o600
    });

    // A source that is none holds nothing else up, and the copy stays.
    world.secret.hold("3", KEYS[0]);
    until("the source is told to be unreadable", || {
        world.status().contains("it has no [Interface]")
    });
    world.namespace.sh("ip link add cali1 type veth peer name eth1");
    until("others are kept", || world.mtu("cali1") == "1440");
    assert!(world.has(&expected(KEYS[1], 1320)));

    let status = world.status();
    let (code, log) = service.stop();
    assert_eq!(code, 0, "{log}");
    let name = &world.namespace.name;
    let history = netkeel(&["history", "--netns", name, "--output", "json"]).1;
    let plan = {
        let path = world.place.path().join("document.yaml");
        fs::write(&path, document).unwrap();
        fs::write(world.copy(), KEYS[0]).unwrap();
        world.secret.hold("4", &configuration(KEYS[0]));
        let path = path.to_str().unwrap();
        let shown = |output| {
            netkeel(&[
                "plan",
                "--commands",
                "--netns",
                name,
                "-f",
                path,
                "--output",
                output,
            ])
            .1
        };
        ["text", "json", "diff", "markdown"].map(shown).concat()
    };
    assert!(plan.contains("and not a copy of the source"), "{plan}");
    for said in [&log, &status, &history, &plan] {
        assert!(!KEYS.iter().any(|key| said.contains(key)), "{said}");
    }
    assert_eq!(kept(&KEYS), "", "a key is kept");
    assert_ne!(kept(&[world.copy().to_str().unwrap()]), "", "nothing is");
}

#[test]
fn what_is_given_back_goes_and_an_apply_that_fails_leaves_no_copy() {
    let world = World::new();
    let name = world.namespace.name.clone();
    let document = world.place.path().join("document.yaml");
    fs::write(&document, world.document()).unwrap();
    let apply = || netkeel(&["apply", "--netns", &name, "-f", document.to_str().unwrap()]);
    let (code, said) = apply();
    assert_eq!(code, 0, "{said}");
    assert!(world.has(&expected(KEYS[0], 1370)));
    assert_eq!(apply().0, 0);
    let (code, said) = netkeel(&["release", "--netns", &name]);
    assert_eq!(code, 0, "{said}");
    assert!(!world.copy().exists());
    assert_eq!(world.mtu("wg0"), "1500");

    // A directory that others can write is no place for a key.
    fs::set_permissions(world.copy().parent().unwrap(), fs::Permissions::from_mode(0o777)).unwrap();
    let (code, said) = apply();
    assert_eq!(code, 3, "{said}");
    assert!(
        said.contains("is not a directory that only this user can write"),
        "{said}"
    );
    assert!(!world.copy().exists());
    assert_eq!(world.mtu("wg0"), "1500");
}

/// A budget over the default route goes by routes alone, and a host with many others stays asleep.
#[test]
fn another_default_route_is_followed_and_no_other_route_wakes_anybody() {
    let world = World::new();
    world.namespace.sh("ip link add eth1 type veth peer name far1
        ip link set eth1 mtu 1400 up && ip link set far1 up && ip address add 198.51.100.1/24 dev eth1");
    let address = free_port();
    let listen = address.to_string();
    let service = Daemon::start(&world.namespace, &world.document(), &["--listen", &listen]);
    until("the copy is there", || world.has(&expected(KEYS[0], 1370)));
    world
        .namespace
        .sh("ip route replace default via 198.51.100.2 dev eth1");
    until("the copy follows the route", || {
        world.has(&expected(KEYS[0], 1320))
    });
    world
        .namespace
        .sh("ip route change default via 198.51.100.2 dev eth1 mtu 1390");
    until("and the MTU of the route", || world.has(&expected(KEYS[0], 1310)));

    let lines = [
        "netkeel_underlay_mtu_bytes{device=\"eth1\"} 1390",
        "netkeel_interfaces{class=\"veth\",rule=\"wireguard.wg0\",mtu=\"1310\",desired=\"1310\"} 1",
        "netkeel_wireguard_last_handshake_timestamp_seconds{device=\"wg0\"} 0",
    ];
    until("the metrics tell it", || {
        let metrics = get(address, "/metrics");
        lines
            .iter()
            .all(|line| metrics.lines().any(|other| other == *line))
    });

    let passes = || {
        let status = status(&world.namespace);
        status["counters"]["passes"].as_u64().unwrap()
    };
    let before = settled(Duration::from_secs(2), passes);
    let spent = service.cpu();
    world.namespace.sh(
        "for a in $(seq 0 39); do for b in $(seq 0 249); do echo route add 10.$a.$b.0/24 dev eth1; done; done | ip -batch -
        ip route add table 100 default dev eth0",
    );
    assert_eq!(settled(Duration::from_secs(1), passes), before);
    let spent = service.cpu() - spent;
    assert!(spent < Duration::from_secs(1), "{spent:?} for 10,000 routes");
    assert_eq!(service.stop().0, 0);
}
