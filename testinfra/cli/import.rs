//! `import` writes a document with which `plan` finds nothing to do.

use crate::run::{Scratch, netkeel};
use crate::{pods, schemas};

use netkeel_diagnose::import::import;
use netkeel_document::document::Document;
use netkeel_host::snapshot::Snapshot;
use netkeel_plan::goal::Goal;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

#[test]
fn plan_finds_nothing_on_every_snapshot_of_the_tree() {
    let mut found = Vec::new();
    let mut declared = 0;
    let snapshots = schemas::snapshots();
    // A sample for the schema has a value of every form, and is the state of no host.
    let hosts = snapshots.iter().filter(|(name, _)| name != "full-host.json");
    for (name, snapshot) in hosts {
        let host = Snapshot::from_json(&snapshot.to_string()).unwrap();
        let text = match import(&host, name) {
            Ok(text) => text,
            Err(error) => {
                found.push(format!("{name}: {error}"));
                continue;
            }
        };
        let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
        let layers = sources.load("import.yaml", text.clone().into_bytes(), None, &mut diagnostics);
        let document = Document::read(layers.into_iter().collect(), host.netns.clone(), &mut diagnostics);
        assert!(diagnostics.is_empty(), "{name}: {diagnostics:?}\n{text}");
        match document.plan(&host) {
            Ok(planned) if planned.plan.drift.is_empty() && planned.plan.steps.is_empty() => {
                declared += planned.plan.wanted;
            }
            other => found.push(format!("{name}: {other:?}\n{text}")),
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(
        declared > snapshots.len(),
        "{declared} facts of {} hosts",
        snapshots.len()
    );
}

#[test]
fn plan_finds_nothing_on_this_host() {
    let namespace = pods();
    namespace.sh("for pod in 4 5; do ip link add cali$pod type veth peer name eth$pod; done; ip link set cali2 mtu 1400; ip link add br0 type bridge");
    let scratch = Scratch::new(&[]);
    let netns = ["--netns", namespace.name.as_str()];
    let done = scratch.run(&[&["import"], &netns[..]].concat());
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    for line in [
        "  cali2: { mtu: 1400",
        "  br0: { mtu: 1500",
        "name: \"cali*\", kind: veth",
    ] {
        assert!(done.stdout.contains(line), "{line}: {done:?}");
    }
    let check = scratch.run_with(&[&["check", "-f", "-"], &netns[..]].concat(), &done.stdout);
    assert_eq!(check.code, 0, "{check:?}\n{}", done.stdout);
    // And it notices a change.
    namespace.sh("ip link set br0 mtu 1480");
    let check = scratch.run_with(&[&["check", "-f", "-"], &netns[..]].concat(), &done.stdout);
    assert_eq!(check.code, 2, "{check:?}");
    assert_eq!(netkeel(&["import", "--snapshot", "none.json"]).code, 1);
}
