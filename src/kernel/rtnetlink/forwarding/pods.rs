//! The routes, addresses and neighbours in pods, read by a thread that enters their namespaces.

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::netlink::interrupt::Interrupt;
use crate::netlink::socket::Socket;
use crate::pod::ends::enter;
use crate::pod::sandbox;
use crate::rtnetlink::forwarding::{neighbours, routes, rules};
use crate::rtnetlink::link::Row;
use crate::rtnetlink::{address, link};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sandbox::Sandbox;
use netkeel_host::snapshot::forwarding::{Forwarding, MOST_POD_ROUTES, PodForwarding};
use netkeel_host::snapshot::pod::{MOST_ADDRESSES, MOST_INTERFACES};
use netkeel_host::snapshot::problem::{Problem, Subject};

/// Adds those of each veth whose other end is in another namespace. A namespace that no visible file refers
/// to stays without; one that cannot be read is a problem too.
pub(super) fn read(
    socket: &mut Socket,
    rows: &[Row],
    problems: &mut Vec<Problem>,
    interrupt: &Interrupt,
    found: &mut Forwarding,
) -> Result<(), Error> {
    let mut by_namespace: BTreeMap<i32, Vec<(LinkName, u32)>> = BTreeMap::new();
    for (name, link) in rows {
        if let ("veth", Some(id), Some(end)) = (link.kind_name(), link.peer_netns, link.lower) {
            by_namespace.entry(id).or_default().push((*name, end));
        }
    }
    if by_namespace.is_empty() {
        return Ok(());
    }
    let sandboxes = sandbox::find(socket);
    for (id, ends) in by_namespace {
        interrupt.check()?;
        let Some(sandbox) = sandboxes.get(&id) else {
            continue;
        };
        match inside(&sandbox.sandbox, &ends) {
            Ok(pods) => found.pods.extend(pods),
            Err(error) => problems.extend(ends.iter().map(|(name, _)| Problem {
                what: Subject::Other(format!("the routes of the pod at {name}")),
                why: error.message.clone(),
            })),
        }
    }
    Ok(())
}

/// Reads one namespace, for each of these ends: the host's name and the index inside.
fn inside(sandbox: &Sandbox, ends: &[(LinkName, u32)]) -> Result<Vec<(LinkName, PodForwarding)>, Error> {
    enter(sandbox, || {
        let mut socket = Socket::open()?;
        // The pod decides how much there is of everything.
        let links = link::dump_at_most(&mut socket, MOST_INTERFACES)?
            .ok_or_else(|| Error::new(ErrorKind::Refused, "it has more than 1000 interfaces"))?;
        let named = |index: u32| link::by_index(&links, index).map(|(name, _)| *name);
        let table = routes::read(&mut socket, &named, MOST_POD_ROUTES)?.main;
        let other_rules = rules::families_with_other_rules(&mut socket)?;
        let neighbours = neighbours::gateways(&mut socket, &named, &table)?;
        let mut addresses = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            address::dump(&mut socket, family, &mut addresses)?;
        }
        let lasting = |address: &IpNet| match address {
            IpNet::V4(_) => true,
            IpNet::V6(net) => !net.addr().is_unicast_link_local(),
        };
        let pod = |end: u32| PodForwarding {
            addresses: addresses
                .iter()
                .filter(|row| row.index == end && lasting(&row.address))
                .map(|row| row.address)
                .take(MOST_ADDRESSES)
                .collect(),
            routes: table.clone(),
            other_rules: other_rules.clone(),
            neighbours: neighbours.clone(),
        };
        Ok(ends.iter().map(|(name, end)| (*name, pod(*end))).collect())
    })
}
