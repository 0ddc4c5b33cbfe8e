//! Where the packets of a path begin and where they go.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use netkeel_core::name::link::LinkName;

/// Where packets begin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Origin {
    /// This host.
    Host,
    /// A pod, or another network namespace at the other end of a veth.
    Pod {
        /// The host's end of the veth.
        link: LinkName,
        /// `NAMESPACE/NAME`, if the CNI recorded it.
        name: Option<String>,
        /// The path of its namespace, if one is visible.
        sandbox: Option<String>,
        /// The name of its interface; none if it could not be read.
        interface: Option<LinkName>,
        /// Further pods whose path has the same devices and numbers, by the host's ends of their veths.
        alike: Vec<LinkName>,
    },
}

/// Where packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(tag = "kind", content = "of", rename_all = "kebab-case")]
pub enum Destination {
    /// This address.
    Address(IpAddr),
    /// Destinations whose routes leave by this interface.
    Through(LinkName),
    /// Destinations without a more specific route.
    Default,
    /// The senders of encapsulated packets that this interface receives.
    Senders(LinkName),
}
