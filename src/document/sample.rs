//! A sample shape with every kind of value, for the tests of the check and of the schema.

use crate::check::check;
use crate::shape::{Field, Shape};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::Node;
use netkeel_source::node::path::KeyPath;
use netkeel_source::parse::parse;
use netkeel_source::report::render::render;
use netkeel_source::sources::Sources;
use netkeel_source::text::format::Format;

const fn field(name: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field {
        name,
        shape,
        required: false,
        doc,
    }
}

fn name(key: &str) -> Result<(), Error> {
    if key.len() <= 15 {
        return Ok(());
    }
    let message = format!(
        "`{key}` has {} bytes; an interface name has at most 15",
        key.len()
    );
    Err(Error::new(ErrorKind::Input, message))
}

fn address(text: &str) -> Result<(), Error> {
    if text.parse::<ipnet::IpNet>().is_ok() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Input,
        format!("`{text}` is not an address with a prefix length"),
    )
    .hint("write it as 127.0.0.42/32"))
}

fn any(_: &str) -> Result<(), Error> {
    Ok(())
}

const MTU: Shape = Shape::Either(&[
    Shape::Integer {
        min: 68,
        max: 65535,
        unit: "bytes",
    },
    Shape::Map(&[
        Field {
            name: "underlay",
            shape: Shape::Either(&[
                Shape::Integer {
                    min: 68,
                    max: 65535,
                    unit: "bytes",
                },
                Shape::Word(&["default-route"]),
            ]),
            required: true,
            doc: "What the layers go over.",
        },
        field(
            "layers",
            Shape::List(&Shape::Word(&["ipip", "wireguard"])),
            "Outer to inner.",
        ),
    ]),
]);

const LINK: Shape = Shape::Map(&[
    field("mtu", MTU, "L3 bytes, or a budget."),
    field(
        "rp_filter",
        Shape::Choice(&[("off", 0), ("strict", 1), ("loose", 2)]),
        "Reverse path filter.",
    ),
    field("up", Shape::Switch, "Administratively up."),
    field("kind", Shape::Word(&["veth", "bridge"]), "The kind."),
    field(
        "addresses",
        Shape::List(&Shape::Text {
            check: address,
            what: "an address with a prefix length",
        }),
        "Ensured; others are left.",
    ),
]);

pub(crate) const DOCUMENT: Shape = Shape::Map(&[
    Field {
        name: "version",
        shape: Shape::Integer {
            min: 1,
            max: 1,
            unit: "",
        },
        required: true,
        doc: "The version of the document's format: 1.",
    },
    field(
        "owner",
        Shape::Text {
            check: any,
            what: "a name",
        },
        "Who owns what it says.",
    ),
    field(
        "link",
        Shape::Table {
            key: name,
            key_doc: "An interface name.",
            value: &LINK,
        },
        "Interfaces.",
    ),
    field(
        "sysctl",
        Shape::Table {
            key: any,
            key_doc: "A key.",
            value: &Shape::Vector,
        },
        "Settings.",
    ),
]);

/// Parses YAML and checks it against the sample shape.
pub(crate) fn checked(text: &str) -> (Option<Node>, String) {
    let mut sources = Sources::default();
    let mut diagnostics = Diagnostics::default();
    let file = sources.add("desired.yaml", text);
    let node = parse(file, text, Format::Yaml, &mut diagnostics);
    if let Some(node) = &node {
        check(node, &DOCUMENT, &KeyPath::ROOT, &mut diagnostics);
    }
    let report = if diagnostics.is_empty() {
        String::new()
    } else {
        render(&diagnostics, &sources, false)
    };
    (node, report)
}
