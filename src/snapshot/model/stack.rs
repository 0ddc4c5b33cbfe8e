//! Which devices stand on which, and what an MTU change below does to those above.

use std::collections::BTreeMap;

use crate::link_name::LinkName;
use crate::snapshot::Snapshot;

/// Kinds that the kernel drags down when the device below them shrinks
/// (`vlan_device_event`, `macvlan_device_event`); ipvlan follows up too (`ipvlan_adjust_mtu`).
const FOLLOW_DOWN: &[&str] = &["vlan", "macvlan", "macvtap"];
const FOLLOW_BOTH: &[&str] = &["ipvlan", "ipvtap"];

/// The devices above others, by the index of the lower one.
#[derive(Clone, Debug, Default)]
pub(super) struct Stack {
    uppers: BTreeMap<u32, Vec<LinkName>>,
    /// The bridges, by index, with the number of ports for each MTU.
    bridges: BTreeMap<u32, (LinkName, BTreeMap<u32, usize>)>,
}

impl Stack {
    pub(super) fn new(host: &Snapshot) -> Self {
        let mut stack = Stack::default();
        for (name, link) in &host.links {
            let follows = FOLLOW_DOWN.contains(&link.kind_name()) || FOLLOW_BOTH.contains(&link.kind_name());
            if let (true, Some(lower), None) = (follows, link.lower, link.peer_netns) {
                stack.uppers.entry(lower).or_default().push(*name);
            }
            if link.kind_name() == "bridge" {
                stack.bridges.insert(link.index, (*name, BTreeMap::new()));
            }
        }
        for link in host.links.values() {
            if let Some((_, ports)) = link.master.and_then(|master| stack.bridges.get_mut(&master)) {
                *ports.entry(link.mtu).or_default() += 1;
            }
        }
        stack
    }

    /// A device goes away.
    pub(super) fn forget(&mut self, name: LinkName, host: &Snapshot) {
        let Some(link) = host.links.get(&name) else { return };
        if let Some((_, ports)) = link.master.and_then(|master| self.bridges.get_mut(&master)) {
            take(ports, link.mtu);
        }
    }

    /// The MTU changes that follow from one: what is above, with its new MTU. A bridge takes the
    /// least MTU of its ports (`br_mtu_auto_adjust`) unless somebody set one, which cannot be seen:
    /// one that has the least now is taken to follow.
    pub(super) fn mtu_changed(
        &mut self,
        name: LinkName,
        from: u32,
        to: u32,
        host: &Snapshot,
    ) -> Vec<(LinkName, u32)> {
        let Some(link) = host.links.get(&name) else {
            return Vec::new();
        };
        let mut follow = Vec::new();
        for upper in self.uppers.get(&link.index).into_iter().flatten() {
            let Some(above) = host.links.get(upper) else {
                continue;
            };
            if above.mtu > to || (FOLLOW_BOTH.contains(&above.kind_name()) && above.mtu != to) {
                follow.push((*upper, to));
            }
        }
        if let Some((bridge, ports)) = link.master.and_then(|master| self.bridges.get_mut(&master)) {
            let least_before = ports.keys().next().copied();
            take(ports, from);
            *ports.entry(to).or_default() += 1;
            let least = ports.keys().next().copied();
            let followed = host.links.get(bridge).map(|link| link.mtu) == least_before;
            if let (true, Some(least)) = (followed && least != least_before, least) {
                follow.push((*bridge, least));
            }
        }
        follow
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
