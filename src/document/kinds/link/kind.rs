//! The kind `link`: settings of existing interfaces, selected by exact name or by match.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::kinds::kind::{Context, Section};
use crate::kinds::link::rule::{Links, Rule, Setting};
use crate::kinds::mtu::{BYTES, MTU, Wanted};
use crate::kinds::required;
use crate::kinds::required::Required;
use crate::section_name::SectionName;
use crate::selector::Selector;
use crate::shape::{Field, Shape};
use crate::want::Origin;
use netkeel_core::error::Error;
use netkeel_core::fact::Value;
use netkeel_core::name::link;
use netkeel_core::name::link::LinkName;
use netkeel_core::text::escape::quoted;
use netkeel_core::text::glob::Glob;
use netkeel_core::{fact, rp_filter};
use netkeel_host::device_owner;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::{Data, Node};
use netkeel_source::span::Span;

pub(crate) struct Kind;

const POD_MTU: Shape = Shape::Either(&[
    BYTES,
    Shape::Text {
        check: pod_mtu,
        what: "`same` or `leave`",
    },
]);

/// The shape of an `rp_filter`.
pub(crate) const RP_FILTER: Shape = Shape::Choice(rp_filter::WORDS);

/// The conditions of a match on one interface.
const CONDITIONS: [Field; 7] = [
    Field {
        name: "name",
        shape: Shape::Text {
            check: glob,
            what: "a pattern over interface names",
        },
        required: false,
        doc: "Glob over the name: `*`, `?`, `[a-z]`; a backslash escapes.",
    },
    Field {
        name: "kind",
        shape: Shape::Text {
            check: word,
            what: "a kind of interface",
        },
        required: false,
        doc: "The kind as `ip -d link` prints it (veth, vlan, bridge); `physical` for hardware.",
    },
    Field {
        name: "driver",
        shape: Shape::Text {
            check: glob,
            what: "a pattern over drivers",
        },
        required: false,
        doc: "Glob over the driver as `ethtool -i` prints it.",
    },
    Field {
        name: "mac",
        shape: Shape::Text {
            check: mac,
            what: "a pattern over Ethernet addresses",
        },
        required: false,
        doc: "Glob over the Ethernet address as `ip link` prints it: `02:00:5e:*`. VLANs and bonds have the address of a lower device.",
    },
    Field {
        name: "permanent_mac",
        shape: Shape::Text {
            check: mac,
            what: "a pattern over Ethernet addresses",
        },
        required: false,
        doc: "Glob over the Ethernet address that the hardware was made with (`permaddr`); only hardware has one.",
    },
    Field {
        name: "bus",
        shape: Shape::Text {
            check: glob,
            what: "a pattern over places on a bus",
        },
        required: false,
        doc: "Glob over the place on the bus, `bus-info` of `ethtool -i`: `0000:03:*`.",
    },
    Field {
        name: "vlan",
        shape: Shape::Integer {
            min: 0,
            max: 4094,
            unit: "",
        },
        required: false,
        doc: "The number of a VLAN.",
    },
];

const MATCH: Shape = {
    let [name, kind, driver, mac, permanent_mac, bus, vlan] = CONDITIONS;
    Shape::Map(&[
        name,
        kind,
        driver,
        mac,
        permanent_mac,
        bus,
        vlan,
        Field {
            name: "lower",
            shape: Shape::Map(&CONDITIONS),
            required: false,
            doc: "Conditions on the device below it: of a VLAN, the device that carries it.",
        },
    ])
};

const FIELDS: &[Field] = &[
    Field {
        name: "match",
        shape: MATCH,
        required: false,
        doc: "The interfaces to select; without it the key is the exact name of one.",
    },
    required::field(
        "An error if no interface is found; then nothing is applied. `apply --allow-missing`, as the boot unit runs it, applies the rest. Default: no, which is a finding.",
    ),
    Field {
        name: "mtu",
        shape: MTU,
        required: false,
        doc: "MTU of the IP packet: bytes, or a budget.",
    },
    Field {
        name: "pod_mtu",
        shape: POD_MTU,
        required: false,
        doc: "MTU of the other end of a veth, where that is in another namespace: `same` (the default), since one smaller end drops what the larger one sends; `leave`; or bytes.",
    },
    Field {
        name: "rp_filter",
        shape: RP_FILTER,
        required: false,
        doc: "The interface's own reverse path filter.",
    },
    Field {
        name: "up",
        shape: Shape::Switch,
        required: false,
        doc: "Administratively up.",
    },
    Field {
        name: "txqueuelen",
        shape: Shape::Integer {
            min: 0,
            max: 1_000_000,
            unit: "packets",
        },
        required: false,
        doc: "Length of the transmit queue in packets.",
    },
    Field {
        name: "alias",
        shape: Shape::Text {
            check: alias,
            what: "an alias",
        },
        required: false,
        doc: "The interface's alias, up to 255 bytes; empty removes it.",
    },
    Field {
        name: "allow_ipv6_loss",
        shape: Shape::Switch,
        required: false,
        doc: "Lets an MTU below 1280 take the IPv6 addresses off without --allow-lossy.",
    },
];

const FIELD: Field = Field {
    name: "link",
    shape: Shape::Table {
        key: any_key,
        key_doc: "An interface name; with `match`, a label for the rule.",
        value: &Shape::Map(FIELDS),
    },
    required: false,
    doc: "Settings of interfaces that other programs create. An exact name beats a match field by field. No match reaches a tunnel of the same document.",
};

fn glob(text: &str) -> Result<(), Error> {
    Glob::new(text).map(|_| ())
}

/// The kernel prints addresses in lower case; a pattern in upper case would match none.
fn mac(text: &str) -> Result<(), Error> {
    if text.contains(|c: char| c.is_ascii_uppercase()) {
        let message = format!("{} would match no address", quoted(text));
        return Err(Error::new(netkeel_core::error::ErrorKind::Input, message)
            .hint(format!("write it in lower case: {}", text.to_ascii_lowercase())));
    }
    glob(text)
}

fn word(text: &str) -> Result<(), Error> {
    let legal = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
    if legal {
        Ok(())
    } else {
        Err(Error::new(
            netkeel_core::error::ErrorKind::Input,
            format!("{} is not one word", quoted(text)),
        ))
    }
}

fn alias(text: &str) -> Result<(), Error> {
    // IFALIASZ is 256 including the terminating zero (include/uapi/linux/if.h).
    if text.len() > 255 {
        return Err(Error::new(
            netkeel_core::error::ErrorKind::Input,
            format!("the alias has {} bytes; at most 255 fit", text.len()),
        ));
    }
    if text.contains(|c: char| c.is_control()) {
        return Err(Error::new(
            netkeel_core::error::ErrorKind::Input,
            "the alias holds a control character",
        ));
    }
    Ok(())
}

/// A key is a name or a label, depending on `match` in its entry, so
/// [`crate::kinds::kind::Kind::read`] checks it.
fn any_key(text: &str) -> Result<(), Error> {
    if text.is_empty() {
        return Err(Error::new(
            netkeel_core::error::ErrorKind::Input,
            "the key is empty",
        ));
    }
    Ok(())
}

fn pod_mtu(text: &str) -> Result<(), Error> {
    if matches!(text, "same" | "leave") {
        return Ok(());
    }
    let message = format!("{} is neither `same` nor `leave`", quoted(text));
    Err(Error::new(netkeel_core::error::ErrorKind::Input, message).hint("or bytes, from 68 to 65535"))
}

impl crate::kinds::kind::Kind for Kind {
    fn field(&self) -> Field {
        FIELD
    }

    fn read(&self, entries: &Node, context: &mut Context<'_>) -> Box<dyn Section> {
        let mut links = Links {
            netns: context.netns.clone(),
            exact: BTreeMap::new(),
            by_long_name: BTreeMap::new(),
            matches: Vec::new(),
        };
        for entry in entries.entries().iter().filter(|entry| !entry.value.is_null()) {
            let path = KeyPath::of(&["link", &entry.key]);
            let rule = rule(&entry.key, &entry.value, context.diagnostics);
            if let Some(matching) = entry.value.get("match") {
                let selector = selector(matching);
                let nothing = matching.entries().iter().all(|entry| entry.value.is_null());
                if selector != Selector::default() {
                    links.matches.push((selector, rule));
                } else if matches!(matching.data, Data::Map(_)) && nothing {
                    context
                        .diagnostics
                        .add(
                            matching.span,
                            format!("{path}.match"),
                            "an empty match would mean every interface",
                        )
                        .hint("give at least one condition, such as name, kind or driver; `name: \"*\"` means all");
                }
                continue;
            }
            if entry.key.contains(['*', '?']) {
                let key = &entry.key;
                context
                    .diagnostics
                    .add(
                        entry.key_span,
                        path,
                        format!("`{key}` is a pattern, and a key is the exact name of an interface"),
                    )
                    .hint(format!("write PODS: {{ match: {{ name: \"{key}\" }}, ... }}"));
                continue;
            }
            match entry.key.parse::<LinkName>() {
                Ok(name) => match device_owner::refusal(&entry.key) {
                    Some(reason) => {
                        let message = format!("netkeel never writes {name}: {reason}");
                        context.diagnostics.add(entry.key_span, path, message);
                    }
                    None => {
                        links.exact.insert(name, rule);
                    }
                },
                // The shape has reported this.
                Err(_) if entry.key.is_empty() => {}
                Err(_) if link::is_long(&entry.key) => {
                    links.by_long_name.insert(entry.key.as_str().into(), rule);
                }
                Err(error) => {
                    let diagnostic = context.diagnostics.add(entry.key_span, path, error.message);
                    diagnostic.hint(match entry.key.as_str() {
                        "all" | "default" => {
                            "for that key write it under `sysctl`: net.ipv4.conf.all.rp_filter; for every interface: match: { name: \"*\" }"
                        }
                        _ => "a key without `match` is the exact name of an interface",
                    });
                }
            }
        }
        Box::new(links)
    }
}

pub(crate) fn rule(id: &str, node: &Node, diagnostics: &mut Diagnostics) -> Rule {
    let allow_ipv6_loss = node.get("allow_ipv6_loss").and_then(Node::switch);
    let setting = |field: fact::Field, wanted: Wanted, span: Span, path: Arc<str>| {
        let origin = Arc::new(Origin {
            span,
            section: Some(SectionName::Link),
            path,
            named: node.get("match").is_none(),
            permits_ipv6_loss: allow_ipv6_loss.unwrap_or(false),
            derivation: wanted.derivation(),
        });
        Setting {
            field,
            wanted,
            origin,
        }
    };
    let mut settings = Vec::new();
    if let Some(node) = node.get("mtu") {
        let path: Arc<str> = KeyPath::of(&["link", id, "mtu"]).into();
        let wanted = Wanted::mtu(node, &path, diagnostics);
        settings.extend(wanted.map(|wanted| setting(fact::Field::Mtu, wanted, node.span, path)));
    }
    let mut add = |key: &str, field: fact::Field, read: &dyn Fn(&Node) -> Option<Value>| {
        if let Some((node, value)) = node.get(key).and_then(|node| Some((node, read(node)?))) {
            let path = KeyPath::of(&["link", id, key]).into();
            settings.push(setting(field, value.into(), node.span, path));
        }
    };
    add("pod_mtu", fact::Field::PodMtu, &|node| {
        Some(Value::Text(node.scalar()?.as_ref().into()))
    });
    add("rp_filter", fact::Field::RpFilter, &|node| {
        node.choice(rp_filter::WORDS).map(Value::Number)
    });
    add("up", fact::Field::Up, &|node| node.switch().map(Value::Switch));
    add("txqueuelen", fact::Field::TxQueueLength, &|node| {
        node.integer().map(Value::Number)
    });
    add("alias", fact::Field::Alias, &|node| {
        Some(Value::Text(node.scalar()?.as_ref().into()))
    });
    settings.sort_by_key(|setting| setting.field);
    Rule {
        id: id.into(),
        settings,
        required: Required::read(node),
    }
}

pub(crate) fn selector(node: &Node) -> Selector {
    let text = |key| node.get(key).and_then(Node::scalar).map(|text| text.into_owned());
    let glob = |key| text(key).and_then(|pattern| Glob::new(&pattern).ok());
    let vlan = node.get("vlan").and_then(Node::integer);
    let lower = node.get("lower").map(selector);
    Selector {
        name: glob("name"),
        kind: text("kind"),
        driver: glob("driver"),
        mac: glob("mac"),
        permanent_mac: glob("permanent_mac"),
        bus: glob("bus"),
        vlan: vlan.and_then(|vlan| vlan.try_into().ok()),
        lower: lower.filter(|lower| *lower != Selector::default()).map(Box::new),
    }
}
