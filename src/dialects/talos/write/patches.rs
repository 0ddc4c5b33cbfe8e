//! A document as patches for machine configurations of Talos Linux. A setting that Talos cannot express
//! goes into a document for netkeel's extension service or DaemonSet.

use std::fmt::Write as _;

use crate::talos::keys::{DIRECTORY, KUBESPAN, KUBESPAN_KIND, SERVICE};
use crate::talos::version;
use crate::talos::version::Version;
use crate::talos::write::machine::{Machine, NODE, deleted};
use crate::write::node::{list, map, of, of_canonical, of_kind, string};
use crate::write::yaml;
use netkeel_core::error::Error;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_document::document::Document;
use netkeel_document::kinds::sysctl::value;
use netkeel_source::node::{Data, Entry, Node};

/// A document, split by where its parts go.
#[derive(Debug, Default)]
struct Divided {
    /// Keys and values, as text.
    sysctls: Vec<Entry>,
    /// Existing interfaces, with the settings that Talos supports.
    links: Vec<Entry>,
    /// The settings of KubeSpan's interface.
    kubespan: Option<Node>,
    /// The rest of the document; none when Talos can express everything.
    rest: Option<Node>,
    /// The entries of the rest, by name.
    left: Vec<String>,
    /// Entries that nothing on a Talos machine can apply.
    nowhere: Vec<String>,
}

/// The file name of the rest, in the extension service and in the DaemonSet.
const FILE: &str = "desired.d/talos.yaml";

/// Sections that only netkeel understands.
const OWN: [&str; 6] = ["tunnel", "route", "nflog", "replicate", "probes", "cni"];

/// A section for files that no Talos machine has: there is no wg-quick to use them.
const NOWHERE: &str = "wireguard";

/// Keys that set how a document is processed, not the desired state.
const GENERAL: [&str; 4] = ["owner", "prune", "limits", "allow"];

/// The patches as one YAML stream, with explanatory comments. Known settings of the machine stay
/// unchanged.
///
/// # Errors
/// When values cannot be written as YAML.
pub fn patches(document: &Document, version: Version, machine: &Machine<'_>) -> Result<String, Error> {
    let divided = Divided::of(document, version);
    let mut out = format!(
        "# Patches for Talos Linux {version}, of netkeel's document: talosctl patch machineconfig --patch @FILE\n"
    );
    for line in divided.notes(version, machine) {
        let _ = writeln!(out, "# {line}");
    }
    let documents = divided.documents(version, machine)?;
    if documents.is_empty() && divided.nowhere.is_empty() {
        out.push_str("# The document wants nothing of a machine.\n");
    }
    for (index, node) in documents.iter().enumerate() {
        if index > 0 {
            out.push_str("---\n");
        }
        out.push_str(&yaml::document(node)?);
    }
    Ok(out)
}

/// Kubernetes manifests for whatever Talos cannot express; none when there is no such part.
///
/// # Errors
/// When values cannot be written as YAML.
pub fn daemonset(document: &Document, version: Version, image: &str) -> Result<Option<String>, Error> {
    let divided = Divided::of(document, version);
    let Some(rest) = divided.rest.as_ref() else {
        return Ok(None);
    };
    let data = map(vec![("talos.yaml", string(&yaml::document(rest)?))]);
    let config = map(vec![
        ("apiVersion", string("v1")),
        ("kind", string("ConfigMap")),
        (
            "metadata",
            map(vec![
                ("name", string("netkeel")),
                ("namespace", string("netkeel")),
            ]),
        ),
        ("data", data),
    ]);
    let manifests = include_str!("../../../../templates/talos-daemonset.yaml");
    // A JSON string is valid YAML and stays on one line.
    let image = serde_json::Value::from(image).to_string();
    let mut out = String::new();
    if let Some(line) = divided.without_place() {
        let _ = writeln!(out, "# {line}");
    }
    let _ = write!(
        out,
        "{}---\n{}",
        manifests.replace("IMAGE", &image),
        yaml::document(&config)?
    );
    Ok(Some(out))
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
                NOWHERE => divided.nowhere.push(section.key.clone()),
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
            ("version", of(Data::Integer(netkeel_document::document::VERSION))),
            // Talos has no writable /etc/sysctl.d.
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

    /// Takes the settings that Talos supports for an interface, and returns the rest. Talos selects
    /// interfaces differently from a match, and derives no MTU.
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

    fn documents(&self, version: Version, machine: &Machine<'_>) -> Result<Vec<Node>, Error> {
        let mut documents = Vec::new();
        documents.extend(self.legacy(version, machine));
        if version >= version::SYSCTLS && !self.sysctls.is_empty() {
            documents.push(of_kind(
                "SysctlConfig",
                None,
                vec![("params", entries(&self.sysctls))],
            ));
        }
        if let (Annotated::Document | Annotated::Moved, Some(annotations)) =
            (Annotated::of(version, machine), machine.annotations())
        {
            documents.push(of_kind(NODE, None, vec![("annotations", annotations)]));
        }
        if version >= version::LINKS {
            documents.extend(machine.links(&self.links, version));
        }
        if let (true, Some(mtu)) = (version >= version::KUBESPAN, &self.kubespan) {
            documents.push(of_kind(KUBESPAN_KIND, None, machine.kubespan(mtu, version)));
        }
        if let Some(rest) = &self.rest {
            let file = map(vec![
                ("content", string(&yaml::document(rest)?)),
                ("mountPath", string(&format!("{DIRECTORY}{FILE}"))),
            ]);
            documents.push(of_kind(
                "ExtensionServiceConfig",
                Some(SERVICE),
                vec![("configFiles", list(vec![file]))],
            ));
        }
        Ok(documents)
    }

    /// The document without a kind, with this version's settings there and the deletions it needs.
    fn legacy(&self, version: Version, machine: &Machine<'_>) -> Option<Node> {
        let mut network = Vec::new();
        if version < version::LINKS && !self.links.is_empty() {
            network.push(("interfaces", machine.interfaces(&self.links)));
        }
        if let Some(mtu) = &self.kubespan {
            if version < version::KUBESPAN {
                network.push((KUBESPAN, map(machine.kubespan(mtu, version))));
            } else if !machine.older(KUBESPAN_KIND).is_empty() {
                network.push((KUBESPAN, deleted()));
            }
        }
        let mut settings = Vec::new();
        if version < version::SYSCTLS && !self.sysctls.is_empty() {
            settings.push(("sysctls", entries(&self.sysctls)));
        }
        match (Annotated::of(version, machine), machine.annotations()) {
            (Annotated::Older, Some(annotations)) => settings.push(("nodeAnnotations", annotations)),
            (Annotated::Moved, Some(_)) => settings.push(("nodeAnnotations", deleted())),
            _ => {}
        }
        if !network.is_empty() {
            settings.push(("network", map(network)));
        }
        (!settings.is_empty()).then(|| map(vec![("machine", map(settings))]))
    }

    /// A comment about entries that neither Talos nor netkeel on it can apply.
    fn without_place(&self) -> Option<String> {
        (!self.nowhere.is_empty()).then(|| {
            format!(
                "Neither Talos nor netkeel on it can carry: {}. There is no wg-quick; a WireguardConfig has an mtu.",
                self.nowhere.join(", ")
            )
        })
    }

    /// Comments for the user who applies the patches.
    fn notes(&self, version: Version, machine: &Machine<'_>) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.sysctls.is_empty() {
            notes.push(
                "Talos writes sysctls when its configuration changes, and does not check them afterwards."
                    .to_owned(),
            );
        }
        if version >= version::LINKS && self.links.iter().any(|link| !machine.knows(&link.key)) {
            notes.push(
                "An interface that another document makes (BondConfig, VLANConfig, ...) takes its mtu there."
                    .to_owned(),
            );
        }
        if self.kubespan.is_some() && !machine.knows_kubespan() {
            notes.push("The MTU of KubeSpan counts where the machine has KubeSpan enabled.".to_owned());
            if version >= version::KUBESPAN {
                notes.push(
                    "A machine whose KubeSpan stands in machine.network.kubespan must have all of it there."
                        .to_owned(),
                );
            }
        }
        if machine.configuration.is_none() && machine.annotations().is_some() {
            notes.extend(Annotated::of(version, machine).note().map(str::to_owned));
        }
        notes.extend(self.without_place());
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

/// Where to put annotations of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Annotated {
    /// In the older form: the version has no other, or it holds other settings of the node, with
    /// which Talos refuses the document.
    Older,
    /// In the document, and deleted from the older form.
    Moved,
    /// In the document.
    Document,
}

impl Annotated {
    fn of(version: Version, machine: &Machine<'_>) -> Annotated {
        let older = machine.older(NODE);
        if version < version::SYSCTLS {
            Annotated::Older
        } else if older.is_empty() {
            Annotated::Document
        } else if older.iter().all(|path| path.last() == Some(&"nodeAnnotations")) {
            Annotated::Moved
        } else {
            Annotated::Older
        }
    }

    fn note(self) -> Option<&'static str> {
        (self == Annotated::Document).then_some(
            "Talos refuses KubeNodeConfig together with machine.nodeLabels, nodeAnnotations or nodeTaints.",
        )
    }
}

/// Talos takes text: a vector in the form of /proc/sys, a boolean as a number.
fn sysctl(entry: &Entry) -> Entry {
    let key = entry.key.parse::<SysctlKey>();
    let value = key.ok().and_then(|key| value(&key, &entry.value));
    let value = value.unwrap_or_default();
    Entry {
        value: string(&value),
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
