//! Results go to standard output, in the form that is asked for; everything else to standard error.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::run::{PROGRAM, Scratch};
use crate::{PODS, pods};

#[test]
fn a_plan_is_text_diff_json_or_markdown() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let show = |form: &str| {
        let done = scratch.run(&[
            "plan",
            "-f",
            "pods.yaml",
            "--netns",
            &namespace.name,
            "--output",
            form,
        ]);
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{form}");
        done.stdout
    };
    let end = "6 writes, all with exact undo.\n\
               Plan: 0 to create, 6 to change, 0 to destroy (3 objects); 1 warning.\n";
    assert!(show("text").ends_with(end));
    let diff: Vec<String> = show("diff").lines().take(8).map(str::to_owned).collect();
    assert_eq!(
        diff,
        [
            "# 3 links cali*: cali1, cali2, cali3",
            "--- observed 3 links cali*",
            "+++ desired 3 links cali*",
            "@@ -1,2 +1,2 @@",
            "-rp_filter: 0 (off)",
            "-mtu: 1500",
            "+rp_filter: 1 (strict)",
            "+mtu: 1460",
        ]
    );
    assert!(show("markdown").contains("| "));
    let json = show("json");
    let plan: Value = serde_json::from_str(&json).unwrap();
    let schema: Value = serde_json::from_str(&scratch.run(&["schema", "plan"]).stdout).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&plan));
    assert_eq!(plan["steps"].as_array().unwrap().len(), 6);
    assert_eq!(json, show("json"), "the same twice");
}

#[test]
fn a_check_of_a_snapshot_and_as_json_agrees_with_the_plan() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let netns = ["--netns", namespace.name.as_str()];
    let observed = scratch.run(&[&["observe", "-f", "pods.yaml"], &netns[..]].concat());
    std::fs::write(scratch.path().join("host.json"), observed.stdout).unwrap();
    let run = |verb: &str, more: &[&str]| scratch.run(&[&[verb, "-f", "pods.yaml"], more].concat());
    let saved = run("check", &["--snapshot", "host.json"]);
    assert_eq!(saved.code, 2, "{saved:?}");
    assert!(
        saved.stdout.starts_with("Drift: 6 of 6 declared facts"),
        "{saved:?}"
    );
    assert_eq!(run("check", &["--snapshot", "host.json", "-q"]).stdout, "");
    for place in [&["--snapshot", "host.json"], &netns] {
        let json = [&place[..], &["--output", "json"]].concat();
        let check = run("check", &json);
        assert_eq!((check.code, check.stderr.as_str()), (2, ""));
        assert_eq!(check.stdout, run("plan", &json).stdout);
    }
}

#[test]
fn nothing_to_do_is_an_empty_diff() {
    let namespace = pods();
    let scratch = Scratch::new(&[("nothing.yaml", "version: 1\n")]);
    let arguments = [
        "plan",
        "-f",
        "nothing.yaml",
        "--netns",
        &namespace.name,
        "--output",
        "diff",
    ];
    let done = scratch.run(&arguments);
    assert_eq!(
        (done.code, done.stdout.as_str(), done.stderr.as_str()),
        (0, "", "")
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let namespace = pods();
    let mut child = Command::new(PROGRAM)
        .args(["observe", "--netns", &namespace.name])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn colours_are_for_terminals_and_not_with_no_color() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    // `script` runs it on a terminal of its own, by the shell in $SHELL.
    let on_a_terminal = |before: &str| {
        let line = format!("{before} {PROGRAM} plan -f pods.yaml --netns {}", namespace.name);
        let done = scratch.command("env", &["SHELL=/bin/sh", "script", "-qec", &line, "/dev/null"]);
        assert_eq!(done.code, 0, "{done:?}");
        done.stdout.contains("\u{1b}[")
    };
    assert!(on_a_terminal("env -u NO_COLOR TERM=xterm"));
    assert!(!on_a_terminal("env NO_COLOR=1 TERM=xterm"));
    assert!(!on_a_terminal("env -u NO_COLOR TERM=dumb"));
    let piped = scratch.run(&["plan", "-f", "pods.yaml", "--netns", &namespace.name]);
    assert!(!piped.stdout.contains('\u{1b}'));
}

#[test]
fn what_was_applied_is_json_however_it_ended() {
    let namespace = pods();
    // Its greatest number follows from the size of a packet's memory, which only the kernel knows.
    let refused = "version: 1\nsysctl: { net.ipv4.neigh.cali1.unres_qlen: 2147483647 }\nlink: { cali1: { mtu: 1400 } }\n";
    let scratch = Scratch::new(&[
        ("pods.yaml", PODS),
        ("refused.yaml", refused),
        ("wrong.yaml", "version: 1\nlinks: {}\n"),
        ("no-such.yaml", "version: 1\nsysctl: { net.ipv4.no_such: 1 }\n"),
    ]);
    let schema: Value = serde_json::from_str(&scratch.run(&["schema", "applied"]).stdout).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let apply = |file: &str| {
        let netns = ["--netns", namespace.name.as_str()];
        let done = scratch.run(&[&["apply", "-f", file, "--output", "json"], &netns[..]].concat());
        let json: Value = serde_json::from_str(&done.stdout).unwrap();
        let wrong: Vec<_> = schema.iter_errors(&json).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:?}: {json:#}");
        (done.code, json["result"].as_str().unwrap().to_owned(), json)
    };
    let (code, result, json) = apply("refused.yaml");
    assert_eq!((code, result.as_str()), (3, "rolled-back"));
    let undone = json["undone"].to_string();
    assert!(undone.contains("link set dev cali1 mtu 1500"), "{undone}");
    assert!(json["errors"].to_string().contains("EINVAL"), "{json}");
    let (code, result, _) = apply("wrong.yaml");
    assert_eq!((code, result.as_str()), (1, "refused"));
    let (code, result, json) = apply("no-such.yaml");
    assert_eq!((code, result.as_str()), (1, "refused"));
    assert!(json["errors"].to_string().contains("no_such"), "{json}");
    let (code, result, json) = apply("pods.yaml");
    assert_eq!((code, result.as_str()), (0, "applied"));
    assert_eq!(json["writes"], Value::from(6));
    assert_eq!(json["plan"]["in_sync"], Value::Bool(false));
}

#[test]
fn what_was_applied_is_applied_also_where_it_cannot_be_printed() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let line = format!(
        "{PROGRAM} apply -f pods.yaml --netns {} > /dev/full",
        namespace.name
    );
    let done = scratch.command("sh", &["-c", &line]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(
        done.stderr.contains("warning: cannot write the result"),
        "{done:?}"
    );
}

#[test]
fn an_apply_as_markdown_says_that_it_was_applied() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let arguments = ["apply", "-f", "pods.yaml", "--output", "markdown", "--netns"];
    let apply = || {
        scratch
            .run(&[&arguments[..], &[namespace.name.as_str()]].concat())
            .stdout
    };
    let first = apply();
    assert!(
        first.starts_with(
            "### netkeel apply\n\nApplied: 6 writes; verified, nothing left to change.\n\nBefore:\n\n**Plan: 0 to create, 6 "
        ),
        "{first}"
    );
    assert!(apply().starts_with("### netkeel apply\n\nIn sync: "));
}

#[test]
fn a_change_that_is_made_is_no_error_when_its_result_cannot_be_printed() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let mtu = || namespace.sh("ip -o link show cali1 | grep -o 'mtu [0-9]*'");
    for (verb, after) in [
        ("apply -f pods.yaml --confirm-within 300s", "mtu 1460\n"),
        ("confirm", "mtu 1460\n"),
        ("release", "mtu 1500\n"),
        ("apply -f pods.yaml", "mtu 1460\n"),
        ("pause 1h", "mtu 1460\n"),
        ("pause --end", "mtu 1460\n"),
    ] {
        let line = format!("{PROGRAM} {verb} --netns {} >/dev/full", namespace.name);
        let done = scratch.command("sh", &["-c", &line]);
        assert_eq!((done.code, mtu().as_str()), (0, after), "{verb}: {done:?}");
        assert!(
            done.stderr.contains("warning: cannot write the result"),
            "{verb}: {done:?}"
        );
    }
    // Nothing waits any more.
    assert_eq!(
        scratch.run(&["recover", "--netns", &namespace.name]).stdout,
        "Nothing to recover.\n"
    );
}
