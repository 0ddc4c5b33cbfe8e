//! Names that several parts of the Talos dialect share.

use netkeel_source::node::Node;

/// The annotation of a node that names the interface through which kube-ovn tunnels.
pub(crate) const TUNNEL_INTERFACE: &str = "ovn.kubernetes.io/tunnel_interface";

/// The kind of a document; empty for the one without a kind.
pub fn kind(document: &Node) -> &str {
    document.get("kind").and_then(Node::text).unwrap_or_default()
}

/// The document of KubeSpan.
pub(crate) const KUBESPAN_KIND: &str = "KubeSpanConfig";

/// The name of the extension service.
pub(crate) const SERVICE: &str = "netkeel";

/// Files below this directory are documents.
pub(crate) const DIRECTORY: &str = "/etc/netkeel/";

/// The interface that KubeSpan makes.
pub(crate) const KUBESPAN: &str = "kubespan";

/// Keys whose values netkeel reads wherever they are, or that name a place in the configuration. Any other
/// value may be a token, a key or a password.
const READ: [&str; 20] = [
    "$patch",
    "apiVersion",
    "busPath",
    "driver",
    "enabled",
    "hardwareAddr",
    "interface",
    "kind",
    "linkName",
    "mountPath",
    "mtu",
    "name",
    "op",
    "path",
    "permanentAddr",
    "pciID",
    "physical",
    "type",
    "up",
    "vlanId",
];

/// Maps that netkeel reads whole.
const READ_WHOLE: [&[&str]; 4] = [
    &["machine", "sysctls"],
    &["machine", "sysfs"],
    &["params"],
    &["machine", "network", KUBESPAN],
];

/// Whether messages may show the value at a path of keys.
pub(crate) fn is_read(path: &[&str]) -> bool {
    READ_WHOLE.contains(&path) || path.last().is_some_and(|key| READ.contains(key))
}
