//! Parts of a machine configuration that a document cannot express: which document creates an
//! interface, the annotations of the node, and the rest of KubeSpan.

use std::collections::BTreeMap;

use crate::talos::configuration::Configuration;
use crate::talos::keys::{KUBESPAN_KIND, TUNNEL_INTERFACE};
use crate::talos::links::Link;
use crate::talos::version;
use crate::talos::version::{Version, since};
use crate::write::node::{list, map, of, of_kind, string};
use netkeel_source::node::{Data, Entry, Node};

/// The document of the node.
pub(crate) const NODE: &str = "KubeNodeConfig";

/// The machine that the patches are for, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine<'a> {
    /// Its configuration, if the document was read from one.
    pub configuration: Option<&'a Configuration>,
    /// The interface for kube-ovn's tunnels, if it is given separately.
    pub tunnel_interface: Option<&'a str>,
}

/// How an interface is created.
enum Made<'a> {
    /// A document configures it.
    Document(Link<'a>),
    /// It is a VLAN of an interface, by its number.
    Vlan(&'a str, i64),
    /// It is listed among the interfaces of the older form.
    Interface,
}

/// Settings, in order.
pub type Settings<'a> = Vec<(&'a str, Node)>;

impl<'a> Machine<'a> {
    fn made(&self, name: &str) -> Option<Made<'a>> {
        let configuration = self.configuration?;
        let document = configuration.links().into_iter().find(|link| link.name == name);
        if let Some(link) = document {
            return Some(Made::Document(link));
        }
        let interfaces = configuration.legacy_at(&["machine", "network", "interfaces"]);
        interfaces
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .find_map(|interface| {
                let parent = interface.get("interface").and_then(Node::text)?;
                if parent == name {
                    return Some(Made::Interface);
                }
                let vlans = interface.get("vlans").map(Node::items).unwrap_or_default();
                let mut ids = vlans
                    .iter()
                    .filter_map(|vlan| vlan.get("vlanId").and_then(Node::integer));
                let id = ids.find(|id| vlan_name(parent, *id) == name)?;
                Some(Made::Vlan(parent, id))
            })
    }

    /// Whether the configuration defines an interface.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.made(name).is_some()
    }

    /// Documents with settings of interfaces: the one that configures the interface already, or a
    /// `LinkConfig`.
    pub fn links(&self, links: &[Entry], version: Version) -> Vec<Node> {
        let mut documents: Vec<(&str, &str, Settings<'_>)> = Vec::new();
        for link in links {
            let own = settings(link);
            let (kind, name, own) = match self.made(&link.key) {
                Some(Made::Document(made)) if since(made.kind).is_none_or(|since| since <= version) => {
                    let name = made.document.get("name").and_then(Node::text);
                    let own = if made.peer {
                        let peer = std::iter::once(("name", string(&link.key))).chain(own);
                        vec![("peer", map(peer.collect()))]
                    } else {
                        own
                    };
                    (made.kind, name.unwrap_or(&link.key), own)
                }
                Some(Made::Vlan(parent, id)) => {
                    let vlan = [("parent", string(parent)), ("vlanID", of(Data::Integer(id)))];
                    (
                        "VLANConfig",
                        link.key.as_str(),
                        vlan.into_iter().chain(own).collect(),
                    )
                }
                _ => ("LinkConfig", link.key.as_str(), own),
            };
            let known = documents
                .iter_mut()
                .find(|known| (known.0, known.1) == (kind, name));
            match known {
                Some((_, _, known)) => known.extend(own),
                None => documents.push((kind, name, own)),
            }
        }
        let document = |(kind, name, settings)| of_kind(kind, Some(name), settings);
        documents.into_iter().map(document).collect()
    }

    /// The same in the older form, with VLANs below their parent interface.
    pub fn interfaces(&self, links: &[Entry]) -> Node {
        let mut interfaces: Vec<(String, Settings<'_>, Vec<Node>)> = Vec::new();
        for link in links {
            let vlan = match self.made(&link.key) {
                Some(Made::Vlan(parent, id)) => Some((parent, id)),
                Some(Made::Document(made)) => {
                    let parent = made.document.get("parent").and_then(Node::text);
                    let id = made.document.get("vlanID").and_then(Node::integer);
                    parent
                        .zip(id)
                        .filter(|(parent, id)| vlan_name(parent, *id) == link.key)
                }
                _ => None,
            };
            let name = vlan.map_or(link.key.as_str(), |(parent, _)| parent);
            let at = interfaces.iter().position(|(known, ..)| known == name);
            let at = at.unwrap_or_else(|| {
                interfaces.push((name.to_owned(), Vec::new(), Vec::new()));
                interfaces.len() - 1
            });
            let Some((_, own, vlans)) = interfaces.get_mut(at) else {
                continue;
            };
            match vlan {
                Some((_, id)) => {
                    let id = std::iter::once(("vlanId", of(Data::Integer(id))));
                    vlans.push(map(id.chain(settings(link)).collect()));
                }
                None => own.extend(settings(link)),
            }
        }
        let interface = |(name, own, vlans): (String, Settings<'_>, Vec<Node>)| {
            let vlans = (!vlans.is_empty()).then(|| ("vlans", list(vlans)));
            let name = std::iter::once(("interface", string(&name)));
            map(name.chain(own).chain(vlans).collect())
        };
        list(interfaces.into_iter().map(interface).collect())
    }

    /// All annotations of the node; none when it has no annotation.
    pub fn annotations(&self) -> Option<Node> {
        let mut texts: BTreeMap<&str, String> = BTreeMap::new();
        for (key, value) in self
            .configuration
            .map(Configuration::node_annotations)
            .unwrap_or_default()
        {
            texts.insert(key, value);
        }
        if let Some(interface) = self.tunnel_interface {
            texts.insert(TUNNEL_INTERFACE, interface.to_owned());
        }
        let annotations = texts.iter().map(|(key, value)| (*key, string(value)));
        (!texts.is_empty()).then(|| map(annotations.collect()))
    }

    /// Older forms that are set, and with which Talos refuses a document of this kind.
    pub(crate) fn older(&self, kind: &str) -> Vec<&'static [&'static str]> {
        let configuration = self.configuration.into_iter();
        let older = configuration.flat_map(|configuration| configuration.older(kind));
        older.map(|(path, _)| path).collect()
    }

    /// KubeSpan's settings other than the MTU, if they must move from one form to the other. In the
    /// form that is present they stay unchanged.
    pub(crate) fn kubespan(&self, mtu: &Node, version: Version) -> Settings<'a> {
        let other = self.configuration.and_then(|configuration| {
            if version >= version::KUBESPAN {
                configuration.older(KUBESPAN_KIND).map(|(_, node)| node).next()
            } else {
                configuration.of_kind(KUBESPAN_KIND).last()
            }
        });
        let head = ["apiVersion", "kind", "mtu"];
        let kept = other.map(Node::entries).unwrap_or_default().iter();
        let kept = kept.filter(|entry| !head.contains(&entry.key.as_str()) && !entry.value.is_null());
        let kept = kept.map(|entry| (entry.key.as_str(), entry.value.clone()));
        kept.chain([("mtu", mtu.clone())]).collect()
    }

    /// Whether the configuration mentions KubeSpan.
    pub(crate) fn knows_kubespan(&self) -> bool {
        let older = !self.older(KUBESPAN_KIND).is_empty();
        older
            || self
                .configuration
                .is_some_and(|it| it.of_kind(KUBESPAN_KIND).next().is_some())
    }
}

/// The value that deletes a key.
pub(crate) fn deleted() -> Node {
    map(vec![("$patch", string("delete"))])
}

/// The name that Talos gives a VLAN in the older form.
fn vlan_name(parent: &str, id: i64) -> String {
    format!("{parent}.{id}")
}

fn settings(link: &Entry) -> Settings<'_> {
    let settings = link.value.entries().iter();
    settings
        .map(|setting| (setting.key.as_str(), setting.value.clone()))
        .collect()
}
