//! What was observed, as data that can be saved and read back. What could not be read is a
//! [`Problem`] beside it, never "absent".

mod lookup;
pub mod model;
mod pod;
mod pod_route;
pub mod problem;
mod scope;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use lookup::Observed;
pub use model::{Change, Model};
pub use pod::{Keeper, PodEnd, PodRoute, Sandbox};
pub use pod_route::RouteKey;
pub use problem::Problem;
pub use scope::{CniScope, Links, Scope};

use crate::cni::Cni;
use crate::error::{Error, ErrorKind};
use crate::link_name::LinkName;
use crate::netns::Netns;
use crate::nflog;
use crate::replication::Replicating;
use crate::sysctl_d::Files;
use crate::sysctl_key::SysctlKey;
use crate::tunnel_mode::TunnelMode;
use crate::wireguard::copy::Copied;

/// The version of the snapshot's format; a newer one is refused.
pub const FORMAT: u32 = 1;

/// The state of one network namespace of one host at one moment: what `netkeel observe` prints and
/// `netkeel plan --snapshot` reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "netkeel snapshot")]
pub struct Snapshot {
    /// The version of the format.
    #[schemars(extend("const" = FORMAT))]
    pub format: u32,
    /// The network namespace; null for the one in which netkeel was started.
    pub netns: Netns,
    /// The release of the kernel (`uname -r`).
    pub kernel: String,
    /// All interfaces, by name.
    pub links: BTreeMap<LinkName, Arc<Link>>,
    /// The address families that were read.
    pub families: Families,
    /// The sysctls that were read, by path below /proc/sys.
    pub sysctls: BTreeMap<SysctlKey, Reading>,
    /// The files that were read; null for one that does not exist.
    #[serde(default)]
    pub files: BTreeMap<PathBuf, Option<File>>,
    /// The default routes of the main table; missing if they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_routes: Option<BTreeSet<DefaultRoute>>,
    /// Measured path MTUs in bytes, by address of the remote host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub path_mtus: BTreeMap<IpAddr, u32>,
    /// The CNI configurations; missing if they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cni: Option<Cni>,
    /// The copies of WireGuard configurations that were read, by path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub wireguard: BTreeMap<PathBuf, Copied>,
    /// Whether the kernel supports a kind of tunnel, for the kinds that were checked.
    #[serde(default)]
    pub tunnels: BTreeMap<TunnelMode, Support>,
    /// The files of sysctl.d; missing if they do not apply to this namespace or were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sysctl_d: Option<SysctlD>,
    /// The rules that log packets to NFLOG groups; missing if they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nflog: Option<nflog::Observed>,
    /// The status of the replication worker; missing if the service was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication: Option<Replicating>,
    /// What could not be read.
    #[serde(default)]
    pub problems: Vec<Problem>,
}

/// What is applied at boot and, by udev, to interfaces that appear later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SysctlD {
    /// The files.
    #[serde(flatten)]
    pub files: Files,
    /// udev applies them to each interface that appears (99-systemd.rules).
    pub udev: bool,
}

/// Which addresses were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Families {
    /// IPv4 addresses.
    pub ipv4: bool,
    /// IPv6 addresses.
    pub ipv6: bool,
}

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Link {
    /// Its index; 0 for one that the model made and the kernel has not.
    pub index: u32,
    /// The rtnetlink kind (`veth`); none for hardware.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Arc<str>>,
    /// The driver by ethtool's word; read only where a selector asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<Arc<str>>,
    /// A tunnel in collect-metadata mode (`ip link add ... external`).
    #[serde(skip_serializing_if = "is_false")]
    pub external: bool,
    /// Bytes.
    pub mtu: u32,
    /// Smallest MTU of the device, bytes (IFLA_MIN_MTU); 0 when the kernel sets none.
    pub min_mtu: u32,
    /// Largest MTU of the device, bytes (IFLA_MAX_MTU); 0 when the kernel sets none.
    pub max_mtu: u32,
    /// Administratively up (IFF_UP).
    pub up: bool,
    /// Packets.
    pub txqueuelen: u32,
    /// The alias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<Arc<str>>,
    /// `net.ipv4.conf.LINK.rp_filter`; none where IPv4 is not on the device (MTU below 68).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rp_filter: Option<i32>,
    /// `net.ipv4.conf.LINK.forwarding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarding: Option<i32>,
    /// `net.ipv6.conf.LINK.forwarding`; none where IPv6 is not on the device (MTU below 1280).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarding6: Option<i32>,
    /// `net.ipv6.conf.LINK.disable_ipv6`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_ipv6: Option<i32>,
    /// Index of the device below it in the same namespace (IFLA_LINK).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower: Option<u32>,
    /// The namespace id of a peer in another namespace (IFLA_LINK_NETNSID).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_netns: Option<i32>,
    /// The other end of a veth, in another namespace; read only where it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Box<PodEnd>>,
    /// Index of the bridge or bond it is a port of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master: Option<u32>,
    /// Addresses with prefix length, of the families that were read.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "BTreeSet<String>")]
    pub addresses: BTreeSet<IpNet>,
    /// The IPv4 addresses among them that go when the first of their subnet goes
    /// (IFA_F_SECONDARY).
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "BTreeSet<String>")]
    pub secondary: BTreeSet<IpNet>,
}

/// Where a default route leads out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct DefaultRoute {
    /// The interface.
    pub link: LinkName,
    /// The route's own MTU, bytes (RTAX_MTU), where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}

/// What reading a sysctl gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Sysctl")]
#[serde(untagged)]
pub enum Reading {
    /// Its value, blanks and tabs folded to single blanks.
    Value {
        /// The value.
        value: Arc<str>,
        /// It may be written in this namespace.
        writable: bool,
    },
    /// There is no such key: the interface is not there, or the kernel does not know it.
    Absent,
}

impl Reading {
    /// The number; none when there is no such key or it is not a number.
    pub fn number(&self) -> Option<i64> {
        match self {
            Reading::Value { value, .. } => value.parse().ok(),
            Reading::Absent => None,
        }
    }
}

/// A file that was asked for and exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct File {
    /// Its text.
    pub content: Arc<str>,
    /// Permission bits.
    pub mode: u32,
}

/// Whether the kernel can make a kind of tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Support {
    /// It has the module.
    Yes,
    /// It has not; which one is missing.
    Missing {
        /// The module's name.
        module: String,
    },
    /// It cannot be told from here (no /lib/modules): making one will tell.
    Unknown,
}

impl Snapshot {
    /// A snapshot of nothing.
    pub fn empty(netns: Netns) -> Self {
        Snapshot {
            format: FORMAT,
            netns,
            kernel: String::new(),
            links: BTreeMap::new(),
            families: Families::default(),
            sysctls: BTreeMap::new(),
            files: BTreeMap::new(),
            default_routes: None,
            path_mtus: BTreeMap::new(),
            cni: None,
            wireguard: BTreeMap::new(),
            tunnels: BTreeMap::new(),
            sysctl_d: None,
            nflog: None,
            replication: None,
            problems: Vec::new(),
        }
    }

    /// Reads a saved snapshot.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when the text is not a snapshot or is of a newer format.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Header {
            format: u32,
        }
        let wrong = |error: serde_json::Error| {
            Error::new(ErrorKind::Input, format!("this is not a snapshot: {error}"))
                .hint("make one with `netkeel observe`")
        };
        let header: Header = serde_json::from_str(text).map_err(wrong)?;
        if header.format > FORMAT {
            return Err(Error::new(
                ErrorKind::Input,
                format!(
                    "the snapshot has format {}; this netkeel reads up to {FORMAT}",
                    header.format
                ),
            )
            .hint("use the netkeel that wrote it, or a newer one"));
        }
        serde_json::from_str(text).map_err(wrong)
    }

    /// The interface with a name.
    pub fn link(&self, name: LinkName) -> Option<&Link> {
        self.links.get(&name).map(Arc::as_ref)
    }

    /// The same, to change what is known of it.
    pub fn link_mut(&mut self, name: LinkName) -> Option<&mut Link> {
        self.links.get_mut(&name).map(Arc::make_mut)
    }

    /// The interface with an index.
    pub fn by_index(&self, index: u32) -> Option<(LinkName, &Link)> {
        let mut links = self.links.iter().map(|(name, link)| (*name, link.as_ref()));
        links.find(|(_, link)| link.index == index)
    }
}

impl Link {
    /// The kind as one word: `physical` where rtnetlink has none.
    pub fn kind_name(&self) -> &str {
        self.kind.as_deref().unwrap_or("physical")
    }

    /// Why the device cannot have an MTU, by what it says of its limits (IFLA_MIN_MTU, IFLA_MAX_MTU;
    /// 0 is no limit).
    pub fn refuses_mtu(&self, name: LinkName, mtu: i64) -> Option<String> {
        let kind = self.kind_name();
        if mtu < self.min_mtu.into() {
            let least = self.min_mtu;
            return Some(format!(
                "an MTU of {mtu} is below the least that {name} ({kind}) takes, {least}"
            ));
        }
        if self.max_mtu != 0 && mtu > self.max_mtu.into() {
            let most = self.max_mtu;
            return Some(format!(
                "an MTU of {mtu} is above the most that {name} ({kind}) takes, {most}"
            ));
        }
        None
    }

    /// Bears an IPv4 address.
    pub fn has_ipv4(&self) -> bool {
        self.addresses
            .iter()
            .any(|address| matches!(address, IpNet::V4(_)))
    }

    /// The IPv6 addresses that somebody gave it: link-local ones come back by themselves.
    pub fn lasting_ipv6(&self) -> impl Iterator<Item = &IpNet> {
        self.addresses
            .iter()
            .filter(|address| matches!(address, IpNet::V6(net) if !net.addr().is_unicast_link_local()))
    }
}

/// For serde: leave out what is false.
fn is_false(value: &bool) -> bool {
    !value
}
