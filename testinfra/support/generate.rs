//! Hosts as the kernel could have them, and documents for them.

use proptest::prelude::*;

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use super::generate_rules::{cni, configured, logged, nflog};
use netkeel_core::name::netns::Netns;
use netkeel_core::name::tunnel::TunnelKind;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::default_route::DefaultRoute;
use netkeel_host::snapshot::link::{Families, Link};
use netkeel_host::snapshot::reading::{Support, SysctlReading};
use netkeel_host::sysctl_d::drop_in;

/// Sysctls of a namespace, each with values it can have.
const GLOBAL: &[(&str, &[&str])] = &[
    ("net/core/somaxconn", &["4096", "65535"]),
    ("net/ipv4/conf/all/accept_redirects", &["0", "1"]),
    ("net/ipv4/conf/all/log_martians", &["0", "1"]),
    ("net/ipv4/conf/all/rp_filter", &["0", "1", "2"]),
    ("net/ipv4/conf/default/forwarding", &["0", "1"]),
    ("net/ipv4/conf/default/log_martians", &["0", "1"]),
    ("net/ipv4/conf/default/rp_filter", &["0", "1", "2"]),
    ("net/ipv4/ip_forward", &["0", "1"]),
    ("net/ipv4/tcp_mtu_probing", &["0", "1", "2"]),
    (
        "net/ipv4/tcp_rmem",
        &["4096 131072 6291456", "4096 131072 33554432"],
    ),
    ("net/ipv6/conf/all/disable_ipv6", &["0", "1"]),
    ("net/ipv6/conf/all/forwarding", &["0", "1"]),
    ("net/ipv6/conf/default/disable_ipv6", &["0", "1"]),
    ("net/ipv6/conf/default/forwarding", &["0", "1"]),
    ("net/ipv6/conf/default/proxy_ndp", &["0", "1"]),
];

/// The routes that a document may name: those of eth0, eth1 and eth0.100, and one that no host has.
const ROUTES: &[&str] = &[
    "10.0.0.0/8",
    "2001:db8:2::/48",
    "2001:db8:8::/48",
    "172.16.0.0/12",
];

/// Sysctls of each interface.
const OF_A_LINK: &[(&str, &str)] = &[
    ("ipv4", "forwarding"),
    ("ipv4", "log_martians"),
    ("ipv4", "rp_filter"),
    ("ipv6", "disable_ipv6"),
    ("ipv6", "forwarding"),
    ("ipv6", "proxy_ndp"),
];

type Device = (
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
    Option<&'static str>,
);

/// The interfaces that a host may have, with their kind, the one below and the one above them.
const LINKS: &[Device] = &[
    ("lo", None, None, None),
    ("eth0", None, None, None),
    ("eth1", None, None, Some("br0")),
    ("br0", Some("bridge"), None, None),
    ("cali1", Some("veth"), Some("pod1"), Some("br0")),
    ("pod1", Some("veth"), Some("cali1"), None),
    ("cali2", Some("veth"), None, None),
    ("eth0.100", Some("vlan"), Some("eth0"), None),
    ("mac", Some("macvlan"), Some("eth0.100"), None),
    ("ovn0", Some("openvswitch"), None, None),
    ("ipip0", Some("ipip"), None, None),
    ("ipip60", Some("ip6tnl"), None, None),
    ("tunl0", Some("ipip"), None, None),
];

/// What is chosen freely for an interface; what does not go together is put right.
#[derive(Clone, Debug)]
struct Draft {
    there: bool,
    external: bool,
    mtu: u32,
    up: bool,
    txqueuelen: u32,
    alias: bool,
    conf: [i32; 4],
    leaves: [bool; 2],
    ipv4: bool,
    ipv6: bool,
    enslaved: bool,
}

fn draft() -> impl Strategy<Value = Draft> {
    let mtu = select(vec![1200, 1279, 1280, 1400, 1460, 1500, 9000]);
    let conf = (0..3, 0..2, 0..2, 0..2);
    (
        (prop::bool::weighted(0.8), any::<bool>(), mtu, any::<bool>()),
        (
            select(vec![0, 500, 1000]),
            any::<bool>(),
            conf,
            any::<[bool; 2]>(),
        ),
        any::<[bool; 3]>(),
    )
        .prop_map(
            |((there, external, mtu, up), (txqueuelen, alias, conf, leaves), bits)| Draft {
                there,
                external,
                mtu,
                up,
                txqueuelen,
                alias,
                conf: [conf.0, conf.1, conf.2, conf.3],
                leaves,
                ipv4: bits[0],
                ipv6: bits[1],
                enslaved: bits[2],
            },
        )
}

/// A host: everything that a document of [`documents`] can ask for was read.
pub fn hosts() -> impl Strategy<Value = Snapshot> {
    let globals: Vec<_> = GLOBAL.iter().map(|(_, values)| select(values.to_vec())).collect();
    let support = select(vec![Support::Yes, Support::Yes, Support::Yes, Support::Unknown]);
    let place = prop_oneof![
        1 => Just(None),
        1 => configured().prop_map(Some),
    ];
    (vec(draft(), LINKS.len()), globals, support, place, logged()).prop_map(
        |(drafts, globals, support, configured, logged)| {
            // CNI configurations are the host's.
            let named = configured.is_none();
            let netns = if named {
                Netns::named("pod")
            } else {
                Netns::CURRENT
            };
            let mut host = Snapshot::empty(netns);
            host.kernel = "6.12.0".into();
            host.families = Families {
                ipv4: true,
                ipv6: true,
            };
            for ((key, _), value) in GLOBAL.iter().zip(globals) {
                host.sysctls.insert(key.parse().unwrap(), value_of(value));
            }
            host.tunnels = TunnelKind::ALL
                .iter()
                .map(|mode| (*mode, support.clone()))
                .collect();
            host.files.insert(drop_in::path("default"), None);
            let mut logged: netkeel_host::snapshot::nflog::NflogState =
                serde_json::from_value(logged).unwrap();
            logged.sort();
            host.nflog = Some(logged);
            host.cni = configured.map(|configured| serde_json::from_value(configured).unwrap());
            build(&mut host, &drafts);
            host
        },
    )
}

fn value_of(value: &str) -> SysctlReading {
    SysctlReading::Value {
        value: value.into(),
        writable: true,
    }
}

fn build(host: &mut Snapshot, drafts: &[Draft]) {
    let there: BTreeSet<&str> = LINKS
        .iter()
        .zip(drafts)
        .filter(|(_, draft)| draft.there)
        .map(|((name, ..), _)| *name)
        .collect();
    let index = |name: &str| LINKS.iter().position(|(other, ..)| *other == name).unwrap() as u32 + 1;
    for ((name, kind, lower, master), draft) in LINKS.iter().zip(drafts) {
        let stands = matches!(*kind, Some("vlan" | "macvlan"));
        // What stands on a device, and the other end of a veth, cannot be without it.
        let alone = lower.is_some_and(|lower| !there.contains(lower));
        let below = lower.filter(|_| stands).map(|lower| lower.parse().unwrap());
        if !there.contains(name) || alone || below.is_some_and(|lower| !host.links.contains_key(&lower)) {
            continue;
        }
        let below = below.and_then(|lower| host.links.get(&lower));
        let mtu = match below {
            Some(below) => below.mtu.min(draft.mtu),
            None if *name == "lo" => 65536,
            None => draft.mtu,
        };
        let ipv6 = mtu >= 1280;
        let [rp_filter, forwarding, forwarding6, disable_ipv6] = draft.conf;
        let mut link = Link {
            index: index(name),
            kind: kind.map(Into::into),
            external: draft.external && name.starts_with("ipip"),
            mtu,
            min_mtu: 68,
            max_mtu: 65535,
            up: draft.up && below.is_none_or(|below| below.up),
            txqueuelen: draft.txqueuelen,
            alias: draft.alias.then(|| "as found".into()),
            rp_filter: Some(rp_filter),
            forwarding: Some(forwarding),
            forwarding6: ipv6.then_some(forwarding6),
            disable_ipv6: ipv6.then_some(disable_ipv6),
            lower: lower.map(index),
            ..Link::default()
        };
        if *name == "cali2" {
            (link.lower, link.peer_netns) = (Some(2), Some(0));
            let routes =
                json!({"0.0.0.0/0": {"mtu": 1500, "rest": "via 169.254.1.1"}, "10.0.0.0/8": {"mtu": 1300}});
            let pod = json!({
                "sandbox": if draft.ipv4 { json!({"path": "/run/netns/pod", "inode": 7}) } else { Value::Null },
                "index": 2, "name": "eth0", "mtu": if draft.up { 1500 } else { 1300 },
                "routes": if draft.alias { routes } else { json!({}) },
            });
            link.pod = serde_json::from_value(pod).ok();
        }
        link.master = master
            .filter(|_| draft.enslaved && there.contains("br0"))
            .map(index);
        let number = link.index;
        if draft.ipv4 {
            link.addresses
                .insert(format!("192.0.2.{number}/24").parse().unwrap());
        }
        if draft.ipv6 && ipv6 && disable_ipv6 == 0 {
            link.addresses
                .insert(format!("2001:db8::{number}/64").parse().unwrap());
        }
        if link.up && draft.leaves[0] {
            let metric = if *name == "eth0" { "" } else { " metric 100" };
            let ipv4 = json!({ "rest": "via 192.0.2.99", "metrics": if draft.alias { json!({"mtu": 1400}) } else { json!({}) } });
            let ipv6_route = json!({ "metrics": { "mtu": mtu, "window": 65535 } });
            if draft.ipv4 && ["eth0", "eth1"].contains(name) {
                let key = format!("10.0.0.0/8{metric}").parse().unwrap();
                link.routes.insert(key, serde_json::from_value(ipv4).unwrap());
            }
            if ipv6 && disable_ipv6 == 0 && ["eth0", "eth0.100"].contains(name) {
                let key = format!("2001:db8:{number}::/48").parse().unwrap();
                link.routes
                    .insert(key, serde_json::from_value(ipv6_route).unwrap());
            }
        }
        for ((family, leaf), on) in [("ipv4", "log_martians"), ("ipv6", "proxy_ndp")]
            .iter()
            .zip(draft.leaves)
        {
            let key = format!("net/{family}/conf/{name}/{leaf}").parse().unwrap();
            let there = *family == "ipv4" || ipv6;
            let reading = if there {
                value_of(if on { "1" } else { "0" })
            } else {
                SysctlReading::Absent
            };
            host.sysctls.insert(key, reading);
        }
        host.links.insert(name.parse().unwrap(), link.into());
    }
    let routed = ["eth0", "eth1"].into_iter().zip(drafts).filter(|(name, draft)| {
        draft.alias && host.links.get(&name.parse().unwrap()).is_some_and(|link| link.up)
    });
    host.default_routes = Some(
        routed
            .map(|(name, draft)| DefaultRoute {
                mtu: draft.external.then_some(1400),
                ..DefaultRoute::by(name.parse().unwrap())
            })
            .collect(),
    );
    // The last draft decides on an announced route of eth0.
    let announced = drafts.last().filter(|draft| draft.alias);
    let announced = announced.map(|draft| ("eth0".parse().unwrap(), Some(i64::from(draft.conf[0]))));
    if let Some((_, Some(accept_ra))) = announced {
        let reading = SysctlReading::Value {
            value: accept_ra.to_string().as_str().into(),
            writable: true,
        };
        let key = "net/ipv6/conf/eth0/accept_ra".parse().unwrap();
        host.sysctls.insert(key, reading);
    }
    host.announced_routes = Some(announced.into_iter().collect());
    host.routes = ROUTES.iter().map(|route| route.parse().unwrap()).collect();
    // What is not there has no sysctls.
    for (name, ..) in LINKS {
        for (family, leaf) in [("ipv4", "log_martians"), ("ipv6", "proxy_ndp")] {
            let key = format!("net/{family}/conf/{name}/{leaf}").parse().unwrap();
            host.sysctls.entry(key).or_insert(SysctlReading::Absent);
        }
    }
}

/// A document as JSON, of the kinds that there are.
pub fn documents() -> impl Strategy<Value = Value> {
    let kinds = (sysctls(), links(), tunnels(), routes(), nflog(), cni());
    (kinds, any::<bool>()).prop_map(|((sysctl, link, tunnel, route, nflog, cni), persists)| {
        let mut document = Map::new();
        document.insert("version".into(), json!(1));
        for (kind, entries) in [
            ("sysctl", sysctl),
            ("link", link),
            ("tunnel", tunnel),
            ("route", route),
            ("nflog", nflog),
            ("cni", cni),
        ] {
            if !entries.is_empty() {
                document.insert(kind.into(), entries.into());
            }
        }
        // That it does is the default on a host, and refused elsewhere.
        if !persists {
            document.insert("persist".into(), json!(false));
        }
        Value::Object(document)
    })
}

fn sysctls() -> impl Strategy<Value = Map<String, Value>> {
    let global: Vec<_> = GLOBAL
        .iter()
        .map(|(key, values)| (Just((*key).to_owned()), select(values.to_vec())))
        .collect();
    let names: Vec<&str> = LINKS.iter().map(|(name, ..)| *name).collect();
    let own = (select(names), select(OF_A_LINK), select(vec!["0", "1"]))
        .prop_map(|(name, (family, leaf), value)| (format!("net/{family}/conf/{name}/{leaf}"), value));
    (
        global,
        vec(own, 0..4),
        vec(prop::bool::weighted(0.2), GLOBAL.len()),
    )
        .prop_map(|(global, own, wanted)| {
            let global = global.into_iter().zip(wanted).filter(|(_, wanted)| *wanted);
            let all = global.map(|(entry, _)| entry).chain(own);
            all.map(|(key, value)| (key, json!(value))).collect()
        })
}

/// Bytes, or a budget over what may be there, may be set by the same document, or stands on it.
fn mtus() -> impl Strategy<Value = Value> {
    let bytes = select(vec![1200, 1279, 1280, 1400, 1460, 1500, 9000]).prop_map(|mtu| json!(mtu));
    let underlay = select(vec![
        json!("default-route"),
        json!("eth0"),
        json!("eth0.100"),
        json!("mac"),
        json!("br0"),
        json!("ipip0"),
        json!("eth7"),
        json!(1500),
    ]);
    let layers = subsequence(vec!["vxlan", "wireguard:ipv4", "ipip"], 0..3);
    let budget = (underlay, layers, select(vec![0, 100]), any::<Option<bool>>()).prop_map(
        |(underlay, layers, margin, floor)| {
            let mut budget = json!({ "underlay": underlay, "layers": layers, "margin": margin });
            if floor == Some(true) {
                budget["floor"] = json!(1280);
            }
            budget
        },
    );
    prop_oneof![2 => bytes, 1 => budget]
}

fn settings() -> impl Strategy<Value = Map<String, Value>> {
    let all = (
        mtus(),
        select(vec!["off", "strict", "loose"]),
        any::<bool>(),
        select(vec![0, 500, 1000]),
        select(vec!["", "declared"]),
        select(vec![json!("same"), json!("leave"), json!(1450)]),
    );
    (
        all,
        subsequence(
            vec!["mtu", "pod_mtu", "rp_filter", "up", "txqueuelen", "alias"],
            0..4,
        ),
    )
        .prop_map(|(all, wanted)| {
            let value = |key: &str| match key {
                "mtu" => json!(all.0),
                "rp_filter" => json!(all.1),
                "up" => json!(all.2),
                "txqueuelen" => json!(all.3),
                "pod_mtu" => all.5.clone(),
                _ => json!(all.4),
            };
            wanted
                .into_iter()
                .map(|key| (key.to_owned(), value(key)))
                .collect()
        })
}

fn links() -> impl Strategy<Value = Map<String, Value>> {
    let exact = select(vec![
        "eth0", "eth1", "br0", "cali1", "eth0.100", "mac", "ovn0", "eth7", "ipip0",
    ]);
    let selector = select(vec![
        json!({ "name": "cali*" }),
        json!({ "name": "*" }),
        json!({ "kind": "veth" }),
        json!({ "name": "eth?", "kind": "physical" }),
    ]);
    let exact = (exact, settings()).prop_map(|(name, fields)| (name.to_owned(), fields));
    let matching = (select(vec!["a", "b"]), selector, settings()).prop_map(|(id, selector, mut fields)| {
        fields.insert("match".into(), selector);
        (id.to_owned(), fields)
    });
    (vec(exact, 0..4), vec(matching, 0..2)).prop_map(|(exact, matching)| {
        let all = exact.into_iter().chain(matching);
        all.map(|(key, fields)| (key, fields.into())).collect()
    })
}

fn routes() -> impl Strategy<Value = Map<String, Value>> {
    let metrics = (
        select(vec![1280, 1400, 9000]),
        select(vec![1220, 1360]),
        select(vec![65_535, 1 << 20]),
        select(vec![0, 100]),
    );
    let fields = subsequence(vec!["mtu", "advmss", "window"], 1..3);
    let one = (select(ROUTES), metrics, fields, any::<bool>()).prop_map(|(route, metrics, fields, exact)| {
        let value = |key: &str| match key {
            "mtu" => metrics.0,
            "advmss" => metrics.1,
            _ => metrics.2,
        };
        let mut entry: Map<String, Value> = fields
            .into_iter()
            .map(|key| (key.to_owned(), json!(value(key))))
            .collect();
        if exact && !route.contains(':') {
            entry.insert("metric".into(), json!(metrics.3));
        }
        (route.to_owned(), entry.into())
    });
    vec(one, 0..3).prop_map(|all| all.into_iter().collect())
}

fn tunnels() -> impl Strategy<Value = Map<String, Value>> {
    let one = |name: &'static str, mode: &'static str| {
        (
            prop::bool::weighted(0.4),
            any::<bool>(),
            settings(),
            subsequence(vec!["127.0.0.42/32", "10.9.0.1/24", "2001:db8::42/128"], 0..3),
        )
            .prop_map(move |(wanted, force, mut fields, addresses)| {
                fields.retain(|key, _| !matches!(key.as_str(), "pod_mtu" | "txqueuelen" | "alias"));
                fields.insert("mode".into(), json!(mode));
                fields.insert("addresses".into(), json!(addresses));
                fields.insert("force".into(), json!(force));
                wanted.then(|| (name.to_owned(), Value::Object(fields)))
            })
    };
    (one("ipip0", "ipip"), one("ipip60", "ip6tnl")).prop_map(|(a, b)| [a, b].into_iter().flatten().collect())
}
