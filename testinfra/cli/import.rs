//! `import` writes a document with which `plan` finds nothing to do.

use crate::run::{Scratch, netkeel};
use crate::{pods, schemas};

use std::collections::BTreeMap;
use std::fs;

use netkeel_diagnose::import::selection::Selection;
use netkeel_diagnose::import::{default_value, import};
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
        let text = match import(&host, name, &Selection::default()) {
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

/// The values of sysctls in a namespace; a key that is not there is left out.
fn values(namespace: &crate::Namespace, keys: &[&str]) -> BTreeMap<String, String> {
    let keys = keys.join(" ");
    let out = namespace.sh(&format!(
        "cd /proc/sys; for key in {keys}; do test -e $key && echo $key $(cat $key) || true; done"
    ));
    let lines = out.lines().filter_map(|line| line.split_once(' '));
    lines
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn the_defaults_are_those_of_the_running_kernel() {
    let namespace = crate::Namespace::new();
    let keys: Vec<&str> = default_value::keys().collect();
    let fresh = values(&namespace, &keys);
    for (key, default) in default_value::OF_NAMESPACE {
        assert_eq!(fresh.get(*key).map(String::as_str), Some(*default), "{key}");
    }
    let inherits = fs::read_to_string("/proc/sys/net/core/devconf_inherit_init_net").unwrap();
    for (key, default) in default_value::INHERITED {
        // A host that changed it hands its own value on, which says nothing about the default.
        let of_host = fs::read_to_string(format!("/proc/sys/{key}")).unwrap();
        let expected = if inherits.trim() == "2" {
            default
        } else {
            of_host.trim()
        };
        assert_eq!(fresh.get(*key).map(String::as_str), Some(expected), "{key}");
    }
    for (key, _) in default_value::OF_MACHINE {
        assert_eq!(fresh.get(*key), None, "{key} is a setting of the namespace");
    }
    let mut once = keys.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), keys.len());
}

#[test]
fn selectors_choose_what_is_imported() {
    let namespace = pods();
    namespace.sh("for pod in 4 5 6; do ip link add cali1$pod type veth peer name eth1$pod; done");
    let scratch = Scratch::new(&[]);
    let import = |selectors: &[&str]| {
        scratch.run(&[&["import", "--netns", namespace.name.as_str()], selectors].concat())
    };
    let done = import(&["cali1?", "net.ipv4.tcp_mtu_probing", "net.ipv4.route.min_*"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    for line in [
        "  all-cali: { match: { name: \"cali1?\", kind: veth }, mtu: 1500",
        "  net.ipv4.tcp_mtu_probing: 0  # live value, the kernel's default\n",
        "  net.ipv4.route.min_pmtu: 552  # live value, the kernel's default\n",
    ] {
        assert!(done.stdout.contains(line), "{line}: {done:?}");
    }
    for line in ["eth1", "cali2:", "tcp_base_mss"] {
        assert!(!done.stdout.contains(line), "{line}: {done:?}");
    }
    let netns = ["check", "-f", "-", "--netns", namespace.name.as_str()];
    let check = scratch.run_with(&netns, &done.stdout);
    assert_eq!(check.code, 0, "{check:?}\n{}", done.stdout);
    // A pattern that finds all of a kind by another word, and one that finds two.
    let done = import(&["cali14", "cali15"]);
    assert!(
        done.stdout.contains("  cali14: { mtu: 1500") && !done.stdout.contains("match"),
        "{done:?}"
    );
    let wrong = import(&["calli14"]);
    assert_eq!((wrong.code, wrong.stdout.as_str()), (1, ""), "{wrong:?}");
    assert!(
        wrong.stderr.contains("`calli14` is no interface") && wrong.stderr.contains("did you mean `cali14`?"),
        "{wrong:?}"
    );
}

#[test]
fn rules_that_log_packets_are_imported() {
    let namespace = pods();
    let document = "version: 1\nnflog:\n  ptb: { interfaces: [cali1, cali2], group: 40, prefilter: { min_mtu: 576, rate: 10, burst: 20 } }\n";
    let scratch = Scratch::new(&[("ptb.yaml", document)]);
    let netns = ["--netns", namespace.name.as_str()];
    let done = scratch.run(&[&["apply", "-f", "ptb.yaml"], &netns[..]].concat());
    assert_eq!(done.code, 0, "{done:?}");
    namespace.sh(
        "nft add table inet others; nft 'add chain inet others pre { type filter hook prerouting priority raw; }'; \
         nft add rule inet others pre iifname cali3 icmp type 3 icmp code 4 log group 33; \
         nft add rule inet others pre iifname cali3 icmpv6 type 2 log group 33; \
         nft add rule inet others pre iifname cali1 icmp type 3 icmp code 4 log group 34",
    );
    let done = scratch.run(&[&["import"], &netns[..]].concat());
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    for line in [
        "  ptb: { interfaces: [\"cali1\", \"cali2\"], group: 40, snaplen: 1500, queue_threshold: 64, prefilter: { min_mtu: 576, rate: 10, burst: 20 } }  # rules of chain inet netkeel nflog-ptb\n",
        "  group-33: { interfaces: [\"cali3\"], group: 33 }  # logged by `nft: inet others pre ",
        "it logs one family, and an entry of nflog logs both\n",
    ] {
        assert!(done.stdout.contains(line), "{line}: {}", done.stdout);
    }
    let check = scratch.run_with(&[&["check", "-f", "-"], &netns[..]].concat(), &done.stdout);
    assert_eq!(check.code, 0, "{check:?}\n{}", done.stdout);
    let only = scratch.run(&[&["import", "ptb"], &netns[..]].concat());
    assert!(
        only.stdout.contains("  ptb:") && !only.stdout.contains("group-33"),
        "{only:?}"
    );
}

#[test]
fn the_files_of_another_root_are_imported() {
    let scratch = Scratch::new(&[
        (
            "root/etc/sysctl.d/50-path.conf",
            "net.ipv4.tcp_mtu_probing = 1\nnet.ipv4.tcp_rmem = 4096  87380\t6291456\nnet.ipv4.conf.*.rp_filter = 1\nnonsense\nkernel.panic = 10\n",
        ),
        (
            "root/usr/lib/sysctl.d/60-later.conf",
            "net/ipv4/tcp_mtu_probing=2\n",
        ),
        ("root/etc/sysctl.conf", "net.core.rmem_max = 1\n"),
        (
            "root/etc/cni/net.d/10-calico.conflist",
            "{\"cniVersion\": \"0.3.1\", \"name\": \"k8s\", \"plugins\": [{\"type\": \"calico\", \"mtu\": 1440}, {\"type\": \"portmap\"}]}",
        ),
    ]);
    let done = scratch.run(&["import", "--root", "root"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    assert_eq!(
        done.stdout,
        "# The network path of the files below root, as `netkeel import` read them.\n\
         # Sysctls are those that systemd-sysctl sets at boot. Files do not show interfaces or tunnels.\n\
         version: 1\n\
         sysctl:\n\
         \x20 net.ipv4.tcp_mtu_probing: 2  # /usr/lib/sysctl.d/60-later.conf:1\n\
         \x20 net.ipv4.tcp_rmem: \"4096 87380 6291456\"  # /etc/sysctl.d/50-path.conf:2\n\
         cni:\n\
         \x20 calico: { plugin: calico, file: \"/etc/cni/net.d/10-calico.conflist\", mtu: 1440 }  # /etc/cni/net.d/10-calico.conflist\n\
         # Not declared:\n\
         #   /etc/sysctl.conf: systemd-sysctl does not read it\n\
         #   /etc/sysctl.d/50-path.conf:3: `net/ipv4/conf/*/rp_filter` is a pattern; for rp_filter, a rule of `link` with `match` declares it\n\
         #   /etc/sysctl.d/50-path.conf:4: `nonsense` is not an assignment; systemd ignores it\n\
         #   sysctl.\"kernel.panic\": kernel.panic is not a setting of the network\n"
    );
    let valid = scratch.run_with(&["validate", "-f", "-"], &done.stdout);
    assert_eq!(valid.code, 0, "{valid:?}");
    let one = scratch.run(&["import", "--root", "root", "calico"]);
    assert!(
        one.stdout.contains("calico:") && !one.stdout.contains("sysctl:"),
        "{one:?}"
    );
    assert_eq!(scratch.run(&["import", "--root", "nowhere"]).code, 1);
}

#[test]
fn a_selector_that_finds_nothing_in_files_is_an_error() {
    let scratch = Scratch::new(&[
        ("net.yaml", "network: { ethernets: { eth0: { mtu: 1400 } } }\n"),
        ("a.conf", "net.core.rmem_max = 1\n"),
        ("root/etc/sysctl.d/a.conf", "net.core.rmem_max = 1\n"),
    ]);
    for source in [
        &["--from", "netplan", "-f", "net.yaml"][..],
        &["--from", "sysctl.d", "-f", "a.conf"],
        &["--root", "root"],
    ] {
        let done = scratch.run(&[&["import", "ethh0"], source].concat());
        assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{source:?}: {done:?}");
        assert!(
            done.stderr.contains("`ethh0` finds nothing in these files"),
            "{done:?}"
        );
    }
    let done = scratch.run(&["import", "eth*", "--from", "netplan", "-f", "net.yaml"]);
    assert!(
        done.code == 0 && done.stdout.contains("  eth0: { mtu: 1400 }"),
        "{done:?}"
    );
    let done = scratch.run(&["import", "net.core.*", "--from", "sysctl.d", "-f", "a.conf"]);
    assert!(
        done.code == 0 && done.stdout.contains("  net.core.rmem_max: 1"),
        "{done:?}"
    );
}
