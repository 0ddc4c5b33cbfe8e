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
    // A host on which some namespace has a tunnel answers "port unreachable".
    let (code, text) = asked(&chain, &[]);
    assert_eq!(code, 2, "{text}");
    let rejected = |what| {
        text.contains(&format!(
            "not decapsulated: {what} unreachable (from 198.51.100.2)"
        ))
    };
    assert!(rejected("protocol") || rejected("port"), "{text}");
    chain.rule(1, "input", "ip protocol 4 drop");
    let (code, text) = asked(&chain, &[]);
    assert_eq!(code, 1, "{text}");
    insta::assert_snapshot!(text, @"
    203.0.113.9:80 by 198.51.100.2: no answer to 3 packets
      sent       IPv4 in IPv4: 198.51.100.1 → 198.51.100.2, inside 198.51.100.1 → 203.0.113.9:80
      means      not measured: the packet or its answer was lost anywhere on its way
    ");
}

#[test]
fn a_rule_that_drops_is_named_from_a_snapshot_of_the_host() {
    let chain = Chain::new(Family::V4, &[Wire(1500, 1500)]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("host.json");
    let explained = |rules: &str| {
        let target = &chain.nodes[1];
        target.sh("nft flush ruleset");
        chain.rule(1, "input", rules);
        let snapshot = chain.printed(&["observe", "--netns", &target.name]);
        std::fs::write(&path, snapshot).unwrap();
        let (_, text) = asked(&chain, &["--snapshot", path.to_str().unwrap()]);
        let lines = text.lines().filter(|line| line.contains("inet"));
        lines.map(str::trim).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(
        explained("iifname w ip protocol 4 counter drop"),
        @"reason     rule handle 2 of inet input_rules c drops the outer packet: `nft -a list chain inet input_rules c`"
    );
    insta::assert_snapshot!(
        explained("ip saddr 198.51.100.0/24 meta l4proto 4 ct state new reject"),
        @"reason     rule handle 2 of inet input_rules c rejects the outer packet: `nft -a list chain inet input_rules c`"
    );
    insta::assert_snapshot!(
        explained("policy drop; ct state established,related accept; iif lo accept; tcp dport 22 accept"),
        @"reason     policy of inet input_rules c drops the outer packet: `nft -a list chain inet input_rules c`"
    );
    // A set is not kept: the rule is possible, and never the reason.
    insta::assert_snapshot!(
        explained("ip protocol { 4, 41 } drop"),
        @"unchecked  rule handle 3 of inet input_rules c may drop the outer packet: it depends on lookup"
    );
    assert_eq!(
        explained("ip saddr 203.0.113.0/24 ip protocol 4 drop; meta l4proto 17 drop"),
        ""
    );
}

#[test]
fn each_failure_of_many_is_explained_from_the_snapshot_of_its_realserver() {
    let chain = Chain::new(Family::V4, &[Wire(1500, 1500)]);
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    chain.rule(1, "input", "iifname w ip protocol 4 counter drop");
    for (at, name) in [(0, "asker.json"), (1, "real.json")] {
        let snapshot = chain.printed(&["observe", "--netns", &chain.nodes[at].name]);
        std::fs::write(file(name), snapshot).unwrap();
    }
    let targets = "realserver 198.51.100.2\nrealserver 198.51.100.77\nservice 203.0.113.9 80\n";
    std::fs::write(file("targets"), targets).unwrap();
    let (asker, real, targets) = (file("asker.json"), file("real.json"), file("targets"));
    let line = [
        "probe",
        "ipip",
        "--targets",
        &targets,
        "--snapshot",
        &asker,
        "--snapshot",
        &real,
    ];
    let (code, text) = chain.netkeel(&line);
    assert_eq!(code, 1, "{text}");
    let (_, explained) = text.split_once("0 of 2 answer as expected.\n").unwrap();
    let reason = "\n203.0.113.9:80 by 198.51.100.2\n  reason     rule handle 2 of inet input_rules c drops the outer packet";
    assert!(explained.starts_with(reason), "{text}");
    // There is no snapshot of the other one.
    let none = "\n203.0.113.9:80 by 198.51.100.77\n  reason     not known, as no snapshot has 198.51.100.77";
    assert!(explained.contains(none), "{text}");
}

#[test]
fn the_json_fits_the_published_schema() {
    let chain = Chain::new(Family::V4, &[Wire(1500, 1500)]);
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let schema = json(&chain.printed(&["schema", "encapsulated-syn"]));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let answered = json(&asked(&chain, &["--output", "json"]).1);
    assert_eq!(answered["results"][0]["answer"], "outer-rejected");
    // A probe that could not be sent has an error in place of a packet.
    let targets = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(targets.path(), "realserver 203.0.113.1\nservice 203.0.113.9 80\n").unwrap();
    let path = targets.path().to_str().unwrap();
    chain.nodes[0].sh("ip route del default");
    let line = ["probe", "ipip", "--targets", path, "--output", "json"];
    let (code, text) = chain.netkeel(&line);
    assert_eq!(code, 1, "{text}");
    let failed = json(&text);
    assert!(failed["results"][0]["error"].is_string(), "{failed}");
    for result in [answered, failed] {
        let wrong: Vec<String> = validator
            .iter_errors(&result)
            .map(|error| error.to_string())
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}: {result}");
        let mut more = result;
        more["results"][0]["more"] = 1.into();
        assert!(!validator.is_valid(&more));
    }
}

#[test]
fn an_error_of_a_router_is_no_verdict() {
    let chain = Chain::new(Family::V4, &[Wire(1500, 1500), Wire(1500, 1500)]);
    chain.nodes[1].sh("ip route add prohibit 198.51.100.6/32");
    let (code, text) = asked(&chain, &[]);
    assert_eq!(code, 1, "{text}");
    let rejected = "not decapsulated: administratively prohibited (from 198.51.100.2)";
    assert!(text.contains(rejected), "{text}");
}

#[test]
fn an_error_of_the_host_is_an_answer_in_ipv6_too() {
    let chain = Chain::new(Family::V6, &[Wire(1500, 1500)]);
    let (code, text) = asked(&chain, &[]);
    assert_eq!(code, 2, "{text}");
    let rejected = |what| text.contains(&format!("not decapsulated: {what} (from 2001:db8::2)"));
    assert!(
        rejected("unrecognized next header") || rejected("port unreachable"),
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
    let outer = ["--outer-dst", "198.51.100.2"];
    insta::assert_snapshot!(said(&[&outer[..], &["--inner-dst", "2001:db8::9"]].concat()), @"
    1 error: 2001:db8::9 is IPv6 and 198.51.100.2 is IPv4: IPv6 in IPv4 is not supported
      help: send to an IPv6 address of the host, which an ip6tnl device decapsulates
    ");
    let source = ["--inner-dst", "203.0.113.9", "--outer-src", "2001:db8::9"];
    insta::assert_snapshot!(
        said(&[&outer[..], &source].concat()),
        @"1 error: the outer source 2001:db8::9 and destination 198.51.100.2 have different IP versions"
    );
}
