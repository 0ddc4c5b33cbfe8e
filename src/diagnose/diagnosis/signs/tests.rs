//! Signs of counters that grew.

use super::*;
use netkeel_host::counters::counter::NetlinkSocket;
use netkeel_host::counters::reading::{LinkIdentity, Reading};

fn host(kind: Option<&str>) -> Snapshot {
    let link = serde_json::json!({ "index": 2, "mtu": 1500, "up": true, "kind": kind });
    let host = serde_json::json!({
        "format": 1, "netns": null, "kernel": "6.12", "families": { "ipv4": true, "ipv6": true }, "sysctls": {},
        "links": { "br0": link },
    });
    Snapshot::from_json(&host.to_string()).unwrap()
}

/// The signs after counters grew, each with its severity.
fn found(grown: &[(Counter, u64)]) -> Vec<(SignKind, Severity)> {
    let identity = LinkIdentity {
        index: 2,
        mtu: 1500,
        ..LinkIdentity::default()
    };
    let reading = |by: &dyn Fn(u64) -> u64| Reading {
        counters: grown
            .iter()
            .map(|(counter, growth)| (counter.clone(), by(*growth)))
            .collect(),
        gauges: [(Gauge::BridgeCallsIptables, 1)].into(),
        links: [("br0".parse().unwrap(), identity.clone())].into(),
        ..Reading::default()
    };
    let deltas = Deltas::between(reading(&|_| 7), reading(&|growth| 7 + growth));
    let found = crate::diagnosis::diagnose(&host(Some("bridge")), &[], Some(&deltas));
    found
        .signs
        .iter()
        .map(|sign| (sign.kind, sign.severity))
        .collect()
}

fn of(group: &str, name: &str) -> Counter {
    Counter::protocol(group, name)
}

fn link(stat: LinkStat) -> Counter {
    Counter::Link("br0".parse().unwrap(), stat)
}

#[test]
fn each_counter_has_its_sign_and_no_other() {
    let netlink = NetlinkSocket {
        protocol: 12,
        port: 7,
        inode: 7,
    };
    for (counter, kind) in [
        (link(LinkStat::RxErrors), SignKind::InterfaceErrors),
        (link(LinkStat::TxDropped), SignKind::InterfaceDrops),
        (Counter::Cpu(0, CpuStat::Squeezed), SignKind::Squeezed),
        (Counter::Conntrack("invalid".into()), SignKind::ConntrackInvalid),
        (
            Counter::Conntrack("early_drop".into()),
            SignKind::ConntrackEarlyDrop,
        ),
        (Counter::RouteLookup("in_martian_src".into()), SignKind::Martians),
        (Counter::NetlinkDrops(netlink), SignKind::NetlinkDrops),
        (Counter::QueueDrops(3), SignKind::QueueDrops),
        (
            Counter::Filters("br0".parse().unwrap(), FilterStat::Drops),
            SignKind::FilterDrops,
        ),
        (of("Ip6", "OutDiscards"), SignKind::OutDiscards),
        (of("Ip", "ReasmFails"), SignKind::ReasmFails),
        (of("Udp", "SndbufErrors"), SignKind::SndbufErrors),
        (of("TcpExt", "TCPMTUPSuccess"), SignKind::TcpMtuProbing),
        (of("Xfrm", "InNoStates"), SignKind::Ipsec),
        (of("IcmpMsg", "InType3"), SignKind::IcmpUnreachable),
        (of("Icmp6", "InPktTooBigs"), SignKind::IcmpTooBig),
        (of("IcmpMsg", "InType11"), SignKind::IcmpTimeExceeded),
        (of("IcmpMsg", "InType5"), SignKind::IcmpRedirect),
    ] {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        let kinds: Vec<SignKind> = found(&[(counter, 40)]).iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [kind]);
    }
    // Echoes, and what was sent well.
    for counter in [
        of("IcmpMsg", "InType8"),
        of("Ip", "OutRequests"),
        of("Tcp", "OutRsts"),
    ] {
        assert_eq!(found(&[(counter, 4000)]), []);
    }
}

#[test]
fn the_share_of_the_packets_is_the_severity_and_errors_come_before_drops() {
    let with = |stat, by, packets| found(&[(link(stat), by), (link(LinkStat::TxPackets), packets)]);
    let errors = |by, packets| with(LinkStat::TxErrors, by, packets);
    let kind = SignKind::InterfaceErrors;
    assert_eq!(errors(40, 30_000), [(kind, Severity::Error)]);
    assert_eq!(errors(40, 100_000), [(kind, Severity::Warning)]);
    assert_eq!(errors(40, 10_000_000), [(kind, Severity::Note)]);
    // Few packets are an accident.
    assert_eq!(errors(3, 100), [(kind, Severity::Note)]);
    for (counter, kind) in [
        (Counter::QueueDrops(3), SignKind::QueueDrops),
        (of("Xfrm", "InNoStates"), SignKind::Ipsec),
    ] {
        assert_eq!(found(&[(counter.clone(), 40)]), [(kind, Severity::Warning)]);
        assert_eq!(found(&[(counter, 3)]), [(kind, Severity::Note)]);
    }
    // A few of these are on every network. Filters drop what they were made to drop.
    let dropped = |stat| Counter::Filters("br0".parse().unwrap(), stat);
    for counter in [of("Ip6", "InDiscards"), dropped(FilterStat::Drops)] {
        assert_eq!(found(&[(counter, 3)]), []);
    }
    let of_100 = (dropped(FilterStat::Packets), 100);
    assert_eq!(
        found(&[(dropped(FilterStat::Drops), 40), of_100]),
        [(SignKind::FilterDrops, Severity::Warning)]
    );
    // Where IPv6 is switched off, each multicast packet of a neighbour is discarded.
    for (group, severity) in [("Ip6", Severity::Warning), ("Ip", Severity::Error)] {
        let all = [(of(group, "InDiscards"), 40), (of(group, "InReceives"), 40)];
        assert_eq!(found(&all), [(SignKind::InDiscards, severity)], "{group}");
    }
    let both = [
        (link(LinkStat::TxErrors), 40),
        (link(LinkStat::TxDropped), 4000),
        (link(LinkStat::TxPackets), 100_000),
    ];
    let drops = (SignKind::InterfaceDrops, Severity::Warning);
    assert_eq!(found(&both), [(kind, Severity::Warning), drops]);
}

#[test]
fn drops_of_rp_filter_are_no_martians() {
    let source = Counter::RouteLookup("in_martian_src".into());
    let filtered = (of("TcpExt", "IPReversePathFilter"), 40);
    assert_eq!(found(&[(source.clone(), 40), filtered.clone()]), []);
    let more = found(&[(source, 60), filtered]);
    assert_eq!(more, [(SignKind::Martians, Severity::Note)]);
}

#[test]
fn resets_make_packets_of_no_connection_worse() {
    let invalid = (Counter::Conntrack("invalid".into()), 40);
    let kind = SignKind::ConntrackInvalid;
    assert_eq!(found(std::slice::from_ref(&invalid)), [(kind, Severity::Note)]);
    let with = |resets| found(&[invalid.clone(), (of("Tcp", "OutRsts"), resets)]);
    assert_eq!(with(40), [(kind, Severity::Warning)]);
    // Most of these answer something else.
    assert_eq!(with(400), [(kind, Severity::Note)]);
}

#[test]
fn the_frames_of_bridges_come_to_no_rule_of_input() {
    let rule = |hook: Option<&str>, family: &str| {
        let key = RuleKey {
            family: family.into(),
            table: "filter".into(),
            chain: "c".into(),
            handle: Some(7),
        };
        let counter = Counter::Rule(key.clone().into());
        let reading = |by| Reading {
            counters: [(counter.clone(), by)].into(),
            gauges: [(Gauge::BridgeCallsIptables, 1), (Gauge::BridgeCallsIp6tables, 1)].into(),
            rules: [(
                key.clone(),
                netkeel_host::counters::reading::Rule {
                    verdict: netkeel_host::counters::reading::RuleVerdict::Drop,
                    hook: hook.map(Into::into),
                },
            )]
            .into(),
            ..Reading::default()
        };
        let deltas = Deltas::between(reading(7), reading(47));
        let found = crate::diagnosis::diagnose(&host(Some("bridge")), &[], Some(&deltas));
        let signs = found.signs.into_iter();
        let sign = signs.filter(|sign| sign.kind == SignKind::BridgeFilter);
        sign.flat_map(|sign| sign.next).collect::<Vec<Fix>>()
    };
    assert_eq!(rule(Some("input"), "ip"), []);
    assert_eq!(rule(Some("output"), "ip"), []);
    // The hook of a chain that others lead to is not known.
    for hook in [Some("forward"), None] {
        let next = rule(hook, "ip6");
        assert!(matches!(next.first(), Some(Fix::Elsewhere(_))), "{next:?}");
        let off = "sysctl: { net.bridge.bridge-nf-call-ip6tables: 0 }";
        assert_eq!(next.get(1..), Some(&[Fix::Document(off.to_owned())][..]));
    }
}

#[test]
fn missing_fragments_are_a_share_in_a_long_window_only() {
    let counters = [(of("Ip", "ReasmFails"), 40), (of("Ip", "ReasmReqds"), 400)];
    let after = |milliseconds| {
        let reading = |by: u64, at_ms| Reading {
            counters: counters
                .iter()
                .map(|(counter, growth)| (counter.clone(), 7 + by * growth))
                .collect(),
            at_ms,
            ..Reading::default()
        };
        let deltas = Deltas::between(reading(0, 0), reading(1, milliseconds));
        growth(&counters[0].0, 40, &deltas)
    };
    assert_eq!(
        (after(10_000).of, after(10_000).severity()),
        (None, Severity::Note)
    );
    assert_eq!(
        (after(600_000).of, after(600_000).severity()),
        (Some(360), Severity::Error)
    );
}

#[test]
fn a_value_that_was_not_read_gets_no_smaller_one() {
    let mut host = host(None);
    let squeezed = |host: &Snapshot| next(SignKind::Squeezed, &[], host);
    assert!(matches!(squeezed(&host)[..], [Fix::Elsewhere(_)]));
    let mut json = serde_json::to_value(&host).unwrap();
    json["sysctls"]["net/core/netdev_budget"] = serde_json::json!({ "value": "1000", "writable": true });
    host = Snapshot::from_json(&json.to_string()).unwrap();
    let raised = "sysctl: { net.core.netdev_budget: 2000 }";
    assert_eq!(squeezed(&host), [Fix::Document(raised.to_owned())]);
}
