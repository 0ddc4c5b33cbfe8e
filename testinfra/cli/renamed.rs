//! What is restored is the interface that was written, whatever its name is by now.

use std::time::{Duration, Instant};

use crate::namespace::Namespace;
use crate::run::Scratch;

const MTU: &str = "version: 1\npersist: false\nlink: { xa: { mtu: 1400 } }\n";
const MORE: &str = "version: 1\npersist: false\nlink: { xa: { mtu: 1400, alias: hi } }\n\
                    sysctl: { net.ipv4.conf.xa.log_martians: 1 }\n";
const NEITHER: &str = "version: 1\npersist: false\nprune: true\nsysctl: { net.ipv4.tcp_mtu_probing: 1 }\n";

struct World {
    namespace: Namespace,
    scratch: Scratch,
}

impl World {
    /// Two bridges, of which one has an MTU of its own.
    fn new() -> Self {
        let namespace = Namespace::new();
        namespace.sh("ip link add xa type bridge; ip link add xb type bridge; ip link set xb mtu 1400");
        let files = [("mtu.yaml", MTU), ("more.yaml", MORE), ("neither.yaml", NEITHER)];
        World {
            namespace,
            scratch: Scratch::new(&files),
        }
    }

    fn succeeds(&self, arguments: &[&str]) -> String {
        self.scratch.succeeds_in(&self.namespace.name, arguments)
    }

    fn swap(&self) {
        self.namespace
            .sh("ip link set xa name xt; ip link set xb name xa; ip link set xt name xb");
    }

    fn rename(&self) {
        self.namespace.sh("ip link set xa name z0");
    }

    fn mtu(&self, name: &str) -> String {
        let shown = format!("ip -o link show {name} | grep -o 'mtu [0-9]*' | cut -d' ' -f2");
        self.namespace.sh(&shown).trim().to_owned()
    }

    /// What `more.yaml` writes, on an interface.
    fn state(&self, name: &str) -> String {
        let shown = format!(
            "ip link show {name} | grep -o 'mtu [0-9]*\\|alias .*'; sysctl -n net.ipv4.conf.{name}.log_martians"
        );
        self.namespace.sh(&shown)
    }

    fn holds_nothing(&self) {
        let json = self.succeeds(&["owners", "--output", "json"]);
        let owners: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(owners["owners"].as_array().unwrap().len(), 0, "{json}");
    }
}

#[test]
fn after_a_swap_of_names_undo_and_release_restore_the_one_that_was_written() {
    for verb in ["undo", "release"] {
        let world = World::new();
        world.succeeds(&["apply", "-f", "mtu.yaml"]);
        world.swap();
        let told = world.succeeds(&[verb]);
        assert!(told.contains("link xb "), "{told}");
        assert_eq!(
            (world.mtu("xa"), world.mtu("xb")),
            ("1400".into(), "1500".into()),
            "{verb}"
        );
        world.holds_nothing();
    }
}

#[test]
fn a_renamed_interface_is_restored_whole_by_undo_release_and_prune() {
    for arguments in [&["undo"][..], &["release"], &["apply", "-f", "neither.yaml"]] {
        let world = World::new();
        let before = world.state("xa");
        world.succeeds(&["apply", "-f", "more.yaml"]);
        world.rename();
        world.succeeds(arguments);
        assert_eq!(world.state("z0"), before, "{arguments:?}");
        if arguments.len() > 1 {
            world.succeeds(&["release"]);
        }
        world.holds_nothing();
    }
}

#[test]
fn a_write_on_another_interface_of_the_name_does_not_forget_the_first() {
    let world = World::new();
    world.succeeds(&["apply", "-f", "mtu.yaml"]);
    world.rename();
    world
        .namespace
        .sh("ip link add xa type bridge; ip link set xa mtu 1300");
    world.succeeds(&["apply", "-f", "mtu.yaml"]);
    assert_eq!(world.mtu("xa"), "1400");
    world.succeeds(&["release"]);
    assert_eq!((world.mtu("xa"), world.mtu("z0")), ("1300".into(), "1500".into()));
    world.holds_nothing();
}

#[test]
fn an_interface_that_another_program_made_again_is_not_written() {
    for verb in ["undo", "release"] {
        let world = World::new();
        world.succeeds(&["apply", "-f", "mtu.yaml"]);
        world
            .namespace
            .sh("ip link del xa; ip link add xa type bridge; ip link set xa mtu 1400");
        world.succeeds(&[verb]);
        assert_eq!(world.mtu("xa"), "1400", "{verb}");
        world.holds_nothing();
    }
}

#[test]
fn an_apply_that_was_done_again_on_the_interface_that_came_with_the_name_is_undone_there() {
    let world = World::new();
    world.succeeds(&["apply", "-f", "mtu.yaml"]);
    let history = world.succeeds(&["history", "--output", "json"]);
    let first: serde_json::Value = serde_json::from_str(history.lines().next().unwrap()).unwrap();
    world
        .namespace
        .sh("ip link del xa; ip link add xa type bridge; ip link set xa mtu 1300");
    world.succeeds(&["apply", "-f", "mtu.yaml"]);
    world.succeeds(&["undo", first["id"].as_str().unwrap()]);
    assert_eq!(world.mtu("xa"), "1500");
    world.holds_nothing();
}

#[test]
fn an_apply_that_nobody_confirms_is_undone_on_a_renamed_interface() {
    let world = World::new();
    let before = world.state("xa");
    world.succeeds(&["apply", "-f", "more.yaml", "--confirm-within", "3s"]);
    world.rename();
    let start = Instant::now();
    loop {
        let history = world.succeeds(&["history"]);
        if history.contains("rolled back") {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(120), "{history}");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(world.state("z0"), before);
}
