//! Finds the pods whose MTU differs from a policy's and cannot be corrected while they run.

use std::collections::{BTreeMap, BTreeSet};

use crate::pass::{PassRunner, first};
use netkeel_core::fact::{Fact, Field, Value};
use netkeel_core::name::link::LinkName;
use netkeel_diagnose::new_pod;
use netkeel_document::document::Document;
use netkeel_document::policy::Policy;
use netkeel_document::want::wants::Wants;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::lookup::Lookup;

/// A veth into such a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StaleVeth {
    /// The host's end.
    pub(crate) link: LinkName,
    /// The file of the pod's namespace; `None` if none is known.
    pub(crate) sandbox: Option<String>,
    /// Why a new pod would be stale as well, or why nobody knows.
    pub(crate) fault: Option<String>,
}

impl PassRunner {
    /// The veths whose pod's end differs from what a policy wants, and that netkeel does not write: pods that another
    /// program keeps, and facts that are suspended.
    pub(crate) fn stale_veths(
        &self,
        document: &Document,
        policy: &Policy,
        suspended: &BTreeSet<Fact>,
        kernel: &mut dyn Kernel,
    ) -> Result<Vec<StaleVeth>, String> {
        let alone = policy.alone(&document.netns, &document.owner);
        let alone = alone.ok_or("this netkeel cannot read the document of the policy")?;
        let mut scope = alone.scope();
        if !scope.pods {
            return Ok(Vec::new());
        }
        scope.cni.directory = true;
        let host = kernel.snapshot(&scope).map_err(|error| error.message)?;
        let of_policy = stale(&host, &settled(&alone, &host)?, suspended);
        if of_policy.is_empty() {
            return Ok(Vec::new());
        }
        // The node's files may say of a veth what the policy does not.
        scope.extend(document.scope());
        let host = kernel.snapshot(&scope).map_err(|error| error.message)?;
        let of_node = stale(&host, &settled(document, &host)?, suspended);
        Ok(veths(&host, &of_policy, &of_node))
    }
}

/// What a document wants of a host, if all of it is known.
fn settled(document: &Document, host: &Snapshot) -> Result<Wants, String> {
    let wants = document.wants(host);
    match wants.diagnostics.is_empty() {
        true => Ok(wants),
        false => Err(first(&wants.diagnostics)),
    }
}

/// The veths that are stale by the policy and by the whole document of the node, with one MTU.
fn veths(
    host: &Snapshot,
    of_policy: &BTreeMap<LinkName, i64>,
    of_node: &BTreeMap<LinkName, i64>,
) -> Vec<StaleVeth> {
    let both = of_policy
        .iter()
        .filter(|(name, mtu)| of_node.get(*name) == Some(*mtu));
    both.filter_map(|(name, mtu)| {
        let end = host.links.get(name)?.pod.as_ref()?;
        let sandbox = end.sandbox.as_ref();
        Some(StaleVeth {
            link: *name,
            sandbox: sandbox.map(|sandbox| sandbox.path.display().to_string()),
            fault: new_pod::fault(host, *mtu),
        })
    })
    .collect()
}

/// The stale veths, each with the MTU that its pod should have.
fn stale(host: &Snapshot, wants: &Wants, suspended: &BTreeSet<Fact>) -> BTreeMap<LinkName, i64> {
    let mut found = BTreeMap::new();
    for (name, link) in &host.links {
        // Of a pod that exceeds a limit not all is known.
        let Some(end) = link.pod.as_ref().filter(|end| end.excess.is_none()) else {
            continue;
        };
        let wanted = match wants.left_alone.get(name) {
            // A route alone is no reason: a new pod may get it as well.
            Some(left) => Some(left.pod_mtu).filter(|mtu| *mtu != i64::from(end.mtu)),
            None => {
                let fact = Fact::link(&host.netns, *name, Field::PodMtu);
                let want = wants.facts.get(&fact).filter(|_| suspended.contains(&fact));
                let is = host.get(&fact);
                let want = want.filter(|want| matches!(&is, Lookup::Value(is) if *is != want.value));
                want.and_then(|want| match want.value {
                    Value::Number(mtu) => Some(mtu),
                    _ => None,
                })
            }
        };
        found.extend(wanted.map(|mtu| (*name, mtu)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::name::netns::Netns;
    use netkeel_document::want::request::SkippedPod;

    /// The stale veths of a host with one pod's end, whose policy wants 1440.
    fn found(end: &str) -> BTreeMap<LinkName, i64> {
        let name: LinkName = "cali1".parse().unwrap();
        let mut host = Snapshot::empty(Netns::CURRENT);
        let link = r#"{"index": 1, "mtu": 1440}"#;
        host.links
            .insert(name, std::sync::Arc::new(serde_json::from_str(link).unwrap()));
        let link = host.link_mut(name).unwrap();
        link.pod = Some(Box::new(serde_json::from_str(end).unwrap()));
        let mut wants = Wants::default();
        let left = SkippedPod {
            pod_mtu: 1440,
            withheld: None,
        };
        wants.left_alone.insert(name, left);
        stale(&host, &wants, &BTreeSet::new())
    }

    #[test]
    fn a_pod_is_stale_only_by_the_mtu_of_its_device_and_if_all_of_it_is_known() {
        let stale = found(r#"{"index":2,"name":"eth0","mtu":1500,"kept_by":"gvisor"}"#);
        assert_eq!(stale.into_values().collect::<Vec<_>>(), [1440]);
        // Only a route differs, or a limit is exceeded.
        assert!(found(r#"{"index":2,"name":"eth0","mtu":1440,"kept_by":"gvisor"}"#).is_empty());
        assert!(found(r#"{"index":2,"name":"eth0","mtu":1500,"excess":"routes"}"#).is_empty());
    }

    #[test]
    fn a_pod_for_which_the_files_say_something_else_is_not_stale() {
        let name: LinkName = "cali1".parse().unwrap();
        let mut host = Snapshot::empty(Netns::CURRENT);
        let link = r#"{"index": 1, "mtu": 1440}"#;
        host.links
            .insert(name, std::sync::Arc::new(serde_json::from_str(link).unwrap()));
        let end = r#"{"index":2,"name":"eth0","mtu":1500,"kept_by":"gvisor"}"#;
        host.link_mut(name).unwrap().pod = Some(Box::new(serde_json::from_str(end).unwrap()));
        let of = |mtu: i64| BTreeMap::from([(name, mtu)]);
        assert_eq!(veths(&host, &of(1440), &of(1440)).len(), 1);
        assert!(veths(&host, &of(1440), &of(1500)).is_empty());
        assert!(veths(&host, &of(1440), &BTreeMap::new()).is_empty());
    }
}
