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
use netkeel_host::snapshot::forwarding::Family;
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
        let vrf = link.master.and_then(|index| host.by_index(index));
        let vrf = vrf.filter(|(_, master)| master.kind_name() == "vrf");
        // The kernel takes the setting of the VRF for the packets of its ports.
        let own = vrf
            .and_then(|(_, vrf)| vrf.rp_filter)
            .map_or(own, |of_vrf| own.max(of_vrf.into()));
        let effect = effective(all, own, link.has_ipv4() || !host.families.ipv4);
        let why = match effect.verdict {
            Verdict::Accept => continue,
            Verdict::Drop => "strict",
            Verdict::DropNoAddress => "loose, and the interface has no IPv4 address",
        };
        let way = match vrf {
            Some((vrf, _)) => WayBack::Unknown(format!(
                "it is a port of the VRF {vrf}, whose routes netkeel does not look up"
            )),
            None => way_back(*name, host.next_hops.as_ref(), host.policy_routing.as_ref()),
        };
        let has_default = host
            .next_hops
            .iter()
            .flatten()
            .any(|hop| hop.default && !hop.ipv6);
        let back = match way {
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
        // Loose accepts a source that any route leads to, and leaves `all` and the other interfaces as they are.
        let remedy = match link.has_ipv4() && has_default && vrf.is_none() {
            true => format!("declare link: {{ {name}: {{ rp_filter: loose }} }}"),
            false => {
                let name = vrf.map_or(*name, |(vrf, _)| vrf);
                format!(
                    "declare link: {{ {name}: {{ rp_filter: off }} }} with net.ipv4.conf.all.rp_filter: 0, and for each other interface the value that it should have"
                )
            }
        };
        findings.add(
            Code::NK039,
            name,
            format!("IPv4 copies of peers arrive by it and {back}"),
            remedy,
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
///
/// Only rules lead to another table than main, and the table of a VRF is for its own ports.
fn way_back(
    name: LinkName,
    next_hops: Option<&BTreeSet<NextHop>>,
    policy_routing: Option<&BTreeSet<Family>>,
) -> WayBack {
    let Some(next_hops) = next_hops else {
        return WayBack::Unknown("the default routes were not read".to_owned());
    };
    match policy_routing {
        None => return WayBack::Unknown("the routing rules were not read".to_owned()),
        Some(families) if families.contains(&Family::Ipv4) => {
            return WayBack::Unknown(
                "rules of `ip rule` decide whether the route back is of the main table or of another"
                    .to_owned(),
            );
        }
        Some(_) => {}
    }
    let defaults = || {
        let main = next_hops.iter().filter(|hop| hop.table == MAIN_TABLE);
        main.filter(|hop| hop.default && !hop.ipv6)
    };
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
            protocol: None,
        }
    }

    /// The judgement about eth1: none where copies pass.
    fn back(hops: &[NextHop]) -> Option<(bool, String)> {
        judged(hops, Some(&BTreeSet::new()))
    }

    fn judged(hops: &[NextHop], policy_routing: Option<&BTreeSet<Family>>) -> Option<(bool, String)> {
        let hops = hops.iter().cloned().collect();
        match way_back("eth1".parse().unwrap(), Some(&hops), policy_routing) {
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
    fn where_rules_choose_a_table_the_way_back_is_unknown() {
        let hops = [hop("eth1", MAIN_TABLE, 0)];
        for rules in [Some(BTreeSet::from([Family::Ipv4])), None] {
            let (known, why) = judged(&hops, rules.as_ref()).unwrap();
            assert!(!known && why.contains("rules"), "{why}");
        }
        assert_eq!(judged(&hops, Some(&BTreeSet::from([Family::Ipv6]))), None);
        let name = "eth1".parse().unwrap();
        assert!(matches!(way_back(name, None, None), WayBack::Unknown(_)));
    }

    #[test]
    fn the_default_route_of_a_vrf_is_not_that_of_other_interfaces() {
        let (eth1, of_vrf) = (hop("eth1", MAIN_TABLE, 0), hop("eth5", 10, 0));
        assert_eq!(back(&[eth1, of_vrf.clone()]), None);
        let why = "there is no default route".to_owned();
        assert_eq!(back(&[of_vrf]), Some((true, why)));
    }
}
