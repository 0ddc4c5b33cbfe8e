//! `$patch: delete` of a strategic merge: removes the named part before the rest of the document is
//! merged.

use crate::talos::documents::Documents;
use crate::talos::identity::Identity;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::{Data, Node};
use netkeel_source::span::Span;

/// Maps whose keys the user chooses: a key to delete must exist there. Fields that Talos defines
/// can be deleted whether they are set or not.
const FREE: &[&str] = &[
    "annotations",
    "config",
    "env",
    "extraArgs",
    "extraConfig",
    "labels",
    "mirrors",
    "nodeAnnotations",
    "nodeLabels",
    "nodeTaints",
    "params",
    "sysctls",
    "sysfs",
    "taints",
    "variables",
];

/// One part to delete.
#[derive(Debug)]
pub(crate) struct Selector {
    identity: Identity,
    path: Vec<String>,
    /// For a list item: a key and its value.
    item: Option<(String, String)>,
    span: Span,
}

/// The parts that a document deletes.
#[derive(Debug, Default)]
pub(crate) struct Selectors {
    pub list: Vec<Selector>,
    /// The document contains nothing besides deletions.
    pub(crate) nothing_left: bool,
}

/// The parent of a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parent {
    Document,
    Map,
    List,
}

impl Selector {
    /// Removes all deletions from a document and returns them; `None` when Talos would refuse one.
    pub fn take(document: &mut Node, diagnostics: &mut Diagnostics) -> Option<Selectors> {
        let identity = Identity::read(document);
        let mut taking = Taking {
            identity,
            path: Vec::new(),
            list: Vec::new(),
        };
        match taking.node(document, Parent::Document) {
            Ok(gone) => Some(Selectors {
                nothing_left: gone || is_empty(document),
                list: taking.list,
            }),
            Err((span, message)) => {
                diagnostics.add(span, taking.path.join("."), message);
                None
            }
        }
    }

    /// Applies the deletions. A missing document is skipped; in an existing document, the part to
    /// delete must exist.
    pub fn apply(&self, documents: &mut Documents, diagnostics: &mut Diagnostics) {
        if self.path.is_empty() {
            documents.remove(&self.identity);
            return;
        }
        let Some(document) = documents.get_mut(&self.identity) else {
            return;
        };
        let found = remove(document, &self.path, self.item.as_ref(), false);
        if let [key] = self.path.as_slice()
            && Identity::KEYS.contains(&key.as_str())
        {
            documents.rename();
        }
        if let Err(message) = found {
            diagnostics.add(self.span, self.path.join("."), message).hint(
                "Talos refuses a patch that deletes what is not there, unless its whole document is missing",
            );
        }
    }
}

const NOT_THERE: &str = "what this deletes is not there";

/// Talos does not count these keys as content, but does count `apiVersion`.
fn is_empty(document: &Node) -> bool {
    let scalar = |node: &Node| !matches!(node.data, Data::List(_) | Data::Map(_));
    document
        .entries()
        .iter()
        .all(|entry| ["version", "kind", "name"].contains(&entry.key.as_str()) && scalar(&entry.value))
}

struct Taking {
    identity: Identity,
    path: Vec<String>,
    list: Vec<Selector>,
}

type Refusal = (Span, &'static str);

impl Taking {
    /// Whether the node itself is to be removed: it is deleted, or nothing is left in it.
    fn node(&mut self, node: &mut Node, parent: Parent) -> Result<bool, Refusal> {
        if let Data::Map(entries) = &node.data
            && let Some(patch) = entries
                .iter()
                .find(|entry| entry.key == "$patch" && entry.value.text() == Some("delete"))
        {
            let (span, inside) = (patch.key_span, self.path.iter().any(|step| step.starts_with('[')));
            if inside && parent != Parent::List {
                return Err((span, "a key inside of an item of a list cannot be deleted"));
            }
            if parent == Parent::Document
                && (self.identity.kind.is_empty() || self.identity.version.is_empty())
            {
                return Err((
                    span,
                    "only a document with `apiVersion` and `kind` can be deleted",
                ));
            }
            let item = match entries.iter().find(|entry| entry.key != "$patch") {
                _ if parent != Parent::List => None,
                Some(entry) => {
                    let value = entry.value.scalar().unwrap_or_default();
                    Some((entry.key.clone(), value.into_owned()))
                }
                None => {
                    return Err((
                        span,
                        "an item that is to be deleted needs a key and its value, to be found by",
                    ));
                }
            };
            self.list.push(Selector {
                identity: self.identity.clone(),
                path: self.path.clone(),
                item,
                span,
            });
            return Ok(true);
        }
        match &mut node.data {
            Data::Map(entries) => {
                let mut at = 0;
                while let Some(entry) = entries.get_mut(at) {
                    self.path.push(entry.key.clone());
                    let gone = self.node(&mut entry.value, Parent::Map)?;
                    self.path.pop();
                    if !gone {
                        at += 1;
                        continue;
                    }
                    entries.remove(at);
                    if entries.is_empty() {
                        return Ok(true);
                    }
                }
            }
            Data::List(items) => {
                let mut at = 0;
                while let Some(item) = items.get_mut(at) {
                    self.path.push(format!("[{at}]"));
                    let gone = self.node(item, Parent::List)?;
                    self.path.pop();
                    if !gone {
                        at += 1;
                        continue;
                    }
                    items.remove(at);
                    if items.is_empty() {
                        return Ok(true);
                    }
                }
            }
            _ => {}
        }
        Ok(false)
    }
}

/// `free`: the user chooses the keys of this map.
fn remove(
    node: &mut Node,
    path: &[String],
    item: Option<&(String, String)>,
    free: bool,
) -> Result<(), &'static str> {
    let [step, rest @ ..] = path else {
        return Err(NOT_THERE);
    };
    match &mut node.data {
        Data::Map(entries) => {
            let found = entries.iter().position(|entry| entry.key == *step);
            match found.and_then(|at| Some((at, entries.get_mut(at)?))) {
                Some((at, _)) if rest.is_empty() => {
                    entries.remove(at);
                    Ok(())
                }
                Some((_, entry)) => remove(&mut entry.value, rest, item, FREE.contains(&step.as_str())),
                // A field that Talos defines and that is not set.
                None if rest.is_empty() && !free => Ok(()),
                None => Err(NOT_THERE),
            }
        }
        Data::List(_) if !rest.is_empty() => Err("Talos deletes no deeper than the items of one list"),
        Data::List(items) => {
            let (key, value) = item.ok_or(NOT_THERE)?;
            // Talos does not find numbers and booleans by their text.
            let at = items
                .iter()
                .position(|known| known.get(key).and_then(Node::text) == Some(value));
            items.remove(at.ok_or(NOT_THERE)?);
            Ok(())
        }
        _ => Err(NOT_THERE),
    }
}
