//! The routes to the endpoints of WireGuard peers, as the kernel chooses them for the packets of the device.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::live::snapshot::Live;
use crate::rtnetlink::link::Row;
use crate::rtnetlink::route;
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::link::PeerRoute;

impl Live {
    /// Reads the routes for each WireGuard device. A device whose peers cannot be read, which takes
    /// CAP_NET_ADMIN, keeps none: that is not the same as a device without peers.
    pub(super) fn read_peer_routes(&mut self, rows: &mut [Row]) {
        let devices: Vec<LinkName> = rows
            .iter()
            .filter(|(_, link)| link.kind_name() == "wireguard")
            .map(|(name, _)| *name)
            .collect();
        for device in devices {
            let Ok(peers) = self.wireguard_peers(device) else {
                continue;
            };
            let mut found = BTreeSet::new();
            for endpoint in peers.endpoints {
                let Ok(hop) = route::to(&mut self.socket, endpoint, peers.mark) else {
                    continue;
                };
                let out = rows.iter().find(|(_, link)| link.index == hop.index);
                // A route into the device itself carries no packet of it.
                if let Some((link, _)) = out.filter(|(name, _)| *name != device) {
                    found.insert(PeerRoute {
                        link: *link,
                        mtu: hop.mtu.filter(|mtu| *mtu > 0),
                        ipv6: hop.ipv6,
                    });
                }
            }
            if let Some((_, link)) = rows.iter_mut().find(|(name, _)| *name == device) {
                Arc::make_mut(link).peer_routes = Some(found);
            }
        }
    }
}
