//! Facts that could not be read. The names defined here also serve to find the problem of a fact.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use netkeel_core::name::link::LinkName;

/// Something that could not be read: one fact or a whole class of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// The name of what could not be read.
    pub what: String,
    /// Why it could not be read.
    pub why: String,
}

/// The IPv4 addresses of all interfaces.
pub const IPV4_ADDRESSES: &str = "the IPv4 addresses";

/// The IPv6 addresses of all interfaces.
pub const IPV6_ADDRESSES: &str = "the IPv6 addresses";

/// All rules that send packets to NFLOG groups.
pub const NFLOG: &str = "the rules of NFLOG groups";

/// A CNI configuration.
pub fn configuration(file: &Path) -> String {
    format!("the CNI configuration {}", file.display())
}

/// The other end of a veth.
pub fn pod_end(name: LinkName) -> String {
    format!("the pod's end of {name}")
}
