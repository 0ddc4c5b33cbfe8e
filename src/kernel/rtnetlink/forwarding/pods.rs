//! The routes, addresses and neighbours in pods, read by a thread that enters their namespaces.

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::netlink::interrupt::Interrupt;
use crate::netlink::socket::Socket;
use crate::pod::ends::enter;
use crate::pod::sandbox;
use crate::rtnetlink::forwarding::routes::{Most, Tables};
use crate::rtnetlink::forwarding::{neighbours, routes, rules};
use crate::rtnetlink::link::Row;
use crate::rtnetlink::{address, link};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sandbox::Sandbox;
use netkeel_host::snapshot::forwarding::{Forwarding, MOST_POD_ROUTES, PodForwarding};
use netkeel_host::snapshot::pod::{MOST_ADDRESSES, MOST_INTERFACES};
use netkeel_host::snapshot::problem::{Problem, Subject};

/// Most bytes of the messages about the routes of one pod.
const MOST_OF_A_POD: usize = 32 * 1024;

/// The same for all pods together. Of each further pod at least [`LEAST_OF_A_POD`] are kept.
const MOST_OF_ALL: usize = 2 << 20;

/// What the routes of an ordinary pod fit into.
const LEAST_OF_A_POD: usize = 2 * 1024;

/// How much is kept of a pod's table, once for each of its ends, when so much of [`MOST_OF_ALL`] is left.
fn most(left: usize, ends: usize) -> Most {
    let bytes = MOST_OF_A_POD.min(left) / ends.max(1);
    Most {
        routes: MOST_POD_ROUTES,
        bytes: bytes.max(LEAST_OF_A_POD),
    }
}

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
        if let (true, Some(id), Some(end)) = (link.leads_into_a_pod(), link.peer_netns, link.lower) {
            by_namespace.entry(id).or_default().push((*name, end));
        }
    }
    if by_namespace.is_empty() {
        return Ok(());
    }
    let sandboxes = sandbox::find(socket);
    let mut left = MOST_OF_ALL;
    for (id, ends) in by_namespace {
        interrupt.check()?;
        let Some(sandbox) = sandboxes.get(&id) else {
            continue;
        };
        match inside(&sandbox.sandbox, &ends, most(left, ends.len())) {
            Ok((pods, bytes)) => {
                left = left.saturating_sub(bytes * ends.len());
                found.pods.extend(pods);
            }
            Err(error) => problems.extend(ends.iter().map(|(name, _)| Problem {
                what: Subject::Other(format!("the routes of the pod at {name}")),
                why: error.message.clone(),
            })),
        }
    }
    Ok(())
}

/// Reads one namespace, for each of these ends: the host's name and the index inside. The bytes of the messages about the
/// routes that are kept once for each end.
fn inside(
    sandbox: &Sandbox,
    ends: &[(LinkName, u32)],
    most: Most,
) -> Result<(Vec<(LinkName, PodForwarding)>, usize), Error> {
    let more = |most: usize, what: &str| {
        let message = format!("it has more than {most} {what}");
        Error::new(ErrorKind::Refused, message)
    };
    enter(sandbox, || {
        let mut socket = Socket::open()?;
        // The pod decides how much there is of everything.
        let links = link::dump_at_most(&mut socket, MOST_INTERFACES)?
            .ok_or_else(|| more(MOST_INTERFACES, "interfaces"))?;
        let named = |index: u32| link::by_index(&links, index).map(|(name, _)| *name);
        let Tables {
            main: table,
            beside,
            bytes,
            ..
        } = routes::read(&mut socket, &named, most)?;
        let other_rules = &rules::families_with_other_rules(&mut socket)? | &beside;
        let neighbours = neighbours::gateways(&mut socket, &named, &table)?;
        let mut addresses = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            let read = address::dump_at_most(&mut socket, family, MOST_ADDRESSES)?;
            addresses.extend(read.ok_or_else(|| more(MOST_ADDRESSES, "addresses"))?);
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
                .collect(),
            routes: table.clone(),
            other_rules: other_rules.clone(),
            neighbours: neighbours.clone(),
        };
        let pods = ends.iter().map(|(name, end)| (*name, pod(*end)));
        Ok((pods.collect(), bytes))
    })
}
