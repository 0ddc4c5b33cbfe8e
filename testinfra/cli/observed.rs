//! A plan for what `observe` saved is the plan for the host, byte for byte.

#[path = "../support/txtar.rs"]
#[allow(dead_code, reason = "these cases are not blessed here")]
mod txtar;

use crate::Namespace;
use crate::run::{Done, Scratch};

use txtar::{Archive, difference, run_all};

/// The documents of a case, in their order.
fn documents(archive: &Archive) -> Vec<(&str, &str)> {
    let is_text = |name: &str| [".yaml", ".json", ".toml"].iter().any(|end| name.ends_with(end));
    let sections = archive.sections.iter();
    let documents =
        sections.filter(|(name, _)| is_text(name) && name != "observed.json" && !name.starts_with("remedy "));
    documents
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect()
}

/// The output without its words on the host.
fn without_place(done: Done, netns: &str) -> Done {
    let stdout = done.stdout.replace(
        &format!("saved snapshot, netns {netns}"),
        &format!("netns {netns}"),
    );
    Done { stdout, ..done }
}

const HOST: &str = include_str!("../../examples/host.json");

/// Cases whose document names a secret. No snapshot has it, and the plan says so.
const SECRET: [&str; 2] = ["sysctl-normal-forms-written.txt", "sysctl-normal-forms.txt"];

#[test]
fn a_plan_for_a_snapshot_is_the_plan_for_the_host_in_every_case() {
    let compared = std::cell::Cell::new(0);
    run_all("cases", |path, archive| {
        let Some(setup) = archive.get("setup") else {
            return Ok(());
        };
        let namespace = Namespace::new();
        namespace.sh(setup);
        let documents = documents(archive);
        let scratch = Scratch::new(&documents);
        let files: Vec<&str> = documents.iter().flat_map(|(name, _)| ["-f", *name]).collect();
        let netns = ["--netns", namespace.name.as_str()];
        let saved = scratch.run(&[&["observe"], &files[..], &netns].concat());
        for output in [
            ["--output", "text", "--commands"],
            ["--output", "json", "--full"],
            ["--output", "diff", "--full"],
            ["--output", "markdown", "--full"],
        ] {
            let plan = [&["plan", "--detailed-exitcode"], &files[..], &output].concat();
            let live = scratch.run(&[&plan[..], &netns].concat());
            let offline = scratch.run_with(&[&plan[..], &["--snapshot", "-"]].concat(), &saved.stdout);
            let offline = without_place(offline, &namespace.name);
            let name = path.file_name().unwrap().to_str().unwrap();
            if SECRET.contains(&name) {
                let said = "its value is a secret, which a snapshot does not have";
                assert!(
                    offline.code == 1 && offline.stderr.contains(said),
                    "{name}: {offline:?}"
                );
            } else if live != offline {
                let shown = |done: &Done| format!("exit {}\n{}{}", done.code, done.stdout, done.stderr);
                return Err(format!(
                    "{output:?}\n{}",
                    difference(&shown(&live), &shown(&offline))
                ));
            }
            compared.set(compared.get() + 1);
        }
        Ok(())
    });
    assert!(compared.get() > 300, "only {} plans", compared.get());
}

#[test]
fn a_snapshot_says_what_the_service_replicates() {
    let namespace = Namespace::new();
    let document = "version: 1\nnflog: { a: { interfaces: [lo], group: 33 } }\nreplicate: { nflog: a, peers: [192.0.2.1] }\n";
    let scratch = Scratch::new(&[("a.yaml", document)]);
    let netns = ["-f", "a.yaml", "--netns", namespace.name.as_str()];
    let saved = scratch.run(&[&["observe"], &netns[..]].concat());
    let live = scratch.run(&[&["plan"], &netns[..]].concat());
    let offline = scratch.run_with(&["plan", "-f", "a.yaml", "--snapshot", "-"], &saved.stdout);
    assert!(live.stdout.contains("NK035"), "{live:?}");
    assert_eq!(without_place(offline, &namespace.name), live);
}

#[test]
fn standard_input_is_read_for_one_option_alone() {
    let scratch = Scratch::new(&[("a.yaml", "version: 1\n")]);
    for words in [
        &["plan", "-f", "-", "--snapshot", "-"][..],
        &["lint", "-f", "-", "--snapshot", "-"],
        &["validate", "-f", "-", "-f", "-"],
        &["lint", "--objects", "-", "--objects", "-"],
    ] {
        let done = scratch.run_with(words, HOST);
        let why = "error: `-` is given twice: standard input can be read only once\n";
        assert_eq!((done.code, done.stderr.as_str()), (1, why), "{words:?}: {done:?}");
    }
}
