//! Neighbours that packets of this host need and that do not answer: gateways, ends of tunnels and pods.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netkeel_host::counters::deltas::Deltas;
use netkeel_host::counters::reading::SilentNeighbour;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::forwarding::NeighbourState;

/// The neighbours that are needed, did not answer, and were asked for within the window. Anybody may ask this host
/// for addresses that nobody has, so others are no fault.
pub(crate) fn silent<'a>(deltas: &'a Deltas, host: &Snapshot) -> Vec<&'a SilentNeighbour> {
    let needed = needed(host);
    let found = deltas.after.neighbours.iter().filter(|one| {
        needed.contains(&one.address) && one.idle_ms <= deltas.window_ms && has_failed(one, deltas)
    });
    found.collect()
}

/// It failed, or the beginning of the window waited for it too: an answer comes within three seconds or never.
fn has_failed(one: &SilentNeighbour, deltas: &Deltas) -> bool {
    match one.state {
        NeighbourState::Failed => true,
        NeighbourState::Waiting => {
            let mut before = deltas.before.neighbours.iter();
            before.any(|old| (old.link, old.address) == (one.link, one.address))
        }
        NeighbourState::Permanent | NeighbourState::Answered => false,
    }
}

/// The addresses of gateways, of the other ends of tunnels, and of pods.
fn needed(host: &Snapshot) -> BTreeSet<IpAddr> {
    let Some(forwarding) = &host.forwarding else {
        return BTreeSet::new();
    };
    let routes = forwarding.routes.iter().flat_map(|table| &table.routes);
    let gateways = routes.flat_map(|route| route.hops()).filter_map(|hop| hop.via);
    let peers = forwarding.tunnels.values().filter_map(|ends| ends.remote);
    let pods = forwarding.pods.values().flat_map(|pod| &pod.addresses);
    gateways.chain(peers).chain(pods.map(|net| net.addr())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_host::counters::reading::Reading;
    use netkeel_host::snapshot::forwarding::{Forwarding, NextHop, PathRoute, RouteTarget, Routes};

    const GATEWAY: &str = "192.0.2.254";

    fn found(before: &[(&str, NeighbourState, u64)], after: &[(&str, NeighbourState, u64)]) -> Vec<String> {
        let reading = |at_ms, entries: &[(&str, NeighbourState, u64)]| Reading {
            at_ms,
            neighbours: entries
                .iter()
                .map(|(address, state, idle_ms)| SilentNeighbour {
                    link: "eth0".parse().unwrap(),
                    address: address.parse().unwrap(),
                    state: *state,
                    idle_ms: *idle_ms,
                })
                .collect(),
            ..Reading::default()
        };
        let deltas = Deltas::between(reading(0, before), reading(10_000, after));
        let mut host = Snapshot::empty(Default::default());
        let route = PathRoute {
            destination: "0.0.0.0/0".parse().unwrap(),
            metric: 0,
            to: RouteTarget::Hops(vec![NextHop {
                link: "eth0".parse().unwrap(),
                via: Some(GATEWAY.parse().unwrap()),
            }]),
            mtu: None,
            source: None,
        };
        host.forwarding = Some(Box::new(Forwarding {
            routes: Some(Routes {
                routes: vec![route],
                more: false,
            }),
            ..Forwarding::default()
        }));
        let silent = silent(&deltas, &host).into_iter();
        silent.map(|one| one.address.to_string()).collect()
    }

    #[test]
    fn only_the_needed_ones_that_were_asked_within_the_window() {
        use NeighbourState::{Failed, Waiting};
        assert_eq!(found(&[], &[(GATEWAY, Failed, 900)]), [GATEWAY]);
        assert!(found(&[], &[(GATEWAY, Failed, 10_001)]).is_empty());
        // A scan of the subnet.
        assert!(found(&[], &[("192.0.2.77", Failed, 900)]).is_empty());
        // It may answer yet.
        assert!(found(&[], &[(GATEWAY, Waiting, 900)]).is_empty());
        let waited = [(GATEWAY, Waiting, 900)];
        assert_eq!(found(&waited, &waited), [GATEWAY]);
    }
}
