//! MTUs in the objects of Calico, Cilium and kube-ovn, against those that the nodes report.

use crate::cluster::node_path::{NodePath, names};
use crate::cluster::object::Object;
use netkeel_core::finding::{Code, Findings};
use netkeel_source::node::Node;

/// The MTUs of Felix's tunnels, and the bytes of their headers over IPv4 or IPv6 (Calico, felix/config).
const TUNNELS: &[(&str, i64)] = &[
    ("ipipMTU", 20),
    ("vxlanMTU", 50),
    ("vxlanMTUV6", 70),
    ("wireguardMTU", 60),
    ("wireguardMTUV6", 80),
];

/// Adds findings on one object.
struct Comparison<'a> {
    object: &'a Object<'a>,
    paths: &'a [NodePath],
}

pub(super) fn check(
    objects: &[Object<'_>],
    paths: &[NodePath],
    findings: &mut Findings,
    unknown: &mut Vec<String>,
) {
    for object in objects {
        let of = Comparison { object, paths };
        let number = |path: &[&str]| {
            let value = object.at(path)?;
            let text = value.text().and_then(|text| text.trim().parse().ok());
            // 0 lets the CNI choose.
            value.integer().or(text).filter(|mtu| *mtu != 0)
        };
        match (&*object.group, &*object.kind) {
            ("operator.tigera.io", "Installation") => {
                let key = ["spec", "calicoNetwork", "mtu"];
                if let Some(mtu) = number(&key) {
                    of.pods("spec.calicoNetwork.mtu", mtu, findings, unknown);
                }
            }
            ("crd.projectcalico.org" | "projectcalico.org", "FelixConfiguration") => {
                for (key, header) in TUNNELS {
                    if let Some(mtu) = number(&["spec", key]) {
                        of.underlay(&format!("spec.{key}"), mtu, *header, findings, unknown);
                    }
                }
            }
            ("", "ConfigMap") if object.name == "cilium-config" => {
                if let Some(mtu) = number(&["data", "mtu"]) {
                    let chained = object.at(&["data", "cni-chaining-mode"]).and_then(Node::text);
                    // Where Cilium is chained, another plugin gives pods their MTU.
                    if matches!(chained, None | Some("" | "none")) {
                        of.pods("data.mtu", mtu, findings, unknown);
                    }
                    of.underlay("data.mtu", mtu, 0, findings, unknown);
                }
            }
            ("kubeovn.io", "Subnet") => {
                if let Some(mtu) = number(&["spec", "mtu"]) {
                    // The pods of a node may be those of other Subnets.
                    of.underlay("spec.mtu", mtu, 0, findings, unknown);
                }
            }
            _ => {}
        }
    }
}

impl Comparison<'_> {
    /// Compares with the smallest MTU of the pods of each node.
    fn pods(&self, key: &str, mtu: i64, findings: &mut Findings, unknown: &mut Vec<String>) {
        let known = self.paths.iter().filter(|node| node.pods.is_some()).count();
        if known == 0 {
            return self.unknown(key, mtu, "podMTU", unknown);
        }
        let others: Vec<&NodePath> = self
            .paths
            .iter()
            .filter(|node| node.pods.is_some_and(|pods| pods != mtu))
            .collect();
        let Some(first) = others.first().and_then(|node| node.pods) else {
            return;
        };
        let least = others.iter().filter_map(|node| node.pods).min().unwrap_or(first);
        let most = others.iter().filter_map(|node| node.pods).max().unwrap_or(first);
        let have = match least == most {
            true => least.to_string(),
            false => format!("{least} to {most}"),
        };
        let message = format!("{key} is {mtu}, and pods have {have} on {}", names(&others));
        let remedy =
            "declare the same MTU in both places; pods that run keep theirs until they are created anew";
        findings.add(Code::NK093, self.object.shown(), message, remedy);
    }

    /// Compares with what the underlay of each node leaves.
    fn underlay(&self, key: &str, mtu: i64, header: i64, findings: &mut Findings, unknown: &mut Vec<String>) {
        let smallest = self.paths.iter().filter_map(|node| node.underlay).min();
        let Some(smallest) = smallest else {
            return self.unknown(key, mtu, "underlayMTU", unknown);
        };
        let leaves = |node: &&NodePath| node.underlay.is_some_and(|underlay| mtu > underlay - header);
        let others: Vec<&NodePath> = self.paths.iter().filter(leaves).collect();
        if others.is_empty() {
            return;
        }
        let most = smallest - header;
        let of_header = match header {
            0 => String::new(),
            header => format!(" less {header} bytes of headers"),
        };
        let message = format!(
            "{key} is {mtu}, and the underlay has {smallest}{of_header} on {}",
            names(&others)
        );
        findings.add(
            Code::NK093,
            self.object.shown(),
            message,
            format!("set it to {most} or less"),
        );
    }

    fn unknown(&self, key: &str, mtu: i64, lacks: &str, unknown: &mut Vec<String>) {
        let object = self.object.shown();
        unknown.push(format!(
            "{object}: no NetkeelNode has a {lacks} to compare {key} {mtu} with"
        ));
    }
}
