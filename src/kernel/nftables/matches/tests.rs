//! Rules of nftables and of iptables as conditions.

use super::*;
use crate::netlink::message::Request;
use proptest::prelude::*;

fn expression(list: Request, name: &str, fill: impl FnOnce(Request) -> Request) -> Request {
    list.nest(NFTA_LIST_ELEM, |one| {
        one.text(NFTA_EXPR_NAME, name).nest(NFTA_EXPR_DATA, fill)
    })
}

fn value(list: Request, expression: &Expression) -> Request {
    expression.write(list)
}

fn verdict_of(list: Request, code: u32) -> Request {
    expression(list, "immediate", |data| {
        data.nest(NFTA_IMMEDIATE_DATA, |value| {
            value.nest(NFTA_DATA_VERDICT, |verdict| {
                verdict
                    .be32(NFTA_VERDICT_CODE, code)
                    .text(NFTA_VERDICT_CHAIN, "next")
            })
        })
    })
}

fn read(family: u8, fill: impl FnOnce(Request) -> Request) -> String {
    let request = fill(Request::new(0, 0, &[]));
    let name = |index| (index == 2).then(|| "eth0".parse().unwrap());
    let (rules, translates) = Reader::of(family, &name)
        .rule(7, Attributes(request.body()))
        .unwrap();
    let translates = translates != Translation::None;
    let rules = rules.iter().map(|rule| {
        let text = |one: &Condition| serde_json::to_string(one).unwrap();
        let conditions: Vec<String> = rule.conditions.iter().map(text).collect();
        format!(
            "{} {}",
            conditions.join(" "),
            serde_json::to_string(&rule.then).unwrap()
        )
    });
    let rules: Vec<String> = rules.collect();
    match (rules.is_empty(), translates) {
        (true, translates) => format!("none {translates}"),
        (false, true) => format!("{}, translates", rules.join(", ")),
        (false, false) => rules.join(", "),
    }
}

#[test]
fn conditions_that_are_known_are_read_and_the_others_named() {
    let equal = |bytes: &[u8]| Expression::Compare(Comparison::Equal, bytes.to_vec());
    let known = read(NFPROTO_IPV4, |list| {
        let parts = [
            Expression::Meta(NFT_META_IIFNAME),
            equal(b"cali"),
            Expression::Meta(META_IIF),
            Expression::Compare(Comparison::NotEqual, 2_u32.to_ne_bytes().to_vec()),
            Expression::Payload(NFT_PAYLOAD_NETWORK_HEADER, 9, 1),
            equal(&[4]),
            Expression::Payload(NFT_PAYLOAD_NETWORK_HEADER, 16, 3),
            equal(&[192, 0, 2]),
            Expression::Payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2),
            equal(&[0, 80]),
        ];
        verdict_of(parts.iter().fold(list, value), NF_DROP)
    });
    assert_eq!(
        known,
        r#"{"in":"cali*"} {"in":"eth0","not":true} {"protocol":4} {"destination":"192.0.2.0/24"} {"destination-port":[80,80]} "drop""#
    );
    let state = read(NFPROTO_INET, |list| {
        let list = expression(list, "ct", |data| {
            data.be32(NFTA_CT_DREG, NFT_REG_1).be32(NFTA_CT_KEY, CT_STATE)
        });
        let mask = Expression::Mask(6_u32.to_ne_bytes().to_vec());
        let not_zero = Expression::Compare(Comparison::NotEqual, vec![0; 4]);
        verdict_of(value(value(list, &mask), &not_zero), NF_ACCEPT)
    });
    assert_eq!(state, r#"{"state":["established","related"]} "accept""#);
    let unknown = read(NFPROTO_IPV4, |list| {
        let list = expression(list, "fib", |data| data);
        let list = expression(value(list, &equal(&[2, 0, 0, 0])), "lookup", |data| data);
        verdict_of(list, NFT_JUMP)
    });
    assert_eq!(
        unknown,
        r#"{"unknown":"fib"} {"unknown":"lookup"} {"jump":"next"}"#
    );
    // Without the IP version, nobody knows which bytes these are.
    let bytes = read(NFPROTO_INET, |list| {
        let load = Expression::Payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 4);
        verdict_of(value(value(list, &load), &equal(&[10, 0, 0, 1])), NF_DROP)
    });
    assert_eq!(bytes, r#"{"unknown":"payload"} "drop""#);
}

#[test]
fn extensions_of_iptables_are_conditions_too() {
    let extension = |name: &'static str, revision: u32, info: Vec<u8>| {
        read(NFPROTO_IPV4, move |list| {
            let list = expression(list, "match", |data| {
                data.text(NFTA_MATCH_NAME, name)
                    .be32(NFTA_MATCH_REV, revision)
                    .attribute(NFTA_MATCH_INFO, &info)
            });
            expression(list, "target", |data| data.text(NFTA_MATCH_NAME, "REJECT"))
        })
    };
    let mut tcp = [0_u16, u16::MAX, 80, 90].map(u16::to_ne_bytes).concat();
    let ports = tcp.clone();
    tcp.extend([0, 0x17, 2, 4]);
    assert_eq!(
        extension("tcp", 0, tcp),
        r#"{"destination-port":[80,90]} {"tcp-flags":{"mask":23,"value":2},"not":true} "reject""#
    );
    // The inversion of an option that is not asked for inverts nothing.
    assert_eq!(
        extension("tcp", 0, [&ports[..], &[0, 0x17, 2, 8]].concat()),
        r#"{"destination-port":[80,90]} {"tcp-flags":{"mask":23,"value":2}} "reject""#
    );
    let mut state = vec![0; 160];
    state[146..148].copy_from_slice(&1_u16.to_ne_bytes());
    state[150..152].copy_from_slice(&0x108_u16.to_ne_bytes());
    assert_eq!(
        extension("conntrack", 3, state),
        r#"{"state":["new","untracked"]} "reject""#
    );
    assert_eq!(extension("comment", 0, vec![b'x']), r#" "reject""#);
    assert_eq!(extension("set", 4, vec![0; 8]), r#"{"unknown":"set"} "reject""#);
    assert_eq!(extension("tcp", 0, vec![0; 3]), r#"{"unknown":"tcp"} "reject""#);
}

#[test]
fn only_what_ends_or_leads_elsewhere_is_kept() {
    let plain = |name: &'static str| read(NFPROTO_IPV4, move |list| expression(list, name, |data| data));
    assert_eq!(
        (plain("counter"), plain("redir")),
        ("none false".into(), "none true".into())
    );
    assert_eq!(
        (plain("notrack"), plain("queue")),
        (r#" "untrack""#.into(), r#" {"unknown":"queue"}"#.into())
    );
    let map = read(NFPROTO_IPV4, |list| {
        expression(list, "lookup", |data| {
            data.be32(NFTA_LOOKUP_DREG, NFT_REG_VERDICT)
        })
    });
    assert_eq!(map, r#" {"unknown":"lookup"}"#);
    let target = |name: &'static str| {
        read(NFPROTO_IPV4, move |list| {
            expression(list, "target", |data| data.text(NFTA_MATCH_NAME, name))
        })
    };
    assert_eq!(
        (target("MARK"), target("DNAT")),
        ("none false".into(), "none true".into())
    );
    assert_eq!(target("NETMAP"), "none true");
    assert_eq!(target("TARPIT"), r#" {"unknown":"TARPIT"}"#);
}

#[test]
fn a_translation_is_of_the_protocol_that_its_rule_asks_for() {
    let translation = |protocol: Option<(Comparison, u8)>| {
        let mut list = Request::new(0, 0, &[]);
        if let Some((how, protocol)) = protocol {
            list = value(list, &Expression::Meta(NFT_META_L4PROTO));
            list = value(list, &Expression::Compare(how, vec![protocol]));
        }
        let request = expression(list, "nat", |data| data);
        let reader = Reader::of(NFPROTO_IPV4, &|_| None);
        reader.rule(1, Attributes(request.body())).unwrap().1
    };
    assert_eq!(translation(None), Translation::OfAll);
    assert_eq!(translation(Some((Comparison::Equal, 6))), Translation::OfPorts);
    assert_eq!(translation(Some((Comparison::NotEqual, 6))), Translation::OfAll);
    assert_eq!(translation(Some((Comparison::Equal, 4))), Translation::OfAll);
}

#[test]
fn a_transparent_proxy_diverts_a_packet_and_its_rule_still_has_a_verdict() {
    // Without a socket of the proxy, the rule does not match.
    let proxy = read(NFPROTO_IPV4, |list| {
        verdict_of(expression(list, "tproxy", |data| data), NF_ACCEPT)
    });
    assert_eq!(proxy, r#"{"unknown":"tproxy"} "accept", translates"#);
    // Without a socket of the proxy, the packet is dropped.
    let target = read(NFPROTO_IPV4, |list| {
        expression(list, "target", |data| data.text(NFTA_MATCH_NAME, "TPROXY"))
    });
    assert_eq!(target, r#" {"unknown":"TPROXY"}, translates"#);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        for family in [NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6] {
            let _ = Reader::of(family, &|_| None).rule(1, Attributes(&bytes));
        }
    }

    #[test]
    fn no_extension_makes_it_panic(info in proptest::collection::vec(any::<u8>(), 0..200)) {
        for (name, revision) in [("tcp", 0), ("udp", 0), ("state", 0), ("conntrack", 3)] {
            Draft::default().extension(name, Some(revision), &info);
        }
    }
}
