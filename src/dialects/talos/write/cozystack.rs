//! Sets the MTU of pods in CozyStack's objects and keeps everything else in them.

use std::fmt::Write as _;

use crate::talos::configuration::Configuration;
use crate::talos::cozystack::{DAEMONSET, PODS, VALUES, argument, config_map, package, subnets_with_mtu};
use crate::write::node::{of, of_canonical, set, string, take};
use crate::write::yaml;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_document::document::Document;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::{Data, Node};
use netkeel_source::parse::parse;
use netkeel_source::span::FileId;
use netkeel_source::text::format::Format;

/// The smallest MTU for IPv6, in bytes (RFC 8200).
const IPV6: i64 = 1280;

/// Fields that the API server adds to an object. With them, `kubectl apply` is refused once anybody
/// has changed the object.
const SERVER: [&[&str]; 7] = [
    &[
        "metadata",
        "annotations",
        "kubectl.kubernetes.io/last-applied-configuration",
    ],
    &["metadata", "creationTimestamp"],
    &["metadata", "generation"],
    &["metadata", "managedFields"],
    &["metadata", "resourceVersion"],
    &["metadata", "uid"],
    &["status"],
];

/// The objects from the files that give kube-ovn's pods their MTU, with the MTU that a document wants, and
/// the steps that put it into effect: CozyStack's Package (1.x) or else its ConfigMap (0.x), and each Subnet
/// with an MTU of its own.
///
/// # Errors
/// When the document sets none, or no such object is there or readable.
pub fn render(document: &Document, configuration: &Configuration) -> Result<String, Error> {
    let mtu = wanted(document).ok_or_else(|| {
        Error::new(ErrorKind::Input, "the document wants no MTU of kube-ovn's pods").hint(format!(
            "link: {{ pods: {{ match: {{ name: \"{PODS}\", kind: veth }}, mtu: 1222 }} }}"
        ))
    })?;
    let mut manifests = Vec::new();
    if let Some((package, component)) = package(configuration) {
        let mut manifest = package.clone();
        let path = ["spec", "components", &component, "values", "kube-ovn", "mtu"];
        set(&mut manifest, &path, of(Data::Integer(mtu)));
        manifests.push(manifest);
    } else if let Some(there) = config_map(configuration) {
        let text = there.get("data").and_then(|data| data.get(VALUES)?.text());
        let mut manifest = there.clone();
        let values = string(&with_mtu(text.unwrap_or_default(), mtu)?);
        set(&mut manifest, &["data", VALUES], values);
        manifests.push(manifest);
    }
    for subnet in subnets_with_mtu(configuration) {
        let mut manifest = subnet.clone();
        set(&mut manifest, &["spec", "mtu"], of(Data::Integer(mtu)));
        manifests.push(manifest);
    }
    if manifests.is_empty() {
        return Err(Error::new(
            ErrorKind::Input,
            "among the manifests is no Package of CozyStack's network, no ConfigMap `cozystack` and no Subnet with an MTU",
        )
        .hint("CozyStack 1.x: kubectl get packages.cozystack.io cozystack.networking --output yaml")
        .hint("CozyStack 0.x: kubectl --namespace cozy-system get configmap cozystack --output yaml"));
    }
    let mut out =
        format!("# Pods of kube-ovn get {mtu} bytes when they are made. For that, once this is applied:\n");
    for line in [
        format!("kubectl --namespace cozy-kubeovn rollout restart daemonset/{DAEMONSET}"),
        format!("kubectl --namespace cozy-kubeovn rollout status daemonset/{DAEMONSET}"),
        "talosctl reboot --wait --nodes NODE, node by node: pods that are there keep the MTU they were made with".to_owned(),
    ] {
        let _ = writeln!(out, "#   {line}");
    }
    if let Some((other, _)) = argument(configuration)
        && other != mtu
    {
        let _ = writeln!(
            out,
            "# The DaemonSet {DAEMONSET} has --mtu={other}: take that away first, or whichever is applied last counts."
        );
    }
    if mtu < IPV6 {
        let _ = writeln!(out, "# Below {IPV6} pods have no IPv6.");
    }
    for (number, mut manifest) in manifests.into_iter().enumerate() {
        SERVER.iter().for_each(|path| take(&mut manifest, path));
        if number > 0 {
            out.push_str("---\n");
        }
        out.push_str(&yaml::document(&manifest)?);
    }
    Ok(out)
}

/// The MTU in the rule for kube-ovn's pods.
fn wanted(document: &Document) -> Option<i64> {
    let whole = of_canonical(&document.canonical);
    let rules = whole.get("link").map(Node::entries).unwrap_or_default();
    let is_pods = |rule: &Node| {
        let name = rule.get("match").and_then(|matches| matches.get("name"));
        name.and_then(Node::text) == Some(PODS)
    };
    let rule = rules.iter().find(|rule| is_pods(&rule.value))?;
    rule.value.get("mtu")?.integer()
}

/// The values with that MTU. If they have one already, only its number changes; comments stay.
fn with_mtu(text: &str, mtu: i64) -> Result<String, Error> {
    let mut diagnostics = Diagnostics::default();
    let values = parse(FileId::default(), text, Format::Yaml, &mut diagnostics);
    let Some(mut values) = values.filter(|_| diagnostics.is_empty()) else {
        let why = diagnostics
            .list
            .first()
            .map(|first| first.message.as_str())
            .unwrap_or_default();
        return Err(Error::new(
            ErrorKind::Input,
            format!("`{VALUES}` of the ConfigMap cannot be read: {why}"),
        ));
    };
    let there = values.get("kube-ovn").and_then(|chart| chart.get("mtu"));
    if let Some(there) = there.filter(|there| there.scalar().is_some()) {
        let (start, end) = (there.span.start as usize, there.span.end as usize);
        if let (Some(before), Some(after)) = (text.get(..start), text.get(end..)) {
            return Ok(format!("{before}{mtu}{after}"));
        }
    }
    set(&mut values, &["kube-ovn", "mtu"], of(Data::Integer(mtu)));
    yaml::document(&values)
}
