//! The nodes of a Kubernetes cluster, as `kubectl` prints them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::load::file::read_printed;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_document::policy::PolicyMode;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::canonical::spell;
use netkeel_source::report::render;
use netkeel_source::sources::Sources;

/// A node.
pub(super) struct Node {
    pub(super) labels: BTreeMap<String, String>,
    /// By the name of a policy, the version of it that is in force; `None` without a `NetkeelNode`.
    pub(super) in_force: Option<BTreeMap<String, InForce>>,
}

/// The version of a policy that is in force on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InForce {
    /// The hash of its document.
    pub(super) hash: String,
    /// Whether the node corrects drift or only reports it; `None` if this netkeel does not know the mode.
    pub(super) mode: Option<PolicyMode>,
}

/// The output of `kubectl get nodes,netkeelnodes`.
#[derive(Deserialize)]
struct List {
    items: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    kind: String,
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    policies: Vec<PolicyStatus>,
}

#[derive(Deserialize)]
struct PolicyStatus {
    name: String,
    #[serde(default, rename = "documentHash")]
    hash: String,
    #[serde(default)]
    mode: String,
}

impl PolicyStatus {
    fn version(self) -> (String, InForce) {
        let modes = [PolicyMode::Enforce, PolicyMode::Observe];
        let version = InForce {
            mode: modes.into_iter().find(|mode| mode.word() == self.mode),
            hash: self.hash,
        };
        (self.name, version)
    }
}

/// Reads the nodes of a cluster.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, Node>, Error> {
    let text = read_printed(path)?;
    let name = path.display();
    let wrong = |why: String| {
        Error::new(
            ErrorKind::Input,
            format!("{name}: this is not a list of nodes: {why}"),
        )
        .hint("save one: kubectl get nodes,netkeelnodes -o json")
    };
    let json = match text.trim_start().starts_with('{') {
        true => text,
        false => {
            let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
            let node = sources.load(&name.to_string(), text.into_bytes(), None, &mut diagnostics);
            match node.filter(|_| diagnostics.is_empty()) {
                Some(node) => spell(&node),
                None => {
                    return Err(wrong(
                        render::render(&diagnostics, &sources, false)
                            .trim_end()
                            .to_owned(),
                    ));
                }
            }
        }
    };
    let list: List = serde_json::from_str(&json).map_err(|error| wrong(error.to_string()))?;
    let (mut nodes, mut states) = (BTreeMap::new(), BTreeMap::new());
    for object in list.items {
        match object.kind.as_str() {
            "Node" => {
                let node = Node {
                    labels: object.metadata.labels,
                    in_force: None,
                };
                nodes.insert(object.metadata.name, node);
            }
            "NetkeelNode" => {
                let policies = object.status.policies.into_iter().map(PolicyStatus::version);
                states.insert(object.metadata.name, policies.collect());
            }
            _ => {}
        }
    }
    if nodes.is_empty() {
        return Err(wrong("it has no object of the kind Node".to_owned()));
    }
    for (name, node) in &mut nodes {
        node.in_force = states.remove(name);
    }
    Ok(nodes)
}
