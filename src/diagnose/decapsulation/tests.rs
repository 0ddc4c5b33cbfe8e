//! Explanations of one wrong setting each.

mod delivery;

use super::*;
use netkeel_host::snapshot::forwarding::Forwarding;

/// A realserver with ipip0 and the service's address on lo, which is otherwise right.
fn host() -> serde_json::Value {
    serde_json::json!({
        "format": 1, "netns": null, "kernel": "6.1",
        "families": { "ipv4": true, "ipv6": true },
        "sysctls": { "net/ipv4/conf/all/rp_filter": { "value": "0", "writable": true } },
        "links": {
            "lo": { "index": 1, "up": true, "addresses": ["203.0.113.9/32"] },
            "eth0": { "index": 2, "up": true, "addresses": ["192.0.2.2/24"], "rp_filter": 1 },
            "tunl0": { "index": 3, "kind": "ipip", "rp_filter": 0 },
            "ipip0": { "index": 4, "kind": "ipip", "external": true, "up": true, "rp_filter": 0, "forwarding": 0 },
        },
        "forwarding": {
            "routes": { "routes": [
                { "destination": "0.0.0.0/0", "metric": 0, "to": { "hops": [{ "link": "eth0", "via": "192.0.2.1" }] } },
            ] },
            "local": [],
            "other_rules": [],
        },
    })
}

fn judged(host: serde_json::Value) -> Explanation {
    let snapshot = Snapshot::from_json(&host.to_string()).unwrap();
    let address = |text: &str| text.parse().unwrap();
    let packet = Encapsulated {
        outer_src: address("198.51.100.1"),
        outer_dst: address("192.0.2.2"),
        inner_src: address("198.51.100.1"),
        inner_dst: address("203.0.113.9"),
        port: 80,
    };
    explain(&snapshot, &packet)
}

fn link(name: &str) -> LinkName {
    name.parse().unwrap()
}

#[test]
fn nothing_is_blamed_where_nothing_is_wrong() {
    let found = judged(host());
    assert_eq!(
        (found.reasons, found.unchecked),
        (vec![], vec![Unchecked::Firewall, Unchecked::Ebpf])
    );
}

#[test]
fn one_wrong_setting_is_one_reason() {
    let reason = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut changed = host();
        change(&mut changed);
        judged(changed).reasons
    };
    let ipip0 = link("ipip0");
    let filter = |value, no_address| Reason::RpFilter {
        link: ipip0,
        value,
        by_all: false,
        no_address,
    };
    let set = |value: i32| reason(&|host| host["links"]["ipip0"]["rp_filter"] = value.into());
    assert_eq!(set(1), [filter(1, false)]);
    assert_eq!(set(2), [filter(2, true)]);
    assert_eq!(
        reason(&|host| {
            host["links"]["ipip0"]["rp_filter"] = 2.into();
            host["links"]["ipip0"]["addresses"] = serde_json::json!(["127.0.0.42/32"]);
        }),
        []
    );
    assert_eq!(
        reason(&|host| host["links"]["ipip0"]["up"] = false.into()),
        [Reason::TunnelDown { link: ipip0 }]
    );
    assert_eq!(
        reason(&|host| drop(host["links"].as_object_mut().unwrap().remove("ipip0"))),
        [Reason::NoTunnel { kind: "ipip" }]
    );
    assert_eq!(
        reason(&|host| host["links"]["lo"]["addresses"] = serde_json::json!([])),
        [Reason::ForwardingOff { link: ipip0 }]
    );
    assert_eq!(
        reason(&|host| host["links"]["eth0"]["addresses"] = serde_json::json!([])),
        [Reason::OuterNotLocal {
            address: "192.0.2.2".parse().unwrap()
        }]
    );
    assert_eq!(
        reason(&|host| host["forwarding"]["routes"]["routes"] = serde_json::json!([])),
        [Reason::NoRouteBack {
            to: "198.51.100.1".parse().unwrap()
        }]
    );
}

#[test]
fn the_fallback_device_takes_packets_while_it_is_up() {
    let mut host = host();
    host["links"].as_object_mut().unwrap().remove("ipip0");
    host["links"]["tunl0"]["up"] = true.into();
    assert_eq!(judged(host).reasons, []);
}

#[test]
fn what_was_not_read_is_never_a_reason() {
    let mut snapshot = Snapshot::from_json(&host().to_string()).unwrap();
    snapshot.sysctls.clear();
    snapshot.families = Default::default();
    snapshot.forwarding = Some(Box::new(Forwarding::default()));
    snapshot.links.retain(|name, _| *name == link("ipip0"));
    let json = serde_json::to_value(&snapshot).unwrap();
    let found = judged(json);
    assert_eq!(found.reasons, []);
    let rp_filter = Unchecked::RpFilter { link: link("ipip0") };
    let off = Unchecked::ForwardingOff {
        link: link("ipip0"),
        to: "203.0.113.9".parse().unwrap(),
    };
    assert_eq!(
        found.unchecked,
        [
            Unchecked::Addresses,
            rp_filter,
            off,
            Unchecked::Rules,
            Unchecked::Firewall,
            Unchecked::Ebpf
        ]
    );
    let mut nothing = host();
    nothing["links"] = serde_json::json!({});
    assert_eq!(judged(nothing).reasons, []);
}

/// The host with a firewall of one base chain: its hook, its rules, and whether its policy drops.
fn firewall(hook: &str, rules: serde_json::Value, drops: bool) -> serde_json::Value {
    let mut host = host();
    host["firewall"] = serde_json::json!({ "chains": [{
        "family": "inet", "table": "filter", "name": "c", "rules": rules,
        "base": { "hook": hook, "priority": 0, "drops": drops },
    }]});
    host
}

/// The reasons of the firewall: the packet, and the rule.
fn dropped(host: serde_json::Value) -> Vec<String> {
    let reasons = judged(host).reasons.into_iter().map(|reason| match reason {
        Reason::Firewall { packet, rule, .. } => format!("{packet:?} {rule}"),
        other => format!("{other:?}"),
    });
    reasons.collect()
}

#[test]
fn a_rule_that_drops_the_packet_is_a_reason() {
    let rule = |conditions: serde_json::Value| serde_json::json!([{ "handle": 7, "conditions": conditions, "then": "drop" }]);
    let ipip = rule(serde_json::json!([{ "in": "eth0" }, { "protocol": 4 }]));
    let outer = ["Outer rule handle 7 of inet filter c"];
    assert_eq!(dropped(firewall("prerouting", ipip.clone(), false)), outer);
    assert_eq!(dropped(firewall("input", ipip.clone(), false)), outer);
    // Another chain of the packet sees it, and nobody forwards it.
    assert!(dropped(firewall("forward", ipip, false)).is_empty());
    // The packet does not come by an interface of a pod, unless that has the outer address.
    let mut pods = firewall("input", rule(serde_json::json!([{ "in": "eth0" }])), false);
    pods["links"]["cali1"] =
        serde_json::json!({ "index": 9, "up": true, "kind": "veth", "lower": 2, "peer_netns": 7 });
    assert_eq!(dropped(pods.clone()), outer);
    pods["links"]["eth0"] = pods["links"]["cali1"].take();
    pods["links"]["eth0"]["index"] = 2.into();
    pods["links"]["eth0"]["addresses"] = serde_json::json!(["192.0.2.2/24"]);
    pods["links"].as_object_mut().unwrap().remove("cali1");
    assert_eq!(dropped(pods), outer);
    let port = rule(serde_json::json!([{ "in": "ipip0" }, { "destination-port": [80, 80] }]));
    assert_eq!(
        dropped(firewall("input", port, false)),
        ["Inner rule handle 7 of inet filter c"]
    );
    let answer = rule(serde_json::json!([{ "out": "eth*" }, { "source-port": [80, 80] }]));
    assert_eq!(
        dropped(firewall("output", answer, false)),
        ["Answer rule handle 7 of inet filter c"]
    );
}

#[test]
fn a_policy_drops_what_no_rule_accepts() {
    let accept = |conditions: serde_json::Value| serde_json::json!({ "handle": 7, "conditions": conditions, "then": "accept" });
    let lo = accept(serde_json::json!([{ "in": "lo" }]));
    let known = accept(serde_json::json!([{ "state": ["established", "related"] }]));
    let web = accept(serde_json::json!([{ "protocol": 6 }, { "destination-port": [80, 80] }]));
    let rules = serde_json::json!([lo, known, web]);
    assert_eq!(
        dropped(firewall("input", rules, true)),
        ["Outer policy of inet filter c"]
    );
    let ipip = accept(serde_json::json!([{ "protocol": 4 }]));
    let rules = serde_json::json!([lo, known, ipip]);
    assert_eq!(
        dropped(firewall("input", rules, true)),
        ["Inner policy of inet filter c"]
    );
    let rules = serde_json::json!([lo, known, web, ipip]);
    assert!(dropped(firewall("input", rules, true)).is_empty());
}

#[test]
fn a_policy_of_pods_that_cannot_be_judged_is_possible_and_never_the_reason() {
    let rules = serde_json::json!([{ "handle": 7, "conditions": [{ "unknown": "lookup" }], "then": "drop" }]);
    let mut host = firewall("prerouting", rules, false);
    host["firewall"]["chains"][0]["name"] = "cali-tw-cali1".into();
    host["firewall"]["unread"] = serde_json::json!(["the table netdev t"]);
    let found = judged(host);
    assert_eq!(found.reasons, []);
    let possible = |packet| Unchecked::MayDrop {
        packet,
        rule: netkeel_host::counters::counter::RuleKey {
            family: "inet".into(),
            table: "filter".into(),
            chain: "cali-tw-cali1".into(),
            handle: Some(7),
        },
        by: ["lookup".into()].into(),
        policies: Some("Calico"),
    };
    let netdev = Unchecked::FirewallPart {
        what: "the table netdev t".into(),
    };
    assert_eq!(
        found.unchecked,
        [
            possible(Part::Outer),
            possible(Part::Inner),
            netdev,
            Unchecked::Ebpf
        ]
    );
}

#[test]
fn a_translated_destination_is_unknown_after_the_translation() {
    let rules = serde_json::json!([{ "handle": 7, "conditions": [{ "destination-port": [80, 80] }, { "protocol": 6 }], "then": "drop" }]);
    let mut host = firewall("input", rules, false);
    host["firewall"]["translates"] = serde_json::json!(["ipv4"]);
    let found = judged(host.clone());
    assert_eq!(found.reasons, []);
    assert!(
        found.unchecked.contains(&Unchecked::Translation),
        "{:?}",
        found.unchecked
    );
    let possible = |one: &&Unchecked| {
        matches!(
            one,
            Unchecked::MayDrop {
                packet: Part::Inner,
                ..
            }
        )
    };
    assert_eq!(found.unchecked.iter().filter(possible).count(), 1);
    // Before the translation the packet has its first destination.
    host["firewall"]["chains"][0]["base"] = serde_json::json!({ "hook": "prerouting", "priority": -300 });
    assert_eq!(dropped(host), ["Inner rule handle 7 of inet filter c"]);
}

/// Adds a chain to the firewall of a host.
fn with_chain(
    mut host: serde_json::Value,
    hook: &str,
    priority: i32,
    rules: serde_json::Value,
) -> serde_json::Value {
    let chains = host["firewall"]["chains"].as_array_mut().unwrap();
    chains.push(serde_json::json!({
        "family": "inet", "table": "raw", "name": hook, "rules": rules,
        "base": { "hook": hook, "priority": priority },
    }));
    host
}

fn may_drop(host: serde_json::Value) -> Vec<String> {
    let unchecked = judged(host).unchecked.into_iter();
    let rules = unchecked.filter_map(|one| match one {
        Unchecked::MayDrop { packet, rule, .. } => Some(format!("{packet:?} {rule}")),
        _ => None,
    });
    rules.collect()
}

#[test]
fn a_packet_that_is_not_tracked_stays_so_up_to_its_delivery() {
    let rule = |conditions: serde_json::Value, then: &str| serde_json::json!({ "handle": 7, "conditions": conditions, "then": then });
    let untracked = rule(serde_json::json!([{ "state": ["untracked"] }]), "accept");
    let ipip = rule(serde_json::json!([{ "protocol": 4 }]), "accept");
    let input = firewall("input", serde_json::json!([untracked, ipip]), true);
    let notrack = |priority, conditions: serde_json::Value| {
        let rules = serde_json::json!([rule(conditions, "untrack")]);
        with_chain(input.clone(), "prerouting", priority, rules)
    };
    let inner = ["Inner policy of inet filter c"];
    let all = serde_json::json!([]);
    assert!(dropped(notrack(-300, all.clone())).is_empty());
    assert!(may_drop(notrack(-300, all.clone())).is_empty());
    assert_eq!(dropped(input.clone()), inner);
    // A tracked packet stays tracked.
    assert_eq!(dropped(notrack(-150, all)), inner);
    let perhaps = notrack(-300, serde_json::json!([{ "unknown": "limit" }]));
    assert!(dropped(perhaps.clone()).is_empty());
    assert_eq!(may_drop(perhaps), inner);
    // A packet that was accepted before is tracked.
    let rules = serde_json::json!([
        rule(serde_json::json!([{ "unknown": "set" }]), "accept"),
        rule(serde_json::json!([]), "untrack"),
    ]);
    let escaped = with_chain(input.clone(), "prerouting", -300, rules);
    assert!(dropped(escaped.clone()).is_empty());
    assert_eq!(may_drop(escaped), inner);
    // Before the tracking, a packet fits no connection.
    let new = serde_json::json!([rule(serde_json::json!([{ "state": ["new"] }]), "drop")]);
    let early = with_chain(
        firewall("input", serde_json::json!([]), false),
        "prerouting",
        -300,
        new,
    );
    assert!(dropped(early).is_empty());
}

#[test]
fn a_translation_of_all_protocols_is_of_the_outer_packet_too() {
    let rules = serde_json::json!([{ "handle": 7, "conditions": [{ "protocol": 4 }], "then": "drop" }]);
    let mut host = firewall("input", rules, false);
    let outer = ["Outer rule handle 7 of inet filter c"];
    host["firewall"]["translates"] = serde_json::json!(["ipv4"]);
    assert_eq!(dropped(host.clone()), outer);
    host["firewall"]["translates_tunnels"] = serde_json::json!(["ipv4"]);
    assert!(dropped(host.clone()).is_empty());
    assert_eq!(may_drop(host), outer);
}

#[test]
fn an_answer_of_a_translated_connection_may_go_another_way() {
    let answer = serde_json::json!([{ "handle": 7, "conditions": [{ "source-port": [80, 80] }, { "protocol": 6 }], "then": "drop" }]);
    let mut host = firewall("output", answer, false);
    let perhaps = ["Answer rule handle 7 of inet filter c"];
    assert_eq!(dropped(host.clone()), perhaps);
    let mut ipvs = host.clone();
    host["firewall"]["translates"] = serde_json::json!(["ipv4"]);
    assert!(dropped(host.clone()).is_empty());
    assert_eq!(may_drop(host), perhaps);
    ipvs["links"]["kube-ipvs0"] =
        serde_json::json!({ "index": 9, "kind": "dummy", "addresses": ["203.0.113.9/32"] });
    assert!(dropped(ipvs.clone()).is_empty());
    assert_eq!(may_drop(ipvs), perhaps);
}

#[test]
fn a_packet_for_another_host_does_not_come_to_input() {
    let rules = serde_json::json!([{ "handle": 7, "conditions": [{ "protocol": 4 }], "then": "drop" }]);
    let mut host = firewall("input", rules, false);
    host["links"]["eth0"]["addresses"] = serde_json::json!([]);
    assert_eq!(dropped(host.clone()), ["OuterNotLocal { address: 192.0.2.2 }"]);
    // Where its addresses were not read, it may come there.
    host["families"]["ipv4"] = false.into();
    assert!(dropped(host.clone()).is_empty());
    assert_eq!(may_drop(host), ["Outer rule handle 7 of inet filter c"]);
}

#[test]
fn a_tunnel_of_one_sender_may_take_the_packet_first() {
    let rules = serde_json::json!([{ "handle": 7, "conditions": [{ "in": "ipip0" }], "then": "drop" }]);
    let mut host = firewall("input", rules, false);
    let inner = ["Inner rule handle 7 of inet filter c"];
    assert_eq!(dropped(host.clone()), inner);
    host["links"]["peer"] = serde_json::json!({ "index": 5, "kind": "ipip", "up": true });
    assert!(dropped(host.clone()).is_empty());
    assert_eq!(may_drop(host.clone()), inner);
    // Without a device for all senders, the SYN is judged as one that arrives there.
    host["links"].as_object_mut().unwrap().remove("ipip0");
    assert!(may_drop(host.clone()).is_empty());
    host["firewall"]["chains"][0]["rules"][0]["conditions"] = serde_json::json!([{ "in": "peer" }]);
    assert_eq!(dropped(host), inner);
    // A packet arrives on an interface, even if it is not known on which.
    let rules = serde_json::json!([{ "handle": 7, "conditions": [{ "in": "eth0" }], "then": "drop" }]);
    let mut host = firewall("prerouting", rules, false);
    host["links"]["eth0"]["up"] = false.into();
    assert!(may_drop(host).contains(&"Outer rule handle 7 of inet filter c".to_owned()));
}

#[test]
fn the_connection_of_hosts_that_send_to_each_other_may_be_established() {
    let accept =
        serde_json::json!([{ "handle": 7, "conditions": [{ "state": ["established"] }], "then": "accept" }]);
    let mut host = firewall("input", accept, true);
    let outer = "Outer policy of inet filter c".to_owned();
    let is_certain = |host: &serde_json::Value| match (
        dropped(host.clone()).contains(&outer),
        may_drop(host.clone()).contains(&outer),
    ) {
        (true, false) => true,
        (false, true) => false,
        other => panic!("{other:?}"),
    };
    assert!(is_certain(&host));
    let mut route = host.clone();
    let routes = route["forwarding"]["routes"]["routes"].as_array_mut().unwrap();
    routes.push(serde_json::json!({ "destination": "10.0.0.0/24", "metric": 0,
        "to": { "hops": [{ "link": "ipip0", "via": "198.51.100.1" }] } }));
    assert!(!is_certain(&route));
    route["forwarding"].as_object_mut().unwrap().remove("routes");
    assert!(!is_certain(&route));
    host["links"]["peer"] = serde_json::json!({ "index": 5, "kind": "ipip", "up": true });
    assert!(!is_certain(&host));
    host["forwarding"]["tunnels"] = serde_json::json!({ "peer": { "remote": "198.51.100.9" } });
    assert!(is_certain(&host));
    host["forwarding"]["tunnels"]["peer"]["remote"] = "198.51.100.1".into();
    assert!(!is_certain(&host));
}
