//! A release writes each fact that netkeel wrote. A fact that the kernel changed with it is written only where the
//! kernel does not restore it by itself.

use crate::goal::{Goal, Release};
use crate::ledger::Ledger;
use netkeel_core::name::netns::Netns;
use netkeel_document::document::Document;
use netkeel_host::kernel::Kernel;
use netkeel_host::model::kernel::ModelKernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

const HOST: &str = r#"{"format":1,"netns":null,"kernel":"6.12","families":{"ipv4":true,"ipv6":true},
    "announced_routes":{},
    "sysctls":{"net/ipv4/conf/all/rp_filter":{"value":"0","writable":true},
      "net/ipv4/conf/default/rp_filter":{"value":"0","writable":true},
      "net/ipv6/conf/all/forwarding":{"value":"1","writable":true},
      "net/ipv6/conf/default/forwarding":{"value":"1","writable":true},
      "net/ipv6/conf/default/disable_ipv6":{"value":"0","writable":true}},
    "links":{
      "br0":{"index":1,"kind":"bridge","mtu":1500,"min_mtu":68,"max_mtu":65535,"up":true,"rp_filter":0,"forwarding":0,"forwarding6":1,"disable_ipv6":0},
      "eth0":{"index":2,"mtu":1500,"min_mtu":68,"max_mtu":9000,"up":true,"rp_filter":0,"forwarding":0,"forwarding6":1,"disable_ipv6":0,"addresses":["192.0.2.1/24"]},
      "eth0.5":{"index":3,"kind":"vlan","lower":2,"mtu":1500,"min_mtu":0,"max_mtu":65535,"up":true,"rp_filter":0,"forwarding":0,"forwarding6":0,"disable_ipv6":0,"addresses":["198.51.100.1/24"]},
      "p1":{"index":4,"kind":"dummy","master":1,"mtu":1500,"min_mtu":68,"max_mtu":65535,"up":true,"rp_filter":0,"forwarding":0,"forwarding6":1,"disable_ipv6":0},
      "p2":{"index":5,"kind":"dummy","master":1,"mtu":1500,"min_mtu":68,"max_mtu":65535,"up":true,"rp_filter":0,"forwarding":0,"forwarding6":1,"disable_ipv6":0}}}"#;

/// Applies a document on the model and releases it. Returns the commands of the apply and of the release, and
/// checks that the host is as before.
fn apply_and_release(text: &str) -> (Vec<String>, Vec<String>) {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let text = format!("version: 1\npersist: no\n{text}\n");
    let layers = sources.load("a.yaml", text.into_bytes(), None, &mut diagnostics);
    let document = Document::read(layers.into_iter().collect(), Netns::CURRENT, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let before = Snapshot::from_json(HOST).unwrap();
    let mut kernel = ModelKernel::new(before.clone());
    let applied = document.plan(&before).unwrap().plan;
    for step in &applied.steps {
        kernel.execute(&step.op).unwrap();
    }
    assert_ne!(kernel.model.host, before);
    let commands = |plan: &crate::plan::Plan| plan.steps.iter().map(|step| step.op.to_string()).collect();
    let ledger = Ledger::from_iter(applied.claims());
    let goal = Release {
        ledger: &ledger,
        owner: "default",
        netns: &Netns::CURRENT,
    };
    let released = goal.plan(&kernel.model.host).unwrap().plan;
    for step in &released.steps {
        kernel.execute(&step.op).unwrap();
    }
    assert_eq!(kernel.model.host, before);
    let held: Vec<_> = ledger.claims().map(|claim| claim.fact.clone()).collect();
    assert_eq!(released.released, held, "what follows is released too");
    (commands(&applied), commands(&released))
}

#[test]
fn a_bridge_that_followed_its_ports_follows_them_back() {
    for mtu in [9000, 1400] {
        let document = format!("link: {{ ports: {{ match: {{ name: 'p*' }}, mtu: {mtu} }} }}");
        let (applied, released) = apply_and_release(&document);
        assert_eq!(applied.len(), 2);
        assert_eq!(
            released,
            ["ip link set dev p1 mtu 1500", "ip link set dev p2 mtu 1500"]
        );
    }
}

#[test]
fn a_vlan_that_shrank_with_its_lower_device_is_raised_again() {
    let (applied, released) = apply_and_release("link: { eth0: { mtu: 1400 } }");
    assert_eq!(applied, ["ip link set dev eth0 mtu 1400"]);
    assert_eq!(
        released,
        ["ip link set dev eth0 mtu 1500", "ip link set dev eth0.5 mtu 1500"]
    );
}

#[test]
fn what_followed_default_follows_it_back() {
    let (_, released) = apply_and_release("sysctl: { net.ipv4.conf.default.rp_filter: 1 }");
    assert_eq!(released, ["sysctl -w net.ipv4.conf.default.rp_filter=0"]);
}

#[test]
fn what_a_switch_overwrote_is_written_where_it_differed() {
    let (_, released) = apply_and_release("sysctl: { net.ipv6.conf.all.forwarding: 0 }");
    assert_eq!(
        released,
        [
            "sysctl -w net.ipv6.conf.all.forwarding=1",
            "sysctl -w net/ipv6/conf/eth0.5/forwarding=0"
        ]
    );
}
