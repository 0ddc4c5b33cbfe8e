//! NetworkPolicies that admit no ICMP. A rule of a NetworkPolicy names TCP, UDP and SCTP only; a rule without `ports` admits
//! ICMP, too, but from its peers alone, and routers are none of them.

use std::collections::BTreeMap;

use crate::cluster::object::{Object, at};
use netkeel_core::finding::{Code, Findings};
use netkeel_source::node::Node;

/// The groups of Calico's own policies.
const CALICO: [&str; 2] = ["projectcalico.org", "crd.projectcalico.org"];

const CILIUM: &str = "cilium.io";

pub(super) fn check(objects: &[Object<'_>], findings: &mut Findings) {
    let of_kubernetes = |object: &&Object<'_>| object.is("networking.k8s.io", "NetworkPolicy");
    let mut namespaces: BTreeMap<&str, Vec<&Object<'_>>> = BTreeMap::new();
    for policy in objects.iter().filter(of_kubernetes) {
        namespaces.entry(&policy.namespace).or_default().push(policy);
    }
    let remedy = remedy(objects);
    for (namespace, policies) in namespaces {
        // Each pod of the namespace gets what any of its policies admits.
        let is_open = policies
            .iter()
            .any(|policy| selects_all(policy, &["spec", "podSelector"]) && admits(policy) == Some(true));
        if is_open || is_covered(objects, namespace) {
            continue;
        }
        for policy in policies.iter().filter(|policy| admits(policy) == Some(false)) {
            let message = format!(
                "the pods that it selects in the namespace {namespace} get no ICMP from routers: \"packet too big\" for a connection that their node does not track is dropped"
            );
            findings.add(Code::NK091, policy.shown(), message, remedy);
        }
    }
}

/// Whether a policy that isolates pods for incoming packets admits ICMP from everywhere; `None` for one that isolates none.
fn admits(policy: &Object<'_>) -> Option<bool> {
    let types = policy
        .at(&["spec", "policyTypes"])
        .map(Node::items)
        .unwrap_or_default();
    // The default includes it.
    let isolates = types.is_empty() || types.iter().any(|one| one.text() == Some("Ingress"));
    let rules = policy
        .at(&["spec", "ingress"])
        .map(Node::items)
        .unwrap_or_default();
    isolates.then(|| rules.iter().any(admits_icmp))
}

fn admits_icmp(rule: &Node) -> bool {
    let list = |key: &str| rule.get(key).map(Node::items).unwrap_or_default();
    let from = list("from");
    let is_everywhere = |peer: &Node| {
        let text = |path: &[&str]| at(peer, path).and_then(Node::text);
        let has_gaps = at(peer, &["ipBlock", "except"]).is_some_and(|except| !except.items().is_empty());
        matches!(text(&["ipBlock", "cidr"]), Some("0.0.0.0/0" | "::/0")) && !has_gaps
    };
    list("ports").is_empty() && (from.is_empty() || from.iter().any(is_everywhere))
}

/// Whether a selector is empty: it selects everything.
fn selects_all(object: &Object<'_>, path: &[&str]) -> bool {
    object.at(path).is_none_or(|selector| {
        let entries = selector.entries();
        entries
            .iter()
            .all(|entry| entry.value.entries().is_empty() && entry.value.items().is_empty())
    })
}

/// Whether a policy of Calico or Cilium admits ICMP to all pods of a namespace.
fn is_covered(objects: &[Object<'_>], namespace: &str) -> bool {
    objects.iter().any(|object| {
        let is_here = object.namespace == namespace || object.namespace.is_empty();
        is_here && (calico_admits(object) || cilium_admits(object))
    })
}

fn calico_admits(object: &Object<'_>) -> bool {
    let is_policy = matches!(&*object.kind, "NetworkPolicy" | "GlobalNetworkPolicy");
    if !CALICO.contains(&&*object.group) || !is_policy {
        return false;
    }
    let is_all = |key: &str| {
        let selector = object.at(&["spec", key]).and_then(Node::text).unwrap_or_default();
        matches!(selector.trim(), "" | "all()")
    };
    let rules = object
        .at(&["spec", "ingress"])
        .map(Node::items)
        .unwrap_or_default();
    let admits = |rule: &&Node| {
        let text = |key: &str| rule.get(key).and_then(Node::text);
        let from_all = rule
            .get("source")
            .is_none_or(|source| source.entries().is_empty());
        text("action") == Some("Allow") && from_all && matches!(text("protocol"), None | Some("ICMP"))
    };
    is_all("selector") && is_all("namespaceSelector") && rules.iter().any(|rule| admits(&rule))
}

fn cilium_admits(object: &Object<'_>) -> bool {
    let is_policy = matches!(
        &*object.kind,
        "CiliumNetworkPolicy" | "CiliumClusterwideNetworkPolicy"
    );
    if object.group != CILIUM || !is_policy || !selects_all(object, &["spec", "endpointSelector"]) {
        return false;
    }
    let rules = object
        .at(&["spec", "ingress"])
        .map(Node::items)
        .unwrap_or_default();
    rules.iter().any(|rule| {
        let narrows = [
            "fromEndpoints",
            "fromCIDR",
            "fromCIDRSet",
            "fromRequires",
            "fromNodes",
        ];
        let of_some = narrows.iter().any(|key| rule.get(key).is_some());
        let entities = rule.get("fromEntities").map(Node::items).unwrap_or_default();
        let of_all = entities.is_empty()
            || entities
                .iter()
                .any(|one| matches!(one.text(), Some("all" | "world")));
        !of_some && of_all && rule.get("icmps").is_some_and(|icmps| !icmps.items().is_empty())
    })
}

/// The policy that would admit it, for the CNI of which there are objects.
fn remedy(objects: &[Object<'_>]) -> &'static str {
    let has = |groups: &[&str]| objects.iter().any(|object| groups.contains(&&*object.group));
    let has_map = objects
        .iter()
        .any(|object| object.kind == "ConfigMap" && object.name == "cilium-config");
    match (
        has(&[CALICO[0], CALICO[1], "operator.tigera.io"]),
        has(&[CILIUM]) || has_map,
    ) {
        (true, false) => {
            "add a NetworkPolicy of projectcalico.org that allows ICMP type 3 and ICMPv6 type 2, with the same selector: a pod that no other policy selects would accept nothing else from then on; `netkeel explain NK091` has it"
        }
        (false, true) => {
            "add a CiliumNetworkPolicy with `icmps` type 3 (IPv4) and 2 (IPv6), with the same selector: a pod that no other policy selects would accept nothing else from then on; `netkeel explain NK091` has it"
        }
        _ => {
            "add a policy of Calico or Cilium that allows ICMP type 3 and ICMPv6 type 2, with the same selector: a pod that no other policy selects would accept nothing else from then on; `netkeel explain NK091` has both"
        }
    }
}
