//! The section `probes`: paths and services that the service measures each minute. It wants no facts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::kinds::kind::{Context, Section};
use crate::kinds::replicate::address;
use crate::shape::{Field, Shape, field};
use crate::want::wants::Wants;
use netkeel_core::error::Error;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::probe::{Probe, ProbeName, Protocol, Target};
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::scope::Scope;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::Node;
use netkeel_source::node::path::KeyPath;

pub(crate) struct Kind;

/// Maximum number of probes. They run one after the other, and one that finds a black hole takes some twenty seconds.
const MOST: usize = 32;

const PROTOCOLS: &[&str] = &["icmp", "udp", "tcp"];

const ADDRESS: Shape = Shape::Text {
    check: address,
    what: "an address",
};

/// Maximum number of nodes of a probe of replication. Eight are asked at one time, and each for two seconds at most.
const MOST_NODES: usize = 64;

/// The port of `netkeel run --listen` where a probe names none.
const SERVICE: u16 = 9440;

/// The keys of a probe.
const FIELDS: &[Field] = &[
    field(
        "path_mtu",
        ADDRESS,
        "The address to which the path MTU is measured, as `netkeel probe pmtu` does.",
    ),
    field(
        "ipip",
        ADDRESS,
        "The address of a realserver that gets an encapsulated SYN, as by `netkeel probe ipip`.",
    ),
    field(
        "service",
        ADDRESS,
        "The address of the service that the realserver serves. Required with `ipip`.",
    ),
    field(
        "protocol",
        Shape::Word(PROTOCOLS),
        "The protocol by which `path_mtu` asks. Default: ICMP echo, then UDP, then TCP, until one measures the path.",
    ),
    field(
        "port",
        Shape::Integer {
            min: 1,
            max: 65_535,
            unit: "",
        },
        "The port of the service, required with `ipip`. With `path_mtu`, the port of UDP or TCP. Default there: 33434 for UDP, 443 for TCP. With `replicate`, the port of `netkeel run --listen` on the nodes. Default there: 9440.",
    ),
    field(
        "expect",
        Shape::Integer {
            min: 68,
            max: 65_535,
            unit: "bytes",
        },
        "The smallest path MTU, or with `ipip` the smallest MSS, that is as expected.",
    ),
    field(
        "replicate",
        ADDRESS,
        "The served address that gets a packet too big, of which each of `nodes` must have a copy, as by `netkeel probe replicate`. This host must be none of them.",
    ),
    field(
        "nodes",
        Shape::List(&ADDRESS),
        "The nodes that replicate the packet, at most 64. Required with `replicate`.",
    ),
];

/// The keys of a probe that confirms an apply of a policy: a probe of replication takes too long.
pub(crate) const OF_A_POLICY: &[Field] = FIELDS.split_at(6).0;

const FIELD: Field = field(
    "probes",
    Shape::Table {
        key: name,
        key_doc: "a name for the log and the metrics",
        value: &Shape::Map(FIELDS),
    },
    "Paths and services that the service measures each minute. The results are in its status, log and metrics; netkeel changes nothing because of them.",
);

fn name(text: &str) -> Result<(), Error> {
    text.parse::<ProbeName>().map(drop)
}

/// Reads the section of a document. The check of the shape has reported invalid values.
pub(crate) fn probes(whole: &Node, diagnostics: &mut Diagnostics) -> BTreeMap<ProbeName, Probe> {
    let Some(section) = whole.get("probes") else {
        return BTreeMap::new();
    };
    if section.entries().len() > MOST {
        let message = format!("{} probes are more than {MOST}", section.entries().len());
        diagnostics
            .add(section.span, "probes", message)
            .hint("probes run one after the other, so that many take longer than a minute");
    }
    let entries = section.entries().iter();
    let read = entries.filter_map(|entry| {
        let name: ProbeName = entry.key.parse().ok()?;
        let probe = probe(
            &KeyPath::ROOT.key("probes").key(&entry.key),
            &entry.value,
            diagnostics,
        )?;
        Some((name, probe))
    });
    read.collect()
}

/// Reads the probe at `path`. The check of the shape has reported invalid values.
pub(crate) fn probe(path: &KeyPath<'_>, entry: &Node, diagnostics: &mut Diagnostics) -> Option<Probe> {
    let address = |key: &str| {
        entry
            .get(key)
            .and_then(|node| node.text()?.parse::<IpAddr>().ok())
    };
    let mut wrong = |key: Option<&str>, message: &str, hint: &str| {
        let node = key.and_then(|key| entry.get(key)).unwrap_or(entry);
        let at = key.map_or_else(|| path.to_string(), |key| path.key(key).to_string());
        diagnostics.add(node.span, at, message).hint(hint);
    };
    let has = |key: &str| entry.get(key).is_some();
    let number = |key: &str| entry.get(key).and_then(Node::integer)?.try_into().ok();
    let port: Option<u16> = number("port");
    let expect: Option<u16> = number("expect");
    let asked: Vec<&str> = ["path_mtu", "ipip", "replicate"]
        .into_iter()
        .filter(|key| has(key))
        .collect();
    match asked.as_slice() {
        [_] => {}
        [] => {
            wrong(
                None,
                "the probe has nothing to measure",
                "add path_mtu: ADDRESS, ipip: ADDRESS with service and port, or replicate: ADDRESS with nodes",
            );
            return None;
        }
        [first, second, ..] => {
            let message = format!("a probe has either `{first}` or `{second}`");
            wrong(Some(second), &message, "make two probes of it");
            return None;
        }
    }
    if has("replicate") {
        let foreign = ["service", "protocol", "expect"].into_iter().find(|key| has(key));
        if let Some(key) = foreign {
            let message = format!("`{key}` does not apply to `replicate`");
            wrong(Some(key), &message, "remove it");
        }
        let listed = entry.get("nodes").map(Node::items).unwrap_or_default().iter();
        let listed = listed.filter_map(|node| node.text()?.parse::<IpAddr>().ok());
        let nodes: BTreeSet<IpAddr> = listed.collect();
        if nodes.is_empty() {
            wrong(
                None,
                "`replicate` needs the nodes that are asked",
                "add nodes: [192.0.2.1, 192.0.2.2]",
            );
            return None;
        }
        if nodes.len() > MOST_NODES {
            let message = format!("{} nodes are more than {MOST_NODES}", nodes.len());
            wrong(Some("nodes"), &message, "make several probes of it");
        }
        let port = port.unwrap_or(SERVICE);
        let nodes = nodes.into_iter().map(|node| SocketAddr::new(node, port));
        return Some(Probe {
            target: Target::Replicate {
                vip: address("replicate")?,
                nodes: nodes.collect(),
            },
            expect: None,
        });
    }
    if has("nodes") {
        wrong(Some("nodes"), "`nodes` applies to `replicate` only", "remove it");
    }
    let target = if let Some(target) = address("path_mtu") {
        if has("service") {
            wrong(Some("service"), "`service` applies to `ipip` only", "remove it");
        }
        let protocol = entry.get("protocol").and_then(Node::text);
        let protocol = protocol.and_then(|word| match word {
            "icmp" => Some(Protocol::Icmp),
            "udp" => Some(Protocol::Udp),
            "tcp" => Some(Protocol::Tcp),
            _ => None,
        });
        if has("port") && !matches!(protocol, Some(Protocol::Udp | Protocol::Tcp)) {
            wrong(
                Some("port"),
                "`port` needs a protocol that has ports",
                "add protocol: tcp, or protocol: udp",
            );
        }
        Target::PathMtu {
            target,
            protocol,
            port,
        }
    } else {
        let realserver = address("ipip")?;
        if has("protocol") {
            wrong(
                Some("protocol"),
                "`protocol` applies to `path_mtu` only",
                "the packet inside is a TCP SYN",
            );
        }
        let (Some(service), Some(port)) = (address("service"), port) else {
            let (service, port) = (has("service"), has("port"));
            if !(service && port) {
                wrong(
                    None,
                    "`ipip` needs the address and the port of the service",
                    "add service: 203.0.113.9 and port: 443",
                );
            }
            return None;
        };
        if realserver.is_ipv4() && service.is_ipv6() {
            wrong(
                Some("service"),
                "IPv6 in IPv4 is not supported",
                "name an IPv6 address of the realserver, which an ip6tnl device decapsulates",
            );
        }
        Target::Ipip {
            realserver,
            service: SocketAddr::new(service, port),
        }
    };
    Some(Probe { target, expect })
}

impl crate::kinds::kind::Kind for Kind {
    fn field(&self) -> Field {
        FIELD
    }

    fn read(&self, _: &Node, _: &mut Context<'_>) -> Box<dyn Section> {
        Box::new(NoFacts)
    }
}

/// An empty section: the document itself holds the probes, see [`probes`].
#[derive(Debug)]
struct NoFacts;

impl Section for NoFacts {
    fn scope(&self, _: &mut Scope) {}

    fn wants(&self, _: &Snapshot, _: &mut Wants) {}

    fn persistent(&self) -> Vec<(SysctlKey, String)> {
        Vec::new()
    }
}
