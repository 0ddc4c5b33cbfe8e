//! Reverse path filtering that drops the copies of peers: a copy has the source of a router somewhere, and
//! arrives by the interface that leads to the peers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::lint::rp_filter;
use netkeel_core::fact::{Fact, Field};
use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_core::replication::settings::{Mode, Replication};
use netkeel_core::rp_filter::{Verdict, effective};
use netkeel_document::want::Want;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::next_hop::{MAIN_TABLE, NextHop};

/// Adds the interfaces that drop copies of IPv4. `wants` are the facts of the document, which are judged
/// elsewhere for tunnels.
pub(crate) fn check(
    wanted: Option<&Replication>,
    host: &Snapshot,
    wants: &BTreeMap<Fact, Want>,
    findings: &mut Findings,
) {
    let Some(Replication { settings, .. }) = wanted else {
        return;
    };
    if settings.mode == Mode::Ipip {
        let judged = |name: LinkName| {
            wants
                .keys()
                .any(|fact| fact.field == Field::RpFilter && fact.link_name() == Some(name))
        };
        return rp_filter::tunnels_but(host, &judged, findings);
    }
    let Some(all) = host.sysctl_number("net/ipv4/conf/all/rp_filter") else {
        return;
    };
    let running = host
        .replication
        .as_ref()
        .and_then(|found| found.settings.as_ref());
    let mut peers: BTreeSet<IpAddr> = settings.peers.iter().copied().collect();
    // The peers file may add some.
    peers.extend(
        running
            .into_iter()
            .flat_map(|running| running.peers.iter().copied()),
    );
    for (name, link) in &host.links {
        let chosen = settings.mode == Mode::Broadcast && settings.interface == Some(*name);
        let is_own = |peer: &IpAddr| link.addresses.iter().any(|own| own.addr() == *peer);
        let leads = link.up
            && peers
                .iter()
                .any(|peer| !is_own(peer) && link.addresses.iter().any(|own| own.contains(peer)));
        let own = link.rp_filter.map(i64::from).filter(|_| chosen || leads);
        let Some(own) = own else { continue };
        let effect = effective(all, own, link.has_ipv4() || !host.families.ipv4);
        let why = match effect.verdict {
            Verdict::Accept => continue,
            Verdict::Drop => "strict",
            Verdict::DropNoAddress => "loose, and the interface has no IPv4 address",
        };
        let back = match way_back(*name, host.next_hops.as_ref()) {
            WayBack::Same => continue,
            WayBack::Other(back) => format!(
                "are dropped: its effective rp_filter is {} ({why}), and {back}",
                effect.value
            ),
            WayBack::Unknown(back) => format!(
                "may be dropped: its effective rp_filter is {} ({why}), and {back}",
                effect.value
            ),
        };
        findings.add(
            Code::NK039,
            name,
            format!("IPv4 copies of peers arrive by it and {back}"),
            format!("declare link: {{ {name}: {{ rp_filter: off }} }} with net.ipv4.conf.all.rp_filter: 0"),
        );
    }
}

/// Whether the route back to a router somewhere leaves by the interface where its message arrived.
enum WayBack {
    Same,
    /// It does not; the route that it takes.
    Other(String),
    /// The reason why that is unknown.
    Unknown(String),
}

/// The filter looks up one route, the best (`__fib_validate_source`, net/ipv4/fib_frontend.c). A copy passes where
/// that route has a next hop by the interface; a further default route with a larger metric does not count.
fn way_back(name: LinkName, next_hops: Option<&BTreeSet<NextHop>>) -> WayBack {
    let Some(next_hops) = next_hops else {
        return WayBack::Unknown("the default routes were not read".to_owned());
    };
    let defaults = || next_hops.iter().filter(|hop| hop.default && !hop.ipv6);
    // Rules choose between tables, by addresses and marks that copies may have.
    let tables: BTreeSet<u32> = defaults()
        .map(|hop| hop.table)
        .filter(|table| *table != MAIN_TABLE)
        .collect();
    if !tables.is_empty() {
        let tables: Vec<String> = tables.iter().map(ToString::to_string).collect();
        return WayBack::Unknown(format!(
            "rules of policy routing decide whether the route back is of the main table or of another with a default route ({})",
            tables.join(", ")
        ));
    }
    let Some(metric) = defaults().map(|hop| hop.metric).min() else {
        return WayBack::Other("there is no default route".to_owned());
    };
    let best: BTreeSet<LinkName> = defaults()
        .filter(|hop| hop.metric == metric)
        .map(|hop| hop.link)
        .collect();
    if best.contains(&name) {
        return WayBack::Same;
    }
    let links: Vec<String> = best.iter().map(ToString::to_string).collect();
    let which = match defaults().any(|hop| hop.link == name) {
        true => "the default route with the smallest metric",
        false => "the default route",
    };
    WayBack::Other(format!("{which} leaves by {}", links.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(link: &str, table: u32, metric: u32) -> NextHop {
        NextHop {
            link: link.parse().unwrap(),
            router: None,
            ipv6: false,
            default: true,
            table,
            metric,
        }
    }

    /// The judgement about eth1: none where copies pass.
    fn back(hops: &[NextHop]) -> Option<(bool, String)> {
        match way_back("eth1".parse().unwrap(), Some(&hops.iter().cloned().collect())) {
            WayBack::Same => None,
            WayBack::Other(why) => Some((true, why)),
            WayBack::Unknown(why) => Some((false, why)),
        }
    }

    #[test]
    fn only_the_best_default_route_lets_copies_pass() {
        let known = |why: &str| Some((true, why.to_owned()));
        let (eth0, eth1) = (hop("eth0", MAIN_TABLE, 100), hop("eth1", MAIN_TABLE, 101));
        assert_eq!(
            back(&[eth0.clone(), eth1.clone()]),
            known("the default route with the smallest metric leaves by eth0")
        );
        assert_eq!(
            back(std::slice::from_ref(&eth0)),
            known("the default route leaves by eth0")
        );
        assert_eq!(back(&[]), known("there is no default route"));
        assert_eq!(back(std::slice::from_ref(&eth1)), None);
        // The next hops of one route.
        assert_eq!(back(&[eth0.clone(), hop("eth1", MAIN_TABLE, 100)]), None);
        // IPv6 is not filtered.
        let ipv6 = NextHop {
            ipv6: true,
            ..hop("eth1", MAIN_TABLE, 1)
        };
        assert_eq!(back(&[ipv6, eth0]), known("the default route leaves by eth0"));
    }

    #[test]
    fn with_default_routes_in_several_tables_the_way_back_is_unknown() {
        for hops in [
            vec![hop("eth1", MAIN_TABLE, 0), hop("eth0", 100, 0)],
            vec![hop("eth1", 100, 0)],
        ] {
            let (known, why) = back(&hops).unwrap();
            assert!(!known && why.ends_with("(100)"), "{why}");
        }
        assert!(matches!(
            way_back("eth1".parse().unwrap(), None),
            WayBack::Unknown(_)
        ));
    }
}
