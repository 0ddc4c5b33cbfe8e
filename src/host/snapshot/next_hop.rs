//! Where the host's routes lead out.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use netkeel_core::name::link::LinkName;

/// A next hop of routes of any table: a router on a link, or a default route without a router.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct NextHop {
    /// The interface.
    pub link: LinkName,
    /// The router; none where the default route leads to the link itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router: Option<IpAddr>,
    /// The routes are of IPv6.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ipv6: bool,
    /// A default route has it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
    /// The table of the default route; that of other routes is not kept.
    #[serde(default = "main_table", skip_serializing_if = "is_main")]
    pub table: u32,
    /// The metric of the default route; the kernel prefers the smallest of a table.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub metric: u32,
    /// The program that set the routes, other than default routes (`rtm_protocol`); missing in a snapshot of an older
    /// netkeel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u8>,
}

/// `RT_TABLE_MAIN` (include/uapi/linux/rtnetlink.h).
pub const MAIN_TABLE: u32 = 254;

fn main_table() -> u32 {
    MAIN_TABLE
}

fn is_main(table: &u32) -> bool {
    *table == MAIN_TABLE
}

fn is_zero(metric: &u32) -> bool {
    *metric == 0
}
