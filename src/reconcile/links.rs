//! The interfaces as last scanned or reported by an event. Decides whether an event is news, and which
//! interfaces must be scanned together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;

/// The interfaces, by index.
#[derive(Debug, Default)]
pub struct Links {
    links: BTreeMap<u32, (LinkName, Arc<Link>)>,
    /// Adjacent interfaces of each interface, in both directions: lower devices and masters.
    adjacent: BTreeMap<u32, BTreeSet<u32>>,
}

impl Links {
    /// Records a link event. Returns whether it changes anything.
    pub(crate) fn learn(&mut self, name: LinkName, link: Arc<Link>) -> bool {
        let index = link.index;
        if let Some((old_name, old)) = self.links.get(&index)
            && *old_name == name
            && same_settings(old, &link)
        {
            return false;
        }
        self.unjoin(index);
        self.join(index, &link);
        self.links.insert(index, (name, link));
        true
    }

    /// Records an event of an interface's sysctls. Returns whether it changes anything. An unknown
    /// interface is ignored: its own link event follows.
    pub(crate) fn learn_conf(
        &mut self,
        index: u32,
        ipv6: bool,
        forwarding: Option<i32>,
        rp_filter: Option<i32>,
    ) -> bool {
        let Some((_, link)) = self.links.get_mut(&index) else {
            return false;
        };
        let link = Arc::make_mut(link);
        let before = (link.forwarding, link.forwarding6, link.rp_filter);
        match ipv6 {
            true => link.forwarding6 = forwarding.or(link.forwarding6),
            false => {
                link.forwarding = forwarding.or(link.forwarding);
                link.rp_filter = rp_filter.or(link.rp_filter);
            }
        }
        before != (link.forwarding, link.forwarding6, link.rp_filter)
    }

    /// Records the interfaces of a scan. `whole` means that the scan covered all interfaces.
    pub fn see(&mut self, snapshot: &Snapshot, whole: bool) {
        if whole {
            let there: BTreeSet<u32> = snapshot.links.values().map(|link| link.index).collect();
            let gone: Vec<u32> = self.indices().filter(|index| !there.contains(index)).collect();
            for index in gone {
                self.forget(index);
            }
        }
        for (name, link) in &snapshot.links {
            self.learn(*name, link.clone());
        }
    }

    /// Removes a deleted interface and returns its name.
    pub fn forget(&mut self, index: u32) -> Option<LinkName> {
        self.unjoin(index);
        self.links.remove(&index).map(|(name, _)| name)
    }

    fn join(&mut self, index: u32, link: &Link) {
        for other in [link.lower.filter(|_| link.peer_netns.is_none()), link.master] {
            if let Some(other) = other.filter(|other| *other != index) {
                self.adjacent.entry(index).or_default().insert(other);
                self.adjacent.entry(other).or_default().insert(index);
            }
        }
    }

    /// Removes the adjacencies that an interface itself reports. Those that others report remain.
    fn unjoin(&mut self, index: u32) {
        let others = self.adjacent.remove(&index).unwrap_or_default();
        for other in others {
            let reported = self.links.get(&other).is_some_and(|(_, link)| {
                let lower = link.lower.filter(|_| link.peer_netns.is_none());
                lower == Some(index) || link.master == Some(index)
            });
            if reported {
                self.adjacent.entry(index).or_default().insert(other);
            } else if let Some(its) = self.adjacent.get_mut(&other) {
                its.remove(&index);
                if its.is_empty() {
                    self.adjacent.remove(&other);
                }
            }
        }
    }

    /// An interface with all interfaces above and below it, and the other ports of its bridge or bond.
    pub(crate) fn stack(&self, index: u32) -> BTreeSet<u32> {
        let (mut stack, mut next) = (BTreeSet::from([index]), vec![index]);
        while let Some(one) = next.pop() {
            for other in self.adjacent.get(&one).into_iter().flatten() {
                if stack.insert(*other) {
                    next.push(*other);
                }
            }
        }
        stack
    }

    /// The stacks of some interfaces, without duplicates.
    pub(crate) fn stacks(&self, of: impl IntoIterator<Item = u32>) -> Vec<BTreeSet<u32>> {
        let (mut stacks, mut seen) = (Vec::new(), BTreeSet::<u32>::new());
        for index in of {
            if !seen.contains(&index) {
                let stack = self.stack(index);
                seen.extend(&stack);
                stacks.push(stack);
            }
        }
        stacks
    }

    /// Whether one of these interfaces is a veth whose other end is in another namespace.
    pub(crate) fn lead_into_pods(&self, links: &BTreeSet<u32>) -> bool {
        links.iter().any(|index| {
            let link = self.links.get(index).map(|(_, link)| link);
            link.is_some_and(|link| link.leads_into_a_pod())
        })
    }

    /// The number of known interfaces.
    pub fn count(&self) -> usize {
        self.links.len()
    }

    /// All indices.
    pub fn indices(&self) -> impl Iterator<Item = u32> + '_ {
        self.links.keys().copied()
    }

    /// The last known state of an interface.
    pub fn link(&self, index: u32) -> Option<&Link> {
        self.links.get(&index).map(|(_, link)| link.as_ref())
    }
}

/// Whether two states are equal in everything that events report.
fn same_settings(one: &Link, other: &Link) -> bool {
    let Link {
        index,
        kind,
        driver: _,
        mac: _,
        permanent_mac: _,
        bus: _,
        vlan: _,
        peer_routes: _,
        external,
        outer: _,
        gre_options: _,
        mtu,
        min_mtu,
        max_mtu,
        up,
        txqueuelen,
        alias,
        rp_filter,
        forwarding,
        forwarding6,
        disable_ipv6,
        // Not kept: it becomes a sysctl of the snapshot.
        mtu6: _,
        altnames,
        lower,
        peer_netns,
        uplink: _,
        pod: _,
        master,
        addresses: _,
        secondary: _,
        routes: _,
        route_mtus: _,
    } = one;
    *index == other.index
        && *mtu == other.mtu
        && *up == other.up
        && *rp_filter == other.rp_filter
        && *forwarding == other.forwarding
        && *forwarding6 == other.forwarding6
        && *disable_ipv6 == other.disable_ipv6
        && *lower == other.lower
        && *master == other.master
        && *txqueuelen == other.txqueuelen
        && *alias == other.alias
        && *altnames == other.altnames
        && *kind == other.kind
        && *external == other.external
        && *peer_netns == other.peer_netns
        && (*min_mtu, *max_mtu) == (other.min_mtu, other.max_mtu)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, lower: Option<u32>, master: Option<u32>) -> Arc<Link> {
        let link = Link {
            index,
            lower,
            master,
            mtu: 1500,
            ..Link::default()
        };
        link.into()
    }

    #[test]
    fn a_stack_is_all_connected_interfaces() {
        let mut known = Links::default();
        let rows = [
            ("eth0", link(1, None, None)),
            ("vlan", link(2, Some(1), None)),
            ("br0", link(3, None, None)),
            ("port", link(4, None, Some(3))),
            ("lone", link(5, None, None)),
        ];
        for (name, link) in rows {
            assert!(known.learn(name.parse().unwrap(), link));
        }
        assert_eq!(known.stack(1), [1, 2].into());
        assert_eq!(known.stacks([4, 3, 5]), [[3, 4].into(), BTreeSet::from([5])]);
        // The port leaves its bridge, and the VLAN is deleted.
        assert!(known.learn("port".parse().unwrap(), link(4, None, None)));
        known.forget(2);
        assert_eq!(known.stack(3), [3].into());
        assert_eq!(known.stack(1), [1].into());
        // The event of the lower device arrives after that of the upper one.
        known.learn("up".parse().unwrap(), link(7, Some(8), None));
        known.learn("down".parse().unwrap(), link(8, None, None));
        assert_eq!(known.stack(8), [7, 8].into());
    }

    #[test]
    fn a_known_state_is_no_news() {
        let mut known = Links::default();
        let name = "eth0".parse().unwrap();
        assert!(known.learn(name, link(1, None, None)));
        assert!(!known.learn(name, link(1, None, None)));
        assert!(known.learn_conf(1, false, None, Some(1)));
        assert!(!known.learn_conf(1, false, None, Some(1)));
        assert!(!known.learn_conf(9, false, None, Some(1)));
        assert!(known.learn("eth1".parse().unwrap(), link(1, None, None)));
    }
}
