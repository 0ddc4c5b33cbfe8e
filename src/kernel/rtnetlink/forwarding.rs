//! State that decides the way of packets through the host, over rtnetlink.

pub(crate) mod links;
mod named;
pub(crate) mod neighbours;
mod pods;
pub(crate) mod programs;
mod routes;
pub(crate) mod rules;

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::netlink::interrupt::Interrupt;
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::Socket;
use crate::rtnetlink::forwarding::routes::Most;
use crate::rtnetlink::link;
use crate::rtnetlink::link::Row;
use netkeel_core::error::Error;
use netkeel_host::snapshot::forwarding::{Forwarding, MOST_HOST_ROUTES};
use netkeel_host::snapshot::problem::{Problem, Subject};

/// What is kept of the host's main table.
const HOST: Most = Most {
    routes: MOST_HOST_ROUTES,
    bytes: 4 << 20,
};

/// Reads it. A part that cannot be read stays missing, and is a problem.
///
/// # Errors
/// When a stop is requested between two pods.
pub(crate) fn read(
    socket: &mut Socket,
    rows: &[Row],
    problems: &mut Vec<Problem>,
    interrupt: &Interrupt,
) -> Result<Forwarding, Error> {
    let mut found = Forwarding::default();
    let named = |index: u32| link::by_index(rows, index).map(|(name, _)| *name);
    let mut part = |what: &str, result: Result<(), Refusal>| {
        if let Err(refusal) = result {
            problems.push(Problem {
                what: Subject::Other(what.to_owned()),
                why: Error::from(refusal).message,
            });
        }
    };
    let read = links::read(socket, &named, &mut found);
    part("the tunnels and ARP settings of the interfaces", read);
    let read = programs::xdp(socket, &named);
    part(
        "the programs of XDP",
        read.map(|links| found.attached.xdp = Some(links)),
    );
    let read = programs::tc(socket, &named);
    part(
        "the qdiscs for filters of tc",
        read.map(|links| found.attached.tc = Some(links)),
    );
    let read = routes::read(socket, &named, HOST);
    let mut beside = BTreeSet::new();
    part(
        "the main table of routes",
        read.map(|tables| {
            found.routes = Some(tables.main);
            beside = tables.beside;
            found.local = tables.local.map(|local| any_ip(local, rows));
        }),
    );
    let read = rules::families_with_other_rules(socket);
    part(
        "the routing rules",
        read.map(|families| found.other_rules = Some(&families | &beside)),
    );
    if let Some(routes) = &found.routes {
        let read = neighbours::gateways(socket, &named, routes);
        part(
            "the neighbours",
            read.map(|neighbours| found.neighbours = Some(neighbours)),
        );
    }
    pods::read(socket, rows, problems, interrupt, &mut found)?;
    Ok(found)
}

/// The destinations of local routes that are no address of an interface, without 127.0.0.0/8.
fn any_ip(local: BTreeSet<IpNet>, rows: &[Row]) -> BTreeSet<IpNet> {
    let addresses = rows.iter().flat_map(|(_, link)| &link.addresses);
    let own: BTreeSet<IpNet> = addresses.map(|own| IpNet::from(own.addr())).collect();
    let is_other = |net: &IpNet| !own.contains(net) && !net.addr().is_loopback();
    local.into_iter().filter(is_other).collect()
}
