//! The nodes of a Kubernetes cluster, as `kubectl` or the API server lists them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::load::file::{name, read_printed};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::text::escape::one_line;
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

/// Where the nodes come from.
#[derive(Clone, Copy)]
pub(super) enum Nodes<'a> {
    /// The output of kubectl.
    File(&'a Path),
    /// The API server.
    Cluster,
}

impl Nodes<'_> {
    /// Reads the nodes.
    pub(super) fn read(self) -> Result<BTreeMap<String, Node>, Error> {
        match self {
            Nodes::File(path) => of_file(path),
            Nodes::Cluster => {
                let refused = |why: String| Error::new(ErrorKind::Refused, one_line(&why));
                let list = of_cluster().map_err(refused)?;
                of_list(&list).map_err(|why| refused(format!("the API server's answer: {why}")))
            }
        }
    }
}

/// The nodes of the API server, as a list in JSON.
#[cfg(feature = "kubernetes")]
fn of_cluster() -> Result<String, String> {
    use netkeel_kubernetes::connection::Connection;
    use netkeel_kubernetes::objects::read_nodes;

    read_nodes(&Connection::Inferred)
}

#[cfg(not(feature = "kubernetes"))]
fn of_cluster() -> Result<String, String> {
    Err(
        "this netkeel is built without the feature `kubernetes`: give --nodes the output of kubectl"
            .to_owned(),
    )
}

fn of_file(path: &Path) -> Result<BTreeMap<String, Node>, Error> {
    let text = read_printed(path)?;
    let name = name(path);
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
            let node = sources.load(&name, text.into_bytes(), None, &mut diagnostics);
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
    of_list(&json).map_err(wrong)
}

/// Reads a list in JSON.
fn of_list(json: &str) -> Result<BTreeMap<String, Node>, String> {
    let list: List = serde_json::from_str(json).map_err(|error| error.to_string())?;
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
        return Err("it has no object of the kind Node".to_owned());
    }
    for (name, node) in &mut nodes {
        node.in_force = states.remove(name);
    }
    Ok(nodes)
}
