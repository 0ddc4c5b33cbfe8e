//! The tunnels that netkeel makes. Both work in collect-metadata mode: each packet brings its outer
//! header; the device has no header of its own.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TunnelKind {
    /// IPv4 in IPv4 (protocol 4), module `ipip`.
    Ipip,
    /// IPv6 or IPv4 in IPv6 (protocols 41 and 4), module `ip6_tunnel`.
    Ip6tnl,
}

impl TunnelKind {
    /// All modes.
    pub const ALL: &[TunnelKind] = &[TunnelKind::Ipip, TunnelKind::Ip6tnl];

    /// The rtnetlink kind, which is also the document's word.
    pub fn kind(self) -> &'static str {
        match self {
            TunnelKind::Ipip => "ipip",
            TunnelKind::Ip6tnl => "ip6tnl",
        }
    }

    /// The kind for a document's word.
    pub fn from_word(word: &str) -> Option<Self> {
        TunnelKind::ALL.iter().copied().find(|mode| mode.kind() == word)
    }

    /// The kernel module that makes it.
    pub fn module(self) -> &'static str {
        match self {
            TunnelKind::Ipip => "ipip",
            TunnelKind::Ip6tnl => "ip6_tunnel",
        }
    }

    /// The kernel configuration option that builds the module.
    pub fn config(self) -> &'static str {
        match self {
            TunnelKind::Ipip => "CONFIG_NET_IPIP",
            TunnelKind::Ip6tnl => "CONFIG_IPV6_TUNNEL",
        }
    }

    /// MTU of a new device in bytes: 1500 less the outer header, and for ip6tnl less the
    /// 8 bytes of the tunnel encapsulation limit (net/ipv4/ip_tunnel.c, net/ipv6/ip6_tunnel.c).
    pub fn default_mtu(self) -> u32 {
        match self {
            TunnelKind::Ipip => 1480,
            TunnelKind::Ip6tnl => 1452,
        }
    }

    /// The device that the module makes by itself in each namespace. netkeel never manages it.
    pub fn fallback_device(self) -> &'static str {
        match self {
            TunnelKind::Ipip => "tunl0",
            TunnelKind::Ip6tnl => "ip6tnl0",
        }
    }
}

impl fmt::Display for TunnelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}
