//! The parts of a Node that decide on peers. A Node is about 11 kB, of which its images are the most, and it is sent
//! with each heartbeat: only these parts are kept.

use std::collections::BTreeSet;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{NodeAddress, NodeCondition};
use kube::core::Object;
use kube::core::object::NotUsed;
use serde::{Deserialize, Serialize};

use netkeel_core::replication::cluster_peers::{ClusterPeers, NotReady};

/// A Node with no more than is needed.
pub(crate) type SlimNode = Object<NotUsed, Status>;

/// The status of a Node.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Status {
    #[serde(default)]
    addresses: Vec<NodeAddress>,
    #[serde(default)]
    conditions: Vec<NodeCondition>,
}

/// The addresses that a Node gives as its own, of the type `InternalIP`.
pub(crate) fn addresses(node: &SlimNode, wanted: &ClusterPeers, not_ready: NotReady) -> BTreeSet<IpAddr> {
    let Some(status) = &node.status else {
        return BTreeSet::new();
    };
    let ready = status
        .conditions
        .iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    if not_ready == NotReady::Drop && !ready {
        return BTreeSet::new();
    }
    let internal = status
        .addresses
        .iter()
        .filter(|address| address.type_ == "InternalIP");
    internal
        .filter_map(|address| address.address.parse().ok())
        .filter(|address| wanted.accepts(*address))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::replication::cluster_peers::{PeerFamily, PeerObjects};
    use std::collections::BTreeMap;

    fn found(ready: &str, not_ready: NotReady, families: &[PeerFamily]) -> Vec<String> {
        let text = format!(
            r#"{{"apiVersion": "v1", "kind": "Node", "metadata": {{"name": "n1"}}, "spec": {{"podCIDR": "10.1.0.0/24"}},
            "status": {{"addresses": [{{"type": "InternalIP", "address": "192.0.2.1"}},
                {{"type": "InternalIP", "address": "2001:db8::1"}}, {{"type": "Hostname", "address": "n1"}},
                {{"type": "ExternalIP", "address": "198.51.100.1"}}],
              "conditions": [{{"type": "Ready", "status": "{ready}"}}, {{"type": "DiskPressure", "status": "True"}}],
              "images": [{{"names": ["x"], "sizeBytes": 1}}]}}}}"#
        );
        let node: SlimNode = serde_json::from_str(&text).unwrap();
        let wanted = ClusterPeers {
            objects: PeerObjects::Nodes {
                selector: BTreeMap::new(),
                not_ready,
            },
            families: families.iter().copied().collect(),
        };
        let found = addresses(&node, &wanted, not_ready);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_internal_addresses_of_a_node_count() {
        let both = [PeerFamily::Ipv4, PeerFamily::Ipv6];
        assert_eq!(found("True", NotReady::Keep, &both), ["192.0.2.1", "2001:db8::1"]);
        assert_eq!(found("True", NotReady::Drop, &both[..1]), ["192.0.2.1"]);
        for not_true in ["False", "Unknown"] {
            assert_eq!(found(not_true, NotReady::Keep, &both[1..]), ["2001:db8::1"]);
            assert_eq!(found(not_true, NotReady::Drop, &both), [""; 0]);
        }
    }
}
