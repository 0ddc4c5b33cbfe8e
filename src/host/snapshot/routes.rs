//! The interfaces by which packets leave: those of the default routes, and the MTU over a route.

use crate::snapshot::Snapshot;
use crate::snapshot::link::Link;
use netkeel_core::name::link::LinkName;

/// The interfaces of the default routes that are up, each once with its smallest MTU.
pub fn default_routes(host: &Snapshot) -> Option<Vec<(LinkName, i64, bool)>> {
    let mut found: Vec<(LinkName, i64, bool)> = Vec::new();
    for route in host.default_routes.as_ref()? {
        let Some(link) = host.links.get(&route.link).filter(|link| link.up) else {
            continue;
        };
        let (mtu, own) = mtu_over(link, [route.mtu]);
        let mtu = mtu.into();
        match found.iter_mut().find(|(name, ..)| *name == route.link) {
            Some(known) if known.1 <= mtu => {}
            Some(known) => *known = (route.link, mtu, own),
            None => found.push((route.link, mtu, own)),
        }
    }
    Some(found)
}

/// The largest packet over an interface, in bytes, and whether another limit than its MTU decides: that of a
/// route, or of IPv6. A limit of 0 is ignored.
pub fn mtu_over(link: &Link, limits: impl IntoIterator<Item = Option<u32>>) -> (u32, bool) {
    let limits = limits.into_iter().flatten().filter(|limit| *limit > 0);
    match limits.min().filter(|limit| *limit < link.mtu) {
        Some(limit) => (limit, true),
        None => (link.mtu, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_decides() {
        let link = Link {
            mtu: 1500,
            ..Link::default()
        };
        assert_eq!(mtu_over(&link, [None, Some(0)]), (1500, false));
        assert_eq!(mtu_over(&link, [Some(9000), None]), (1500, false));
        assert_eq!(mtu_over(&link, [Some(1500)]), (1500, false));
        assert_eq!(mtu_over(&link, [Some(1450), Some(1400)]), (1400, true));
    }
}
