//! Where documents come from, and what cannot be read.

use crate::namespace::Namespace;
use crate::pods;
use crate::run::{PROGRAM, Scratch, netkeel};

/// The MTU that a plan wants for cali1.
fn mtu(stdout: &str) -> Option<&str> {
    let change = |line: &&str| line.contains(" mtu ") && line.contains(" -> ");
    let (_, change) = stdout.lines().find(change)?.split_once(" mtu ")?;
    let new = change.split("-> ").nth(1)?.split_whitespace().next()?;
    Some(new.trim_end_matches(','))
}

#[test]
fn a_document_comes_from_a_file_a_directory_or_standard_input() {
    let namespace = pods();
    let scratch = Scratch::new(&[
        ("one.yaml", "version: 1\nlink: { cali1: { mtu: 1300 } }\n"),
        (
            "desired.d/20-site.json",
            r#"{ "version": 1, "link": { "cali1": { "mtu": 1420 } } }"#,
        ),
        (
            "desired.d/10-base.toml",
            "version = 1\n[link.cali1]\nmtu = 1410\nup = true\n",
        ),
        ("desired.d/.30-hidden.yaml", "not read"),
        ("desired.d/40-notes.txt", "not read"),
    ]);
    let netns = ["--netns", namespace.name.as_str()];
    let plan = |files: &[&str], stdin: &str| {
        let done = scratch.run_with(&[&["plan"], files, &netns[..]].concat(), stdin);
        assert_eq!(done.code, 0, "{done:?}");
        mtu(&done.stdout).map(str::to_owned)
    };
    assert_eq!(plan(&["-f", "one.yaml"], "").as_deref(), Some("1300"));
    // A pipe that the shell opened, as `-f <(...)` is.
    let piped = format!(
        "cat one.yaml | {PROGRAM} plan --netns {} -f /dev/stdin",
        namespace.name
    );
    let piped = scratch.command("sh", &["-c", &piped]);
    assert_eq!(mtu(&piped.stdout), Some("1300"), "{piped:?}");
    // A directory is its documents in the order of their names.
    assert_eq!(plan(&["-f", "desired.d"], "").as_deref(), Some("1420"));
    // Later ones are layered over earlier ones.
    assert_eq!(
        plan(&["-f", "desired.d", "-f", "one.yaml"], "").as_deref(),
        Some("1300")
    );
    assert_eq!(
        plan(&["-f", "one.yaml", "-f", "desired.d"], "").as_deref(),
        Some("1420")
    );
    // The format of standard input is told by its content.
    let json = r#"{ "version": 1, "link": { "cali1": { "mtu": 1350 } } }"#;
    let toml = "version = 1\nlink.cali1.mtu = 1360\n";
    assert_eq!(plan(&["-f", "-"], json).as_deref(), Some("1350"));
    assert_eq!(
        plan(&["-f", "desired.d", "-f", "-"], toml).as_deref(),
        Some("1360")
    );
}

#[test]
fn no_layer_of_a_directory_is_left_out_without_a_word() {
    let base = "version: 1\nlink: { lo0: { mtu: 1410 } }\n";
    let later = "version: 1\nlink: { lo0: { mtu: 1420 } }\n";
    let plan = |files: &[(&str, &str)], make: &str| {
        let scratch = Scratch::new(&[&[("d/10.yaml", base), ("host.json", HOST)], files].concat());
        let made = scratch.command("sh", &["-ec", make]);
        assert_eq!(made.code, 0, "{made:?}");
        let done = scratch.run(&["plan", "-f", "d", "--snapshot", "host.json", "--output", "json"]);
        (done.code, done.stdout + &done.stderr)
    };
    const HOST: &str = r#"{ "format": 1, "netns": null, "kernel": "6.12.0", "families": { "ipv4": false, "ipv6": false }, "sysctls": {},
        "links": { "lo0": { "index": 2, "mtu": 1500, "min_mtu": 68 } } }"#;
    let (code, told) = plan(&[("d/40.YAML", later)], "mkdir d/30.yaml");
    assert!(code == 0 && told.contains("1420"), "{told}");
    for (make, why) in [
        ("ln -s nowhere d/50.yaml", "d/50.yaml: No such file or directory"),
        (
            "mkfifo d/50.json",
            "d/50.json has the name of a document but is not a regular file",
        ),
        (
            "ln -s 50.toml d/50.toml",
            "d/50.toml: Too many levels of symbolic links",
        ),
    ] {
        let (code, told) = plan(&[], make);
        assert!(code == 1 && told.contains(why), "{make}: {told}");
    }
}

#[test]
fn what_cannot_be_read_exits_with_1_and_says_what() {
    let snapshot = r#"{ "format": 99 }"#;
    let scratch = Scratch::new(&[
        ("empty.d/readme", ""),
        ("good.yaml", "version: 1\n"),
        ("newer.json", snapshot),
        ("garbage.json", "{"),
    ]);
    let cases: [(&[&str], &str); 8] = [
        (&["plan", "-f", "nowhere.yaml"], "nowhere.yaml"),
        (&["check", "-f", "empty.d"], "has no documents"),
        (
            &["plan", "-f", "-", "-f", "-"],
            "standard input can be read only once",
        ),
        (
            &["check", "-f", "good.yaml", "--netns", "no-such-netns"],
            "no-such-netns",
        ),
        (&["apply", "-f", "good.yaml", "--netns", "../etc"], "../etc"),
        (
            &["plan", "-f", "good.yaml", "--snapshot", "newer.json"],
            "format 99",
        ),
        (
            &["plan", "-f", "good.yaml", "--snapshot", "garbage.json"],
            "not a snapshot",
        ),
        (
            &["plan", "-f", "good.yaml", "--snapshot", "nowhere.json"],
            "nowhere.json",
        ),
    ];
    for (arguments, part) in cases {
        let done = scratch.run(arguments);
        assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{arguments:?}");
        assert!(done.stderr.contains(part), "{arguments:?}: {}", done.stderr);
    }
}

#[test]
fn a_saved_snapshot_is_planned_against_by_anybody() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", crate::PODS)]);
    let netns = ["-f", "pods.yaml", "--netns", &namespace.name];
    let snapshot = scratch.run(&[&["observe"], &netns[..]].concat());
    assert_eq!((snapshot.code, snapshot.stderr.as_str()), (0, ""));
    let live = scratch.run(&[&["plan"], &netns[..]].concat());
    std::fs::write(scratch.path().join("host.json"), &snapshot.stdout).unwrap();
    // As nobody, who may neither look into namespaces nor read where the program lies.
    scratch.copy_program();
    let drop = [
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--no-new-privs",
    ];
    let plan = ["./netkeel", "plan", "-f", "pods.yaml", "--snapshot", "host.json"];
    let offline = scratch.command("setpriv", &[&drop[..], &plan[..]].concat());
    assert_eq!((offline.code, offline.stderr.as_str()), (0, ""));
    // The same, and it says of what.
    let place = format!("(netns {})", namespace.name);
    let saved = format!("(saved snapshot, netns {})", namespace.name);
    assert_eq!(offline.stdout, live.stdout.replace(&place, &saved));
    assert!(offline.stdout.contains(&saved), "{offline:?}");
}

#[test]
fn without_privilege_apply_says_so() {
    let scratch = Scratch::new(&[(
        "sysctl.yaml",
        "version: 1\npersist: false\nsysctl: { net.ipv4.tcp_mtu_probing: 2 }\n",
    )]);
    scratch.copy_program();
    let apply = "./netkeel apply -f sysctl.yaml";
    // The state of root may be there already.
    for before in ["true", apply] {
        let script = format!(
            "mount -t tmpfs -o mode=755 none /run; {before} >/dev/null; exec setpriv --reuid=65534 --regid=65534 --clear-groups {apply}"
        );
        let done = scratch.command("unshare", &["--mount", "--net", "sh", "-ec", &script]);
        assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{done:?}");
        assert!(done.stderr.contains("run it as root"), "{done:?}");
    }
    assert_eq!(netkeel(&["schema", "plan"]).code, 0);
}

#[test]
fn a_hierarchy_of_hiera_leads_to_its_files() {
    let namespace = pods();
    let scratch = Scratch::new(&[
        (
            "h/hiera.yaml",
            "version: 5\nhierarchy:\n  - { name: role, path: \"%{facts.role}.yaml\" }\n  - { name: all, path: all.yaml }\n",
        ),
        ("h/data/all.yaml", "netkeel::link: { cali1: { mtu: 1410 } }\n"),
        ("h/data/lb.yaml", "netkeel::link: { cali1: { mtu: 1420 } }\n"),
    ]);
    let plan = |facts: &[&str]| {
        let arguments = [
            "plan",
            "--from",
            "hiera",
            "-f",
            "h/hiera.yaml",
            "--netns",
            &namespace.name,
        ];
        scratch.run(&[&arguments, facts].concat())
    };
    let done = plan(&["--fact", "role=lb"]);
    assert_eq!((done.code, mtu(&done.stdout)), (0, Some("1420")), "{done:?}");
    // A level without its file is passed over.
    let done = plan(&["--fact", "role=worker"]);
    assert_eq!((done.code, mtu(&done.stdout)), (0, Some("1410")), "{done:?}");
    let done = plan(&[]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.stderr.contains("no fact `role` is given"), "{done:?}");
}

#[test]
fn a_hierarchy_is_followed_with_all_facts_of_a_host() {
    let namespace = pods();
    let hiera = "version: 5
hierarchy:
  - { name: roles, mapped_paths: [roles, role, \"roles/%{role}.yaml\"] }
  - { name: all, glob: \"*/all-*.yaml\", datadir: \"data/%{facts.os.family}\" }
";
    let scratch = Scratch::new(&[
        ("h/hiera.yaml", hiera),
        ("h/data/roles/b.yaml", "netkeel::link: { cali1: { mtu: 1430 } }\n"),
        (
            "h/data/Debian/x/all-a.yaml",
            "netkeel::link: { cali1: { mtu: 1420 } }\n",
        ),
        (
            "h/data/Debian/x/all-b.yaml",
            "netkeel::link: { cali1: { mtu: 1410 } }\n",
        ),
        (
            "facts.json",
            "{\"os\": {\"family\": \"Debian\"}, \"roles\": [\"a\", \"b\"]}",
        ),
        (
            "found.json",
            "{\"name\": \"x\", \"values\": {\"os\": {\"family\": \"Debian\"}, \"roles\": []}}",
        ),
        ("wrong.json", "{\"os\": "),
    ]);
    let plan = |facts: &[&str]| {
        let arguments = ["plan", "--from", "hiera", "-f", "h/hiera.yaml"];
        scratch.run(&[&arguments[..], &["--netns", &namespace.name], facts].concat())
    };
    let done = plan(&["--facts", "facts.json"]);
    assert_eq!((done.code, mtu(&done.stdout)), (0, Some("1430")), "{done:?}");
    // The first one by name counts.
    let done = plan(&["--facts", "found.json"]);
    assert_eq!((done.code, mtu(&done.stdout)), (0, Some("1420")), "{done:?}");
    let done = plan(&["--facts", "found.json", "--fact", "roles=b"]);
    assert_eq!((done.code, mtu(&done.stdout)), (0, Some("1430")), "{done:?}");
    let done = plan(&["--facts", "wrong.json"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(
        done.stderr.contains("wrong.json: cannot read the facts"),
        "{done:?}"
    );
}

#[test]
fn a_saved_plan_says_yes_and_no_as_the_document_did() {
    let namespace = Namespace::new();
    let scratch = Scratch::new(&[(
        "d.yaml",
        "version: 1\npersist: no\nsysctl: { net.ipv4.conf.all.log_martians: true }\n",
    )]);
    let script = format!(
        "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib && {0} plan -f d.yaml --save p.json && {0} apply --plan p.json && cat /proc/sys/net/ipv4/conf/all/log_martians",
        crate::run::PROGRAM
    );
    let inside = [
        "netns",
        "exec",
        &namespace.name,
        "unshare",
        "--mount",
        "sh",
        "-c",
        &script,
    ];
    let done = scratch.command("ip", &inside);
    assert!(done.code == 0 && done.stdout.ends_with("\n1\n"), "{done:?}");
}

/// A warning (NK005): each verb that plans fails by the severity that it was given, and an
/// apply then writes nothing.
#[test]
fn verbs_that_plan_fail_for_what_is_as_bad_as_they_were_told_and_worse() {
    let namespace = pods();
    let scratch = Scratch::new(&[
        (
            "absent.yaml",
            "version: 1\nlink: { etho: { mtu: 1300 }, cali1: { txqueuelen: 77 } }\n",
        ),
        ("small.yaml", "version: 1\nlink: { cali1: { txqueuelen: 77 } }\n"),
    ]);
    let netns = namespace.name.as_str();
    let code = |verb: &str, document: &str, limit: &str| {
        let arguments = [verb, "-f", document, "--netns", netns, "--fail-on", limit];
        let done = scratch.run_with(&arguments, "");
        let refused = done.stderr.contains("of severity");
        assert_eq!(refused, done.code == 1, "{arguments:?} {done:?}");
        // The finding comes with its remedy.
        let remedy = "`link.etho` names it and it is not there; nothing is done until it appears";
        assert_eq!(refused, done.stderr.contains(remedy), "{arguments:?} {done:?}");
        done.code
    };
    for verb in ["plan", "check", "apply"] {
        for limit in ["warning", "note"] {
            assert_eq!(code(verb, "absent.yaml", limit), 1, "{verb} {limit}");
        }
    }
    // Nothing was written by the applies that failed.
    assert_eq!(code("check", "small.yaml", "warning"), 2);
    assert_eq!(code("plan", "absent.yaml", "error"), 0);
    assert_eq!(code("check", "absent.yaml", "error"), 2);
    assert_eq!(code("apply", "absent.yaml", "error"), 0);
    assert_eq!(code("check", "small.yaml", "warning"), 0);
}

#[test]
fn a_lint_fails_for_what_is_as_bad_as_it_was_told_and_worse() {
    let scratch = Scratch::new(&[]);
    let machine = |mtu: u32| {
        format!(
            "kind: KubeSpanConfig\napiVersion: v1alpha1\nenabled: true\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: cozystack }}\ndata: {{ values-kubeovn: \"kube-ovn: {{ mtu: {mtu} }}\" }}\n"
        )
    };
    let code = |mtu: u32, limit: &str| {
        let arguments = ["lint", "--from", "talos", "-f", "-", "--fail-on", limit];
        scratch.run_with(&arguments, &machine(mtu)).code
    };
    // Nothing, a note, a warning and an error.
    let limits = ["error", "warning", "note"];
    for (mtu, codes) in [
        (1222, [0, 0, 0]),
        (1223, [0, 0, 2]),
        (1321, [0, 2, 2]),
        (1363, [2, 2, 2]),
    ] {
        assert_eq!(limits.map(|limit| code(mtu, limit)), codes, "{mtu}");
    }
}

/// Pods of 1500 on a host whose default route has 1500.
#[test]
fn a_lint_holds_pods_against_the_underlay_that_it_was_told() {
    let host = r#"{"format":1,"netns":null,"kernel":"6.12","families":{"ipv4":true,"ipv6":true},"sysctls":{},"links":{
        "eth0":{"index":2,"mtu":1500,"up":true},
        "eth1":{"index":3,"mtu":1400,"up":true,"altnames":["enp9s0"]},
        "veth1":{"index":5,"kind":"veth","lower":6,"peer_netns":0,"mtu":1500,"up":true}},
        "default_routes":[{"link":"eth0"}],"problems":[]}"#;
    let scratch = Scratch::new(&[("host.json", host)]);
    let lint = |more: &[&str]| scratch.run_with(&[&["lint", "--snapshot", "host.json"], more].concat(), "");
    let silent = |more: &[&str]| !lint(more).stdout.contains("NK047");
    assert!(silent(&[]) && silent(&["--underlay", "default-route"]) && silent(&["--underlay", "1500"]));
    for (underlay, bytes) in [
        ("1450", "50 bytes too large"),
        ("eth1", "100 bytes"),
        ("enp9s0", "100 bytes"),
    ] {
        let done = lint(&["--underlay", underlay, "--fail-on", "warning"]);
        assert!(done.code == 2 && done.stdout.contains("NK047"), "{done:?}");
        assert!(
            done.stdout
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .contains(bytes),
            "{done:?}"
        );
    }
    // Nothing to hold them against is an error, and not "0 findings".
    let done = lint(&["--underlay", "etho"]);
    assert!(
        done.code == 1 && done.stderr.contains("etho does not exist"),
        "{done:?}"
    );
    assert!(!done.stdout.contains("finding"), "{done:?}");
    let none = lint(&["--underlay", "seven"]);
    assert_ne!(none.code, 0, "{none:?}");
}

#[test]
fn patches_of_a_machine_configuration_come_from_standard_input_too() {
    let scratch = Scratch::new(&[]);
    let bond = "apiVersion: v1alpha1\nkind: BondConfig\nname: bond0\nmtu: 9000\n";
    let arguments = [
        "render",
        "talos",
        "--talos-version",
        "1.14",
        "--from",
        "talos",
        "-f",
        "-",
    ];
    let done = scratch.run_with(&arguments, bond);
    assert!(
        done.code == 0 && done.stdout.contains("kind: BondConfig\n"),
        "{done:?}"
    );
}

#[test]
fn agents_of_kubernetes_have_the_document_of_standard_input() {
    let scratch = Scratch::new(&[]);
    let document = "version: 1\nlink: { cali1: { mtu: 1317 } }\n";
    for file in ["-", "/dev/stdin"] {
        let done = scratch.run_with(&["render", "kubernetes", "-f", file], document);
        assert!(
            done.code == 0 && done.stdout.contains("mtu: 1317"),
            "{file}: {done:?}"
        );
    }
    let wrong = scratch.run_with(&["render", "kubernetes", "-f", "-"], "version: 1\nlinks: {}\n");
    assert_eq!((wrong.code, wrong.stdout.as_str()), (1, ""), "{wrong:?}");
    let twice = scratch.run_with(&["render", "cozystack", "-f", "-", "--manifests", "-"], document);
    assert_eq!((twice.code, twice.stdout.as_str()), (1, ""), "{twice:?}");
    assert!(
        twice.stderr.contains("standard input can be read only once"),
        "{twice:?}"
    );
}
