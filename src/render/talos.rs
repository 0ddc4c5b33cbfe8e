//! A document as patches for machine configurations of Talos Linux: what Talos can carry in its own
//! words, and the rest as a document for netkeel's extension service or DaemonSet.

pub mod cozystack;
mod node;

use std::fmt::Write as _;

use super::yaml;
use crate::document::Document;
use crate::resource::sysctl::value;
use crate::source::talos::version::{self, Version};
use crate::source::talos::{DIRECTORY, KUBESPAN, SERVICE, TUNNEL_INTERFACE};
use crate::source::{Data, Entry, Node};
use crate::sysctl_key::SysctlKey;
use node::{list, map, of, of_canonical, quoted, word};

/// A document, divided.
#[derive(Debug, Default)]
struct Divided {
    /// Keys and values, as text.
    sysctls: Vec<Entry>,
    /// Interfaces that others make, with what Talos sets of them.
    links: Vec<Entry>,
    /// What KubeSpan's interface gets.
    kubespan: Option<Node>,
    /// Annotations of the node.
    annotations: Option<Node>,
    /// The document that is left; nothing when Talos carries all.
    rest: Option<Node>,
    /// What of it is left, by the names of its entries.
    left: Vec<String>,
}

/// The name of the rest's file, in the extension service and in the DaemonSet.
const FILE: &str = "desired.d/talos.yaml";

/// Sections that only netkeel understands.
const OWN: [&str; 5] = ["tunnel", "nflog", "replicate", "cni", "wireguard"];

/// Keys that say how a document is treated, not what is wanted.
const GENERAL: [&str; 4] = ["owner", "prune", "limits", "allow"];

/// The patches, as one stream of YAML with a comment that says what they are; with the interface
/// that kube-ovn tunnels through on that machine, where one is named.
pub fn patches(document: &Document, version: Version, tunnel_interface: Option<&str>) -> String {
    let mut divided = Divided::of(document, version);
    divided.annotations = tunnel_interface.map(|name| map(vec![(TUNNEL_INTERFACE, quoted(name))]));
    let mut out = format!(
        "# Patches for Talos Linux {version}, of netkeel's document: talosctl patch machineconfig --patch @FILE\n"
    );
    for line in divided.notes(version) {
        let _ = writeln!(out, "# {line}");
    }
    let documents = divided.documents(version);
    if documents.is_empty() {
        out.push_str("# The document wants nothing of a machine.\n");
    }
    for (index, node) in documents.iter().enumerate() {
        if index > 0 {
            out.push_str("---\n");
        }
        out.push_str(&yaml::document(node));
    }
    out
}

/// What Talos cannot carry, as manifests for Kubernetes; nothing when there is nothing.
pub fn daemonset(document: &Document, version: Version, image: &str) -> Option<String> {
    let rest = Divided::of(document, version).rest?;
    let data = map(vec![("talos.yaml", quoted(&yaml::document(&rest)))]);
    let config = map(vec![
        ("apiVersion", word("v1")),
        ("kind", word("ConfigMap")),
        (
            "metadata",
            map(vec![("name", word("netkeel")), ("namespace", word("netkeel"))]),
        ),
        ("data", data),
    ]);
    let manifests = include_str!("../../templates/talos-daemonset.yaml");
    let image = quoted(image);
    let image = yaml::document(&image);
    Some(format!(
        "{}---\n{}",
        manifests.replace("IMAGE", image.trim_end()),
        yaml::document(&config)
    ))
}

impl Divided {
    fn of(document: &Document, version: Version) -> Divided {
        let mut divided = Divided::default();
        let whole = of_canonical(&document.canonical);
        let mut rest: Vec<Entry> = Vec::new();
        for section in whole.entries() {
            match section.key.as_str() {
                "sysctl" => {
                    let values = section.value.entries().iter();
                    divided.sysctls.extend(values.map(sysctl));
                }
                "link" => {
                    let left: Vec<Entry> = section
                        .value
                        .entries()
                        .iter()
                        .filter_map(|link| divided.link(link, version))
                        .collect();
                    if !left.is_empty() {
                        divided
                            .left
                            .extend(left.iter().map(|link| format!("link.{}", link.key)));
                        rest.push(Entry {
                            value: Node {
                                data: Data::Map(left),
                                ..section.value
                            },
                            ..section.clone()
                        });
                    }
                }
                key if OWN.contains(&key) => {
                    divided.left.push(key.to_owned());
                    rest.push(section.clone());
                }
                _ => {}
            }
        }
        if rest.is_empty() {
            return divided;
        }
        let general = whole
            .entries()
            .iter()
            .filter(|entry| GENERAL.contains(&entry.key.as_str()));
        let Data::Map(mut entries) = map(vec![
            ("version", of(Data::Integer(crate::document::VERSION))),
            // There is no /etc/sysctl.d that could be written.
            ("persist", of(Data::Bool(false))),
        ])
        .data
        else {
            return divided;
        };
        entries.extend(general.cloned());
        entries.extend(rest);
        divided.rest = Some(Node {
            span: whole.span,
            data: Data::Map(entries),
        });
        divided
    }

    /// Takes what Talos can set of an interface, and returns the rest of it. Talos finds interfaces
    /// by other rules than a match, and derives no MTU.
    fn link(&mut self, link: &Entry, version: Version) -> Option<Entry> {
        let settings = link.value.entries();
        let mine = |key: &str| settings.iter().any(|setting| setting.key == key);
        if mine("match") || mine("pod_mtu") {
            return Some(link.clone());
        }
        let (mut carried, mut left) = (Vec::new(), Vec::new());
        for setting in settings {
            let takes = match setting.key.as_str() {
                "mtu" => matches!(setting.value.data, Data::Integer(_)),
                "up" => version >= version::LINKS && link.key != KUBESPAN,
                _ => false,
            };
            if takes {
                carried.push(setting.clone());
            } else {
                left.push(setting.clone());
            }
        }
        if link.key == KUBESPAN {
            self.kubespan = carried.pop().map(|setting| setting.value);
        } else if !carried.is_empty() {
            self.links.push(with(link, carried));
        }
        (!left.is_empty()).then(|| with(link, left))
    }

    fn documents(&self, version: Version) -> Vec<Node> {
        let mut documents = Vec::new();
        documents.extend(self.legacy(version));
        if version >= version::SYSCTLS && !self.sysctls.is_empty() {
            documents.push(of_kind(
                "SysctlConfig",
                None,
                vec![("params", entries(&self.sysctls))],
            ));
        }
        if let (true, Some(annotations)) = (version >= version::SYSCTLS, &self.annotations) {
            let settings = vec![("annotations", annotations.clone())];
            documents.push(of_kind("KubeNodeConfig", None, settings));
        }
        if version >= version::LINKS {
            for link in &self.links {
                let settings = link.value.entries().iter();
                let settings = settings.map(|setting| (setting.key.as_str(), setting.value.clone()));
                documents.push(of_kind("LinkConfig", Some(&link.key), settings.collect()));
            }
        }
        if let (true, Some(mtu)) = (version >= version::KUBESPAN, &self.kubespan) {
            documents.push(of_kind("KubeSpanConfig", None, vec![("mtu", mtu.clone())]));
        }
        if let Some(rest) = &self.rest {
            let file = map(vec![
                ("content", quoted(&yaml::document(rest))),
                ("mountPath", word(&format!("{DIRECTORY}{FILE}"))),
            ]);
            documents.push(of_kind(
                "ExtensionServiceConfig",
                Some(SERVICE),
                vec![("configFiles", list(vec![file]))],
            ));
        }
        documents
    }

    /// The document without a kind, with what this version has there.
    fn legacy(&self, version: Version) -> Option<Node> {
        let mut network = Vec::new();
        if version < version::LINKS && !self.links.is_empty() {
            let interfaces = self.links.iter().map(|link| {
                let settings = link.value.entries().iter();
                let settings = settings.map(|setting| (setting.key.as_str(), setting.value.clone()));
                map(std::iter::once(("interface", quoted(&link.key)))
                    .chain(settings)
                    .collect())
            });
            network.push(("interfaces", list(interfaces.collect())));
        }
        if let (true, Some(mtu)) = (version < version::KUBESPAN, &self.kubespan) {
            network.push((KUBESPAN, map(vec![("mtu", mtu.clone())])));
        }
        let mut machine = Vec::new();
        if version < version::SYSCTLS && !self.sysctls.is_empty() {
            machine.push(("sysctls", entries(&self.sysctls)));
        }
        if let (true, Some(annotations)) = (version < version::SYSCTLS, &self.annotations) {
            machine.push(("nodeAnnotations", annotations.clone()));
        }
        if !network.is_empty() {
            machine.push(("network", map(network)));
        }
        (!machine.is_empty()).then(|| map(vec![("machine", map(machine))]))
    }

    /// What whoever applies them should know.
    fn notes(&self, version: Version) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.sysctls.is_empty() {
            notes.push(
                "Talos writes sysctls when its configuration changes, and does not look again.".to_owned(),
            );
        }
        if version >= version::LINKS && !self.links.is_empty() {
            notes.push(
                "An interface that another document makes (BondConfig, VLANConfig, ...) takes its mtu there."
                    .to_owned(),
            );
        }
        if self.kubespan.is_some() {
            notes.push("The MTU of KubeSpan counts where the machine has KubeSpan enabled.".to_owned());
        }
        if version >= version::KUBESPAN && self.kubespan.is_some() {
            notes.push(
                "A machine whose KubeSpan stands in machine.network.kubespan must have all of it there."
                    .to_owned(),
            );
        }
        if !self.left.is_empty() {
            notes.push(format!("Talos cannot carry: {}.", self.left.join(", ")));
            notes.push(
                "That is for netkeel's extension service (talos/extension), or `netkeel render daemonset`."
                    .to_owned(),
            );
        }
        notes
    }
}

/// Talos takes text: a vector as /proc/sys has it, a yes or no as a number.
fn sysctl(entry: &Entry) -> Entry {
    let key = entry.key.parse::<SysctlKey>();
    let value = key.ok().and_then(|key| value(&key, &entry.value));
    let value = value.unwrap_or_default();
    Entry {
        value: quoted(&value),
        ..entry.clone()
    }
}

fn with(link: &Entry, settings: Vec<Entry>) -> Entry {
    Entry {
        value: Node {
            data: Data::Map(settings),
            ..link.value
        },
        ..link.clone()
    }
}

fn entries(entries: &[Entry]) -> Node {
    of(Data::Map(entries.to_vec()))
}

fn of_kind(kind: &str, name: Option<&str>, more: Vec<(&str, Node)>) -> Node {
    let head = [("apiVersion", word("v1alpha1")), ("kind", word(kind))].into_iter();
    let name = name.map(|name| ("name", quoted(name)));
    map(head.chain(name).chain(more).collect())
}
