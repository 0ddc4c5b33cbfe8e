//! The form of imported documents. The tests in `testinfra` import every snapshot of the tree.

use crate::import::import;
use crate::import::selection::Selection;
use std::path::Path;

use proptest::prelude::*;

use netkeel_core::name::netns::Netns;
use netkeel_core::name::sandbox::Sandbox;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;
use netkeel_host::snapshot::pod::PodEnd;
use netkeel_host::snapshot::reading::{SysctlD, SysctlReading};
use netkeel_host::sysctl_d::file::{Content, File, Files};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

fn host(pods: u32) -> Snapshot {
    let mut host = Snapshot::empty(Netns::CURRENT);
    let mut add = |index, name: &str, kind: Option<&str>, mtu| {
        let link = Link {
            index,
            kind: kind.map(Into::into),
            mtu,
            min_mtu: 68,
            max_mtu: 65535,
            rp_filter: Some(1),
            txqueuelen: 1000,
            ..Link::default()
        };
        host.links.insert(name.parse().unwrap(), link.into());
    };
    add(1, "lo", None, 65536);
    add(2, "eth0", None, 9000);
    add(3, "on", Some("bridge"), 1500);
    add(4, "genev_sys_6081", Some("geneve"), 65000);
    for pod in 0..pods {
        let mtu = if pod == 7 { 1400 } else { 1450 };
        add(10 + pod, &format!("cali{pod:08x}"), Some("veth"), mtu);
    }
    host
}

#[test]
fn a_name_that_is_not_utf_8_is_left_out_and_named() {
    let mut host = host(0);
    let link = host.link("eth0".parse().unwrap()).unwrap().clone();
    let name = netkeel_core::name::link::LinkName::new(b"\xff\xfe").unwrap();
    host.links.insert(name, link.into());
    let text = import(&host, "a", &Selection::default()).unwrap();
    let (entries, rest) = text.split_once("# Left out, ").unwrap();
    assert!(!entries.contains("xff") && entries.contains("eth0"), "{text}");
    assert!(rest.contains("xff"), "{text}");
}

#[test]
fn a_sysctl_whose_default_is_not_known_is_imported_where_a_file_sets_it() {
    let mut host = host(0);
    for (key, value) in [("net.core.rmem_max", "1048576"), ("net.core.wmem_max", "212992")] {
        let value = SysctlReading::Value {
            value: value.to_owned().into(),
            writable: true,
        };
        host.sysctls.insert(key.parse().unwrap(), value);
    }
    let text = import(&host, "a", &Selection::default()).unwrap();
    assert!(!text.contains("sysctl:"), "{text}");
    let buffers = File {
        directory: 0,
        name: "60-buffers.conf".to_owned(),
        target: "/etc/sysctl.d/60-buffers.conf".to_owned(),
        content: Content::Text("# Big.\nnet.core.rmem_max = 2097152\n".to_owned()),
    };
    host.sysctl_d = Some(SysctlD {
        files: Files {
            dropins: vec![buffers],
            sysctl_conf: None,
        },
        udev: false,
        ufw: None,
    });
    let text = import(&host, "a", &Selection::default()).unwrap();
    assert!(
        text.ends_with(
            "sysctl:\n  net.core.rmem_max: 1048576  # live value; /etc/sysctl.d/60-buffers.conf:2 sets it\n"
        ),
        "{text}"
    );
}

#[test]
fn equal_interfaces_are_one_rule_and_others_are_named() {
    let text = import(&host(1000), "a\u{1b}[31mb", &Selection::default()).unwrap();
    assert_eq!(
        text,
        "# The network path of a\\u{1b}[31mb, as `netkeel import` found it.\n\
         # `netkeel plan` with this document finds nothing to do.\n\
         version: 1\n\
         # Remove this line to make the sysctls hold at boot.\n\
         persist: no\n\
         link:\n\
         \x20 all-cali: { match: { name: \"cali*\", kind: veth }, mtu: 1450, rp_filter: strict }  # 999 interfaces\n\
         \x20 cali00000007: { mtu: 1400, rp_filter: strict }  # veth\n\
         \x20 eth0: { mtu: 9000, rp_filter: strict }  # physical\n\
         \x20 \"on\": { mtu: 1500, rp_filter: strict }  # bridge\n"
    );
}

#[test]
fn a_host_with_a_thousand_pods_takes_few_lines() {
    let mut host = host(1003);
    for (pod, mtu) in [(3, 1300), (9, 1300), (10, 1200)] {
        let name = format!("cali{pod:08x}").parse().unwrap();
        host.link_mut(name).unwrap().mtu = mtu;
    }
    let pods = host
        .links
        .keys()
        .filter(|name| name.to_string().starts_with("cali"));
    let pods: Vec<_> = pods.copied().collect();
    for (number, name) in pods.iter().enumerate() {
        let link = host.link_mut(*name).unwrap();
        let (index, mtu) = (link.index, if number == 20 { 1280 } else { link.mtu });
        link.pod = Some(Box::new(PodEnd {
            sandbox: Some(Sandbox {
                path: Path::new(&format!("/run/netns/cni-{index}")).into(),
                inode: u64::from(index) + 4_026_532_000,
            }),
            index: 2,
            name: "eth0".parse().unwrap(),
            mtu,
            leads_out: None,
            routes: Default::default(),
            ipv6: Default::default(),
            excess: None,
            mtu6: None,
            kept_by: None,
        }));
    }
    let text = import(&host, "worker", &Selection::default()).unwrap();
    assert!(text.lines().count() <= 60, "{text}");
    for line in [
        "  all-cali: {",
        "  cali00000003: { mtu: 1300",
        "pod_mtu: 1280",
        "  eth0: { mtu: 9000",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

/// Text that would end a value, an entry or a comment of YAML.
fn hostile() -> impl Strategy<Value = String> {
    let parts = [
        "dummy",
        " }",
        ", mtu: 1500",
        "\n",
        "prune: true",
        "owner: evil",
        "#",
        "\"",
        "'",
        "\\",
        "\r",
        "\u{85}",
        "\u{2028}",
        "*",
        "&a",
        "!",
        "{",
        "]",
        ": ",
        "- ",
        "\0",
        "\u{1b}[31m",
        "\t",
        "no",
    ];
    proptest::collection::vec(proptest::sample::select(parts.to_vec()), 0..7).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_kind_driver_or_name_adds_a_key(
        kind in hostile(),
        driver in hostile(),
        from in hostile(),
        names in proptest::collection::vec("[a-z{}#\"'\\\\,:*&!-]{1,12}", 1..4),
    ) {
        let mut host = host(0);
        for (number, stem) in names.iter().enumerate() {
            for end in 0..4 {
                let Ok(name) = format!("{stem}{end}").parse() else { continue };
                let link = Link {
                    index: u32::try_from(100 + number * 4 + end).unwrap(),
                    kind: Some(kind.as_str().into()),
                    driver: Some(driver.as_str().into()),
                    mtu: 1500,
                    min_mtu: 68,
                    max_mtu: 65535,
                    ..Link::default()
                };
                host.links.insert(name, link.into());
            }
        }
        let text = import(&host, &from, &Selection::default()).unwrap();
        let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
        let node = sources.load("import.yaml", text.clone().into_bytes(), None, &mut diagnostics);
        prop_assert!(diagnostics.is_empty(), "{diagnostics:?}\n{text}");
        let node = node.unwrap();
        let keys: Vec<&str> = node.entries().iter().map(|entry| entry.key.as_str()).collect();
        prop_assert_eq!(keys, ["version", "persist", "link"], "{}", text);
    }
}

#[test]
fn the_kind_of_a_rule_is_in_quotes_unless_it_is_a_word() {
    let mut host = host(0);
    for index in 100..103 {
        let link = Link {
            index,
            kind: Some("dummy }, mtu: 1500 }\nprune: true\nowner: evil\n#".into()),
            mtu: 1500,
            min_mtu: 68,
            max_mtu: 65535,
            ..Link::default()
        };
        host.links
            .insert(format!("d{index}").parse().unwrap(), link.into());
    }
    let text = import(&host, "host", &Selection::default()).unwrap();
    assert!(!text.contains("\nprune:") && !text.contains("\nowner:"), "{text}");
}
