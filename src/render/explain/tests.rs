//! Explains a host that has nearly everything that an explanation can show.

use std::sync::Arc;

use crate::explain::key::{key, link};
use crate::paint::Paint;
use netkeel_core::fact::{Fact, Field, Value};
use netkeel_core::name::netns::Netns;
use netkeel_diagnose::explain::holder::{Act, Records};
use netkeel_diagnose::explain::inputs::Inputs;
use netkeel_diagnose::explain::{key, link};
use netkeel_host::evidence::Evidence;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::{Families, Link};
use netkeel_host::snapshot::reading::SysctlReading;
use netkeel_host::sysctl_d::file::{Content, File, Files};
use netkeel_host::sysctl_d::order::DIRECTORIES;
use netkeel_plan::ledger::{Ledger, OwnershipRecord};

/// A Kubernetes worker whose cali0 has the value of systemd's file.
fn snapshot() -> Snapshot {
    let link = |index, kind: Option<&str>, mtu, lower, rp_filter, addresses: &[&str]| Link {
        index,
        kind: kind.map(Arc::from),
        mtu,
        min_mtu: 68,
        max_mtu: 65535,
        up: true,
        txqueuelen: 1000,
        rp_filter: Some(rp_filter),
        forwarding: Some(1),
        forwarding6: Some(0),
        disable_ipv6: Some(0),
        lower,
        peer_netns: (kind == Some("veth")).then_some(0),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        ..Link::default()
    };
    let mut snapshot = Snapshot::empty(Netns::CURRENT);
    snapshot.families = Families {
        ipv4: true,
        ipv6: true,
    };
    for (name, link) in [
        ("eth0", link(2, None, 1500, None, 1, &["192.0.2.1/24"])),
        ("eth0.7", link(3, Some("vlan"), 9000, Some(2), 1, &[])),
        ("cali0", link(4, Some("veth"), 1460, Some(2), 2, &[])),
    ] {
        snapshot.links.insert(name.parse().unwrap(), link.into());
    }
    for (key, value) in [
        ("net.ipv4.ip_forward", "1"),
        ("net.ipv4.conf.all.rp_filter", "2"),
        ("net.ipv4.conf.default.rp_filter", "1"),
        ("net.ipv6.conf.all.forwarding", "0"),
    ] {
        let reading = SysctlReading::Value {
            value: value.into(),
            writable: true,
        };
        snapshot.sysctls.insert(key.parse().unwrap(), reading);
    }
    snapshot
}

/// The owner puppet declares the MTU of eth0 and its rp_filter as strict.
fn kept() -> (Ledger, Vec<Act>) {
    let claim = |field, found, wrote| OwnershipRecord {
        device: None,
        fact: Fact::link(&Netns::CURRENT, "eth0".parse().unwrap(), field),
        owner: "puppet".into(),
        found: Some(Value::Number(found)),
        wrote: Some(Value::Number(wrote)),
        caused_by: None,
    };
    let claims = [claim(Field::RpFilter, 2, 1), claim(Field::Mtu, 9000, 1500)];
    let act = Act {
        time: 1_795_197_349,
        actor: "uid 0, pid 812: netkeel apply".into(),
        document: "0123456789abcdef".into(),
        result: "applied".into(),
        commands: vec!["sysctl -w net.ipv4.conf.eth0.rp_filter=1".into()],
    };
    (Ledger::from_iter(claims), vec![act])
}

fn files() -> Files {
    let file = |directory, name: &str, text: &str| File {
        directory,
        name: name.to_owned(),
        target: format!("{}/{name}", DIRECTORIES[directory]),
        content: Content::Text(text.to_owned()),
    };
    Files {
        dropins: vec![
            file(
                0,
                "10-site.conf",
                "net.ipv4.conf.all.rp_filter=1\nnet.ipv4.ip_forward=1\n",
            ),
            file(
                3,
                "50-default.conf",
                "net.ipv4.conf.default.rp_filter = 2\nnet.ipv4.conf.*.rp_filter = 2\n-net.ipv4.conf.all.rp_filter\n",
            ),
            file(
                0,
                "90-netkeel.conf",
                "net/ipv4/conf/default/rp_filter = 1\nnet/ipv4/conf/eth0/rp_filter = 1\n",
            ),
        ],
        sysctl_conf: None,
    }
}

fn evidence() -> Evidence {
    Evidence {
        paths: ["/usr/lib/udev/rules.d/99-systemd.rules".to_owned()].into(),
        texts: [
            ("/etc/ufw/sysctl.conf", "net/ipv4/conf/all/rp_filter=0\n"),
            ("/etc/ufw/ufw.conf", "ENABLED=yes\n"),
            ("/etc/default/ufw", "IPT_SYSCTL=/etc/ufw/sysctl.conf\n"),
        ]
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .into(),
    }
}

fn explained(what: &str) -> String {
    explained_on(what, snapshot(), files(), evidence())
}

fn explained_on(what: &str, snapshot: Snapshot, files: Files, evidence: Evidence) -> String {
    let (ledger, acts) = kept();
    let host = Inputs {
        snapshot: &snapshot,
        files: &files,
        evidence: &evidence,
        kept: Records {
            ledger: Some(&ledger),
            acts: &acts,
        },
        declaring: None,
        initial: Some(true),
    };
    match link::link(&host, what.parse().unwrap_or_else(|_| "no-link".parse().unwrap())) {
        Some(explained) => link(&explained, Paint(false)),
        None => key(&key::key(&host, &what.parse().unwrap()), Paint(false)),
    }
}

/// Adds a sysctl that was read.
fn with(mut snapshot: Snapshot, key: &str, value: &str) -> Snapshot {
    let reading = SysctlReading::Value {
        value: value.into(),
        writable: true,
    };
    snapshot.sysctls.insert(key.parse().unwrap(), reading);
    snapshot
}

#[test]
fn kube_proxy_and_docker_are_named_for_what_they_write() {
    let mut evidence = evidence();
    evidence
        .paths
        .extend(["/var/lib/kube-proxy".to_owned(), "/run/docker.sock".to_owned()]);
    let writers = |key: &str| {
        let shown = explained_on(key, snapshot(), files(), evidence.clone());
        let named = |program: &str| shown.contains(&format!("{program} (/"));
        (named("kube-proxy"), named("Docker"))
    };
    for key in [
        "net.netfilter.nf_conntrack_max",
        "net.nf_conntrack_max",
        "net.netfilter.nf_conntrack_buckets",
        "net.netfilter.nf_conntrack_tcp_timeout_established",
        "net.netfilter.nf_conntrack_tcp_timeout_close_wait",
        "net.netfilter.nf_conntrack_tcp_be_liberal",
        "net.netfilter.nf_conntrack_udp_timeout",
    ] {
        assert_eq!(writers(key), (true, false), "{key}");
    }
    // Two names of one variable.
    for key in ["net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding"] {
        assert_eq!(writers(key), (true, true), "{key}");
    }
    assert_eq!(writers("net.bridge.bridge-nf-call-iptables"), (false, true));
    assert_eq!(writers("net.netfilter.nf_conntrack_acct"), (false, false));
    // Without a trace of them nothing is said to run here.
    let absent = explained("net.ipv4.ip_forward");
    assert!(
        absent.contains("no sign here of") && absent.contains("kube-proxy") && absent.contains("Docker"),
        "{absent}"
    );
}

#[test]
fn a_ufw_that_is_disabled_writes_nothing() {
    let of = |enabled: &str| {
        let mut evidence = evidence();
        evidence
            .texts
            .insert("/etc/ufw/ufw.conf".to_owned(), enabled.to_owned());
        explained_on("net.ipv4.conf.all.rp_filter", snapshot(), files(), evidence)
    };
    assert!(of("ENABLED=yes\n").contains("writes 0 when it starts"));
    for disabled in ["ENABLED=no\n", "# ENABLED=yes\n", ""] {
        assert!(!of(disabled).contains("ufw"), "{}", of(disabled));
    }
}

/// The quotes are part of the value, which then is no list of numbers.
#[test]
fn a_vector_in_quotes_does_not_decide() {
    let of = |line: &str| {
        let mut files = files();
        files.dropins.push(File {
            directory: 0,
            name: "99-tcp.conf".to_owned(),
            target: "/etc/sysctl.d/99-tcp.conf".to_owned(),
            content: Content::Text(format!("{line}\n")),
        });
        let snapshot = with(snapshot(), "net.ipv4.tcp_rmem", "4096\t131072\t6291456");
        explained_on("net.ipv4.tcp_rmem", snapshot, files, evidence())
    };
    for quoted in [
        "net.ipv4.tcp_rmem = \"4096 131072 33554432\"",
        "net.ipv4.tcp_rmem = '4096 131072 33554432'",
    ] {
        let shown = of(quoted);
        assert!(
            shown.contains("the kernel rejects the value") && !shown.contains("decides"),
            "{shown}"
        );
        assert!(shown.contains("at boot    unchanged from the kernel"), "{shown}");
    }
    let shown = of("net.ipv4.tcp_rmem = 4096 131072 33554432");
    assert!(
        shown.contains("decides") && shown.contains("at boot    4096 131072 33554432"),
        "{shown}"
    );
}

/// A new interface starts with the live value of `default`, whatever no file says.
#[test]
fn a_newcomer_gets_what_default_has_now() {
    let of = |key: &str, default: &str| {
        let parsed: netkeel_core::name::sysctl::SysctlKey = key.parse().unwrap();
        let of_default = parsed.in_slot("default").unwrap().to_string();
        let shown = explained_on(key, with(snapshot(), &of_default, default), files(), evidence());
        let line = shown.lines().find(|line| line.contains("later  ")).map(str::trim);
        line.unwrap_or_default().to_owned()
    };
    assert_eq!(
        of("net.ipv4.conf.eth1.log_martians", "1"),
        "later      1, as `default` is now; no file sets it"
    );
    assert_eq!(
        of("net.ipv6.conf.eth1.accept_ra", "0"),
        "later      0, as `default` is now; no file sets it"
    );
}

#[test]
fn an_interface_that_a_pattern_has_made_loose() {
    insta::assert_snapshot!(explained("net.ipv4.conf.cali0.rp_filter"), @"
    net.ipv4.conf.cali0.rp_filter
      live       2 (loose)
      effective  2 (loose): the larger of all (2) and its own (2); decided by net.ipv4.conf.cali0.rp_filter
                 a packet whose reverse path is another interface is dropped, although the mode is loose: the interface has no IPv4 address
      at boot    2 (loose), by the pattern net/ipv4/conf/*/rp_filter of /usr/lib/sysctl.d/50-default.conf:2
      later      2 (loose), by the pattern net/ipv4/conf/*/rp_filter of /usr/lib/sysctl.d/50-default.conf:2
                 without udev: 1 (strict), as `default` has it by /etc/sysctl.d/90-netkeel.conf:1
      lines      lowest priority first
        /usr/lib/sysctl.d/50-default.conf:2  net.ipv4.conf.*.rp_filter = 2
          decides
      writer     udev (/usr/lib/udev/rules.d/99-systemd.rules)
                 runs systemd-sysctl for an interface some 100 ms after it appears (99-systemd.rules), and so overwrites earlier values with the lines and patterns of sysctl.d
      writer     Felix (Calico) (the interface cali0)
                 writes it for each workload's interface; rp_filter gets the value that conf.default had when Felix started
      writers    no sign here of systemd-networkd
    ");
}

#[test]
fn all_where_systemd_and_procps_differ() {
    insta::assert_snapshot!(explained("net.ipv4.conf.all.rp_filter"), @"
    net.ipv4.conf.all.rp_filter
      live       2 (loose)
      effect     on each interface the larger of all and its own counts
      decides on eth0, eth0.7
      at boot    systemd: unchanged from the kernel: no file sets it
                 procps:  1 (strict), by /etc/sysctl.d/10-site.conf:1
      lines      lowest priority first
        /etc/sysctl.d/10-site.conf:1  net.ipv4.conf.all.rp_filter=1
          systemd: ignored: /usr/lib/sysctl.d/50-default.conf:3 replaces it
          procps: decides
        /usr/lib/sysctl.d/50-default.conf:2  net.ipv4.conf.*.rp_filter = 2
          systemd: not applied: /usr/lib/sysctl.d/50-default.conf:3 names the key, which exempts it from patterns
          procps: not applied: /etc/sysctl.d/10-site.conf:1 names the key, which exempts it from patterns
        /usr/lib/sysctl.d/50-default.conf:3  -net.ipv4.conf.all.rp_filter
          exempts the key from patterns
      writer     ufw (/etc/ufw/sysctl.conf:1)
                 writes 0 when it starts, after all of sysctl.d
      writers    no sign here of Felix (Calico, eBPF), Cilium, systemd-networkd
    ");
}

#[test]
fn default_with_a_pattern_that_new_interfaces_get() {
    insta::assert_snapshot!(explained("net.ipv4.conf.default.rp_filter"), @"
    net.ipv4.conf.default.rp_filter
      live       1 (strict)
      effect     an interface that appears later starts with it
                 a write also changes each interface whose own nobody has written and that never had an IPv4 address
      at boot    1 (strict), by /etc/sysctl.d/90-netkeel.conf:1
      later      2 (loose), by the pattern net/ipv4/conf/*/rp_filter of /usr/lib/sysctl.d/50-default.conf:2
                 without udev: 1 (strict), as `default` has it by /etc/sysctl.d/90-netkeel.conf:1
      lines      lowest priority first
        /usr/lib/sysctl.d/50-default.conf:1  net.ipv4.conf.default.rp_filter = 2
          systemd: ignored: /etc/sysctl.d/90-netkeel.conf:1 replaces it
          procps: overridden by /etc/sysctl.d/90-netkeel.conf:1
        /usr/lib/sysctl.d/50-default.conf:2  net.ipv4.conf.*.rp_filter = 2
          systemd: not applied: /etc/sysctl.d/90-netkeel.conf:1 names the key, which exempts it from patterns
          procps: not applied: /usr/lib/sysctl.d/50-default.conf:1 names the key, which exempts it from patterns
        /etc/sysctl.d/90-netkeel.conf:1  net/ipv4/conf/default/rp_filter = 1  (netkeel's)
          decides
      writers    no sign here of systemd-networkd
    ");
}

#[test]
fn a_setting_that_no_interface_has() {
    insta::assert_snapshot!(explained("net.core.rmem_max"), @"
    net.core.rmem_max
      live       could not be read: it was not read
      at boot    unchanged from the kernel: no file sets it
    ");
}

#[test]
fn an_interface_that_is_not_there_yet() {
    insta::assert_snapshot!(explained("net.ipv4.conf.ipip0.forwarding"), @"
    net.ipv4.conf.ipip0.forwarding
      live       absent
      at boot    1, copied from net.ipv4.ip_forward, by /etc/sysctl.d/10-site.conf:2
      later      1, as `default` has it by /etc/sysctl.d/10-site.conf:2
      lines      lowest priority first
        /etc/sysctl.d/10-site.conf:2  net.ipv4.ip_forward=1
          decides
      writer     udev (/usr/lib/udev/rules.d/99-systemd.rules)
                 runs systemd-sysctl for an interface some 100 ms after it appears (99-systemd.rules), and so overwrites earlier values with the lines and patterns of sysctl.d
      writers    no sign here of systemd-networkd, NetworkManager
      note       there is no interface ipip0 now
    ");
}

/// No host has the files of the page, so that its blocks are not run like others.
#[test]
fn the_page_shows_what_is_printed() {
    let page = include_str!("../../../docs/how-to/explain.md");
    for key in ["net.ipv4.conf.cali0.rp_filter", "net.ipv4.conf.all.rp_filter"] {
        let block = format!("$ netkeel explain {key}\n{}```\n", explained(key));
        assert!(page.contains(&block), "{block}");
    }
}

#[test]
fn an_interface_with_all_its_settings() {
    insta::assert_snapshot!(explained("eth0.7"), @"
    interface eth0.7
      kind       vlan, index 3
      state      up
      mtu        9000 bytes; the device takes from 68 to 65535
      below it   eth0 (physical, mtu 1500)
      txqueuelen 1000
      addresses  none

    net/ipv4/conf/eth0.7/rp_filter
      live       1 (strict)
      effective  2 (loose): the larger of all (2) and its own (1); decided by net.ipv4.conf.all.rp_filter
                 a packet whose reverse path is another interface is dropped, although the mode is loose: the interface has no IPv4 address
      at boot    2 (loose), by the pattern net/ipv4/conf/*/rp_filter of /usr/lib/sysctl.d/50-default.conf:2
      later      2 (loose), by the pattern net/ipv4/conf/*/rp_filter of /usr/lib/sysctl.d/50-default.conf:2
                 without udev: 1 (strict), as `default` has it by /etc/sysctl.d/90-netkeel.conf:1
      lines      lowest priority first
        /usr/lib/sysctl.d/50-default.conf:2  net.ipv4.conf.*.rp_filter = 2
          decides

    net/ipv4/conf/eth0.7/forwarding
      live       1
      effective  1: its own counts; writing all writes every interface's
      at boot    1, copied from net.ipv4.ip_forward, by /etc/sysctl.d/10-site.conf:2
      later      1, as `default` has it by /etc/sysctl.d/10-site.conf:2
      lines      lowest priority first
        /etc/sysctl.d/10-site.conf:2  net.ipv4.ip_forward=1
          decides

    net/ipv6/conf/eth0.7/forwarding
      live       0
      effective  0: its own counts; writing all writes every interface's
      at boot    unchanged from the kernel: no file sets it
      later      the kernel's default: no file names it, nor `default`

    net/ipv6/conf/eth0.7/disable_ipv6
      live       0
      effective  0: its own counts; writing all writes every interface's
      at boot    unchanged from the kernel: no file sets it
      later      the kernel's default: no file names it, nor `default`

      writer     udev (/usr/lib/udev/rules.d/99-systemd.rules)
                 runs systemd-sysctl for an interface some 100 ms after it appears (99-systemd.rules), and so overwrites earlier values with the lines and patterns of sysctl.d
      writers    no sign here of Felix (Calico, eBPF), NetworkManager, systemd-networkd
      note       its MTU 9000 is above that of eth0 below it, 1500
      note       net/ipv4/conf/eth0.7/rp_filter is 1 now: it was changed after sysctl.d was applied, or sysctl.d was never applied
    ");
}

#[test]
fn the_owner_of_a_fact() {
    let rows = |what| {
        let explained = explained(what);
        let lines = explained.lines().skip_while(|line| !line.contains("held by"));
        let of_it = lines.take_while(|line| !line.contains("at boot") && !line.is_empty());
        of_it.collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(rows("net.ipv4.conf.eth0.rp_filter"), @"
    held by    owner puppet: wrote 1 (strict), found 2 (loose)
               applied, 2026-11-20 17:55:49 UTC, document 0123456789ab
               by uid 0, pid 812: netkeel apply
    ");
    insta::assert_snapshot!(rows("eth0"), @"  held by    owner puppet: link eth0 mtu: wrote 1500, found 9000");
}
