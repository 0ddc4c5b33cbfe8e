//! NetworkPolicies that admit no ICMP. A rule of a NetworkPolicy names TCP, UDP and SCTP only. With Calico and Cilium a rule
//! without `ports` admits ICMP, too, but from its peers alone, and routers are none of them.

use std::collections::BTreeMap;

use crate::cluster::admits::{Admitted, CALICO, CILIUM, by_calico, by_cilium, by_kubernetes};
use crate::cluster::object::Object;
use crate::cluster::selector::Selector;
use netkeel_core::finding::{Code, Findings};

pub(super) fn check(objects: &[Object<'_>], findings: &mut Findings) {
    let of_kubernetes = |object: &&Object<'_>| object.is("networking.k8s.io", "NetworkPolicy");
    let mut namespaces: BTreeMap<&str, Vec<(&Object<'_>, Admitted)>> = BTreeMap::new();
    for policy in objects.iter().filter(of_kubernetes) {
        if let Some(admitted) = by_kubernetes(policy) {
            let others = namespaces.entry(&policy.namespace).or_default();
            others.push((policy, admitted));
        }
    }
    let remedy = remedy(objects);
    for (namespace, policies) in namespaces {
        let admitting = admitting(objects, namespace, &policies);
        for (policy, admitted) in policies {
            // The conditions that are understood, with the labels that Cilium and Calico add to pods.
            let selected = selector(policy)
                .unwrap_or_default()
                .with("io.kubernetes.pod.namespace", namespace)
                .with("projectcalico.org/namespace", namespace)
                .with("projectcalico.org/orchestrator", "k8s");
            // Each pod gets what any of the policies that select it admits.
            let others = admitting
                .iter()
                .filter(|(of_other, _)| of_other.covers(&selected));
            let admitted = others.fold(admitted, |admitted, (_, other)| admitted.or(*other));
            let missing = match (admitted.ipv4, admitted.ipv6) {
                (true, true) => continue,
                (false, false) => "ICMP",
                (false, true) => "ICMP for IPv4",
                (true, false) => "ICMPv6",
            };
            let message = format!(
                "with Calico and Cilium, the pods that it selects in the namespace {namespace} get no {missing} from routers: \"packet too big\" for a connection that their node does not track is dropped"
            );
            findings.add(Code::NK091, policy.shown(), message, remedy);
        }
    }
}

fn selector(policy: &Object<'_>) -> Option<Selector> {
    Selector::of_labels(policy.at(&["spec", "podSelector"]))
}

/// The pods of a namespace for which some policy admits messages.
fn admitting(
    objects: &[Object<'_>],
    namespace: &str,
    policies: &[(&Object<'_>, Admitted)],
) -> Vec<(Selector, Admitted)> {
    let of_kubernetes = policies
        .iter()
        .filter_map(|(policy, admitted)| Some((selector(policy)?, *admitted)));
    let of_calico = objects.iter().filter_map(|object| by_calico(object, namespace));
    let of_cilium = objects.iter().flat_map(|object| by_cilium(object, namespace));
    of_kubernetes.chain(of_calico).chain(of_cilium).collect()
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
