//! The routes to the endpoints of WireGuard peers and to the other ends of tunnels, as the kernel chooses them for the
//! packets of the device.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::live::snapshot::Live;
use crate::live::underlay::is_no_route;
use crate::rtnetlink::forwarding::links;
use crate::rtnetlink::link;
use crate::rtnetlink::link::Row;
use crate::rtnetlink::route;
use netkeel_core::error::Error;
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::forwarding::Forwarding;
use netkeel_host::snapshot::link::{Link, PeerRoute};
use netkeel_host::snapshot::problem::{Problem, Subject};

impl Live {
    /// Reads the routes for each WireGuard device. A device whose peers or routes cannot be read, which takes
    /// CAP_NET_ADMIN, keeps none and is a problem: that is not the same as a device without peers.
    pub(super) fn read_peer_routes(&mut self, rows: &mut [Row], problems: &mut Vec<Problem>) {
        for device in named(rows, |link| link.kind_name() == "wireguard") {
            let found = self.wireguard_peers(device).and_then(|peers| {
                let endpoints = peers.endpoints.into_iter();
                self.ways(device, endpoints, peers.mark, rows)
            });
            enter(device, found, rows, problems);
        }
        self.read_routes_of_tunnels(rows, problems);
    }

    /// Reads the route for each other tunnel that is bound to no device. One without another end, or with a multicast
    /// group, has none.
    fn read_routes_of_tunnels(&mut self, rows: &mut [Row], problems: &mut Vec<Problem>) {
        let is_unbound = |link: &Link| {
            let goes_by_routes = link.up && link.lower.is_none() && !link.external;
            goes_by_routes && link.is_tunnel() && link.kind_name() != "wireguard"
        };
        let tunnels = named(rows, is_unbound);
        if tunnels.is_empty() {
            return;
        }
        let mut read = Forwarding::default();
        let by_index = |index: u32| link::by_index(rows, index).map(|(name, _)| *name);
        if let Err(refusal) = links::read(&mut self.socket, &by_index, &mut read) {
            problems.push(Problem {
                what: Subject::Other("the other ends of tunnels".to_owned()),
                why: Error::from(refusal).message,
            });
            return;
        }
        for device in tunnels {
            let Some(ends) = read.tunnels.get(&device).filter(|ends| !ends.external) else {
                continue;
            };
            let remote = ends.remote.filter(|remote| !remote.is_multicast());
            let found = self.ways(device, remote.into_iter(), None, rows);
            enter(device, found, rows, problems);
        }
    }

    /// The routes by which packets of a device leave for these addresses.
    fn ways(
        &mut self,
        device: LinkName,
        addresses: impl Iterator<Item = IpAddr>,
        mark: Option<u32>,
        rows: &[Row],
    ) -> Result<BTreeSet<PeerRoute>, Error> {
        let mut found = BTreeSet::new();
        for address in addresses {
            let hop = match route::to(&mut self.socket, address, mark) {
                Ok(hop) => hop,
                Err(refusal) if is_no_route(refusal.errno) => continue,
                Err(refusal) => return Err(refusal.into()),
            };
            let out = link::by_index(rows, hop.index);
            // A route into the device itself carries no packet of it.
            if let Some((link, _)) = out.filter(|(name, _)| *name != device) {
                found.insert(PeerRoute {
                    link: *link,
                    mtu: hop.mtu.filter(|mtu| *mtu > 0),
                    ipv6: hop.ipv6,
                });
            }
        }
        Ok(found)
    }
}

fn named(rows: &[Row], wanted: impl Fn(&Link) -> bool) -> Vec<LinkName> {
    let wanted = rows.iter().filter(|(_, link)| wanted(link));
    wanted.map(|(name, _)| *name).collect()
}

fn enter(
    device: LinkName,
    found: Result<BTreeSet<PeerRoute>, Error>,
    rows: &mut [Row],
    problems: &mut Vec<Problem>,
) {
    match found {
        Ok(found) => {
            if let Some((_, link)) = rows.iter_mut().find(|(name, _)| *name == device) {
                Arc::make_mut(link).peer_routes = Some(found);
            }
        }
        Err(error) => problems.push(Problem {
            what: Subject::Other(format!("the routes to the peers of {device}")),
            why: error.message,
        }),
    }
}
