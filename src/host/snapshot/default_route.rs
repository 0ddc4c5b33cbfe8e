//! A default route.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::snapshot::forwarding::Family;
use netkeel_core::name::link::LinkName;

/// Where a default route leads out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct DefaultRoute {
    /// The interface.
    pub link: LinkName,
    /// The route's own MTU, bytes (RTAX_MTU), where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The metric: the kernel prefers the smallest. Missing in a snapshot of an older netkeel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
    /// The address family. Missing in a snapshot of an older netkeel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
}

impl DefaultRoute {
    /// A route by an interface, of which nothing else is known.
    pub fn by(link: LinkName) -> Self {
        DefaultRoute {
            link,
            mtu: None,
            metric: None,
            family: None,
        }
    }
}
