//! `explain` of a finding, of one setting, and with the line of the document that wants it.

use serde_json::Value;

use crate::pods;
use crate::run::{Scratch, netkeel};

const PODS: &str =
    "version: 1\nlink:\n  pods:\n    match: { name: \"cali*\" }\n    mtu: 1460\n    rp_filter: strict\n";

#[test]
fn a_finding_is_explained_without_a_host() {
    let shown = netkeel(&["explain", "nk013"]);
    assert_eq!((shown.code, shown.stderr.as_str()), (0, ""));
    assert!(
        shown
            .stdout
            .starts_with("NK013: the ends of a veth have different MTUs\nSeverity: warning\n"),
        "{shown:?}"
    );
    assert!(shown.stdout.contains("\nRemedy. "), "{shown:?}");
    let json: Value =
        serde_json::from_str(&netkeel(&["explain", "NK013", "--output", "json"]).stdout).unwrap();
    assert_eq!(
        (&json["code"], &json["severity"]),
        (&"NK013".into(), &"warning".into())
    );
    let unknown = netkeel(&["explain", "NK999"]);
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.stderr.contains("there is no finding NK999"),
        "{unknown:?}"
    );
    assert!(unknown.stderr.contains("NK001, NK002"), "{unknown:?}");
}

/// Each verb that takes the name of an interface takes its further names, also those that are longer than a name.
#[test]
fn an_interface_is_named_by_any_of_its_names() {
    let namespace = pods();
    let scratch = Scratch::new(&[]);
    let run = |arguments: &[&str]| scratch.run(&[arguments, &["--netns", &namespace.name]].concat());
    namespace.sh("sysctl -qw net.ipv4.conf.cali1.rp_filter=2 net.ipv4.neigh.cali1.ucast_solicit=7");
    for other in ["enp9s0", "a-further-name-of-many-bytes", "enp129s0f0np0.100"] {
        namespace.sh(&format!("ip link property add dev cali1 altname {other}"));
        for (what, own) in [
            (other.to_owned(), "cali1"),
            (format!("{other}.mtu"), "cali1.mtu"),
            (format!("{other}.rp_filter"), "net.ipv4.conf.cali1.rp_filter"),
            (
                format!("net.ipv4.conf.{other}.rp_filter"),
                "net.ipv4.conf.cali1.rp_filter",
            ),
            (
                format!("net/ipv4/conf/{other}/rp_filter"),
                "net.ipv4.conf.cali1.rp_filter",
            ),
            (
                format!("net.ipv4.neigh.{other}.ucast_solicit"),
                "net.ipv4.neigh.cali1.ucast_solicit",
            ),
            (format!("net.ipv6.conf.{other}.mtu"), "net.ipv6.conf.cali1.mtu"),
        ] {
            // A dotted key has one component for an interface.
            if other.contains('.') && what.starts_with("net.") {
                continue;
            }
            let by_other = run(&["explain", &what]);
            assert_eq!(
                (by_other.code, by_other.stderr.as_str()),
                (0, ""),
                "{what}: {by_other:?}"
            );
            let by_own = run(&["explain", own]);
            assert_eq!(by_other.stdout, by_own.stdout, "{what}");
            assert!(!by_own.stdout.contains("absent"), "{what}: {by_own:?}");
        }
        for (by_other, by_own) in [
            (vec!["path", other], vec!["path", "cali1"]),
            (vec!["import", other], vec!["import", "cali1"]),
        ] {
            let (by_other, by_own) = (run(&by_other), run(&by_own));
            assert_eq!(by_other, by_own);
            assert_eq!(by_other.code, 0, "{by_other:?}");
        }
        let key = |name: &str| run(&["import", &format!("net/ipv4/conf/{name}/rp_filter")]);
        assert!(
            key(other).stdout.contains("net.ipv4.conf.cali1.rp_filter: 2"),
            "{:?}",
            key(other)
        );
        assert_eq!(key(other), key("cali1"));
    }
    let underlay = run(&["mtu", "vxlan", "--underlay", "enp9s0"]);
    assert!(
        underlay.code == 0 && underlay.stdout.contains("1500"),
        "{underlay:?}"
    );
    let missing = run(&["explain", "net.ipv4.conf.enp9s1.rp_filter"]);
    assert!(!missing.stdout.contains("cali1"), "{missing:?}");
}

#[test]
fn one_setting_is_explained_with_the_line_that_wants_it() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS), ("wrong.yaml", "version: 2\n")]);
    let explain =
        |what: &str, file: &str| scratch.run(&["explain", what, "-f", file, "--netns", &namespace.name]);
    let mtu = explain("cali1.mtu", "pods.yaml");
    assert_eq!((mtu.code, mtu.stderr.as_str()), (0, ""), "{mtu:?}");
    assert_eq!(
        mtu.stdout,
        "cali1.mtu\n  live       1500\n  accepts    68 to 65535\n  declared   1460, by link.pods.mtu at pods.yaml:5:10\n"
    );
    // A sysctl by its key in a document, and by its own name.
    for what in ["cali1.rp_filter", "net.ipv4.conf.cali1.rp_filter"] {
        let shown = explain(what, "pods.yaml").stdout;
        assert!(shown.starts_with("net.ipv4.conf.cali1.rp_filter\n"), "{shown}");
        assert!(
            shown.contains("  declared   1 (strict), by link.pods.rp_filter at pods.yaml:6:16\n"),
            "{shown}"
        );
    }
    let link = explain("cali1", "pods.yaml").stdout;
    assert!(link.contains("  declared   1460, by link.pods.mtu"), "{link}");
    // The key of the kernel with that name is not the setting of an interface.
    let key = explain("net.ipv6.conf.cali1.mtu", "pods.yaml");
    assert!(key.stdout.starts_with("net.ipv6.conf.cali1.mtu\n"), "{key:?}");
    let missing = explain("calli1.mtu", "pods.yaml");
    assert_eq!(missing.code, 1);
    assert!(
        missing.stderr.contains("there is no interface calli1")
            && missing.stderr.contains("did you mean cali1?"),
        "{missing:?}"
    );
    for (what, said) in [
        ("cali1.mtuu", "did you mean cali1.mtu?"),
        ("cali1.colour", "settings of an interface are mtu, "),
        ("10.0.0.0/24", "`ip route show 10.0.0.0/24` shows the route"),
        ("default", "`ip route show default` shows the route"),
    ] {
        let done = explain(what, "pods.yaml");
        assert!(done.code == 1 && done.stderr.contains(said), "{what}: {done:?}");
    }
    // The host is explained; the error is reported.
    let wrong = explain("cali1.mtu", "wrong.yaml");
    assert_eq!(wrong.code, 1);
    assert!(
        wrong.stdout.contains("live       1500") && wrong.stderr.contains("wrong.yaml"),
        "{wrong:?}"
    );
}
