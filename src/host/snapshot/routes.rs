//! The interfaces of the default routes.

use crate::snapshot::Snapshot;
use netkeel_core::name::link::LinkName;

/// The interfaces of the default routes that are up, each once with its smallest MTU.
pub fn default_routes(host: &Snapshot) -> Option<Vec<(LinkName, i64, bool)>> {
    let mut found: Vec<(LinkName, i64, bool)> = Vec::new();
    for route in host.default_routes.as_ref()? {
        let Some(link) = host.links.get(&route.link).filter(|link| link.up) else {
            continue;
        };
        // A route's own MTU applies if it is smaller than the device's.
        let own = route.mtu.filter(|mtu| *mtu > 0 && *mtu < link.mtu);
        let mtu = own.unwrap_or(link.mtu).into();
        match found.iter_mut().find(|(name, ..)| *name == route.link) {
            Some(known) if known.1 <= mtu => {}
            Some(known) => *known = (route.link, mtu, own.is_some()),
            None => found.push((route.link, mtu, own.is_some())),
        }
    }
    Some(found)
}
