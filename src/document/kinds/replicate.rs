//! The section `replicate`: settings of the worker that replicates the messages of an `nflog`
//! entry. It configures a service and wants no facts.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::kinds::kind::{Context, Section};
use crate::kinds::nflog::kind;
use crate::shape::{Field, Shape, field, wrong};
use crate::want::wants::Wants;
use netkeel_core::error::Error;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::replication::limits::{Floor, Limits, Rate};
use netkeel_core::replication::settings::{Mode, Replication, Settings};
use netkeel_core::text::duration;
use netkeel_core::text::escape::quoted;
use netkeel_core::text::suggest::suggest;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::scope::Scope;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::{Data, Node};

mod cluster;

pub(crate) struct Kind;

const fn count(unit: &'static str) -> Shape {
    Shape::Integer {
        min: 1,
        max: 100_000_000,
        unit,
    }
}

const NETWORK: Shape = Shape::List(&Shape::Text {
    check: network,
    what: "a network",
});

const PACKETS: &[Field] = &[
    field(
        "per_second",
        count("packets"),
        "Packets per second. Default: 1000.",
    ),
    field("burst", count("packets"), "Packets at once. Default: 4000."),
];

const COPIES: &[Field] = &[
    field(
        "per_second",
        count("copies"),
        "Copies per second. Default: 50000.",
    ),
    field("burst", count("copies"), "Copies at once. Default: 200000."),
];

/// Zero would switch the check for duplicates off, which is the second defence against loops.
const REPEAT: &str = "a duration from 1ms to 1m";

const LIMITS: &[Field] = &[
    field(
        "per_source",
        Shape::Map(PACKETS),
        "Packets from one source, which is a router. Above it, each quoted destination still gets 20 packets a second.",
    ),
    field(
        "per_destination",
        Shape::Map(PACKETS),
        "Packets about one quoted destination, which is a client.",
    ),
    field(
        "copies",
        Shape::Map(COPIES),
        "Copies to all peers together. New sources get at most half of it.",
    ),
    field(
        "repeat_after",
        Shape::Text {
            check: repeat,
            what: REPEAT,
        },
        "How long the same flow with the same MTU is not replicated again. Default: 3s.",
    ),
];

const FLOOR: &[Field] = &[
    field(
        "ipv4",
        Shape::Integer {
            min: 0,
            max: 65_535,
            unit: "bytes",
        },
        "Of ICMP messages. Default: 576. 0 accepts routers before RFC 1191, which send 0: kernels then use `net.ipv4.route.min_pmtu`.",
    ),
    field(
        "ipv6",
        Shape::Integer {
            min: 1_280,
            max: 65_535,
            unit: "bytes",
        },
        "Of ICMPv6 messages. Default: 1280.",
    ),
];

const FIELDS: &[Field] = &[
    Field {
        name: "nflog",
        shape: Shape::Text {
            check: any,
            what: "the name of an entry of nflog",
        },
        required: true,
        doc: "The entry of `nflog` that hands over the messages.",
    },
    field(
        "peers",
        Shape::Either(&[
            Shape::List(&Shape::Text {
                check: address,
                what: "an address",
            }),
            Shape::Map(cluster::FIELDS),
        ]),
        "The nodes that get a copy, one address each. This node may be listed and is skipped. Or the objects of a Kubernetes cluster that name them.",
    ),
    field(
        "peers_file",
        Shape::Text {
            check: path,
            what: "an absolute path",
        },
        "A file with more peers, one address per line, `#` for comments. It is reloaded within a second of a change.",
    ),
    field(
        "mode",
        Shape::Word(Mode::WORDS),
        "`unicast` (the default): a frame to each peer, which is on the link. `broadcast`: one frame to all stations. `ipip`: encapsulated to each peer's ipip0 or ipip60, across routers.",
    ),
    field(
        "interface",
        Shape::Text {
            check: interface,
            what: "the name of an interface",
        },
        "The output interface of broadcasts. Default: each interface with a peer on its link.",
    ),
    field(
        "ttl",
        Shape::Integer {
            min: 2,
            max: 255,
            unit: "",
        },
        "TTL or hop limit of the copies. Default: one less than that of the original, and 2 at least.",
    ),
    field(
        "floor",
        Shape::Map(FLOOR),
        "The smallest next-hop MTUs that are accepted.",
    ),
    field(
        "flows_to_nodes",
        Shape::Switch,
        "Replicates messages about packets to a peer too, as of a client that is a node. Default: no, because each such message lowers the MTU of the path to that peer, which tunnels between the nodes use.",
    ),
    field(
        "vips",
        NETWORK,
        "Networks of the addresses that the peers serve. A message about any other address is rejected. Default: any.",
    ),
    field(
        "ignore_sources",
        NETWORK,
        "Networks whose messages are not replicated, in addition to those that the entry of `nflog` ignores.",
    ),
    field("limits", Shape::Map(LIMITS), "Rate limits of the replication."),
    field(
        "dry_run",
        Shape::Switch,
        "Counts messages but sends nothing. Default: no.",
    ),
];

const FIELD: Field = Field {
    name: "replicate",
    shape: Shape::Map(FIELDS),
    required: false,
    doc: "Replicates ICMP \"packet too big\" to the peers, while the service runs.",
};

fn any(_: &str) -> Result<(), Error> {
    Ok(())
}

pub(crate) fn address(text: &str) -> Result<(), Error> {
    let parsed = text.parse::<IpAddr>().map(|_| ());
    parsed.map_err(|_| wrong(text, "an address").hint("as 192.0.2.1 or 2001:db8::1; names are not looked up"))
}

fn network(text: &str) -> Result<(), Error> {
    let parsed = parse_network(text).map(|_| ());
    parsed.ok_or_else(|| wrong(text, "a network").hint("as 192.0.2.0/24, 2001:db8::/64 or 192.0.2.1"))
}

fn parse_network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse::<IpNet>().ok().or_else(address).map(|net| net.trunc())
}

fn path(text: &str) -> Result<(), Error> {
    if text.starts_with('/') && !text.contains('\0') {
        return Ok(());
    }
    Err(wrong(text, "an absolute path").hint("as /etc/netkeel/peers"))
}

fn interface(text: &str) -> Result<(), Error> {
    text.parse::<LinkName>().map(|_| ())
}

fn repeat(text: &str) -> Result<(), Error> {
    let minute = Duration::from_secs(60);
    if (Duration::from_millis(1)..=minute).contains(&duration::parse(text)?) {
        return Ok(());
    }
    Err(wrong(text, REPEAT).hint("as 3s"))
}

/// Reads the section of a document. The check of the shape has reported invalid values.
pub(crate) fn replication(whole: &Node, diagnostics: &mut Diagnostics) -> Option<Replication> {
    let section = whole.get("replicate")?;
    let text = |key: &str| section.get(key).and_then(Node::text);
    let items = |key: &str| section.get(key).map(Node::items).unwrap_or_default().iter();
    let entries = whole.get("nflog").map(kind::entries).unwrap_or_default();
    let name = section.get("nflog")?;
    let Some((_, entry)) = entries
        .iter()
        .find(|(known, _)| Some(known.to_string().as_str()) == name.text())
    else {
        missing(
            name,
            &entries.keys().map(ToString::to_string).collect::<Vec<_>>(),
            diagnostics,
        );
        return None;
    };
    let networks = |key| items(key).filter_map(|item| parse_network(item.text()?));
    let cluster = section
        .get("peers")
        .filter(|peers| matches!(peers.data, Data::Map(_)))
        .and_then(|peers| cluster::read(peers, diagnostics));
    let peers: Vec<IpAddr> = items("peers")
        .filter_map(|item| item.text()?.parse().ok())
        .collect();
    let mode = text("mode").and_then(Mode::from_word).unwrap_or_default();
    let interface = text("interface").and_then(|name| name.parse().ok());
    let peers_file = text("peers_file").map(str::to_owned);
    let broadcasts = mode == Mode::Broadcast && interface.is_some();
    if section.get("peers").is_none() && peers_file.is_none() && !broadcasts {
        diagnostics
            .add(section.span, "replicate", "no peer gets a copy")
            .hint("name the nodes in peers, or a file of them in peers_file");
    }
    if let (Some(node), false) = (section.get("interface"), mode == Mode::Broadcast) {
        let path = KeyPath::of(&["replicate", "interface"]);
        diagnostics
            .add(node.span, path, "`interface` applies to broadcasts only")
            .hint("each peer's interface comes from the route to it");
    }
    let floor = section.get("floor");
    let floor = |key, default| {
        number(floor, key)
            .and_then(|mtu| mtu.try_into().ok())
            .unwrap_or(default)
    };
    let least = Floor::default();
    Some(Replication {
        peers_file,
        cluster,
        settings: Settings {
            group: entry.group,
            peers,
            mode,
            interface,
            ttl: number(Some(section), "ttl").and_then(|ttl| ttl.try_into().ok()),
            floor: Floor {
                ipv4: floor("ipv4", least.ipv4),
                ipv6: floor("ipv6", least.ipv6),
            },
            flows_to_nodes: section
                .get("flows_to_nodes")
                .and_then(Node::switch)
                .unwrap_or(false),
            vips: networks("vips").collect(),
            ignore_sources: networks("ignore_sources").collect(),
            limits: limits(section.get("limits")),
            dry_run: section.get("dry_run").and_then(Node::switch).unwrap_or(false),
        },
    })
}

fn missing(name: &Node, known: &[String], diagnostics: &mut Diagnostics) {
    let text = name.text().unwrap_or_default();
    let path = KeyPath::of(&["replicate", "nflog"]);
    let message = format!("there is no entry {} of nflog", quoted(text));
    let diagnostic = diagnostics.add(name.span, path, message);
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let declare = || "declare one: nflog: { packet-too-big: { interfaces: [eth0] } }".to_owned();
    diagnostic.hint(suggest(text, &known).unwrap_or_else(declare));
}

fn number(node: Option<&Node>, key: &str) -> Option<u32> {
    u32::try_from(node?.get(key)?.integer()?).ok()
}

fn limits(node: Option<&Node>) -> Limits {
    let of = |key: &str, default: Rate| {
        let node = node.and_then(|node| node.get(key));
        Rate {
            per_second: number(node, "per_second").unwrap_or(default.per_second),
            burst: number(node, "burst").unwrap_or(default.burst),
        }
    };
    let default = Limits::default();
    let repeat_after = node.and_then(|node| duration::parse(node.get("repeat_after")?.text()?).ok());
    Limits {
        per_source: of("per_source", default.per_source),
        per_destination: of("per_destination", default.per_destination),
        copies: of("copies", default.copies),
        repeat_after: repeat_after.unwrap_or(default.repeat_after),
    }
}

impl crate::kinds::kind::Kind for Kind {
    fn field(&self) -> Field {
        FIELD
    }

    fn read(&self, section: &Node, _: &mut Context<'_>) -> Box<dyn Section> {
        let mode = section.get("mode").and_then(Node::text).and_then(Mode::from_word);
        Box::new(NoFacts {
            mode: mode.unwrap_or_default(),
        })
    }
}

/// An empty section: the document itself holds the settings, see [`replication`].
#[derive(Debug)]
struct NoFacts {
    mode: Mode,
}

impl Section for NoFacts {
    /// The facts that decide whether copies of peers pass reverse path filtering.
    fn scope(&self, scope: &mut Scope) {
        scope
            .sysctls
            .insert(SysctlKey::known("net/ipv4/conf/all/rp_filter"));
        scope.families.ipv4 = true;
        scope.families.ipv6 |= self.mode != Mode::Ipip;
        scope.next_hops = true;
    }

    fn wants(&self, _: &Snapshot, _: &mut Wants) {}

    fn persistent(&self) -> Vec<(SysctlKey, String)> {
        Vec::new()
    }
}
