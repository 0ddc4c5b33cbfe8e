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
        // A copy passes where the route back to the router leaves by the same interface.
        let Some(next_hops) = &host.next_hops else {
            continue;
        };
        let mut ways = next_hops.iter().filter(|hop| hop.default && !hop.ipv6);
        if ways.clone().any(|hop| hop.link == *name) {
            continue;
        }
        let back = match ways.next() {
            Some(hop) => format!("the default route leaves by {}", hop.link),
            None => "there is no default route".to_owned(),
        };
        findings.add(
            Code::NK039,
            name,
            format!(
                "IPv4 copies of peers arrive by it and are dropped: its effective rp_filter is {} ({why}), and {back}",
                effect.value
            ),
            format!("declare link: {{ {name}: {{ rp_filter: off }} }} with net.ipv4.conf.all.rp_filter: 0"),
        );
    }
}
