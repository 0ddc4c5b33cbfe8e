//! CozyStack's Kubernetes objects: the MTU that kube-ovn gives pods, in a ConfigMap and in the
//! arguments of a DaemonSet.

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

/// The MTU of pods in the ConfigMap `cozystack`: `kube-ovn.mtu` of its values, which are parsed as
/// a file of their own.
pub(crate) fn pod_mtu(
    configuration: &Configuration,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Option<Node> {
    let values = config_map(configuration)?.get("data")?.get(VALUES)?;
    let name = format!("{}:{VALUES}", sources.name(values.span.file));
    let text = values.scalar()?.into_owned();
    let reads = |path: &[&str]| path == ["kube-ovn", "mtu"];
    let values = sources
        .load_foreign(&name, text.into_bytes(), false, &reads, diagnostics)
        .pop()?;
    values.get("kube-ovn")?.get("mtu").cloned()
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
