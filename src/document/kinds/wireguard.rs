//! The kind `wireguard`: interfaces of wg-quick. netkeel keeps a private copy of a mounted
//! configuration with the wanted MTU, and sets the same MTU on the interface if it exists.

use std::path::{Path as FilePath, PathBuf};

use crate::kinds::kind::{Context, Section};
use crate::kinds::mtu::{MTU, Wanted};
use crate::kinds::required;
use crate::kinds::required::Required;
use crate::section_name::SectionName;
use crate::shape::{Field, Shape};
use crate::want::Origin;
use crate::want::wants::Wants;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::{Fact, Field as FactField};
use netkeel_core::finding::Code;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::text::escape::quoted;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::scope::Scope;
use netkeel_host::wireguard::copy;
use netkeel_source::node::Node;
use netkeel_source::node::path::KeyPath;
use netkeel_source::span::Span;

pub(crate) struct Kind;

const FIELDS: &[Field] = &[
    Field {
        name: "source",
        shape: Shape::Text {
            check: file,
            what: "the absolute path of a configuration",
        },
        required: true,
        doc: "The configuration as it is mounted: `INTERFACE.conf` of any directory. It is only read.",
    },
    Field {
        name: "target",
        shape: Shape::Text {
            check: file,
            what: "the absolute path of a configuration",
        },
        required: true,
        doc: "The copy for wg-quick: the same name in a directory that only its owner can write. Mode 0600.",
    },
    Field {
        name: "mtu",
        shape: MTU,
        required: true,
        doc: "The `MTU` of the copy, and of the interface when it is there: bytes, or a budget.",
    },
    required::field(
        "An error if the source is missing; then nothing is applied. `apply --allow-missing`, as the boot unit runs it, applies the rest. Default: no, which is a finding.",
    ),
];

const FIELD: Field = Field {
    name: "wireguard",
    shape: Shape::Table {
        key: interface,
        key_doc: "The name of the interface.",
        value: &Shape::Map(FIELDS),
    },
    required: false,
    doc: "WireGuard interfaces of wg-quick: a copy of a read-only configuration, with the wanted MTU.",
};

fn interface(text: &str) -> Result<(), Error> {
    text.parse::<LinkName>().map(|_| ())
}

fn file(text: &str) -> Result<(), Error> {
    let path = FilePath::new(text);
    let plain = |part: std::path::Component<'_>| part.as_os_str() != "..";
    if path.is_absolute() && path.components().all(plain) && path.file_name().is_some() {
        return Ok(());
    }
    let message = format!("{} is not an absolute path", quoted(text));
    Err(Error::new(ErrorKind::Input, message).hint("as /etc/wireguard/wg0.conf"))
}

#[derive(Debug)]
struct Interfaces {
    netns: Netns,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    name: LinkName,
    path: String,
    source: PathBuf,
    target: PathBuf,
    mtu: Wanted,
    required: Required,
    span: Span,
}

impl crate::kinds::kind::Kind for Kind {
    fn field(&self) -> Field {
        FIELD
    }

    fn read(&self, entries: &Node, context: &mut Context<'_>) -> Box<dyn Section> {
        let entry = |entry: &netkeel_source::node::Entry| {
            let field = |name: &str| entry.value.get(name);
            let file = |name: &str| field(name).and_then(|node| Some((node.text()?.to_owned(), node.span)));
            let path = KeyPath::of(&["wireguard", &entry.key]);
            let mtu = field("mtu").and_then(|node| {
                let below = format!("{path}.mtu");
                Some((Wanted::mtu(node, &below, context.diagnostics)?, node.span))
            });
            let (source, _) = file("source")?;
            let (target, target_span) = file("target")?;
            let (mtu, span) = mtu?;
            let (source, target) = (PathBuf::from(source), PathBuf::from(target));
            if let Some((message, hint)) = copy::refuses(&entry.key, &source, &target) {
                let diagnostics = &mut context.diagnostics;
                diagnostics
                    .add(target_span, format!("{path}.target"), message)
                    .hint(hint);
                return None;
            }
            Some(Entry {
                name: entry.key.parse().ok()?,
                path,
                source,
                target,
                mtu,
                required: Required::read(&entry.value),
                span,
            })
        };
        Box::new(Interfaces {
            entries: entries.entries().iter().filter_map(entry).collect(),
            netns: context.netns.clone(),
        })
    }
}

impl Section for Interfaces {
    fn scope(&self, scope: &mut Scope) {
        for entry in &self.entries {
            entry.mtu.scope_of_mtu(scope);
            let (target, source) = (entry.target.clone(), entry.source.clone());
            scope.wireguard.insert(target, source);
        }
    }

    fn handshakes(&self) -> Vec<LinkName> {
        self.entries.iter().map(|entry| entry.name).collect()
    }

    fn has_budgets(&self) -> bool {
        self.entries.iter().any(|entry| entry.mtu.is_budget())
    }

    fn wants(&self, host: &Snapshot, wants: &mut Wants) {
        for entry in &self.entries {
            // wg-quick creates the interface with the MTU of the copy.
            let link = Fact::link(&self.netns, entry.name, FactField::Mtu);
            wants.add_wanted(link, &entry.mtu, entry.origin());
            let copied = host.wireguard.get(&entry.target);
            if copied.is_some_and(|copied| !copied.source_there) {
                entry.required.not_found(&entry.path, "no source", wants);
                let message = format!("the WireGuard configuration of {} is not there", entry.name);
                let remedy = "nothing is copied until it is mounted; look for a misspelt path";
                wants
                    .findings
                    .add(Code::NK046, entry.source.display(), message, remedy);
                continue;
            }
            wants.add_wanted(
                Fact::wireguard(&entry.target, &entry.source),
                &entry.mtu,
                entry.origin(),
            );
        }
    }

    fn persistent(&self) -> Vec<(SysctlKey, String)> {
        Vec::new()
    }
}

impl Entry {
    fn origin(&self) -> Origin {
        Origin {
            span: self.span,
            section: Some(SectionName::Wireguard),
            path: format!("{}.mtu", self.path).into(),
            derivation: self.mtu.derivation(),
            ..Origin::default()
        }
    }
}
