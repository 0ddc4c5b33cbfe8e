//! The objects of a cluster as nodes: alone, or in lists as `kubectl get --output yaml` prints them.

use netkeel_source::node::Node;

/// An object.
#[derive(Clone, Debug)]
pub(super) struct Object<'a> {
    pub(super) group: String,
    pub(super) kind: String,
    /// Empty for an object of the whole cluster.
    pub(super) namespace: String,
    pub(super) name: String,
    node: &'a Node,
}

impl<'a> Object<'a> {
    pub(super) fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }

    /// The value at a path of keys.
    pub(super) fn at(&self, path: &[&str]) -> Option<&'a Node> {
        at(self.node, path)
    }

    /// `KIND NAMESPACE/NAME`.
    pub(super) fn shown(&self) -> String {
        match self.namespace.is_empty() {
            true => format!("{} {}", self.kind, self.name),
            false => format!("{} {}/{}", self.kind, self.namespace, self.name),
        }
    }
}

/// The value at a path of keys below a node.
pub(super) fn at<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter().try_fold(node, |node, key| node.get(key))
}

/// All objects, also those in lists.
pub(super) fn flat(nodes: &[Node]) -> Vec<Object<'_>> {
    let mut objects = Vec::new();
    for node in nodes {
        let text = |key: &str| node.get(key).and_then(Node::text).unwrap_or_default();
        let (version, kind) = (text("apiVersion"), text("kind"));
        match node.get("items") {
            Some(items) if kind.ends_with("List") => {
                let of_items = kind.strip_suffix("List").unwrap_or_default();
                objects.extend(items.items().iter().map(|item| object(item, version, of_items)));
            }
            _ => objects.push(object(node, version, kind)),
        }
    }
    objects
}

/// An object; in a list of one kind the items do not repeat it.
fn object<'a>(node: &'a Node, version: &str, kind: &str) -> Object<'a> {
    let text = |path: &[&str]| at(node, path).and_then(Node::text).map(str::to_owned);
    let version = text(&["apiVersion"]).unwrap_or_else(|| version.to_owned());
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    Object {
        group: group.to_owned(),
        kind: text(&["kind"]).unwrap_or_else(|| kind.to_owned()),
        namespace: text(&["metadata", "namespace"]).unwrap_or_default(),
        name: text(&["metadata", "name"]).unwrap_or_default(),
        node,
    }
}

/// A text of YAML as a node.
#[cfg(test)]
pub(super) fn parsed(text: &str) -> Node {
    let (mut sources, mut diagnostics) = Default::default();
    let sources: &mut netkeel_source::sources::Sources = &mut sources;
    let node = sources.load("a.yaml", text.as_bytes().to_vec(), None, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    node.unwrap_or_else(|| panic!("no document: {text}"))
}
