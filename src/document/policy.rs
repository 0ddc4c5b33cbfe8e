//! A policy: a document for the nodes of a cluster that it selects, as the object `NetkeelPolicy` declares it.

pub mod choice;
pub(crate) mod confirm;
pub mod conflict;
pub mod eviction;
pub(crate) mod label;
pub mod percent;
pub mod rollout;
pub mod selector;
pub mod slots;
pub mod spec;
#[cfg(test)]
mod tests;
pub mod wish;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::check;
use crate::document::Document;
use crate::policy::eviction::EvictionRules;
use crate::policy::rollout::MaxUnavailable;
use crate::policy::selector::NodeSelector;
use crate::policy::spec::SPEC;
use netkeel_core::name::netns::Netns;
use netkeel_core::probe::Probe;
use netkeel_source::diagnostic::{Diagnostic, Diagnostics};
use netkeel_source::node::merge::withdraw;
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::{Data, Entry, Node, canonical};
use netkeel_source::sources::Sources;

/// The group and version of the kinds.
pub const API_VERSION: &str = "netkeel.io/v1alpha1";

/// The kind.
pub const KIND: &str = "NetkeelPolicy";

/// A policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The name.
    pub name: String,
    /// The UID: a policy that was deleted and created again is another one. Empty in a file.
    pub uid: String,
    /// The generation that the server counted. It goes down when the server's data are restored.
    pub generation: i64,
    /// The nodes for which it is.
    pub selector: NodeSelector,
    /// Whether nodes correct drift or only report it.
    pub mode: PolicyMode,
    /// The share of the nodes that take a new document, 0 to 100.
    pub percent: u8,
    /// The number of nodes that take it at one time.
    pub max_unavailable: MaxUnavailable,
    /// The pods that may be evicted; `None` if none may.
    pub eviction: Option<EvictionRules>,
    /// The probes that confirm an apply of it.
    pub confirm: Vec<Probe>,
    /// No node takes a new document.
    pub paused: bool,
    /// The action of a node that the policy no longer applies to.
    pub deletion: DeletionPolicy,
    /// The document. It is not checked.
    pub document: Node,
    /// The canonical spelling of the document.
    pub canonical: String,
    /// The hash of the canonical spelling.
    pub hash: String,
    /// The policy as JSON, which [`Policy::from_json`] reads.
    pub object: Arc<str>,
}

/// Whether nodes correct drift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PolicyMode {
    /// Correct it.
    #[default]
    Enforce,
    /// Report it.
    Observe,
}

impl PolicyMode {
    /// The name of the mode.
    pub fn word(self) -> &'static str {
        match self {
            PolicyMode::Enforce => "enforce",
            PolicyMode::Observe => "observe",
        }
    }
}

/// The action of a node that a policy no longer applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// Restore what netkeel wrote for it.
    #[default]
    Release,
    /// Leave the settings as they are.
    Keep,
}

impl DeletionPolicy {
    /// The name.
    pub fn word(self) -> &'static str {
        match self {
            DeletionPolicy::Release => "release",
            DeletionPolicy::Keep => "keep",
        }
    }
}

/// Whether a file holds a policy and no document.
pub fn is_policy(node: &Node) -> bool {
    node.get("kind").and_then(Node::text) == Some(KIND)
}

/// The document in a policy; any other node as it is. Errors of the policy go to `diagnostics`, and those of the
/// document do not: it may be one layer of several.
pub fn document_of(node: Node, diagnostics: &mut Diagnostics) -> Node {
    if !is_policy(&node) {
        return node;
    }
    match Policy::take(&node, diagnostics) {
        Some(policy) => {
            policy.refuse_owner(diagnostics);
            policy.document
        }
        None => node,
    }
}

impl Policy {
    /// Reads a policy. The document in it is checked too, as the only one of a host.
    ///
    /// Errors go to `diagnostics`; if there are any, there may still be a policy, which must not be used.
    pub fn read(node: &Node, diagnostics: &mut Diagnostics) -> Option<Policy> {
        let policy = Policy::take(node, diagnostics)?;
        policy.check_document(diagnostics);
        Some(policy)
    }

    /// Reads a policy, and checks all but its document.
    fn take(node: &Node, diagnostics: &mut Diagnostics) -> Option<Policy> {
        let version = node.get("apiVersion").and_then(Node::text).unwrap_or_default();
        if version != API_VERSION {
            let span = node.get("apiVersion").map_or(node.span, |node| node.span);
            let message = format!("`{version}` is not a version of {KIND} that this netkeel reads");
            let hint = format!("write apiVersion: {API_VERSION}");
            diagnostics.add(span, "apiVersion", message).hint(hint);
        }
        let of_metadata = |key: &str| node.get("metadata").and_then(|metadata| metadata.get(key));
        let name = of_metadata("name").and_then(Node::text).unwrap_or_default();
        if !label::is_name(name) {
            let hint = "at most 253 lower-case letters, digits, `-` and `.`; a letter or digit at both ends";
            diagnostics
                .add(node.span, "metadata.name", "the policy has no valid name")
                .hint(hint);
            return None;
        }
        let Some(spec) = node.get("spec").filter(|spec| matches!(spec.data, Data::Map(_))) else {
            diagnostics.add(node.span, "spec", "the policy has no `spec`, a map");
            return None;
        };
        let Some(document) = spec
            .get("document")
            .filter(|one| matches!(one.data, Data::Map(_)))
        else {
            diagnostics
                .add(spec.span, "spec.document", "the policy has no `document`, a map")
                .hint("as document: { version: 1, sysctl: { net.ipv4.ip_forward: 1 } }");
            return None;
        };
        let others = spec.entries().iter().filter(|entry| entry.key != "document");
        let others = Node {
            span: spec.span,
            data: Data::Map(others.cloned().collect()),
        };
        check::check(&others, &SPEC, &KeyPath::ROOT.key("spec"), diagnostics);
        let document = withdraw(document.clone());
        let word = |key: &str| others.get(key).and_then(Node::text);
        let of_rollout = |key: &str| others.get("rollout").and_then(|rollout| rollout.get(key));
        let percent = of_rollout("percent");
        let max = of_rollout("maxUnavailable").and_then(Node::scalar);
        let uid = of_metadata("uid").and_then(Node::text).unwrap_or_default();
        let generation = of_metadata("generation").and_then(Node::integer).unwrap_or(0);
        let canonical = canonical::spell(&document);
        let spelled = |node: &Node| serde_json::from_str(&canonical::spell(node)).unwrap_or(Value::Null);
        let object = json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": { "name": name, "uid": uid, "generation": generation },
            "spec": spelled(spec),
        });
        Some(Policy {
            name: name.to_owned(),
            uid: uid.to_owned(),
            generation,
            selector: NodeSelector::read(others.get("nodeSelector"), diagnostics),
            mode: match word("mode") {
                Some("observe") => PolicyMode::Observe,
                _ => PolicyMode::Enforce,
            },
            percent: percent
                .and_then(Node::integer)
                .and_then(|percent| u8::try_from(percent).ok())
                .unwrap_or(100),
            max_unavailable: max.and_then(|max| MaxUnavailable::read(&max)).unwrap_or_default(),
            eviction: EvictionRules::read(others.get("rollout")),
            confirm: confirm::probes(others.get("confirm"), diagnostics),
            paused: others.get("paused").and_then(Node::switch).unwrap_or(false),
            deletion: match word("deletionPolicy") {
                Some("keep") => DeletionPolicy::Keep,
                _ => DeletionPolicy::Release,
            },
            hash: canonical::digest(&canonical),
            document,
            canonical,
            object: object.to_string().into(),
        })
    }

    /// The policy with another action for nodes that it no longer applies to.
    pub(crate) fn with_deletion(&self, deletion: DeletionPolicy) -> Policy {
        let mut policy = self.clone();
        if policy.deletion == deletion {
            return policy;
        }
        policy.deletion = deletion;
        let object = serde_json::from_str::<Value>(&policy.object);
        if let Ok(mut object) = object
            && let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
        {
            spec.insert("deletionPolicy".to_owned(), json!(deletion.word()));
            policy.object = object.to_string().into();
        }
        policy
    }

    fn refuse_owner(&self, diagnostics: &mut Diagnostics) {
        if let Some(owner) = self.document.get("owner") {
            diagnostics
                .add(owner.span, "owner", "the document of a policy names no owner")
                .hint("leave it out: the owner is that of the node's documents");
        }
    }

    /// Checks the document as the only one of a host.
    fn check_document(&self, diagnostics: &mut Diagnostics) {
        self.refuse_owner(diagnostics);
        Document::read(vec![self.document.clone()], Netns::CURRENT, diagnostics);
    }

    /// Reads a policy from the JSON of its object. Its document is not checked.
    ///
    /// # Errors
    /// One line about what is wrong, with the name of the policy if it has one.
    pub fn from_json(text: &str) -> Result<Policy, Unread> {
        let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
        let node = sources.load("policy.json", text.as_bytes().to_vec(), None, &mut diagnostics);
        let policy = node
            .as_ref()
            .and_then(|node| Policy::take(node, &mut diagnostics));
        let why = diagnostics.list.first().map(line);
        match (policy, why) {
            (Some(policy), None) => Ok(policy),
            (_, why) => {
                let text = |key: &str| {
                    let value = node.as_ref()?.get("metadata")?.get(key)?;
                    Some(value.text()?.to_owned())
                };
                Err(Unread {
                    name: text("name").unwrap_or_default(),
                    uid: text("uid").unwrap_or_default(),
                    why: why.unwrap_or_else(|| "it is not a policy".to_owned()),
                })
            }
        }
    }

    /// The first error of the document, as one line.
    pub fn fault(&self) -> Option<String> {
        let mut diagnostics = Diagnostics::default();
        self.check_document(&mut diagnostics);
        diagnostics.list.first().map(line)
    }

    /// The document alone, as a host of this owner with no other one has it; `None` if it is invalid.
    pub fn alone(&self, netns: &Netns, owner: &str) -> Option<Document> {
        let mut diagnostics = Diagnostics::default();
        let span = self.document.span;
        let value = Data::Text {
            value: owner.to_owned(),
            plain: false,
        };
        let owner = Entry {
            key: "owner".to_owned(),
            key_span: span,
            value: Node { span, data: value },
        };
        let mut document = self.document.clone();
        if let Data::Map(entries) = &mut document.data {
            entries.push(owner);
        }
        let document = Document::read(vec![document], netns.clone(), &mut diagnostics);
        diagnostics.is_empty().then_some(document)
    }
}

/// An object that is not a policy which this netkeel reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its name; empty if it is missing.
    pub name: String,
    /// Its UID; empty if it is missing.
    pub uid: String,
    /// One line.
    pub why: String,
}

fn line(diagnostic: &Diagnostic) -> String {
    let message = diagnostic.message.lines().next().unwrap_or_default();
    match diagnostic.path.is_empty() {
        true => message.to_owned(),
        false => format!("{}: {message}", diagnostic.path),
    }
}
