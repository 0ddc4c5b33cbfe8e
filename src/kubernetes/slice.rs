//! The addresses of an EndpointSlice.

use std::collections::BTreeSet;
use std::net::IpAddr;

use k8s_openapi::api::discovery::v1::EndpointSlice;

use netkeel_core::replication::cluster_peers::ClusterPeers;

/// The addresses of all endpoints. One that is not ready counts too: its agent starts, and its node has pods already.
pub(crate) fn addresses(slice: &EndpointSlice, wanted: &ClusterPeers) -> BTreeSet<IpAddr> {
    let texts = slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
    texts
        .filter_map(|text| text.parse().ok())
        .filter(|address| wanted.accepts(*address))
        .collect()
}
