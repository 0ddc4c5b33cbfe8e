//! A default route.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use netkeel_core::name::link::LinkName;

/// Where a default route leads out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct DefaultRoute {
    /// The interface.
    pub link: LinkName,
    /// The route's own MTU, bytes (RTAX_MTU), where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}
