//! Misspelt fields where netkeel reads: Talos silently ignores what they set.

use crate::talos::lint::findings::Lint;
use netkeel_core::finding::Code;
use netkeel_core::text::escape::quoted;
use netkeel_core::text::suggest::nearest;
use netkeel_source::node::Node;

/// The known fields of all versions, from Talos's JSON schemas: the kind of the document, the path
/// in it with `*` for an item, and the fields.
const FIELDS: &[(&str, &[&str], &[&str])] = &[
    ("", &[], &["version", "debug", "persist", "machine", "cluster"]),
    (
        "",
        &["machine"],
        &[
            "acceptedCAs",
            "baseRuntimeSpecOverrides",
            "ca",
            "certSANs",
            "controlPlane",
            "disks",
            "env",
            "features",
            "files",
            "install",
            "kernel",
            "kubelet",
            "logging",
            "network",
            "nodeAnnotations",
            "nodeLabels",
            "nodeTaints",
            "pods",
            "registries",
            "seccompProfiles",
            "sysctls",
            "sysfs",
            "systemDiskEncryption",
            "time",
            "token",
            "type",
            "udev",
        ],
    ),
    (
        "",
        &["machine", "network"],
        &[
            "disableSearchDomain",
            "extraHostEntries",
            "hostname",
            "interfaces",
            "kubespan",
            "nameservers",
            "searchDomains",
        ],
    ),
    ("", &["machine", "network", "kubespan"], KUBESPAN),
    (
        "",
        &["machine", "network", "interfaces", "*"],
        &[
            "addresses",
            "bond",
            "bridge",
            "bridgePort",
            "deviceSelector",
            "dhcp",
            "dhcpOptions",
            "dummy",
            "ignore",
            "interface",
            "mtu",
            "routes",
            "vip",
            "vlans",
            "wireguard",
        ],
    ),
    (
        "",
        &["machine", "network", "interfaces", "*", "vlans", "*"],
        &[
            "addresses",
            "dhcp",
            "dhcpOptions",
            "mtu",
            "routes",
            "vip",
            "vlanId",
        ],
    ),
    ("KubeSpanConfig", &[], KUBESPAN),
    ("SysctlConfig", &[], &["params"]),
    ("SysfsConfig", &[], &["params"]),
    (
        "KubeNodeConfig",
        &[],
        &[
            "annotations",
            "labels",
            "nodeIP",
            "registerWithFQDN",
            "skipNodeRegistration",
            "taints",
        ],
    ),
    (
        "KubeFlannelCNIConfig",
        &[],
        &[
            "backendExtraConfig",
            "backendMTU",
            "backendPort",
            "backendType",
            "extraArgs",
            "kubeNetworkPoliciesEnabled",
            "resources",
        ],
    ),
    ("ExtensionServiceConfig", &[], &["configFiles", "environment"]),
    (
        "ExtensionServiceConfig",
        &["configFiles", "*"],
        &["content", "mountPath"],
    ),
];

const KUBESPAN: &[&str] = &[
    "advertiseKubernetesNetworks",
    "allowDownPeerBypass",
    "enabled",
    "filters",
    "harvestExtraEndpoints",
    "mtu",
];

/// Fields of interface documents: the common ones, and others with similar names.
const LINK: &[&str] = &[
    "addresses",
    "hardwareAddr",
    "links",
    "mtu",
    "multicast",
    "parent",
    "peer",
    "peers",
    "routes",
    "up",
    "vlanID",
];

/// Fields of every document with a kind.
const HEAD: [&str; 3] = ["apiVersion", "kind", "name"];

pub(crate) fn look(lint: &mut Lint<'_>) {
    let configuration = lint.configuration;
    for (kind, path, fields) in FIELDS {
        let documents = configuration.documents().iter();
        for document in documents.filter(|document| crate::talos::keys::kind(document) == *kind) {
            place(lint, kind, document, path, fields);
        }
    }
    for link in configuration.links() {
        place(lint, link.place(), link.settings, &[], LINK);
    }
}

/// Checks all nodes at a path.
fn place(lint: &mut Lint<'_>, at: &str, node: &Node, path: &[&str], fields: &[&str]) {
    match path {
        [] => spelling(lint, at, node, fields),
        ["*", rest @ ..] => node
            .items()
            .iter()
            .for_each(|item| place(lint, at, item, rest, fields)),
        [key, rest @ ..] => {
            if let Some(below) = node.get(key) {
                place(lint, &join(at, key), below, rest, fields);
            }
        }
    }
}

fn spelling(lint: &mut Lint<'_>, at: &str, node: &Node, fields: &[&str]) {
    for entry in node.entries() {
        let known = || fields.iter().chain(&HEAD).copied();
        if known().any(|field| field == entry.key) {
            continue;
        }
        if let Some(near) = nearest(&entry.key, known()) {
            lint.add(
                Code::NK061,
                join(at, &entry.key),
                entry.key_span,
                "Talos has no such field here, and netkeel ignores it".to_owned(),
                &format!("did you mean {}?", quoted(near)),
            );
        }
    }
}

fn join(at: &str, key: &str) -> String {
    if at.is_empty() {
        key.to_owned()
    } else {
        format!("{at}.{key}")
    }
}
