//! `undo` restores the host and the records of owners as they were before an apply.

use crate::pods;
use crate::run::{Done, Scratch};

const FIRST: &str = "version: 1\nsysctl: { net.ipv4.tcp_mtu_probing: 1 }\nlink: { cali1: { mtu: 1400 } }\n";
const SECOND: &str = "version: 1\nprune: true\nlink: { cali1: { mtu: 1350 }, cali2: { mtu: 1350 } }\n";
const TAKEN: &str = "version: 1\nowner: net-team\nlink: { cali1: { mtu: 1330 } }\n";

struct World {
    namespace: crate::Namespace,
    scratch: Scratch,
}

impl World {
    fn new() -> Self {
        World {
            namespace: pods(),
            scratch: Scratch::new(&[
                ("first.yaml", FIRST),
                ("second.yaml", SECOND),
                ("taken.yaml", TAKEN),
            ]),
        }
    }

    fn run(&self, arguments: &[&str]) -> Done {
        self.scratch.run_in(&self.namespace.name, arguments)
    }

    fn succeeds(&self, arguments: &[&str]) -> String {
        self.scratch.succeeds_in(&self.namespace.name, arguments)
    }

    /// The whole host, as far as netkeel can write it, and who holds what.
    fn look(&self) -> (String, String) {
        let links = self.namespace.sh(
            "ip -o link | sed 's/^[0-9]*: //' | sort; ip -o addr | sed 's/^[0-9]*: //' | sort; \
             sysctl -n net.ipv4.tcp_mtu_probing; sysctl -a 2>/dev/null | grep 'cali[0-9]*\\.rp_filter' | sort",
        );
        let json: serde_json::Value =
            serde_json::from_str(&self.succeeds(&["owners", "--output", "json"])).unwrap();
        let mut held = String::new();
        for owner in json["owners"].as_array().unwrap() {
            for fact in owner["facts"].as_array().unwrap() {
                held += &format!(
                    "{} {} {} {}\n",
                    owner["owner"], fact["fact"], fact["found"], fact["wrote"]
                );
            }
        }
        (links, held)
    }
}

#[test]
fn each_apply_is_undone_in_turn_with_the_records_of_owners() {
    let world = World::new();
    let none = world.run(&["undo"]);
    assert!(
        none.code == 1 && none.stderr.contains("there is no apply to undo"),
        "{none:?}"
    );
    let mut states = vec![world.look()];
    world.succeeds(&["apply", "-f", "first.yaml"]);
    states.push(world.look());
    // It prunes a sysctl and changes a value that netkeel changed before.
    world.succeeds(&["apply", "-f", "second.yaml"]);
    states.push(world.look());
    world.succeeds(&["apply", "-f", "taken.yaml", "--force-ownership"]);
    assert_ne!(states.last(), Some(&world.look()));
    while let Some(before) = states.pop() {
        let now = world.look();
        let shown = world.succeeds(&["undo", "--dry-run"]);
        assert_eq!(world.look(), now, "a dry run writes nothing");
        assert!(shown.starts_with("Undo of "), "{shown}");
        let done = world.succeeds(&["undo"]);
        assert!(done.contains("Undone: ") && done.contains("cali1"), "{done}");
        assert_eq!(world.look(), before, "{done}");
    }
    let nothing = world.run(&["undo"]);
    assert!(
        nothing.stderr.contains("there is no apply to undo"),
        "{nothing:?}"
    );
    let history = world.succeeds(&["history"]);
    assert_eq!(history.matches("undo of ").count(), 3, "{history}");
}

#[test]
fn what_was_changed_since_is_replaced_by_force_alone() {
    let world = World::new();
    let before = world.look();
    world.succeeds(&["apply", "-f", "first.yaml"]);
    world.namespace.sh("ip link set cali1 mtu 1380");
    let changed = world.look();
    let refused = world.run(&["undo"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("link cali1 mtu was changed since the apply: the apply set 1400, now it is 1380")
            && refused.stderr.starts_with("Undo of ")
            && refused.stderr.contains("--force"),
        "{refused:?}"
    );
    assert_eq!(world.look(), changed);
    world.succeeds(&["undo", "--force"]);
    assert_eq!(world.look(), before);
}

#[test]
fn an_apply_is_named_by_its_id_and_undone_once() {
    let world = World::new();
    world.succeeds(&["apply", "-f", "first.yaml"]);
    let history = world.succeeds(&["history", "--output", "json"]);
    let entry: serde_json::Value = serde_json::from_str(history.lines().next().unwrap()).unwrap();
    let id = entry["id"].as_str().unwrap();
    world.succeeds(&["apply", "-f", "second.yaml"]);
    // A later apply changed some of its values.
    let refused = world.run(&["undo", id]);
    assert!(
        refused.code == 1
            && refused
                .stderr
                .contains("link cali1 mtu was changed since the apply"),
        "{refused:?}"
    );
    world.succeeds(&["undo"]);
    world.succeeds(&["undo", id]);
    let again = world.run(&["undo", id]);
    assert!(
        again.code == 1 && again.stderr.contains("was undone already"),
        "{again:?}"
    );
    let unknown = world.run(&["undo", "0123"]);
    assert!(unknown.stderr.contains("there is no entry `0123`"), "{unknown:?}");
}

#[test]
fn a_confirmed_apply_and_a_release_are_undone_too() {
    let world = World::new();
    let before = world.look();
    world.succeeds(&["apply", "-f", "first.yaml", "--confirm-within", "60s"]);
    let waits = world.run(&["undo"]);
    assert_eq!(waits.code, 1, "{waits:?}");
    world.succeeds(&["confirm"]);
    let after = world.look();
    world.succeeds(&["release"]);
    assert_eq!(world.look(), before);
    let history = world.succeeds(&["history", "--output", "json"]);
    let entry: serde_json::Value = serde_json::from_str(history.lines().next().unwrap()).unwrap();
    world.succeeds(&["undo", entry["id"].as_str().unwrap()]);
    assert_eq!(world.look(), after);
    world.succeeds(&["undo"]);
    assert_eq!(world.look(), before);
}
