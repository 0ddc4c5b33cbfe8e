//! Kubernetes objects that give kube-ovn's pods their MTU: CozyStack's values in a ConfigMap (0.x) or a
//! Package (1.x), the arguments of a DaemonSet, and kube-ovn's Subnets.

use std::collections::BTreeMap;

use crate::talos::configuration::Configuration;
use crate::talos::keys::kind;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::Node;
use netkeel_source::sources::Sources;

/// The key of the ConfigMap that holds the values of kube-ovn's chart, as text.
pub(crate) const VALUES: &str = "values-kubeovn";

/// The DaemonSet that creates the interfaces of pods.
pub(crate) const DAEMONSET: &str = "kube-ovn-cni";

/// The names that kube-ovn gives the host's ends of pods' veths.
pub(crate) const PODS: &str = "*_h";

/// The Subnet of the nodes: no pod is in it.
const NODES: &str = "join";

/// An MTU of pods and its path.
#[derive(Clone, Debug)]
pub(crate) struct Stated {
    /// The path, as messages name it.
    pub path: String,
    /// The MTU as it is written.
    pub mtu: Node,
}

/// A Subnet of kube-ovn. Its `mtu` overrides the values for its pods.
#[derive(Clone, Debug)]
pub(crate) struct Subnet {
    /// Its name.
    pub name: String,
    /// Its MTU, if it sets one.
    pub stated: Option<Stated>,
    /// Its packets go into a VLAN of the underlay instead of a tunnel.
    pub in_vlan: bool,
}

/// All that gives pods an MTU, except arguments.
#[derive(Clone, Debug, Default)]
pub(crate) struct PodMtus {
    /// `kube-ovn.mtu` of the ConfigMap. CozyStack 1.x does not read it.
    pub config_map: Option<Stated>,
    /// The same of a Package.
    pub package: Option<Stated>,
    /// The Subnets of pods.
    pub subnets: Vec<Subnet>,
}

impl PodMtus {
    /// Reads the objects. The values in the ConfigMap are parsed as a file of their own.
    pub fn read(
        configuration: &Configuration,
        sources: &mut Sources,
        diagnostics: &mut Diagnostics,
    ) -> PodMtus {
        let packages = packages(configuration).into_iter();
        let mut package = packages.filter_map(|(path, values)| {
            Some(Stated {
                path: format!("{path}.kube-ovn.mtu"),
                mtu: values.get("kube-ovn")?.get("mtu")?.clone(),
            })
        });
        PodMtus {
            config_map: of_config_map(configuration, sources, diagnostics),
            package: package.next_back(),
            subnets: subnets(configuration),
        }
    }

    /// The MTU of pods in no Subnet with an MTU of its own.
    pub fn values(&self) -> Option<&Stated> {
        self.package.as_ref().or(self.config_map.as_ref())
    }

    /// The MTU of all pods.
    ///
    /// # Errors
    /// The first Subnet whose pods differ from others: their interfaces have no distinct names.
    pub fn of_all(&self) -> Result<Option<&Stated>, &Subnet> {
        let of_subnet = |subnet: &Subnet| subnet.stated.is_none() && subnet.in_vlan;
        let Some(first) = self.subnets.first() else {
            return Ok(self.values());
        };
        let stated = first.stated.as_ref().or(self.values());
        let bytes = |stated: Option<&Stated>| stated.and_then(|stated| stated.mtu.integer());
        for subnet in &self.subnets {
            let own = subnet.stated.as_ref().or(self.values());
            if of_subnet(subnet) || bytes(own) != bytes(stated) {
                return Err(subnet);
            }
        }
        Ok(stated)
    }
}

fn of_config_map(
    configuration: &Configuration,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Option<Stated> {
    let values = config_map(configuration)?.get("data")?.get(VALUES)?;
    let name = format!("{}:{VALUES}", sources.name(values.span.file));
    let text = values.scalar()?.into_owned();
    let reads = |path: &[&str]| path == ["kube-ovn", "mtu"];
    let values = sources
        .load_foreign(&name, text.into_bytes(), false, &reads, diagnostics)
        .pop()?;
    Some(Stated {
        path: format!("{VALUES}.kube-ovn.mtu"),
        mtu: values.get("kube-ovn")?.get("mtu")?.clone(),
    })
}

/// The values of the components of CozyStack's Packages, each with its path.
fn packages(configuration: &Configuration) -> Vec<(String, &Node)> {
    let mut found = Vec::new();
    for package in of_group(configuration, "cozystack.io/", "Package") {
        let components = package.get("spec").and_then(|spec| spec.get("components"));
        for component in components.map(Node::entries).unwrap_or_default() {
            let path = format!("Package {} {}", name(package), component.key);
            found.extend(component.value.get("values").map(|values| (path, values)));
        }
    }
    found
}

/// The Package and the component whose values have `kube-ovn`; else of the Package of the network, as far
/// as it is among the manifests.
pub(crate) fn package(configuration: &Configuration) -> Option<(&Node, String)> {
    let mut packages = of_group(configuration, "cozystack.io/", "Package");
    packages.reverse();
    let component = |package: &Node| {
        let components = package.get("spec")?.get("components")?.entries().iter();
        let with_values = |entry: &&netkeel_source::node::Entry| {
            let values = entry.value.get("values");
            values.is_some_and(|values| values.get("kube-ovn").is_some())
        };
        components.rev().find(with_values).map(|entry| entry.key.clone())
    };
    let with = packages
        .iter()
        .find_map(|package| Some((*package, component(package)?)));
    let network = packages
        .iter()
        .find(|package| name(package) == "cozystack.networking");
    with.or_else(|| network.map(|package| (*package, "kubeovn".to_owned())))
}

/// The Subnets of pods, by name; a later one replaces an earlier one.
fn subnets(configuration: &Configuration) -> Vec<Subnet> {
    let mut found = BTreeMap::new();
    for subnet in of_group(configuration, "kubeovn.io/", "Subnet") {
        let name = name(subnet);
        let spec = subnet.get("spec");
        let of_spec = |key: &str| spec.and_then(|spec| spec.get(key));
        // Zero means unset.
        let mtu = of_spec("mtu").filter(|mtu| !mtu.is_null() && mtu.integer() != Some(0));
        let stated = mtu.map(|mtu| Stated {
            path: format!("Subnet {name} spec.mtu"),
            mtu: mtu.clone(),
        });
        let in_vlan = of_spec("vlan").is_some_and(|vlan| vlan.text().is_some_and(|vlan| !vlan.is_empty()));
        if name != NODES {
            let subnet = Subnet {
                name: name.clone(),
                stated,
                in_vlan,
            };
            found.insert(name, subnet);
        }
    }
    found.into_values().collect()
}

/// The Subnets with an MTU, as they are written.
pub(crate) fn subnets_with_mtu(configuration: &Configuration) -> Vec<&Node> {
    let mut subnets = of_group(configuration, "kubeovn.io/", "Subnet");
    subnets.retain(|subnet| {
        let mtu = subnet.get("spec").and_then(|spec| spec.get("mtu")?.integer());
        mtu.is_some_and(|mtu| mtu != 0) && name(subnet) != NODES
    });
    subnets
}

/// The ConfigMap `cozystack`.
pub(crate) fn config_map(configuration: &Configuration) -> Option<&Node> {
    named(configuration, "ConfigMap", "cozystack").last()
}

/// The MTU in an argument of the DaemonSet, `--mtu=1400` or `--mtu 1400`, with the argument. The
/// last one counts.
pub(crate) fn argument(configuration: &Configuration) -> Option<(i64, &Node)> {
    let daemonset = named(configuration, "DaemonSet", DAEMONSET).last()?;
    let pod = daemonset.get("spec")?.get("template")?.get("spec")?;
    let containers = pod.get("containers").map(Node::items).unwrap_or_default();
    let mut found = None;
    for container in containers {
        let lists = ["command", "args"];
        let lists = lists.into_iter().filter_map(|key| container.get(key));
        let words: Vec<&Node> = lists.flat_map(Node::items).collect();
        for (at, word) in words.iter().enumerate() {
            let text = word.scalar().unwrap_or_default();
            let (value, node) = match text.strip_prefix("--mtu") {
                Some("") => match words.get(at + 1) {
                    Some(next) => (next.scalar().unwrap_or_default().into_owned(), *next),
                    None => continue,
                },
                Some(rest) => match rest.strip_prefix('=') {
                    Some(value) => (value.to_owned(), *word),
                    None => continue,
                },
                None => continue,
            };
            found = value.parse().ok().map(|bytes| (bytes, node)).or(found);
        }
    }
    found
}

/// Whether the DaemonSet is among the manifests.
pub(crate) fn has_daemonset(configuration: &Configuration) -> bool {
    named(configuration, "DaemonSet", DAEMONSET).next().is_some()
}

/// The objects of a kind in an API group.
fn of_group<'a>(configuration: &'a Configuration, group: &str, wanted: &str) -> Vec<&'a Node> {
    let is = |object: &&Node| {
        let version = object.get("apiVersion").and_then(Node::text).unwrap_or_default();
        kind(object) == wanted && version.starts_with(group)
    };
    configuration.manifests().iter().filter(is).collect()
}

fn name(object: &Node) -> String {
    let name = object
        .get("metadata")
        .and_then(|metadata| metadata.get("name")?.text());
    name.unwrap_or_default().to_owned()
}

fn named<'a>(
    configuration: &'a Configuration,
    wanted: &'static str,
    name: &'static str,
) -> impl Iterator<Item = &'a Node> {
    let is = move |object: &&Node| {
        let found = object.get("metadata").and_then(|metadata| metadata.get("name"));
        kind(object) == wanted && found.and_then(Node::text) == Some(name)
    };
    configuration.manifests().iter().filter(is)
}
