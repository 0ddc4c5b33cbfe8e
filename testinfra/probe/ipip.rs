//! Encapsulated SYNs to a host that does not decapsulate. The lab has one that does: see `README.md`.

use crate::chain::{Chain, Family, Wire};

fn asked(chain: &Chain, options: &[&str]) -> (i32, String) {
    let target = chain.target();
    let inner = if target.contains(':') {
        "2001:db8:9::9"
    } else {
        "203.0.113.9"
    };
    let line = [
        "probe",
        "ipip",
        "--outer-dst",
        &target,
        "--inner-dst",
        inner,
        "--port",
        "80",
    ];
    chain.netkeel(&[&line, options].concat())
}

#[test]
fn an_error_of_the_host_is_an_answer_and_silence_is_none() {
    let chain = Chain::new(Family::V4, &[Wire(1500, 1500)]);
    insta::assert_snapshot!(asked(&chain, &[]).1, @"");
    assert_eq!(asked(&chain, &[]).0, 2);
    chain.rule(1, "input", "ip protocol 4 drop");
    let (code, text) = asked(&chain, &[]);
    assert_eq!(code, 1, "{text}");
    insta::assert_snapshot!(text, @"");
}

#[test]
fn an_error_of_a_router_is_no_verdict() {
    let chain = Chain::new(Family::V4, &[Wire(1500, 1500), Wire(1500, 1500)]);
    chain.rule(
        1,
        "forward",
        "ip protocol 4 reject with icmp type admin-prohibited",
    );
    let (code, text) = asked(&chain, &[]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("not decapsulated: administratively prohibited (from 198.51.100.2)"),
        "{text}"
    );
}

#[test]
fn an_error_of_the_host_is_an_answer_in_ipv6_too() {
    let chain = Chain::new(Family::V6, &[Wire(1500, 1500)]);
    chain.rule(
        1,
        "input",
        "ip6 nexthdr 41 reject with icmpv6 type port-unreachable",
    );
    let (code, text) = asked(&chain, &[]);
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("not decapsulated: port unreachable (from 2001:db8:0::2)")
            || text.contains("not decapsulated: port unreachable (from 2001:db8::2)"),
        "{text}"
    );
}

#[test]
fn wrong_addresses_are_a_clear_error() {
    let chain = Chain::new(Family::V4, &[Wire(1500, 1500)]);
    let said = |line: &[&str]| {
        let (code, text) = chain.netkeel(&[&["probe", "ipip", "--port", "80"], line].concat());
        format!("{code} {text}")
    };
    insta::assert_snapshot!(said(&["--outer-dst", "198.51.100.2", "--inner-dst", "2001:db8::9"]), @"");
    insta::assert_snapshot!(said(&["--outer-dst", "198.51.100.2", "--inner-dst", "203.0.113.9", "--outer-src", "2001:db8::9"]), @"");
}
