//! The routes to the endpoints of WireGuard peers, as the kernel chooses them for the packets of the device.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::live::snapshot::Live;
use crate::live::underlay::is_no_route;
use crate::rtnetlink::link;
use crate::rtnetlink::link::Row;
use crate::rtnetlink::route;
use netkeel_core::error::Error;
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::link::PeerRoute;
use netkeel_host::snapshot::problem::{Problem, Subject};

impl Live {
    /// Reads the routes for each WireGuard device. A device whose peers or routes cannot be read, which takes
    /// CAP_NET_ADMIN, keeps none and is a problem: that is not the same as a device without peers.
    pub(super) fn read_peer_routes(&mut self, rows: &mut [Row], problems: &mut Vec<Problem>) {
        let devices: Vec<LinkName> = rows
            .iter()
            .filter(|(_, link)| link.kind_name() == "wireguard")
            .map(|(name, _)| *name)
            .collect();
        for device in devices {
            match self.ways_to_peers(device, rows) {
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
    }

    fn ways_to_peers(&mut self, device: LinkName, rows: &[Row]) -> Result<BTreeSet<PeerRoute>, Error> {
        let peers = self.wireguard_peers(device)?;
        let mut found = BTreeSet::new();
        for endpoint in peers.endpoints {
            let hop = match route::to(&mut self.socket, endpoint, peers.mark) {
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
