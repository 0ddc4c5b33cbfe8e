//! The fate of packets in small firewalls.

use super::*;
use serde_json::json;

fn packet() -> Packet {
    Packet {
        family: Family::Ipv4,
        protocol: 6,
        source: "198.51.100.1".parse().ok(),
        destination: "203.0.113.9".parse().ok(),
        ports: Ports {
            source: None,
            destination: Some(80),
        },
        arrives: Some(["ipip0".into()].into()),
        leaves: None,
        states: [ConnectionState::New].into(),
        flags: Some(2),
    }
}

/// The fate of the packet in a base chain with these rules, and in a second chain.
fn fate(drops: bool, rules: &[serde_json::Value], next: &[serde_json::Value]) -> String {
    let numbered = |rules: &[serde_json::Value]| -> Vec<serde_json::Value> {
        let mut rules = rules.to_vec();
        for (number, rule) in rules.iter_mut().enumerate() {
            rule["handle"] = (number + 1).into();
        }
        rules
    };
    let chains = json!({ "chains": [
        { "family": "inet", "table": "t", "name": "in", "rules": numbered(rules),
          "base": { "hook": "input", "priority": 0, "drops": drops } },
        { "family": "inet", "table": "t", "name": "next", "rules": numbered(next) },
    ]});
    let firewall: Firewall = serde_json::from_value(chains).unwrap();
    let fate = judge(&firewall, Hook::Input, i32::MIN..=i32::MAX, &mut packet());
    let may = fate.may_drop.iter().map(|(rule, why)| {
        let why: Vec<&str> = why.iter().map(AsRef::as_ref).collect();
        format!("; perhaps {rule} by {}", why.join(", "))
    });
    let drops = fate
        .drops
        .map_or("passes".to_owned(), |dropped| dropped.rule.to_string());
    format!("{drops}{}", may.collect::<String>())
}

fn rule(conditions: &[serde_json::Value], then: serde_json::Value) -> serde_json::Value {
    json!({ "conditions": conditions, "then": then })
}

#[test]
fn known_conditions_decide() {
    let port = |number: u16| json!({ "destination-port": [number, number] });
    let established = json!({ "state": ["established", "related"] });
    let rules = |number| {
        [
            rule(std::slice::from_ref(&established), json!("accept")),
            rule(&[port(number)], json!("drop")),
        ]
    };
    assert_eq!(fate(false, &rules(80), &[]), "rule handle 2 of inet t in");
    assert_eq!(fate(false, &rules(81), &[]), "passes");
    assert_eq!(fate(true, &rules(81), &[]), "policy of inet t in");
    let accepts = [rule(&[port(80)], json!("accept"))];
    assert_eq!(fate(true, &accepts, &[]), "passes");
    let not_from = [rule(
        &[json!({ "source": "198.51.100.0/24", "not": true })],
        json!("drop"),
    )];
    assert_eq!(fate(false, &not_from, &[]), "passes");
    let elsewhere = [
        rule(&[json!({ "in": "eth*" })], json!("drop")),
        rule(&[json!({ "out": "eth0" })], json!("drop")),
    ];
    assert_eq!(fate(false, &elsewhere, &[]), "passes");
}

#[test]
fn what_cannot_be_judged_makes_a_drop_possible_only() {
    let set = json!({ "unknown": "lookup" });
    let drops = [rule(std::slice::from_ref(&set), json!("drop"))];
    assert_eq!(
        fate(false, &drops, &[]),
        "passes; perhaps rule handle 1 of inet t in by lookup"
    );
    let accepts = [rule(std::slice::from_ref(&set), json!("accept"))];
    assert_eq!(
        fate(true, &accepts, &[]),
        "passes; perhaps policy of inet t in by lookup"
    );
    // Dropped by the one or by the other.
    assert_eq!(
        fate(true, &drops, &[]),
        "policy of inet t in; perhaps rule handle 1 of inet t in by lookup"
    );
    let map = [rule(&[], json!({ "unknown": "lookup" }))];
    assert_eq!(
        fate(false, &map, &[]),
        "passes; perhaps rule handle 1 of inet t in by lookup"
    );
    // A condition that fails is enough.
    let fails = [rule(&[set, json!({ "protocol": 17 })], json!("drop"))];
    assert_eq!(fate(false, &fails, &[]), "passes");
}

#[test]
fn jumps_come_back_and_gotos_do_not() {
    let jump = |conditions: &[_]| {
        [
            rule(conditions, json!({ "jump": "next" })),
            rule(&[], json!("drop")),
        ]
    };
    let goto = |conditions: &[_]| {
        [
            rule(conditions, json!({ "goto": "next" })),
            rule(&[], json!("drop")),
        ]
    };
    assert_eq!(fate(false, &jump(&[]), &[]), "rule handle 2 of inet t in");
    assert_eq!(fate(false, &goto(&[]), &[]), "passes");
    let accept = [rule(&[], json!("accept"))];
    assert_eq!(fate(false, &jump(&[]), &accept), "passes");
    let set = [json!({ "unknown": "lookup" })];
    assert_eq!(
        fate(false, &jump(&set), &accept),
        "passes; perhaps rule handle 2 of inet t in by lookup"
    );
    assert_eq!(
        fate(false, &goto(&set), &[]),
        "passes; perhaps rule handle 2 of inet t in by lookup"
    );
    let set = &set[..];
    // A packet that went back is not accepted or dropped by the rest of the chain.
    let returns = |then: &str| [rule(set, json!("return")), rule(&[], json!(then))];
    let to = [rule(&[], json!({ "jump": "next" }))];
    assert_eq!(
        fate(true, &to, &returns("accept")),
        "passes; perhaps policy of inet t in by lookup"
    );
    assert_eq!(
        fate(true, &to, &returns("drop")),
        "policy of inet t in; perhaps rule handle 2 of inet t next by lookup"
    );
    assert_eq!(
        fate(true, &returns("accept"), &[]),
        "passes; perhaps policy of inet t in by lookup"
    );
    let to = |then: &str| [rule(set, json!({ "goto": "next" })), rule(&[], json!(then))];
    assert_eq!(
        fate(true, &to("accept"), &[]),
        "passes; perhaps policy of inet t in by lookup"
    );
    // Nobody comes back from there.
    assert_eq!(fate(true, &to("accept"), &accept), "passes");
    // A map of verdicts may go back too.
    let map = [
        rule(&[], json!({ "unknown": "lookup" })),
        rule(&[], json!("accept")),
    ];
    let jump = [rule(&[], json!({ "jump": "next" }))];
    assert!(fate(true, &jump, &map).contains("perhaps policy of inet t in by lookup"));
    let returns = [rule(&[], json!("return")), rule(&[], json!("drop"))];
    let jump = [rule(&[], json!({ "jump": "next" })), rule(&[], json!("drop"))];
    assert_eq!(fate(false, &jump, &returns), "rule handle 2 of inet t in");
    // A ring ends.
    let ring = [rule(&[], json!({ "jump": "next" }))];
    assert!(fate(false, &ring, &ring).starts_with("passes"));
}
