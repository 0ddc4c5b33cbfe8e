//! The interfaces by which this node answers clients, as the kernel routes them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::worker::neighbours;
use crate::worker::neighbours::Route;
use netkeel_kernel::netlink::socket::Socket;

/// The maximum number of remembered routes. A forger names many destinations.
const MOST: usize = 1024;

/// The maximum number of lookups per second, and at once. Each asks the kernel once or twice, before the limits of
/// replication apply to the packet.
const LOOKUPS_PER_SECOND: u32 = 500;

/// Routes to quoted destinations, remembered until routes may have changed.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    known: BTreeMap<(IpAddr, IpAddr), Option<u32>>,
    budget: Budget,
}

impl Ways {
    /// The interface of the route from a source to a destination at `now`, the worker's uptime; `None` without
    /// one, for an address of this node, and above the budget of lookups.
    pub fn of(
        &mut self,
        socket: &mut Socket,
        source: IpAddr,
        destination: IpAddr,
        now: Duration,
    ) -> Option<u32> {
        self.look_up((source, destination), now, || ask(socket, source, destination))
    }

    fn look_up(
        &mut self,
        ends: (IpAddr, IpAddr),
        now: Duration,
        ask: impl FnOnce() -> Option<u32>,
    ) -> Option<u32> {
        if let Some(known) = self.known.get(&ends) {
            return *known;
        }
        if !self.budget.take(now) {
            return None;
        }
        if self.known.len() >= MOST {
            self.known.clear();
        }
        let way = ask();
        self.known.insert(ends, way);
        way
    }

    /// Forgets all routes. The budget stays: routes may change often.
    pub fn forget(&mut self) {
        self.known.clear();
    }
}

/// A token bucket for lookups.
#[derive(Debug, Default)]
struct Budget {
    /// Lookups done and not yet refilled.
    taken: f64,
    at: Duration,
}

impl Budget {
    /// Takes a token at `now`, if there is one.
    fn take(&mut self, now: Duration) -> bool {
        let most = f64::from(LOOKUPS_PER_SECOND);
        let seconds = now.saturating_sub(self.at).as_secs_f64();
        self.taken = (self.taken - seconds * most).max(0.0);
        self.at = self.at.max(now);
        let may = self.taken + 1.0 <= most;
        if may {
            self.taken += 1.0;
        }
        may
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    /// Packets that name `number` destinations, at one time. Returns the lookups and the answers.
    fn forge(ways: &mut Ways, first: u32, number: u32, now: Duration) -> (u32, u32) {
        let (mut lookups, mut answers) = (0, 0);
        for one in first..first + number {
            let ends = (Ipv4Addr::from(1).into(), Ipv4Addr::from(one).into());
            let found = ways.look_up(ends, now, || {
                lookups += 1;
                Some(7)
            });
            answers += u32::from(found == Some(7));
        }
        (lookups, answers)
    }

    #[test]
    fn forged_destinations_cause_a_limited_number_of_lookups() {
        let mut ways = Ways::default();
        let start = Duration::from_secs(3_600);
        let most = LOOKUPS_PER_SECOND;
        assert_eq!(forge(&mut ways, 0, 100_000, start), (most, most));
        // A known route needs no lookup.
        assert_eq!(forge(&mut ways, 0, most, start), (0, most));
        // A tenth of a second refills a tenth, and a change of routes refills nothing.
        ways.forget();
        let later = start + Duration::from_millis(100);
        assert_eq!(forge(&mut ways, 0, 100_000, later), (most / 10, most / 10));
        // An hour refills one second's lookups.
        let (lookups, _) = forge(&mut ways, 200_000, 100_000, start * 2);
        assert_eq!(lookups, most);
        assert!(ways.known.len() <= MOST);
        // A clock that goes back gives none.
        assert_eq!(forge(&mut ways, 400_000, 10, start), (0, 0));
    }
}
