//! The delivery of the SYN on this host, or on another one.

use super::*;

#[test]
fn a_local_route_makes_an_address_the_hosts_own() {
    let rules = serde_json::json!([{ "handle": 7, "conditions": [{ "destination-port": [80, 80] }, { "protocol": 6 }], "then": "drop" }]);
    let mut forward = firewall("forward", rules.clone(), false);
    forward["links"]["lo"]["addresses"] = serde_json::json!(["127.0.0.1/8"]);
    forward["links"]["ipip0"]["forwarding"] = 1.into();
    let inner = ["Inner rule handle 7 of inet filter c"];
    assert_eq!(dropped(forward.clone()), inner);
    // AnyIP: `ip route add local 203.0.113.0/24 dev lo`. The packet does not come to FORWARD.
    let mut any = forward.clone();
    any["forwarding"]["local"] = serde_json::json!(["203.0.113.0/24"]);
    any["links"]["ipip0"]["forwarding"] = 0.into();
    assert!(dropped(any.clone()).is_empty());
    assert!(may_drop(any.clone()).is_empty());
    any["firewall"] = firewall("input", rules.clone(), false)["firewall"].take();
    assert_eq!(dropped(any), inner);
    // A table that a rule selects may have such a route, and one that was not read may be there.
    let mut proxy = forward.clone();
    proxy["forwarding"]["other_rules"] = serde_json::json!(["ipv4"]);
    proxy["links"]["ipip0"]["forwarding"] = 0.into();
    let found = judged(proxy.clone());
    assert_eq!(found.reasons, []);
    let off = Unchecked::ForwardingOff {
        link: link("ipip0"),
        to: "203.0.113.9".parse().unwrap(),
    };
    for one in [Unchecked::Rules, off] {
        assert!(found.unchecked.contains(&one), "{:?}", found.unchecked);
    }
    // So it may be forwarded, or delivered.
    assert_eq!(may_drop(proxy.clone()), inner);
    proxy["firewall"] = firewall("input", rules, false)["firewall"].take();
    assert_eq!(may_drop(proxy), inner);
    let mut unread = forward;
    unread["forwarding"].as_object_mut().unwrap().remove("local");
    let found = judged(unread.clone());
    assert_eq!(
        (found.reasons, found.unchecked.contains(&Unchecked::Routes)),
        (vec![], true)
    );
    assert_eq!(may_drop(unread), inner);
}

#[test]
fn ipvs_takes_the_packets_of_its_services_at_the_end_of_input() {
    let rules = serde_json::json!([{ "handle": 7, "conditions": [{ "destination-port": [80, 80] }, { "protocol": 6 }], "then": "drop" }]);
    let inner = ["Inner rule handle 7 of inet filter c"];
    let with = |hook: &str, priority: i32, service: serde_json::Value| {
        let mut host = firewall(hook, rules.clone(), false);
        host["firewall"]["chains"][0]["base"]["priority"] = priority.into();
        host["firewall"]["ipvs"] = serde_json::json!([service]);
        host
    };
    let service = |address: &str, protocol: u8, port: u16| serde_json::json!({ "address": address, "protocol": protocol, "port": port });
    let web = || service("203.0.113.9", 6, 80);
    // It did not see the packet yet.
    for (hook, priority) in [("prerouting", 0), ("input", 0), ("input", 98)] {
        assert_eq!(dropped(with(hook, priority, web())), inner, "{hook} {priority}");
    }
    for taking in [web(), service("203.0.113.9", 6, 0)] {
        let late = with("input", 100, taking);
        assert!(dropped(late.clone()).is_empty());
        assert_eq!(may_drop(late), inner);
    }
    for other in [
        service("203.0.113.10", 6, 80),
        service("203.0.113.9", 17, 80),
        service("203.0.113.9", 6, 53),
    ] {
        assert_eq!(dropped(with("input", 100, other)), inner);
    }
}

#[test]
fn the_answer_of_a_service_elsewhere_needs_no_route_of_this_host() {
    let to = "198.51.100.1".parse().unwrap();
    let mut host = firewall("input", serde_json::json!([]), false);
    host["forwarding"]["routes"]["routes"] = serde_json::json!([]);
    assert_eq!(judged(host.clone()).reasons, [Reason::NoRouteBack { to }]);
    host["firewall"]["ipvs"] = serde_json::json!([{ "address": "203.0.113.9", "protocol": 6, "port": 80 }]);
    let found = judged(host);
    assert_eq!(found.reasons, []);
    assert!(found.unchecked.contains(&Unchecked::NoRouteBack { to }));
}

#[test]
fn programs_on_the_way_to_a_pod_are_named() {
    let mut host = host();
    host["links"]["lo"]["addresses"] = serde_json::json!([]);
    host["links"]["ipip0"]["forwarding"] = 1.into();
    host["links"]["cali1"] =
        serde_json::json!({ "index": 9, "up": true, "kind": "veth", "lower": 2, "peer_netns": 7 });
    let routes = host["forwarding"]["routes"]["routes"].as_array_mut().unwrap();
    routes.push(serde_json::json!({ "destination": "203.0.113.9/32", "metric": 0, "to": { "hops": [{ "link": "cali1" }] } }));
    host["forwarding"]["attached"] = serde_json::json!({ "tc": ["cali1", "cali2"] });
    let attached = Unchecked::Attached {
        what: AttachPoint::Tc,
        links: ["cali1".into()].into(),
    };
    let found = judged(host);
    assert!(found.unchecked.contains(&attached), "{:?}", found.unchecked);
}

#[test]
fn programs_on_the_way_are_named() {
    let mut host = host();
    host["forwarding"]["attached"] = serde_json::json!({ "xdp": ["eth0"], "tc": ["eth0", "ipip0", "tunl0"] });
    let attached = |what, links: &[&str]| Unchecked::Attached {
        what,
        links: links.iter().map(|link| Arc::from(*link)).collect(),
    };
    let found = judged(host);
    assert_eq!(
        (found.reasons, found.unchecked),
        (
            vec![],
            vec![
                attached(AttachPoint::Xdp, &["eth0"]),
                attached(AttachPoint::Tc, &["eth0", "ipip0"]),
                Unchecked::Firewall,
                Unchecked::Ebpf
            ]
        )
    );
}
