//! The desired state: layers of nodes are checked against one shape, merged, and read kind by kind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use crate::check::required;
use crate::kinds::kind::{Context, Section};
use crate::kinds::nflog::entry::Entry;
use crate::kinds::nflog::kind;
use crate::kinds::{KINDS, probes, replicate};
use crate::not_the_host::NotTheHost;
use crate::schema::key;
use crate::section_name::SectionName;
use crate::shape::{Field, Shape};
use crate::want::wants::Wants;
use crate::want::{Origin, Want};
use crate::{check, spelling};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::{Fact, Value};
use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::nflog::entry_name::EntryName;
use netkeel_core::probe::{Probe, ProbeName};
use netkeel_core::replication::settings::Replication;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::scope::Scope;
use netkeel_host::sysctl_d::drop_in;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::{Node, canonical, merge};
use netkeel_source::span::Span;

pub mod part;

/// The newest version of the document format that this netkeel reads.
pub const VERSION: i64 = 1;

/// A document: the desired state of one namespace, as declared by one owner.
#[derive(Debug)]
pub struct Document {
    /// The owner of the facts that it declares.
    pub owner: String,
    /// The namespace that it applies to.
    pub netns: Netns,
    /// Its canonical spelling, which does not depend on format, layers, order or comments.
    pub canonical: String,
    /// The hash of the canonical spelling.
    pub hash: String,
    /// The text of the drop-in that sets sysctls at boot, if one is wanted.
    pub drop_in: Option<String>,
    /// The settings in the drop-in.
    pub(crate) at_boot: Vec<(SysctlKey, String)>,
    /// The place where it sets `persist: true` explicitly.
    persist: Option<Span>,
    /// Why its drop-in is not written, if it has one.
    kept_back: Option<NotTheHost>,
    /// Its network namespace is that of the host, where netkeel cannot tell.
    host_network: bool,
    /// It may name sysctls outside `net.`.
    any_sysctl: bool,
    /// Facts that leave the document are restored to their original values.
    pub prune: bool,
    /// A missing interface with `required: true` is no error, as at boot, where it may appear later.
    pub allow_missing: bool,
    /// Findings that are accepted, each with the reason.
    pub allowed: BTreeMap<Code, String>,
    /// Limits of a change.
    pub limits: Limits,
    /// Its `nflog` entries, which `replicate` refers to.
    pub nflog: BTreeMap<EntryName, Entry>,
    /// The settings of its replication worker, if it declares one.
    pub replicate: Option<Replication>,
    /// The probes that the service repeats.
    pub probes: BTreeMap<ProbeName, Probe>,
    /// Findings about its source that no host decides.
    findings: Findings,
    sections: Vec<Box<dyn Section>>,
    span: Span,
}

/// Limits that stop an unexpectedly large change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Writes per minute.
    pub changes_per_minute: Option<usize>,
    /// Interfaces that one match may select.
    pub max_matches: Option<usize>,
}

const GENERAL: [Field; 8] = [
    Field {
        name: "version",
        shape: Shape::Integer {
            min: 1,
            max: VERSION,
            unit: "",
        },
        required: true,
        doc: "The version of the format: 1. Required in every file.",
    },
    Field {
        name: "owner",
        shape: Shape::Text {
            check: owner,
            what: "an owner",
        },
        required: false,
        doc: "The owner of everything that the document declares: lower-case letters, digits and dashes. Default: `default`.",
    },
    Field {
        name: "persist",
        shape: Shape::Switch,
        required: false,
        doc: "Writes the drop-in in /etc/sysctl.d, so that sysctls hold at boot. Default: yes; in a network namespace that is not the host's, no, and yes is an error.",
    },
    Field {
        name: "host_network",
        shape: Shape::Switch,
        required: false,
        doc: "Where netkeel cannot tell whether this is the network namespace of the host (NK028): it is, as in a container that is a node. Default: no. Where netkeel can tell, this changes nothing.",
    },
    Field {
        name: "prune",
        shape: Shape::Switch,
        required: false,
        doc: "Restores what netkeel wrote and the document no longer declares, and removes what netkeel created. Default: no.",
    },
    Field {
        name: "limits",
        shape: Shape::Map(&[
            Field {
                name: "changes_per_minute",
                shape: Shape::Integer {
                    min: 1,
                    max: 1_000_000,
                    unit: "writes",
                },
                required: false,
                doc: "An apply that would write more than this in a minute is refused.",
            },
            Field {
                name: "max_matches",
                shape: Shape::Integer {
                    min: 1,
                    max: 1_000_000,
                    unit: "interfaces",
                },
                required: false,
                doc: "A match that finds more interfaces than this is an error.",
            },
        ]),
        required: false,
        doc: "Stops an unexpectedly large change.",
    },
    Field {
        name: "allow",
        shape: Shape::Table {
            key: code,
            key_doc: "The code of a finding: NK001.",
            value: &Shape::Text {
                check: reason,
                what: "a reason",
            },
        },
        required: false,
        doc: "Findings that are known and accepted, each with the reason; they are not shown.",
    },
    Field {
        name: "allow_any_sysctl",
        shape: Shape::Switch,
        required: false,
        doc: "Lets `sysctl` name keys outside `net.`. Default: no.",
    },
];

/// The shape of a whole document: the general keys and one for each kind.
pub static SHAPE: LazyLock<Shape> = LazyLock::new(|| {
    let fields: Vec<Field> = GENERAL
        .into_iter()
        .chain(KINDS.iter().map(|kind| kind.field()))
        .collect();
    Shape::Map(Vec::leak(fields))
});

/// The keys of a document, except `version`.
pub fn keys() -> Vec<&'static str> {
    let general = GENERAL.iter().skip(1).map(|field| field.name);
    general
        .chain(KINDS.iter().map(|kind| kind.field().name))
        .collect()
}

fn code(text: &str) -> Result<(), Error> {
    text.parse::<Code>().map(|_| ())
}

fn reason(text: &str) -> Result<(), Error> {
    if text.trim().is_empty() {
        return Err(
            Error::new(ErrorKind::Input, "the reason is empty").hint("say why the finding is accepted")
        );
    }
    Ok(())
}

/// A version above the supported one is not a typo: the document needs a newer netkeel.
fn say_newer(layer: &Node, diagnostics: &mut Diagnostics) {
    let Some((node, version)) = layer
        .get("version")
        .and_then(|node| Some((node, node.integer()?)))
        .filter(|(_, version)| *version > VERSION)
    else {
        return;
    };
    let mut list = diagnostics.list.iter_mut();
    if let Some(diagnostic) = list.find(|diagnostic| diagnostic.span == Some(node.span)) {
        diagnostic.message = format!("the format has version {version}, and this netkeel reads {VERSION}");
        diagnostic.hint("a newer netkeel may read it");
    }
}

pub(crate) fn owner(text: &str) -> Result<(), Error> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !text.is_empty() && text.len() <= 64 && text.chars().all(legal) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Input, format!("`{text}` is not an owner"))
        .hint("an owner has 1 to 64 lower-case letters, digits and dashes"))
}

impl Document {
    /// Reads a document from the nodes of its files, in layer order. Errors go to `diagnostics`; if
    /// there are any, the returned document must not be used.
    pub fn read(mut layers: Vec<Node>, netns: Netns, diagnostics: &mut Diagnostics) -> Document {
        key::take(&mut layers, diagnostics);
        let versioned = layers.iter().any(|layer| layer.get("version").is_some());
        for layer in &layers {
            check::check_layer(layer, &SHAPE, &KeyPath::ROOT, diagnostics);
            say_newer(layer, diagnostics);
            // If no file has a version, the merged document lacks it: that is reported once, later.
            if versioned && layer.get("version").is_none() {
                diagnostics
                    .add(
                        layer.span,
                        "version",
                        "the version of the format is missing in this file",
                    )
                    .hint(format!("begin the file with: version: {VERSION}"));
            }
        }
        let span = layers.first().map(|layer| layer.span).unwrap_or_default();
        let says_nothing = layers.iter().all(|layer| layer.entries().is_empty());
        spelling::unite(&mut layers, diagnostics);
        let whole = layers.into_iter().reduce(merge::merge).map(merge::withdraw);
        let Some(whole) = whole else {
            return Document {
                owner: "default".into(),
                netns,
                canonical: String::new(),
                hash: String::new(),
                drop_in: None,
                at_boot: Vec::new(),
                persist: None,
                kept_back: None,
                host_network: false,
                any_sysctl: false,
                prune: false,
                allow_missing: false,
                allowed: BTreeMap::new(),
                limits: Limits::default(),
                nflog: BTreeMap::new(),
                replicate: None,
                probes: BTreeMap::new(),
                findings: Findings::default(),
                sections: Vec::new(),
                span,
            };
        };
        if says_nothing && diagnostics.is_empty() {
            diagnostics
                .add(span, "", "the document is empty")
                .hint(format!("a document begins with its version: {VERSION}"));
        } else if !diagnostics.lost {
            required::check_required(&whole, &SHAPE, &KeyPath::ROOT, diagnostics);
        }
        let canonical = canonical::spell(&whole);
        let hash = canonical::digest(&canonical);
        let switch = |key: &str| whole.get(key).and_then(Node::switch);
        let owner = whole
            .get("owner")
            .and_then(Node::text)
            .unwrap_or("default")
            .to_owned();
        let any_sysctl = switch("allow_any_sysctl").unwrap_or(false);
        let mut context = Context {
            netns: &netns,
            any_sysctl,
            diagnostics,
        };
        let sections: Vec<Box<dyn Section>> = KINDS
            .iter()
            .filter_map(|kind| Some(kind.read(whole.get(kind.field().name)?, &mut context)))
            .collect();
        let replicate = replicate::replication(&whole, diagnostics);
        let probes = probes::probes(&whole, diagnostics);
        let allowed = whole.get("allow").map(Node::entries).unwrap_or_default().iter();
        let allowed = allowed
            .filter_map(|entry| Some((entry.key.parse().ok()?, entry.value.text()?.to_owned())))
            .collect();
        let limit = |key: &str| usize::try_from(whole.get("limits")?.get(key)?.integer()?).ok();
        let limits = Limits {
            changes_per_minute: limit("changes_per_minute"),
            max_matches: limit("max_matches"),
        };
        let prune = switch("prune").unwrap_or(false);
        let persist = switch("persist").unwrap_or(true);
        let asked = whole.get("persist").filter(|node| node.switch() == Some(true));
        let asked = asked.map(|node| node.span);
        let settings: Vec<(SysctlKey, String)> =
            sections.iter().flat_map(|section| section.persistent()).collect();
        // Everybody reads the drop-in.
        let settings: Vec<_> = settings.into_iter().filter(|(key, _)| !key.is_secret()).collect();
        let drop_in = (persist && !settings.is_empty())
            .then(|| drop_in::render(&owner, &settings, &[]))
            .transpose();
        let drop_in = drop_in.unwrap_or_else(|error| {
            diagnostics.add(span, "", error.message);
            None
        });
        let elsewhere = !netns.is_current();
        let mut document = Document {
            owner,
            netns,
            canonical,
            hash,
            drop_in,
            at_boot: settings,
            persist: asked,
            kept_back: None,
            host_network: switch("host_network").unwrap_or(false),
            any_sysctl,
            prune,
            allow_missing: false,
            allowed,
            limits,
            nflog: whole.get("nflog").map(kind::entries).unwrap_or_default(),
            replicate,
            probes,
            findings: std::mem::take(&mut diagnostics.findings),
            sections,
            span,
        };
        if elsewhere {
            document.is_not_the_hosts(NotTheHost::Namespace, diagnostics);
        }
        document
    }

    /// Marks the document as one that must not write the files of the host. Where it is unknown whether this is
    /// the host, only those parts are withheld, with findings; elsewhere they are errors.
    pub fn is_not_the_hosts(&mut self, why: NotTheHost, diagnostics: &mut Diagnostics) {
        match why {
            NotTheHost::Unknown if self.host_network => return,
            NotTheHost::Unknown => {
                self.kept_back = self.drop_in.take().map(|_| why);
                self.sections.iter_mut().for_each(|section| section.withhold(why));
                return;
            }
            NotTheHost::Namespace => self.kept_back = self.drop_in.take().map(|_| why),
        }
        if let Some(span) = self.persist.take() {
            let message = match self.netns.name() {
                Some(netns) => format!(
                    "nothing makes the network namespace {netns} at boot, so that its sysctls could hold then"
                ),
                None => format!("{}; the host's /etc/sysctl.d holds at boot", why.sentence()),
            };
            let hint = "leave it out: it means no here, and yes on the host";
            diagnostics.add(span, "persist", message).hint(hint);
        }
        // A namespace that the document names is known to its sections.
        for section in self.sections.iter().filter(|_| self.netns.is_current()) {
            section.is_not_the_hosts(why, diagnostics);
        }
    }

    /// The facts that must be read to plan.
    pub fn scope(&self) -> Scope {
        let mut scope = Scope::default();
        for section in &self.sections {
            section.scope(&mut scope);
        }
        if self.drop_in.is_some() {
            scope.files.insert(drop_in::path(&self.owner));
        }
        scope.sysctl_d = !self.sections.is_empty();
        scope
    }

    /// The devices that it creates.
    pub fn makes(&self) -> Vec<LinkName> {
        self.sections.iter().flat_map(|section| section.makes()).collect()
    }

    /// The WireGuard interfaces whose last handshake shows whether they carry traffic.
    pub fn handshakes(&self) -> Vec<LinkName> {
        self.sections
            .iter()
            .flat_map(|section| section.handshakes())
            .collect()
    }

    /// The facts that a service releases when it stops (`netkeel_plan::goal::ReleaseFacts`): the
    /// rules of `nflog` entries with `remove_on_stop`. Rules that they replaced are not restored
    /// then, since nothing reads them.
    pub fn removed_on_stop(&self) -> BTreeSet<Fact> {
        let entries = self.nflog.iter().filter(|(_, entry)| entry.remove_on_stop);
        entries.map(|(name, _)| Fact::nflog(&self.netns, name)).collect()
    }

    /// Whether one of its MTUs depends on other interfaces of the host.
    pub fn has_budgets(&self) -> bool {
        self.sections.iter().any(|section| section.has_budgets())
    }

    /// The wants of the document on a host.
    pub fn wants(&self, host: &Snapshot) -> Wants {
        let mut wants = Wants {
            made: self.makes().into_iter().collect(),
            findings: self.findings.clone(),
            ..Wants::default()
        };
        for section in &self.sections {
            section.wants(host, &mut wants);
        }
        if self.allow_missing {
            // NK005 and NK073 name the same entries.
            wants.unbound = Diagnostics::default();
        }
        if let Some(text) = self.drop_in_on(host) {
            let path = drop_in::path(&self.owner);
            let value = Value::Text(text.as_str().into());
            let want = Want::new(value, Origin::named(self.span, SectionName::Persist, "persist"));
            wants.add(Fact::file(&path), want);
        }
        if let Some(why @ NotTheHost::Unknown) = self.kept_back {
            wants.withheld.insert(Fact::file(&drop_in::path(&self.owner)));
            wants.findings.add(
                Code::NK028,
                drop_in::path(&self.owner).display(),
                format!(
                    "it is not written, so that nothing sets the sysctls at boot: {}",
                    why.sentence()
                ),
                format!("{}; or set `persist: no`", why.remedy()),
            );
        }
        wants.settle(host);
        wants.settle_pods(host);
        self.limit_matches(&mut wants);
        let made = |name| {
            wants
                .facts
                .contains_key(&Fact::link(&self.netns, name, netkeel_core::fact::Field::Kind))
        };
        let missing: Vec<_> = wants.absent.iter().filter(|(name, _)| !made(**name)).collect();
        for (name, path) in missing {
            // Brackets are legal in a name, but no interface uses them.
            let remedy = if name.as_bytes().contains(&b'[') {
                format!(
                    "it is an exact name, brackets and all; for a pattern write link: {{ PODS: {{ match: {{ name: \"{name}\" }}, ... }} }}"
                )
            } else {
                "nothing is done until it appears; look for a misspelt name".to_owned()
            };
            wants.findings.add(
                Code::NK005,
                name,
                format!("`{path}` names it and it is not there"),
                remedy,
            );
        }
        wants
    }
}

#[cfg(test)]
mod tests;
