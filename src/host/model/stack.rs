//! Upper and lower devices, and how a change of a lower device affects the upper ones.

use std::collections::BTreeMap;

use crate::snapshot::Snapshot;
use crate::snapshot::link::Link;
use netkeel_core::name::link::LinkName;

/// Kinds that shrink with their lower device (`vlan_device_event`, `macvlan_device_event`). ipvlan
/// also grows with it (`ipvlan_adjust_mtu`).
const FOLLOW_DOWN: &[&str] = &["vlan", "macvlan", "macvtap"];

/// A kind that shrinks with its lower device too, to that device's MTU without its own headers: a tag with SCI of 16
/// bytes, and an ICV of 16 unless another was set (`macsec_notify`, drivers/net/macsec.c).
const MACSEC: &str = "macsec";

const MACSEC_HEADERS: u32 = 32;

const FOLLOW_BOTH: &[&str] = &["ipvlan", "ipvtap"];

/// Kinds that are deleted with their lower device but keep their MTU when its MTU changes.
const DELETED_WITH_LOWER: &[&str] = &["vxlan"];

/// Kinds that give their ports their own MTU (`bond_change_mtu`, `team_change_mtu`). The physical one
/// is hv_netvsc, the master of the interface that serves it (`netvsc_change_mtu`).
const SET_THEIR_PORTS: &[&str] = &["bond", "team", "physical"];

/// MTU of a bridge without ports in bytes: ETH_DATA_LEN (`br_mtu_min`, net/bridge/br_if.c).
const BRIDGE_MTU: u32 = 1500;

/// Upper devices, by the index of their lower device.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    uppers: BTreeMap<u32, Vec<LinkName>>,
    /// The ports that get the MTU of their master, by its index.
    ports: BTreeMap<u32, Vec<LinkName>>,
    /// The bridges, by index.
    bridges: BTreeMap<u32, Bridge>,
}

#[derive(Clone, Debug)]
pub(crate) struct Bridge {
    name: LinkName,
    /// The number of ports for each MTU.
    ports: BTreeMap<u32, usize>,
    /// The MTU was set explicitly, so it does not follow the ports (BROPT_MTU_SET_BY_USER).
    pinned: bool,
}

impl Bridge {
    fn least(&self) -> u32 {
        self.ports.keys().next().copied().unwrap_or(BRIDGE_MTU)
    }

    /// The bridge's new MTU after its ports have changed, if it changes.
    fn follow(&self) -> Option<(LinkName, u32)> {
        (!self.pinned).then(|| (self.name, self.least()))
    }
}

impl Stack {
    pub(crate) fn new(host: &Snapshot) -> Self {
        let mut stack = Stack::default();
        for (name, link) in &host.links {
            let kind = link.kind_name();
            let stands = [FOLLOW_DOWN, FOLLOW_BOTH, DELETED_WITH_LOWER, &[MACSEC]]
                .iter()
                .any(|kinds| kinds.contains(&kind));
            if let (true, Some(lower), None) = (stands, link.lower, link.peer_netns) {
                stack.uppers.entry(lower).or_default().push(*name);
            }
            if kind == "bridge" {
                let bridge = Bridge {
                    name: *name,
                    ports: BTreeMap::new(),
                    pinned: false,
                };
                stack.bridges.insert(link.index, bridge);
            }
        }
        for (name, link) in &host.links {
            let Some(index) = link.master else { continue };
            if let Some(bridge) = stack.bridges.get_mut(&index) {
                *bridge.ports.entry(link.mtu).or_default() += 1;
            }
            let master = host.by_index(index);
            if master.is_some_and(|(_, master)| SET_THEIR_PORTS.contains(&master.kind_name())) {
                stack.ports.entry(index).or_default().push(*name);
            }
        }
        // The kernel does not expose BROPT_MTU_SET_BY_USER. An MTU that differs from the ports' was
        // set explicitly; an equal one is assumed to follow.
        for bridge in stack.bridges.values_mut() {
            bridge.pinned = host.links.get(&bridge.name).map(|link| link.mtu) != Some(bridge.least());
        }
        stack
    }

    /// Whether the link has upper devices, is a bridge, or sets the MTU of its ports.
    pub(crate) fn carries(&self, link: &Link) -> bool {
        self.bridges.contains_key(&link.index)
            || self.ports.contains_key(&link.index)
            || self
                .uppers
                .get(&link.index)
                .is_some_and(|uppers| !uppers.is_empty())
    }

    /// The devices that are deleted with this one.
    pub fn goes_with(&self, name: LinkName, host: &Snapshot) -> Vec<LinkName> {
        let Some(link) = host.links.get(&name) else {
            return Vec::new();
        };
        let mut going = self.uppers.get(&link.index).cloned().unwrap_or_default();
        if let ("veth", Some(peer), None) = (link.kind_name(), link.lower, link.peer_netns)
            && let Some((peer, _)) = host.by_index(peer)
        {
            going.push(peer);
        }
        going
    }

    /// Removes a device; returns its bridge and the bridge's new MTU, if that changes.
    pub fn forget(&mut self, name: LinkName, host: &Snapshot) -> Option<(LinkName, u32)> {
        let link = host.links.get(&name)?;
        self.uppers.remove(&link.index);
        self.ports.remove(&link.index);
        self.bridges.remove(&link.index);
        if let Some(uppers) = link.lower.and_then(|lower| self.uppers.get_mut(&lower)) {
            uppers.retain(|upper| *upper != name);
        }
        if let Some(ports) = link.master.and_then(|master| self.ports.get_mut(&master)) {
            ports.retain(|port| *port != name);
        }
        let bridge = self.bridges.get_mut(&link.master?)?;
        take(&mut bridge.ports, link.mtu);
        bridge.follow()
    }

    /// Records an explicit MTU: a bridge stops following its ports, unless the MTU is the same as
    /// before (`dev_set_mtu`).
    pub(crate) fn mtu_was_set(&mut self, name: LinkName, mtu: u32, host: &Snapshot) {
        if self.bridges.is_empty() {
            return;
        }
        let Some(link) = host.links.get(&name) else { return };
        if let Some(bridge) = self.bridges.get_mut(&link.index) {
            bridge.pinned |= link.mtu != mtu;
        }
    }

    /// The MTU changes that follow from one: upper devices and ports with their new MTUs.
    pub(crate) fn mtu_changed(
        &mut self,
        name: LinkName,
        from: u32,
        to: u32,
        host: &Snapshot,
    ) -> Vec<(LinkName, u32)> {
        if self.uppers.is_empty() && self.bridges.is_empty() && self.ports.is_empty() {
            return Vec::new();
        }
        let Some(link) = host.links.get(&name) else {
            return Vec::new();
        };
        let mut follow: Vec<(LinkName, u32)> = self.ports(link).map(|port| (port, to)).collect();
        for (upper, above) in self.above(link, host) {
            let kind = above.kind_name();
            let down = FOLLOW_DOWN.contains(&kind) && above.mtu > to;
            if down || FOLLOW_BOTH.contains(&kind) {
                follow.push((upper, to));
            }
            let without_headers = to.saturating_sub(MACSEC_HEADERS);
            if kind == MACSEC && above.mtu > without_headers {
                follow.push((upper, without_headers));
            }
        }
        if let Some(bridge) = link.master.and_then(|master| self.bridges.get_mut(&master)) {
            take(&mut bridge.ports, from);
            *bridge.ports.entry(to).or_default() += 1;
            follow.extend(bridge.follow());
        }
        follow
    }

    /// The bridges, each with whether it ignores its ports' MTUs.
    pub fn pinned(&self) -> BTreeMap<u32, bool> {
        let pinned = self.bridges.iter();
        pinned.map(|(index, bridge)| (*index, bridge.pinned)).collect()
    }

    /// Restores the result of [`Self::pinned`].
    pub fn pin(&mut self, pinned: &BTreeMap<u32, bool>) {
        for (index, bridge) in &mut self.bridges {
            bridge.pinned = pinned.get(index).copied().unwrap_or(bridge.pinned);
        }
    }

    /// Records a port's new MTU without side effects.
    pub(crate) fn port_changed(&mut self, master: Option<u32>, from: u32, to: u32) {
        if let Some(bridge) = master.and_then(|master| self.bridges.get_mut(&master)) {
            take(&mut bridge.ports, from);
            *bridge.ports.entry(to).or_default() += 1;
        }
    }

    /// The VLANs of a device. One with loose binding does not go down with the device, but a
    /// snapshot does not show the binding.
    pub(crate) fn vlans(&self, name: LinkName, host: &Snapshot) -> Vec<LinkName> {
        let Some(link) = host.links.get(&name) else {
            return Vec::new();
        };
        self.above(link, host)
            .filter(|(_, above)| above.kind_name() == "vlan")
            .map(|(name, _)| name)
            .collect()
    }

    /// The ports that get the MTU of this device.
    pub(crate) fn ports(&self, link: &Link) -> impl Iterator<Item = LinkName> {
        self.ports.get(&link.index).into_iter().flatten().copied()
    }

    fn above<'a>(&'a self, link: &Link, host: &'a Snapshot) -> impl Iterator<Item = (LinkName, &'a Link)> {
        let names = self.uppers.get(&link.index).into_iter().flatten();
        names.filter_map(|name| Some((*name, host.link(*name)?)))
    }
}

fn take(ports: &mut BTreeMap<u32, usize>, mtu: u32) {
    if let Some(count) = ports.get_mut(&mtu) {
        *count -= 1;
        if *count == 0 {
            ports.remove(&mtu);
        }
    }
}
