//! Pods: their namespaces, veth ends and routes.

pub mod apart;
mod cgroup;
pub mod ends;
pub mod name;
pub(crate) mod pod_routes;
pub(crate) mod sandbox;
