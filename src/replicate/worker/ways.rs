//! The interfaces by which this node answers clients, as the kernel routes them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::worker::neighbours;
use crate::worker::neighbours::Route;
use netkeel_kernel::netlink::socket::Socket;

/// The maximum number of remembered routes. A forger names many destinations.
const MOST: usize = 1024;

/// Routes to quoted destinations, remembered until routes may have changed.
#[derive(Debug, Default)]
pub(crate) struct Ways(BTreeMap<(IpAddr, IpAddr), Option<u32>>);

impl Ways {
    /// The interface of the route from a source to a destination; `None` without one, and for an address of
    /// this node.
    pub fn of(&mut self, socket: &mut Socket, source: IpAddr, destination: IpAddr) -> Option<u32> {
        if let Some(known) = self.0.get(&(source, destination)) {
            return *known;
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        let way = ask(socket, source, destination);
        self.0.insert((source, destination), way);
        way
    }

    /// Forgets all routes.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

/// A rule may choose the table by the source. The kernel rejects a source of IPv4 that is not local
/// (`ip_route_output_key_hash_rcu`, net/ipv4/route.c), as that of a pod: then the destination alone decides.
fn ask(socket: &mut Socket, source: IpAddr, destination: IpAddr) -> Option<u32> {
    let mut route = |source| neighbours::route(socket, source, destination).unwrap_or(Route::None);
    let found = match route(Some(source)) {
        Route::None => route(None),
        found => found,
    };
    match found {
        Route::OnLink(link) | Route::Gateway(link, _) => Some(link),
        Route::Local | Route::None => None,
    }
}
