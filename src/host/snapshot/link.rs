//! A network interface as the kernel reports it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::snapshot::forwarding::Family;
use crate::snapshot::pod::PodEnd;
use crate::snapshot::route::{Route, RouteMtu};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::mac::Mac;
use netkeel_core::name::route::RouteKey;
use netkeel_core::value::DeviceKind;

/// Address families that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Families {
    /// IPv4 addresses.
    pub ipv4: bool,
    /// IPv6 addresses.
    pub ipv6: bool,
}

/// The way to the endpoint of a WireGuard peer. The address of the peer is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct PeerRoute {
    /// The interface by which packets to the peer leave.
    pub link: LinkName,
    /// The route's own MTU in bytes, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The endpoint has an IPv6 address.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ipv6: bool,
}

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Link {
    /// Its index; 0 for one that exists only in the model.
    pub index: u32,
    /// The rtnetlink kind (`veth`); none for hardware.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Arc<str>>,
    /// The driver as ethtool reports it; read only if a selector needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<Arc<str>>,
    /// The Ethernet address (IFLA_ADDRESS); read only if a selector needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// The Ethernet address that the hardware was made with (IFLA_PERM_ADDRESS); read with `mac`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permanent_mac: Option<Mac>,
    /// The place of the hardware on its bus, as ethtool reports it (`0000:03:00.0`); read with `driver`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bus: Option<Arc<str>>,
    /// The number of a VLAN (IFLA_VLAN_ID).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// A tunnel in collect-metadata mode (`ip link add ... external`).
    #[serde(skip_serializing_if = "is_false")]
    pub external: bool,
    /// The IP version of the ends of a vxlan or geneve device; none where it has none, and in a snapshot of an
    /// older netkeel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outer: Option<Family>,
    /// The bytes of the options that a GRE device puts into each header: key, sequence number, checksum, and the header of
    /// ERSPAN. None for other kinds, and in a snapshot of an older netkeel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gre_options: Option<u32>,
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
    /// Its own IPv6 MTU, bytes, while the interface is read, where it differs from the device's MTU. A
    /// snapshot holds it as the sysctl `net.ipv6.conf.LINK.mtu`.
    #[serde(skip)]
    pub mtu6: Option<u32>,
    /// Further names (IFLA_ALT_IFNAME).
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "BTreeSet<String>")]
    pub altnames: BTreeSet<Arc<str>>,
    /// Index of the device below it in the same namespace (IFLA_LINK).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower: Option<u32>,
    /// The namespace id of a peer in another namespace (IFLA_LINK_NETNSID).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_netns: Option<i32>,
    /// It is a veth or netkit device by which this namespace itself reaches the network, as the NIC of a container: it
    /// leads into no pod.
    #[serde(skip_serializing_if = "is_false")]
    pub uplink: bool,
    /// The other end of a veth, in another namespace; read only on request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Box<PodEnd>>,
    /// Index of the bridge or bond it is a port of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master: Option<u32>,
    /// The routes to the endpoints of a WireGuard device's peers, or to the other end of a tunnel that is bound to no
    /// device; none where they were not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_routes: Option<BTreeSet<PeerRoute>>,
    /// Addresses with prefix length, of the families that were read.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "BTreeSet<String>")]
    pub addresses: BTreeSet<IpNet>,
    /// The IPv4 addresses that the kernel deletes with the first address of their subnet
    /// (IFA_F_SECONDARY).
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "BTreeSet<String>")]
    pub secondary: BTreeSet<IpNet>,
    /// The routes over it, as far as routes were read. A route with several next hops is with the
    /// interface of the first.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub routes: BTreeMap<RouteKey, Route>,
    /// The MTUs of routes over it that have one of their own, the largest of all tables, as far as they were read.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub route_mtus: BTreeSet<RouteMtu>,
}

impl Link {
    /// The kind, as the value of a fact.
    pub fn device_kind(&self) -> DeviceKind {
        DeviceKind {
            kind: self.kind.clone().unwrap_or_else(|| self.kind_name().into()),
            external: self.external,
        }
    }

    /// The kind as one word: `physical` where rtnetlink reports no kind.
    pub fn kind_name(&self) -> &str {
        self.kind.as_deref().unwrap_or("physical")
    }

    /// Why the device cannot have an MTU, by its own limits (IFLA_MIN_MTU, IFLA_MAX_MTU; 0 means no
    /// limit).
    pub fn refuses_mtu(&self, name: LinkName, mtu: i64) -> Option<String> {
        let kind = self.kind_name();
        if mtu < self.min_mtu.into() {
            let least = self.min_mtu;
            return Some(format!(
                "MTU {mtu} is below the minimum of {name} ({kind}), {least}"
            ));
        }
        if self.max_mtu != 0 && mtu > self.max_mtu.into() {
            let most = self.max_mtu;
            return Some(format!(
                "MTU {mtu} is above the maximum of {name} ({kind}), {most}"
            ));
        }
        None
    }

    /// Whether it is a bridge or a bond, which takes what arrives on its ports: IP does not see it there. A VRF is none.
    pub fn takes_from_ports(&self) -> bool {
        matches!(self.kind_name(), "bridge" | "bond" | "team")
    }

    /// Whether it carries packets inside its own, which a route or a device below it sends on.
    pub fn is_tunnel(&self) -> bool {
        matches!(
            self.kind_name(),
            "vxlan"
                | "geneve"
                | "wireguard"
                | "ipip"
                | "sit"
                | "ip6tnl"
                | "gre"
                | "gretap"
                | "ip6gre"
                | "ip6gretap"
                | "erspan"
                | "ip6erspan"
                | "vti"
                | "vti6"
        )
    }

    /// Whether it is a veth or netkit device whose other end is in another namespace.
    pub fn leads_elsewhere(&self) -> bool {
        comes_in_pairs(self.kind_name()) && self.peer_netns.is_some()
    }

    /// The same, where the other end is that of a pod.
    pub fn leads_into_a_pod(&self) -> bool {
        self.leads_elsewhere() && !self.uplink
    }

    /// Whether netkeel keeps the MTU of the other end in another namespace. That of a NIC of this namespace, in a namespace
    /// that no file or process shows, is another host's affair.
    pub fn has_pod_end(&self) -> bool {
        let is_shown = || self.pod.as_ref().is_some_and(|pod| pod.sandbox.is_some());
        self.leads_elsewhere() && (!self.uplink || is_shown())
    }

    /// Whether this namespace reaches the network by it, where its other end is in another namespace: a default route
    /// leads by it, or it has an address in a subnet, in a namespace without hardware, and no file or process shows the
    /// other namespace (`is_hidden`). The host's end of a pod's veth has no address, or one for itself.
    pub fn is_own_nic(&self, has_default: bool, is_hidden: bool, has_hardware: bool) -> bool {
        let in_subnet = |address: &IpNet| {
            let link_local = matches!(address, IpNet::V6(net) if net.addr().is_unicast_link_local());
            !link_local && address.prefix_len() < address.max_prefix_len()
        };
        let has_subnet = || self.addresses.iter().any(in_subnet);
        self.leads_elsewhere()
            && self.master.is_none()
            && (has_default || (is_hidden && !has_hardware && has_subnet()))
    }

    /// Whether it is hardware, or a device that the kernel shows as such.
    pub fn is_hardware(&self, name: LinkName) -> bool {
        self.kind.is_none() && name.as_bytes() != b"lo"
    }

    /// Whether it has an IPv4 address.
    pub fn has_ipv4(&self) -> bool {
        self.addresses
            .iter()
            .any(|address| matches!(address, IpNet::V4(_)))
    }

    /// Whether it has an IPv6 address, also a link-local one.
    pub fn has_ipv6(&self) -> bool {
        self.addresses
            .iter()
            .any(|address| matches!(address, IpNet::V6(_)))
    }

    /// The IPv6 addresses that are not link-local. The kernel adds link-local ones again by itself.
    pub fn lasting_ipv6(&self) -> impl Iterator<Item = &IpNet> {
        self.addresses
            .iter()
            .filter(|address| matches!(address, IpNet::V6(net) if !net.addr().is_unicast_link_local()))
    }
}

/// Whether devices of a kind are made two at once. Each names the other as its lower device.
pub fn comes_in_pairs(kind: &str) -> bool {
    matches!(kind, "veth" | "netkit")
}

/// The interface that a name means, as [`crate::snapshot::Snapshot::resolve`] says.
pub fn resolve(links: &BTreeMap<LinkName, Arc<Link>>, name: LinkName) -> LinkName {
    match links.contains_key(&name) {
        true => name,
        false => by_other_name(links, &name.as_text()).unwrap_or(name),
    }
}

/// The interface with a further name, else the only one with an alias. Such a name can be longer than that
/// of an interface.
pub fn by_other_name(links: &BTreeMap<LinkName, Arc<Link>>, text: &str) -> Option<LinkName> {
    let means = |known: &dyn Fn(&Link) -> bool| {
        let mut found = links
            .iter()
            .filter(|(_, link)| known(link))
            .map(|(name, _)| *name);
        found.next().filter(|_| found.next().is_none())
    };
    means(&|link| link.altnames.iter().any(|other| **other == *text))
        .or_else(|| means(&|link| link.alias.as_deref() == Some(text)))
}

/// For serde: omit false.
fn is_false(value: &bool) -> bool {
    !value
}
