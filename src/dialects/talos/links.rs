//! The interfaces that a machine configuration's documents configure, and aliases of interfaces.

use std::collections::{BTreeMap, BTreeSet};

use crate::talos::configuration::Configuration;
use crate::talos::keys::kind;
use netkeel_source::node::Node;
use netkeel_source::span::Span;

/// Documents of interfaces with an MTU.
const LINKS: [&str; 8] = [
    LINK,
    "BondConfig",
    "BridgeConfig",
    "DummyLinkConfig",
    "VLANConfig",
    "VRFConfig",
    VETH,
    "WireguardConfig",
];

/// The document of an existing interface: its name may be an alias.
const LINK: &str = "LinkConfig";

/// The document of a veth, which has two interfaces.
const VETH: &str = "VethConfig";

/// An interface that a document configures.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// The document's kind.
    pub kind: &'static str,
    /// It is the peer of the document's veth.
    pub peer: bool,
    /// Its name; empty if none is given.
    pub name: &'a str,
    /// The position of the name, or else of the document.
    pub span: Span,
    /// The node with its settings.
    pub settings: &'a Node,
    /// The document.
    pub document: &'a Node,
}

impl<'a> Link<'a> {
    fn of(kind: &'static str, document: &'a Node, settings: &'a Node) -> Link<'a> {
        let name = settings.get("name");
        Link {
            kind,
            peer: !std::ptr::eq(document, settings),
            name: name.and_then(Node::text).unwrap_or_default(),
            span: name.map_or(document.span, |name| name.span),
            settings,
            document,
        }
    }

    /// The document's kind, and the path of the settings in it.
    pub fn place(&self) -> &'static str {
        if self.peer { "VethConfig.peer" } else { self.kind }
    }

    /// Whether the interface exists without the document.
    pub fn found(&self) -> bool {
        self.kind == LINK
    }
}

impl Configuration {
    /// The interfaces that documents configure, in order.
    pub fn links(&self) -> Vec<Link<'_>> {
        let mut links = Vec::new();
        for document in self.documents() {
            let Some(kind) = LINKS.iter().find(|known| **known == kind(document)) else {
                continue;
            };
            links.push(Link::of(kind, document, document));
            let peer = document.get("peer").filter(|_| *kind == VETH);
            links.extend(peer.map(|peer| Link::of(kind, document, peer)));
        }
        links
    }

    /// The names that a `LinkAliasConfig` gives to interfaces found by a selector.
    pub(crate) fn aliases(&self) -> Aliases<'_> {
        let mut aliases = Aliases::default();
        for document in self.of_kind("LinkAliasConfig") {
            let Some(name) = document.get("name").and_then(Node::text) else {
                continue;
            };
            let expression = document
                .get("selector")
                .and_then(|selector| selector.get("match")?.text());
            match name.strip_suffix("%d") {
                Some(prefix) => {
                    aliases.numbered.insert(prefix);
                }
                None => {
                    aliases.names.insert(name, expression.unwrap_or_default());
                }
            }
        }
        aliases
    }
}

/// Aliases: `net0`, or `net%d` for any number.
#[derive(Debug, Default)]
pub(crate) struct Aliases<'a> {
    /// The names, each with the expression that finds its interface.
    names: BTreeMap<&'a str, &'a str>,
    /// The texts before the number.
    numbered: BTreeSet<&'a str>,
}

impl<'a> Aliases<'a> {
    /// Whether a name is an alias.
    pub fn contain(&self, name: &str) -> bool {
        // Each split of the digits at the end: `net1%d` gives net12 too.
        let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let mut prefixes = (1..=digits).filter_map(|number| name.get(..name.len() - number));
        self.names.contains_key(name) || prefixes.any(|prefix| self.numbered.contains(prefix))
    }

    /// The expression that finds the interface of an alias; none for a numbered alias.
    pub fn expression(&self, name: &str) -> Option<&'a str> {
        self.names.get(name).copied()
    }
}
