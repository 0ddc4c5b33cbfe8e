//! The kind `nflog`: rules that send ICMP "packet too big" messages to an NFLOG group, where a
//! program reads them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::kinds::kind::{Context, Section};
use crate::kinds::nflog::entry::{Entry, MOST_INTERFACES, Pattern, Prefilter};
use crate::kinds::nflog::wants::Logging;
use crate::kinds::required::{self, Required};
use crate::shape::{Field, Shape};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::link::{LinkName, is_long};
use netkeel_core::name::netns::Netns;
use netkeel_core::nflog::entry_name::{EntryName, Rate};
use netkeel_core::text::escape::quoted;
use netkeel_core::text::glob::Glob;
use netkeel_source::node::Node;
use netkeel_source::node::path::KeyPath;
use netkeel_source::span::Span;

pub(crate) struct Kind;

/// The default group: that of the tools that netkeel replaces.
const GROUP: u16 = 33;

/// The default bytes of a packet that the reader gets: a full packet on an Ethernet of 1500 bytes.
const SNAPLEN: u32 = 1500;

/// The default number of packets that a reader gets at once, if it asks for that many.
const QUEUE_THRESHOLD: u16 = 64;

/// Maximum number of ignored networks per family in an entry. Each takes up to three expressions,
/// and the kernel accepts 4095 bytes of expressions in a rule (`nf_tables_newrule`,
/// net/netfilter/nf_tables_api.c).
const MOST_SOURCES: usize = 16;

const fn mtu(name: &'static str, min: i64, doc: &'static str) -> Field {
    Field {
        name,
        shape: Shape::Integer {
            min,
            max: 65_535,
            unit: "bytes",
        },
        required: false,
        doc,
    }
}

const PREFILTER: &[Field] = &[
    mtu(
        "min_mtu",
        1,
        "Smallest next-hop MTU of an ICMP message that is logged. Old routers send 0.",
    ),
    mtu(
        "min_mtu_ipv6",
        1,
        "Smallest next-hop MTU of an ICMPv6 message that is logged.",
    ),
    mtu(
        "max_mtu",
        1,
        "Largest next-hop MTU of a message, of either family, that is logged.",
    ),
    Field {
        name: "rate",
        shape: Shape::Integer {
            min: 1,
            max: 1_000_000,
            unit: "packets a second",
        },
        required: false,
        doc: "Messages of each source that are logged. The kernel remembers 65536 sources, each for a minute after its last message; those beyond are not logged.",
    },
    Field {
        name: "burst",
        shape: Shape::Integer {
            min: 1,
            max: 1_000_000,
            unit: "packets",
        },
        required: false,
        doc: "Messages of a source that may come at once beyond its rate. Default: as many as `rate`.",
    },
];

const FIELDS: &[Field] = &[
    Field {
        name: "interfaces",
        shape: Shape::List(&Shape::Text {
            check: interface,
            what: "the name of an interface, a pattern or `default-route`",
        }),
        required: true,
        doc: "The input interfaces of the messages, at most 32: names, further names (altnames), patterns (`eth*`, `enp?s0`) and `default-route`, the interfaces of the default routes. Rules match by name, so an interface that is created again is covered. Name the bridge or bond, not its ports.",
    },
    Field {
        name: "group",
        shape: Shape::Integer {
            min: 0,
            max: 65_535,
            unit: "",
        },
        required: false,
        doc: "The NFLOG group that the reader binds. Default: 33.",
    },
    Field {
        name: "ignore_sources",
        shape: Shape::List(&Shape::Text {
            check: network,
            what: "a network",
        }),
        required: false,
        doc: "Networks, at most 16 of each family, whose messages are not logged. They must not contain a router: its messages, and the copies of them, have the router's own address as source.",
    },
    Field {
        name: "snaplen",
        shape: Shape::Integer {
            min: 68,
            max: 65_535,
            unit: "bytes",
        },
        required: false,
        doc: "How much of a packet the reader gets at most. Default: 1500.",
    },
    Field {
        name: "queue_threshold",
        shape: Shape::Integer {
            min: 1,
            max: 65_535,
            unit: "packets",
        },
        required: false,
        doc: "Packets that the kernel queues before it wakes the reader; the smaller of this value and the reader's own applies. Default: 64.",
    },
    Field {
        name: "prefilter",
        shape: Shape::Map(PREFILTER),
        required: false,
        doc: "Filters in the kernel that keep messages from the reader.",
    },
    Field {
        name: "remove_on_stop",
        shape: Shape::Switch,
        required: false,
        doc: "Removes the rules when the service stops. Default: yes.",
    },
    Field {
        name: "adopt",
        shape: Shape::Switch,
        required: false,
        doc: "Replaces iptables rules that log the same messages to the same group. Default: no; then netkeel's rules skip those messages.",
    },
    required::field(
        "An error if one of `interfaces` finds no interface; then nothing is applied. `apply --allow-missing`, as the boot unit runs it, applies the rest. Default: no, which is a finding.",
    ),
];

const FIELD: Field = Field {
    name: "nflog",
    shape: Shape::Table {
        key: name,
        key_doc: "A name of the entry: lower-case letters, digits and dashes.",
        value: &Shape::Map(FIELDS),
    },
    required: false,
    doc: "Rules that hand ICMP \"packet too big\" to a program, in netkeel's own nftables table.",
};

fn name(text: &str) -> Result<(), Error> {
    text.parse::<EntryName>().map(|_| ())
}

fn interface(text: &str) -> Result<(), Error> {
    match pattern(text) {
        Some(found) => found.map(|_| ()),
        None if text.contains(['"', '\\']) => {
            let message = format!("nft does not take {} for a name", quoted(text));
            Err(Error::new(ErrorKind::Input, message).hint("name each interface: [eth0, eth1]"))
        }
        None => text.parse::<LinkName>().map(|_| ()),
    }
}

/// The word for the interfaces of the default routes. An interface of that name is `default-rout[e]`.
const DEFAULT_ROUTE: &str = "default-route";

/// The pattern that a text is; `None` for a name.
fn pattern(text: &str) -> Option<Result<Pattern, Error>> {
    if text == DEFAULT_ROUTE {
        return Some(Ok(Pattern::DefaultRoute));
    }
    if is_long(text) && !text.contains(['*', '?', '[']) {
        return Some(Ok(Pattern::LongName(text.to_owned())));
    }
    let is_glob = text.contains(['*', '?', '[']);
    is_glob.then(|| Glob::new(text).map(Pattern::Glob))
}

fn network(text: &str) -> Result<(), Error> {
    match parse_network(text) {
        Some(net) if net.prefix_len() == 0 => Err(Error::new(
            ErrorKind::Input,
            format!("{} is every source of its family", quoted(text)),
        )
        .hint("name the networks of the nodes")),
        Some(_) => Ok(()),
        None => Err(
            Error::new(ErrorKind::Input, format!("{} is not a network", quoted(text)))
                .hint("as 192.168.100.0/24, 2001:db8::/64 or 192.168.100.1"),
        ),
    }
}

/// A network with its host bits cleared; an address is a network of one host.
fn parse_network(text: &str) -> Option<IpNet> {
    let address = |text: &str| text.parse::<IpAddr>().ok().map(IpNet::from);
    let net = text.parse::<IpNet>().ok().or_else(|| address(text))?;
    Some(net.trunc())
}

/// All entries of a section, with defaults. The check of the shape has reported invalid entries.
pub(crate) fn entries(section: &Node) -> BTreeMap<EntryName, Entry> {
    let all = section.entries().iter();
    all.filter_map(|item| Some((item.key.parse().ok()?, entry(&item.value))))
        .collect()
}

fn entry(node: &Node) -> Entry {
    let number = |key: &str| node.get(key).and_then(Node::integer);
    let switch = |key: &str| node.get(key).and_then(Node::switch);
    let words = |key: &str| node.get(key).map(Node::items).unwrap_or_default().iter();
    let group = number("group").and_then(|group| group.try_into().ok());
    let snaplen = number("snaplen").and_then(|bytes| bytes.try_into().ok());
    let threshold = number("queue_threshold").and_then(|packets| packets.try_into().ok());
    Entry {
        interfaces: words("interfaces")
            .filter_map(|item| item.text().filter(|text| pattern(text).is_none())?.parse().ok())
            .collect(),
        patterns: words("interfaces")
            .filter_map(|item| Some((item.text()?.to_owned(), pattern(item.text()?)?.ok()?)))
            .collect(),
        group: group.unwrap_or(GROUP),
        ignore_sources: words("ignore_sources")
            .filter_map(|item| parse_network(item.text()?))
            .collect(),
        snaplen: snaplen.unwrap_or(SNAPLEN),
        queue_threshold: threshold.unwrap_or(QUEUE_THRESHOLD),
        prefilter: node.get("prefilter").map(prefilter).unwrap_or_default(),
        remove_on_stop: switch("remove_on_stop").unwrap_or(true),
        required: Required::read(node).place(),
        adopt: switch("adopt").unwrap_or(false),
    }
}

fn prefilter(node: &Node) -> Prefilter {
    let number = |key: &str| u32::try_from(node.get(key)?.integer()?).ok();
    let rate = number("rate").map(|per_second| Rate {
        per_second,
        burst: number("burst").unwrap_or(per_second),
    });
    Prefilter {
        min_mtu: number("min_mtu"),
        min_mtu_ipv6: number("min_mtu_ipv6"),
        max_mtu: number("max_mtu"),
        rate,
    }
}

/// Checks of an entry that a shape cannot express.
fn check(name: &str, node: &Node, span: Span, context: &mut Context<'_>) {
    let path = |field: &str| KeyPath::of(&["nflog", name, "prefilter", field]);
    if let Some(list) = node.get("interfaces").filter(|list| list.items().is_empty()) {
        let message = "an entry needs an interface";
        let path = KeyPath::of(&["nflog", name, "interfaces"]);
        context.diagnostics.add(list.span, path, message);
    }
    let read = entry(node);
    let of = |ipv6: bool| {
        let nets = read.ignore_sources.iter();
        nets.filter(|net| matches!(net, IpNet::V6(_)) == ipv6).count()
    };
    for (key, found, most, what) in [
        ("interfaces", read.interfaces.len(), MOST_INTERFACES, "interfaces"),
        ("ignore_sources", of(false), MOST_SOURCES, "networks of IPv4"),
        ("ignore_sources", of(true), MOST_SOURCES, "networks of IPv6"),
    ] {
        if let Some(list) = node.get(key).filter(|_| found > most) {
            let path = KeyPath::of(&["nflog", name, key]);
            let message = format!("{found} {what} are too many: an entry has at most {most}");
            context
                .diagnostics
                .add(list.span, path, message)
                .hint("take networks together, or make another entry");
        }
    }
    let Some(filter) = node.get("prefilter") else {
        return;
    };
    let values = prefilter(filter);
    for (key, least) in [("min_mtu", values.min_mtu), ("min_mtu_ipv6", values.min_mtu_ipv6)] {
        if let (Some(least), Some(most)) = (least, values.max_mtu)
            && least > most
        {
            let message = format!("no message has a next-hop MTU from {least} to {most}");
            let span = filter.get(key).map_or(span, |node| node.span);
            context.diagnostics.add(span, path(key), message);
        }
    }
    if let (Some(burst), None) = (filter.get("burst"), filter.get("rate")) {
        context
            .diagnostics
            .add(burst.span, path("burst"), "`burst` needs a `rate`")
            .hint("add `rate`: messages of a source per second");
    }
}

/// Reports entries that would log the same packets to one group.
fn refuse_twice(section: &Node, context: &mut Context<'_>) {
    let items = section.entries();
    let read: Vec<Entry> = items.iter().map(|item| entry(&item.value)).collect();
    for (at, (item, later)) in items.iter().zip(&read).enumerate() {
        let first = items.iter().zip(&read).take(at).find(|(_, first)| {
            first.group == later.group && !first.interfaces.is_disjoint(&later.interfaces)
        });
        if let Some((first, _)) = first {
            let message = format!("the packets would be logged to group {} twice", later.group);
            context
                .diagnostics
                .add(item.key_span, KeyPath::of(&["nflog", &item.key]), message)
                .other(first.key_span, "this entry logs them too")
                .hint("give each interface to one entry, or each entry a group of its own");
        }
    }
}

impl crate::kinds::kind::Kind for Kind {
    fn field(&self) -> Field {
        FIELD
    }

    fn read(&self, section: &Node, context: &mut Context<'_>) -> Box<dyn Section> {
        let netns: Netns = context.netns.clone();
        for item in section.entries() {
            check(&item.key, &item.value, item.key_span, context);
        }
        refuse_twice(section, context);
        let span = |name: &EntryName| {
            let key = name.to_string();
            let item = section.entries().iter().find(|item| item.key == key);
            item.map(|item| item.key_span).unwrap_or_default()
        };
        let entries = entries(section)
            .into_iter()
            .map(|(name, entry)| {
                let span = span(&name);
                (name, entry, span)
            })
            .collect();
        Box::new(Logging { netns, entries })
    }
}
