//! Values of sysctls that only root can read appear in no output of the program.

use crate::namespace::Namespace;
use crate::run::Scratch;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The values on the host, as the kernel prints them.
const FOUND: [&str; 2] = [
    "aaaaaaaa-11111111-22222222-33333333",
    "2001:0db8:0000:0000:0000:0000:aaaa:0001",
];

/// The values that the document declares.
const WANTED: [&str; 2] = [
    "bbbbbbbb-11111111-22222222-33333333",
    "2001:0db8:0000:0000:0000:0000:bbbb:0001",
];

fn document(values: [&str; 2]) -> String {
    let [key, secret] = values;
    format!(
        "version: 1\nowner: secrets\nsysctl:\n  net.ipv4.tcp_fastopen_key: {key}\n  net.ipv6.conf.default.stable_secret: \"{secret}\"\n"
    )
}

fn set(namespace: &Namespace, values: [&str; 2]) {
    let [key, secret] = values;
    namespace.sh(&format!(
        "sysctl -qw net.ipv4.tcp_fastopen_key={key} net.ipv6.conf.default.stable_secret={secret}"
    ));
}

fn values(namespace: &Namespace) -> String {
    namespace.sh("sysctl -n net.ipv4.tcp_fastopen_key net.ipv6.conf.default.stable_secret")
}

/// Fails if a text has a part of a value.
fn has_none(text: &str, what: &dyn std::fmt::Debug) {
    for part in ["aaaa", "bbbb", "hunter2"] {
        assert!(!text.contains(part), "{what:?} shows {part}:\n{text}");
    }
}

#[test]
fn no_command_shows_the_value_of_a_secret() {
    let namespace = Namespace::new();
    set(&namespace, FOUND);
    let scratch = Scratch::new(&[("secrets.yaml", &document(WANTED))]);
    let run = |words: &[&str], code: i32| {
        let netns = match words.contains(&"--plan") {
            true => vec![],
            false => vec!["--netns", &namespace.name],
        };
        let done = scratch.run(&[words, &netns].concat());
        let text = format!("{}{}", done.stdout, done.stderr);
        has_none(&text, &words);
        assert_eq!(done.code, code, "{words:?}: {text}");
        done.stdout
    };
    let file = ["-f", "secrets.yaml"];
    let with = |words: &[&'static str]| [words, &file].concat();

    let plan = run(&with(&["plan", "--commands"]), 0);
    assert!(plan.contains("(secret) -> (secret), differs"), "{plan}");
    let diff = run(&with(&["plan", "--output", "diff"]), 0);
    assert!(
        diff.contains("-value: (secret)\n+value: (secret), differs"),
        "{diff}"
    );
    for output in ["json", "markdown"] {
        run(&with(&["plan", "--output", output]), 0);
    }
    run(&with(&["check"]), 2);
    run(&with(&["lint"]), 0);

    // A snapshot is for others: planning against it says which facts it lacks.
    let snapshot = run(&with(&["observe"]), 0);
    fs::write(scratch.path().join("snapshot.json"), snapshot).unwrap();
    let offline = scratch.run(&with(&["plan", "--snapshot", "snapshot.json"]));
    let text = format!("{}{}", offline.stdout, offline.stderr);
    has_none(&text, &"plan --snapshot");
    assert_eq!(offline.code, 1, "{text}");
    assert!(
        text.contains("its value is a secret, which a snapshot does not have"),
        "{text}"
    );

    // The saved plan has the document, so only its user can read it.
    run(&with(&["plan", "--save", "saved"]), 0);
    let mode = fs::metadata(scratch.path().join("saved"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    run(&["apply", "--plan", "saved"], 0);
    assert_eq!(values(&namespace), WANTED.join("\n") + "\n");
    run(&with(&["check"]), 0);

    // The kernel answers EIO for `all.stable_secret`, which nobody can set.
    let explained = [
        ("net.ipv4.tcp_fastopen_key", 0),
        ("net.ipv6.conf.default.stable_secret", 1),
    ];
    for (key, code) in explained {
        for output in ["text", "json"] {
            run(&["explain", key, "--output", output], code);
        }
    }
    run(&["history", "--commands"], 0);
    run(&["history", "--output", "json"], 0);

    // Undo needs the text, which the ledger has.
    run(&["release", "--owner", "secrets", "--dry-run"], 0);
    run(&["release", "--owner", "secrets"], 0);
    assert_eq!(values(&namespace), FOUND.join("\n") + "\n");

    for output in ["text", "json", "markdown", "diff"] {
        set(&namespace, FOUND);
        run(&with(&["apply", "--output", output]), 0);
    }
}

#[test]
fn a_wrong_value_of_a_secret_is_not_quoted() {
    let namespace = Namespace::new();
    for (text, reason) in [
        (
            "  net.ipv6.conf.all.stable_secret: hunter2\n",
            "takes an IPv6 address, and not `(secret)`",
        ),
        ("  net.ipv4.tcp_fastopen_key: \"hunter2\"\n", "and not `(secret)`"),
        ("  net.ipv4.tcp_fastopen_key: \"hunter2\n", "error"),
        ("  net.core.bpf_jit_harden: [hunter2, {}]\n", "error"),
    ] {
        let scratch = Scratch::new(&[("wrong.yaml", &format!("version: 1\nsysctl:\n{text}"))]);
        let done = scratch.run(&["plan", "-f", "wrong.yaml", "--netns", &namespace.name]);
        has_none(&done.stderr, &text);
        assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{text}");
        assert!(done.stderr.contains(reason), "{text}: {}", done.stderr);
    }
}

#[test]
fn every_key_below_net_whose_file_not_everybody_reads_is_known() {
    let namespace = Namespace::new();
    let hidden = namespace.sh("find /proc/sys/net -type f ! -perm -004");
    assert!(hidden.contains("tcp_fastopen_key"), "{hidden}");
    for path in hidden.lines() {
        let key = Path::new(path).strip_prefix("/proc/sys").unwrap();
        let key: netkeel_core::name::sysctl::SysctlKey = key.to_str().unwrap().parse().unwrap();
        assert!(key.is_secret() || key.is_command(), "{key}");
    }
}

#[test]
fn a_key_that_is_a_command_is_refused() {
    let scratch = Scratch::new(&[("a.yaml", "version: 1\nsysctl: { net.ipv4.route.flush: 1 }\n")]);
    let done = scratch.run(&["lint", "-f", "a.yaml"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(
        done.stderr
            .contains("it can only be written, as a command to the kernel"),
        "{done:?}"
    );
}
