//! Rules of NFLOG on the real kernel: what nft makes of the command that is shown, what packets
//! come of them, what others wrote, and what happens while others write.

mod contention;
mod foreign;
#[path = "../support/namespace.rs"]
mod namespace;
mod traffic;

use namespace::Namespace;
use traffic::{Message, Reader};

use std::net::IpAddr;
use std::time::{Duration, Instant};

use netkeel_apply::engine::apply::{apply, undo};
use netkeel_apply::engine::session::{Session, Unlogged, Unwatched};
use netkeel_core::finding::Code;
use netkeel_diagnose::lint::plan::plan;
use netkeel_document::document::Document;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::nflog::NflogState;
use netkeel_host::snapshot::scope::Scope;
use netkeel_kernel::live::snapshot::Live;
use netkeel_kernel::namespace::enter::inside;
use netkeel_plan::outcome::{Applied, Failure};
use netkeel_plan::plan::Plan;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

/// Everything that an entry can say.
const WHOLE: &str = r#"{"version":1,"persist":false,"nflog":{
    "packet-too-big":{"interfaces":["eth0","eth0.100"],"group":33,
        "ignore_sources":["192.168.100.0/24","10.0.0.0/9","192.0.2.7","2001:db8:100::/64","2001:db8:200::/65"]},
    "filtered":{"interfaces":["eth0"],"group":34,"snaplen":200,"queue_threshold":1,
        "prefilter":{"min_mtu":576,"min_mtu_ipv6":1280,"max_mtu":1499,"rate":2,"burst":3}},
    "least":{"interfaces":["eth0"],"group":35,"prefilter":{"min_mtu":600}},
    "most":{"interfaces":["eth0"],"group":36,"prefilter":{"max_mtu":1400}}}}"#;

fn document(text: &str, namespace: &Namespace) -> Document {
    let mut sources = Sources::default();
    let mut diagnostics = Diagnostics::default();
    let layers = sources.load("document.yaml", text.into(), None, &mut diagnostics);
    let document = Document::read(layers.into_iter().collect(), namespace.netns(), &mut diagnostics);
    assert!(diagnostics.is_empty(), "{diagnostics:#?}");
    document
}

fn observe(namespace: &Namespace) -> NflogState {
    let scope = Scope {
        nflog: true,
        ..Scope::default()
    };
    let host = Live::with(&namespace.netns(), |kernel| kernel.snapshot(&scope)).unwrap();
    let host = host.unwrap();
    assert_eq!(host.problems, []);
    host.nflog.unwrap()
}

fn planned(document: &Document, namespace: &Namespace) -> Result<Plan, Box<Diagnostics>> {
    let host = Live::with(&namespace.netns(), |kernel| kernel.snapshot(&document.scope()));
    plan(document, &host.unwrap().unwrap())
}

fn applied(document: &Document, namespace: &Namespace) -> Applied {
    try_apply(document, namespace).unwrap_or_else(|failure| panic!("{failure:#?}"))
}

fn try_apply(document: &Document, namespace: &Namespace) -> Result<Applied, Failure> {
    Live::with(&namespace.netns(), |kernel| {
        let session = Session {
            kernel,
            log: &mut Unlogged,
            lossy: false,
            watch: &mut Unwatched,
        };
        apply(document, session).outcome
    })
    .unwrap()
}

fn undone(applied: &Applied, namespace: &Namespace) {
    let steps = applied.planned.plan.steps.iter().rev();
    let ops: Vec<_> = steps.map(|step| step.undo.ops.as_slice()).collect();
    let (_, remaining) = Live::with(&namespace.netns(), |kernel| undo(kernel, ops.into_iter())).unwrap();
    assert!(remaining.is_empty(), "{remaining:#?}");
}

/// The ruleset as nft lists it, without counts.
fn listed(namespace: &Namespace) -> String {
    namespace.sh("nft -s list ruleset")
}

#[test]
fn what_is_made_is_what_nft_makes_of_the_command_and_goes_without_a_trace() {
    let by_netkeel = Namespace::new();
    by_netkeel.sh("ip link add eth0 type veth peer name p0");
    let document = document(WHOLE, &by_netkeel);
    let done = applied(&document, &by_netkeel);
    assert_eq!(done.done, 4);
    assert_eq!(applied(&document, &by_netkeel).done, 0, "it is not idempotent");
    let list = listed(&by_netkeel);
    for readable in [
        "iifname \"eth0\" ip saddr != 10.0.0.0/9 ip saddr != 192.0.2.7 ip saddr != 192.168.100.0/24 icmp type destination-unreachable icmp code frag-needed counter log group 33 snaplen 1500 queue-threshold 64 comment \"netkeel\"",
        "icmpv6 type packet-too-big",
        "icmp mtu 576-1499",
        "icmpv6 mtu 1280-1499",
        "icmp mtu >= 600",
        "icmp mtu <= 1400",
        "update @nflog-filtered-ipv4 { ip saddr limit rate 2/second burst 3 packets } counter log group 34 snaplen 200",
    ] {
        assert!(list.contains(readable), "{readable}\n{list}");
    }
    // nft makes the same of the commands that are shown.
    let by_nft = Namespace::new();
    for step in &done.planned.plan.steps {
        let command = step.op.to_string();
        let (_, shown) = command.split_once(&by_netkeel.name).unwrap();
        by_nft.sh(shown);
    }
    assert_eq!(observe(&by_nft), observe(&by_netkeel));
    assert_eq!(listed(&by_nft), list);
    undone(&done, &by_netkeel);
    assert_eq!(listed(&by_netkeel), "");
}

/// As large as an entry may be: a batch of more than a socket's usual buffer.
#[test]
fn the_largest_entry_is_made() {
    let namespace = Namespace::new();
    let interfaces: Vec<String> = (0..32).map(|n| format!("\"eth{n}\"")).collect();
    let ipv4 = (0..16).map(|n| format!("\"10.{n}.128.0/17\""));
    let ipv6 = (0..16).map(|n| format!("\"2001:db8:{n:x}::/63\""));
    let nets: Vec<String> = ipv4.chain(ipv6).collect();
    let filter = r#"{"min_mtu":576,"min_mtu_ipv6":1280,"max_mtu":1499,"rate":10}"#;
    let text = format!(
        "{{\"version\":1,\"persist\":false,\"nflog\":{{\"large\":{{\"interfaces\":[{}],\"ignore_sources\":[{}],\"prefilter\":{filter}}}}}}}",
        interfaces.join(","),
        nets.join(",")
    );
    let large = document(&text, &namespace);
    let done = applied(&large, &namespace);
    assert_eq!(done.done, 1);
    assert_eq!(listed(&namespace).matches("log group 33").count(), 64);
    assert_eq!(applied(&large, &namespace).done, 0);
    undone(&done, &namespace);
    assert_eq!(listed(&namespace), "");
}

#[test]
fn a_change_takes_the_place_of_the_rules_and_undo_brings_them_back() {
    let namespace = Namespace::new();
    let first = document(WHOLE, &namespace);
    applied(&first, &namespace);
    let before = (observe(&namespace), listed(&namespace));
    let text = WHOLE.replace("\"rate\":2,\"burst\":3", "\"rate\":5");
    let second = document(&text.replace("\"group\":33", "\"group\":37"), &namespace);
    let change = applied(&second, &namespace);
    assert_eq!(change.done, 2);
    assert!(listed(&namespace).contains("group 37"), "{}", listed(&namespace));
    undone(&change, &namespace);
    assert_eq!((observe(&namespace), listed(&namespace)), before);
}

#[test]
fn packets_come_to_the_group_but_not_those_of_ignored_sources() {
    let (node, router) = pair();
    let whole = document(WHOLE, &node);
    applied(&whole, &node);
    let patience = Duration::from_secs(60);
    let start = Instant::now();
    let mut took = Duration::ZERO;
    let seen = inside(&node.netns(), || {
        let reader = Reader::bind(33);
        let filtered = Reader::bind(34);
        inside(&router.netns(), || {
            let send = |from: &str, mtu: u16, icmp: Option<(u8, u8)>| {
                let from: IpAddr = from.parse().unwrap();
                let to = if from.is_ipv4() {
                    "10.255.0.1"
                } else {
                    "2001:db8:1::1"
                };
                let to = to.parse().unwrap();
                Message { from, to, mtu, icmp }.send();
            };
            // Ignored, and of other kinds.
            send("192.168.100.200", 1400, None);
            send("10.127.1.1", 1400, None);
            send("192.0.2.7", 1400, None);
            send("2001:db8:100::5", 1400, None);
            send("2001:db8:200::5", 1400, None);
            send("198.51.100.1", 1400, Some((3, 3)));
            send("198.51.100.1", 1400, Some((8, 0)));
            send("2001:db8:2::1", 1400, Some((1, 0)));
            // To be seen; the code of ICMPv6 does not matter.
            send("2001:db8:2::1", 1400, Some((2, 1)));
            send("198.51.100.1", 1400, None);
            send("198.51.100.2", 68, None);
            send("192.168.101.1", 1499, None);
            send("192.0.2.8", 1500, None);
            send("2001:db8:2::1", 1400, None);
            send("2001:db8:200:0:8000::5", 1500, None);
            // More than a source is let through.
            for _ in 0..10 {
                send("198.51.100.3", 1300, None);
                send("2001:db8:2::3", 1300, None);
            }
        })
        .unwrap();
        took = start.elapsed();
        (
            reader.read(27, patience),
            filtered.read(usize::MAX, Duration::from_millis(500)),
        )
    });
    let (all, filtered) = seen.unwrap();
    let count = |seen: &[(IpAddr, u16)], from: &str, mtu: u16| {
        let from: IpAddr = from.parse().unwrap();
        seen.iter().filter(|packet| **packet == (from, mtu)).count()
    };
    for (from, mtu, times) in [
        ("198.51.100.1", 1400, 1),
        ("198.51.100.2", 68, 1),
        ("192.168.101.1", 1499, 1),
        ("192.0.2.8", 1500, 1),
        ("2001:db8:2::1", 1400, 2),
        ("2001:db8:200:0:8000::5", 1500, 1),
        ("198.51.100.3", 1300, 10),
        ("2001:db8:2::3", 1300, 10),
    ] {
        assert_eq!(count(&all, from, mtu), times, "{from} of {all:?}");
    }
    assert_eq!(all.len(), 27, "{all:?}");
    // Those that group 33 ignores are not ignored here; 68 and 1500 are out of bounds.
    assert_eq!(count(&filtered, "198.51.100.1", 1400), 1, "{filtered:?}");
    assert_eq!(count(&filtered, "192.168.100.200", 1400), 1, "{filtered:?}");
    assert_eq!(count(&filtered, "192.168.101.1", 1499), 1, "{filtered:?}");
    assert!(
        filtered.iter().all(|(_, mtu)| (576..1500).contains(mtu)),
        "{filtered:?}"
    );
    // The burst, and at most what the time it took let through beyond that: two a second.
    let most = 3 + 2 * (took.as_secs() as usize + 1);
    for from in ["198.51.100.3", "2001:db8:2::3"] {
        let passed = count(&filtered, from, 1300);
        assert!((3..=most).contains(&passed), "{passed} of {from}: {filtered:?}");
    }
}

#[test]
fn an_interface_that_is_made_again_is_covered() {
    let (node, router) = pair();
    let whole = document(WHOLE, &node);
    applied(&whole, &node);
    node.sh("ip link del eth0");
    assert_eq!(
        applied(&whole, &node).done,
        0,
        "the rules went with the interface"
    );
    connect(&node, &router);
    assert_eq!(applied(&whole, &node).done, 0);
    let seen = inside(&node.netns(), || {
        let reader = Reader::bind(33);
        inside(&router.netns(), || {
            Message {
                from: "198.51.100.1".parse().unwrap(),
                to: "10.255.0.1".parse().unwrap(),
                mtu: 1400,
                icmp: None,
            }
            .send();
        })
        .unwrap();
        reader.read(1, Duration::from_secs(5))
    });
    assert_eq!(seen.unwrap().len(), 1);
}

#[test]
fn a_group_that_another_program_reads_is_told() {
    let namespace = Namespace::new();
    let whole = document(WHOLE, &namespace);
    let told = || {
        let plan = planned(&whole, &namespace).unwrap();
        let told = plan
            .findings
            .into_iter()
            .filter(|finding| finding.code == Code::NK034);
        told.map(|finding| finding.message).collect::<Vec<_>>()
    };
    assert_eq!(told(), Vec::<String>::new());
    inside(&namespace.netns(), || {
        let _reader = Reader::bind(34);
        let told = told();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("has bound group 34"), "{told:?}");
    })
    .unwrap();
}

/// Two hosts and a wire.
fn pair() -> (Namespace, Namespace) {
    let (node, router) = (Namespace::new(), Namespace::new());
    connect(&node, &router);
    (node, router)
}

fn connect(node: &Namespace, router: &Namespace) {
    node.sh(&format!(
        "ip link add eth0 type veth peer name up0 netns {}
         ip link set eth0 addrgenmode none
         ip addr add 10.255.0.1/24 dev eth0
         ip addr add 2001:db8:1::1/64 dev eth0 nodad
         ip link set eth0 up",
        router.name
    ));
    router.sh("ip addr add 10.255.0.2/24 dev up0
         ip addr add 2001:db8:1::2/64 dev up0 nodad
         ip link set up0 up");
    let address = node.sh("cat /sys/class/net/eth0/address");
    let address = address.trim();
    // Nobody asks who has the address: answers would be to sources that are not there.
    router.sh(&format!(
        "ip neigh replace 10.255.0.1 lladdr {address} dev up0
         ip -6 neigh replace 2001:db8:1::1 lladdr {address} dev up0"
    ));
}
