//! The form of imported documents. The tests in `testinfra` import every snapshot of the tree.

use crate::import::import;
use crate::import::selection::Selection;
use std::path::Path;

use netkeel_core::name::netns::Netns;
use netkeel_core::name::sandbox::Sandbox;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;
use netkeel_host::snapshot::pod::PodEnd;

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
            routes: Default::default(),
            ipv6: Default::default(),
            excess: None,
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
