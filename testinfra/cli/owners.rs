//! `owners` names who holds what, and a release of an owner that holds nothing is an error.

use std::os::unix::net::UnixListener;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::run::{PROGRAM, Scratch};
use crate::{PODS, pods};

const DEFAULT: &str = "version: 1\nlink: { cali1: { mtu: 1400 }, cali2: { mtu: 1400 } }\n";
const TEAM: &str = "version: 1\nowner: net-team\nlink: { cali3: { mtu: 1300 } }\n";

#[test]
fn each_owner_has_its_facts_and_their_last_write() {
    let namespace = pods();
    let scratch = Scratch::new(&[
        ("default.yaml", DEFAULT),
        ("team.yaml", TEAM),
        ("later.yaml", &DEFAULT.replacen("1400", "1380", 1)),
    ]);
    let run = |arguments: &[&str]| scratch.run(&[arguments, &["--netns", &namespace.name]].concat());
    let none = run(&["owners"]);
    assert_eq!(
        (none.code, none.stdout.as_str()),
        (0, "No owner holds anything.\n")
    );
    for file in ["default.yaml", "team.yaml", "later.yaml"] {
        assert_eq!(run(&["apply", "-f", file]).code, 0, "{file}");
    }
    let all = run(&["owners"]).stdout;
    // The pods' ends changed with them, since both are in this namespace.
    for told in [
        "owner default: 2 facts\n  last written 20",
        "    link cali1 mtu: 1380, before 1500\n    link cali2 mtu: 1400, before 1500\n",
        "owner net-team: 1 fact\n  last written 20",
        "    link cali3 mtu: 1300, before 1500\n",
        "netkeel apply -f team.yaml",
    ] {
        assert!(all.contains(told), "{told}: {all}");
    }
    let json: Value = serde_json::from_str(&run(&["owners", "default", "--output", "json"]).stdout).unwrap();
    let [owner] = json["owners"].as_array().unwrap().as_slice() else {
        panic!("{json:#}");
    };
    let last = |at: usize| owner["facts"][at]["last"]["actor"].as_str().unwrap().to_owned();
    assert!(
        last(0).contains("later.yaml") && last(1).contains("default.yaml"),
        "{json:#}"
    );
    let one = run(&["owners", "default"]).stdout;
    assert!(
        one.contains("    link cali2 mtu: 1400, before 1500\n      written 20"),
        "{one}"
    );
}

#[test]
fn a_release_of_an_owner_that_holds_nothing_names_those_that_do() {
    let namespace = pods();
    let scratch = Scratch::new(&[("team.yaml", TEAM)]);
    let run = |arguments: &[&str]| scratch.run(&[arguments, &["--netns", &namespace.name]].concat());
    let none = run(&["release"]);
    assert_eq!((none.code, none.stdout.as_str()), (1, ""));
    assert!(none.stderr.contains("no owner holds anything"), "{none:?}");
    assert_eq!(run(&["apply", "-f", "team.yaml"]).code, 0);
    for verb in [
        &["release"][..],
        &["release", "--dry-run"],
        &["owners", "default"],
    ] {
        let refused = run(verb);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(
            refused.stderr.contains("the owner `default` holds nothing")
                && refused.stderr.contains("these owners hold something: net-team"),
            "{refused:?}"
        );
    }
    assert_eq!(run(&["release", "--owner", "net-team"]).code, 0);
    assert_eq!(run(&["release", "--owner", "net-team"]).code, 1);
}

/// Pasted without the namespace, the command would work on the host.
#[test]
fn the_commands_of_a_message_name_the_namespace() {
    let namespace = pods();
    let taken = "version: 1\nowner: net-team\nlink: { cali2: { mtu: 1300 } }\n";
    let scratch = Scratch::new(&[
        ("default.yaml", DEFAULT),
        ("taken.yaml", taken),
        ("less.yaml", "version: 1\nlink: { cali2: { mtu: 1400 } }\n"),
    ]);
    let netns = format!("--netns {}", namespace.name);
    let run = |arguments: &[&str]| scratch.run(&[arguments, &["--netns", &namespace.name]].concat());
    assert_eq!(run(&["apply", "-f", "default.yaml"]).code, 0);
    let refused = run(&["apply", "-f", "taken.yaml"]);
    let release = format!("`netkeel release {netns} --owner default` gives back all 2 facts of that owner");
    assert!(
        refused.code == 1 && refused.stderr.contains(&release),
        "{refused:?}"
    );
    let json = run(&["apply", "-f", "taken.yaml", "--output", "json"]);
    assert!(json.stdout.contains(&release), "{json:?}");
    let less = run(&["plan", "-f", "less.yaml", "--output", "json"]);
    let release = format!("`netkeel release {netns}`");
    assert!(less.stdout.contains(&release), "{less:?}");
    let unknown = run(&["history", "0123"]);
    let history = format!("`netkeel history {netns}`");
    assert!(unknown.stderr.contains(&history), "{unknown:?}");
    let none = run(&["status"]);
    assert!(
        none.stderr.contains(&format!("`netkeel run {netns}`")),
        "{none:?}"
    );
}

#[test]
fn a_takeover_names_the_owner_and_a_saved_plan_its_file() {
    let namespace = pods();
    let taken = "version: 1\nowner: net-team\nlink: { cali2: { mtu: 1300 } }\n";
    let scratch = Scratch::new(&[("default.yaml", DEFAULT), ("taken.yaml", taken)]);
    let netns = ["--netns", namespace.name.as_str()];
    let run = |arguments: &[&str]| scratch.run(&[arguments, &netns[..]].concat());
    assert_eq!(run(&["apply", "-f", "default.yaml"]).code, 0);
    let note =
        "taken from the owner default: 1 fact: link cali2 mtu (wrote 1400); the next apply of its document";
    for verb in ["plan", "apply"] {
        let done = run(&[verb, "-f", "taken.yaml", "--force-ownership"]);
        assert!(done.code == 0 && done.stderr.contains(note), "{verb}: {done:?}");
    }
    let own = run(&["plan", "-f", "taken.yaml", "--save", "low.plan"]);
    assert!(!own.stderr.contains("taken from"), "{own:?}");
    let saved = format!("Saved low.plan (netns {})\n", namespace.name);
    assert!(own.stderr.contains(&saved), "{own:?}");
    namespace.sh("ip link set cali2 mtu 1400");
    assert_eq!(run(&["plan", "-f", "taken.yaml", "--save", "low.plan"]).code, 0);
    let applied = scratch.run(&["apply", "--plan", "low.plan"]);
    assert_eq!(applied.code, 0, "{applied:?}");
    // The file that is there.
    assert!(
        applied.stdout.contains("low.plan:") && !applied.stdout.contains("low.plan.json"),
        "{applied:?}"
    );
}

/// Later writes of others make no difference.
#[test]
fn a_late_confirmation_is_told_for_the_apply_that_waited() {
    let namespace = pods();
    let other = "version: 1\nowner: other\npersist: no\nsysctl: { net.ipv4.tcp_ecn: 1 }\n";
    let scratch = Scratch::new(&[("pods.yaml", PODS), ("other.yaml", other)]);
    let run = |line: &str| {
        let words: Vec<&str> = line.split(' ').chain(["--netns", &namespace.name]).collect();
        scratch.run(&words)
    };
    let none = run("confirm");
    assert_eq!(none.code, 1, "{none:?}");
    let waits = run("apply -f other.yaml --confirm-within 300s");
    assert_eq!(waits.code, 0, "{waits:?}");
    // A watchdog that is to end undoes it at once.
    let watchdog = format!("recover --unconfirmed=.* --netns={}$", namespace.name);
    let told = scratch.command("pkill", &["-TERM", "-f", &watchdog]);
    assert_eq!(told.code, 0, "{told:?}");
    let start = Instant::now();
    while !run("history").stdout.contains("rolled back") {
        assert!(start.elapsed() < Duration::from_secs(120), "no rollback");
        sleep(Duration::from_millis(100));
    }
    let applied = run("apply -f pods.yaml");
    assert_eq!(applied.code, 0, "{applied:?}");
    let late = run("confirm");
    assert_eq!(late.code, 3, "{late:?}");
    let kept = [
        run("apply -f other.yaml --retry-rejected --confirm-within 300s"),
        run("confirm"),
    ];
    assert!(kept.iter().all(|done| done.code == 0), "{kept:?}");
    let none = run("confirm");
    assert_eq!(none.code, 1, "{none:?}");
}

/// As without `--dry-run`.
#[test]
fn a_release_that_is_only_shown_fails_where_something_cannot_be_read() {
    let scratch = Scratch::new(&[(
        "sysctl.yaml",
        "version: 1\npersist: false\nsysctl: { net.ipv4.tcp_mtu_probing: 2 }\n",
    )]);
    // Nobody can open it (ENXIO).
    let _socket = UnixListener::bind(scratch.path().join("socket")).unwrap();
    let script = format!(
        "mount -t tmpfs none /run
        {PROGRAM} apply -f sysctl.yaml >/dev/null
        mount --bind socket /proc/sys/net/ipv4/tcp_mtu_probing
        exec {PROGRAM} release \"$@\""
    );
    for more in [&["--dry-run"][..], &[]] {
        let words = [
            &["--mount", "--net", "sh", "-ec", script.as_str(), "release"],
            more,
        ]
        .concat();
        let shown = scratch.command("unshare", &words);
        assert!(
            shown.code == 1 && shown.stderr.contains("error: sysctl net.ipv4.tcp_mtu_probing: "),
            "{shown:?}"
        );
    }
}
