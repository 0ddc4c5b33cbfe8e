//! Which paths to draw: those of a pod, of an interface, to an address, or of all pods.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::path::drawing::Path;
use crate::path::hop::{Above, Place, RouteStep};
use crate::path::lookup::Host;
use crate::path::origin::{Destination, Origin};
use crate::path::walk::Walk;
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::forwarding::Family;
use netkeel_host::snapshot::link::Link;

/// Where the wanted paths begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At every pod, and at this host.
    Everywhere,
    /// At the pod at this veth or netkit device.
    Pod(LinkName),
    /// At this host, by this interface.
    Interface(LinkName),
    /// At this host, to this address.
    Address(IpAddr),
}

/// The start that a word names: the address or the name of a pod, an interface, or any other address. `None`
/// if the word names nothing. `named` returns a pod's `NAMESPACE/NAME` for the path of its namespace.
pub fn start(host: &Snapshot, word: &str, named: &dyn Fn(&str) -> Option<String>) -> Option<Start> {
    let pods = || host.links.iter().filter(|(_, link)| link.leads_into_a_pod());
    if let Ok(address) = word.parse::<IpAddr>() {
        let forwarding = host.forwarding.as_deref();
        let mut of_pods = forwarding.into_iter().flat_map(|found| found.pods.iter());
        let holder = of_pods.find(|(_, pod)| pod.addresses.iter().any(|own| own.addr() == address));
        let own = || {
            host.links
                .iter()
                .find(|(_, link)| link.addresses.iter().any(|own| own.addr() == address))
        };
        return Some(match holder {
            Some((link, _)) => Start::Pod(*link),
            // An address of this host: packets leave by its interface.
            None => own().map_or(Start::Address(address), |(name, _)| Start::Interface(*name)),
        });
    }
    if let Some((name, link)) = host.named(word).and_then(|name| Some((name, host.link(name)?))) {
        return Some(match link.leads_into_a_pod() {
            true => Start::Pod(name),
            false => Start::Interface(name),
        });
    }
    let is_named = |link: &Link| {
        let sandbox = link.pod.as_ref().and_then(|end| end.sandbox.as_ref());
        sandbox.is_some_and(|sandbox| {
            let path = sandbox.path.display().to_string();
            let file = sandbox.path.file_name().and_then(|name| name.to_str());
            let pod = named(&path);
            let short = pod
                .as_deref()
                .and_then(|pod| pod.split_once('/'))
                .map(|(_, name)| name);
            path == word || file == Some(word) || pod.as_deref() == Some(word) || short == Some(word)
        })
    };
    let mut found = pods().filter(|(_, link)| is_named(link));
    let (name, _) = found.next()?;
    // A short name that two pods bear names none of them.
    found.next().is_none().then_some(Start::Pod(*name))
}

/// The paths from a start, to an address if there is one. Without an address, a pod has a path by each tunnel
/// that has routes, and one by the default route.
pub fn paths(
    snapshot: &Snapshot,
    start: &Start,
    to: Option<IpAddr>,
    named: &dyn Fn(&str) -> Option<String>,
) -> Vec<Path> {
    let host = Host::new(snapshot);
    match start {
        Start::Everywhere => {
            let uplinks = uplinks(&host);
            let pods = snapshot
                .links
                .iter()
                .filter(|(name, link)| link.leads_into_a_pod() && !uplinks.contains(name));
            let mut found: Vec<Path> = pods
                .flat_map(|(name, link)| from_pod(&host, *name, link, to, named))
                .collect();
            found = grouped(found);
            found.extend(from_host(&host, to));
            found
        }
        Start::Pod(name) => match snapshot.link(*name) {
            Some(link) if link.leads_into_a_pod() => from_pod(&host, *name, link, to, named),
            _ => Vec::new(),
        },
        Start::Interface(name) => {
            let external = host
                .forwarding
                .and_then(|found| found.tunnels.get(name))
                .is_some_and(|ends| ends.external)
                || snapshot.link(*name).is_some_and(|link| link.external);
            let destination = match external {
                true => Destination::Senders(*name),
                false => to.map_or(Destination::Through(*name), Destination::Address),
            };
            vec![one_from_host(&host, family_of(&host, to), destination)]
        }
        Start::Address(address) => {
            vec![one_from_host(
                &host,
                Family::of(*address),
                Destination::Address(*address),
            )]
        }
    }
}

fn from_host(host: &Host<'_>, to: Option<IpAddr>) -> Vec<Path> {
    let destination = to.map_or(Destination::Default, Destination::Address);
    vec![one_from_host(host, family_of(host, to), destination)]
}

fn one_from_host(host: &Host<'_>, family: Family, destination: Destination) -> Path {
    let mut walk = Walk::new(host, family, destination);
    walk.leave(Above::Refused, false);
    walk.end(Origin::Host)
}

/// IPv4, unless the address or the routes of the host are of IPv6 only.
fn family_of(host: &Host<'_>, to: Option<IpAddr>) -> Family {
    if let Some(to) = to {
        return Family::of(to);
    }
    let routes = host.forwarding.and_then(|found| found.routes.as_ref());
    let has = |family| routes.is_some_and(|routes| !routes.defaults(family).is_empty());
    match (has(Family::Ipv4), has(Family::Ipv6)) {
        (false, true) => Family::Ipv6,
        _ => Family::Ipv4,
    }
}

fn from_pod(
    host: &Host<'_>,
    name: LinkName,
    link: &Link,
    to: Option<IpAddr>,
    named: &dyn Fn(&str) -> Option<String>,
) -> Vec<Path> {
    let family = to.map_or_else(|| pod_family(host, name), Family::of);
    let destinations = match to {
        Some(to) => vec![Destination::Address(to)],
        None => destinations(host, family, link),
    };
    let sandbox = link.pod.as_ref().and_then(|end| end.sandbox.as_ref());
    let sandbox = sandbox.map(|sandbox| sandbox.path.display().to_string());
    let origin = Origin::Pod {
        link: name,
        name: sandbox.as_deref().and_then(named),
        sandbox,
        interface: link.pod.as_ref().map(|end| end.name),
        alike: Vec::new(),
    };
    let walked = destinations.into_iter().map(|destination| {
        let mut walk = Walk::new(host, family, destination);
        if let Some(link) = host.snapshot.link(name) {
            walk.follow_pod(name, link);
        }
        walk.end(origin.clone())
    });
    walked.collect()
}

/// IPv4, unless the pod has addresses of IPv6 only.
fn pod_family(host: &Host<'_>, name: LinkName) -> Family {
    let pod = host.forwarding.and_then(|found| found.pods.get(&name));
    let families: BTreeSet<Family> = pod
        .into_iter()
        .flat_map(|pod| pod.addresses.iter().map(|net| Family::of(net.addr())))
        .collect();
    match families.contains(&Family::Ipv6) && !families.contains(&Family::Ipv4) {
        true => Family::Ipv6,
        false => Family::Ipv4,
    }
}

/// The tunnels that have routes, and the default route.
fn destinations(host: &Host<'_>, family: Family, pod: &Link) -> Vec<Destination> {
    let Some(routes) = host.forwarding.and_then(|found| found.routes.as_ref()) else {
        return vec![Destination::Default];
    };
    let switched = pod.master.and_then(|master| host.by_index(master));
    if switched.is_some_and(|(_, master)| master.kind_name() == "bridge" && master.addresses.is_empty()) {
        return vec![Destination::Default];
    }
    let is_tunnel = |name: &LinkName| host.snapshot.link(*name).is_some_and(Link::is_tunnel);
    let of_family = routes
        .routes
        .iter()
        .filter(|route| Family::of(route.destination.addr()) == family);
    let tunnels: BTreeSet<LinkName> = of_family
        .filter(|route| route.destination.prefix_len() > 0)
        .flat_map(|route| route.hops().iter().map(|hop| hop.link))
        .filter(is_tunnel)
        .collect();
    let mut found: Vec<Destination> = tunnels.into_iter().map(Destination::Through).collect();
    if !routes.defaults(family).is_empty() || found.is_empty() {
        found.push(Destination::Default);
    }
    found
}

/// The devices by which packets leave the host: those with a route by a gateway. They lead to no pod.
fn uplinks(host: &Host<'_>) -> BTreeSet<LinkName> {
    let routes = host.forwarding.and_then(|found| found.routes.as_ref());
    let hops = routes
        .into_iter()
        .flat_map(|table| table.routes.iter().flat_map(|route| route.hops()));
    hops.filter(|hop| hop.via.is_some()).map(|hop| hop.link).collect()
}

/// Puts pods whose paths differ in names and addresses only together.
fn grouped(paths: Vec<Path>) -> Vec<Path> {
    let mut found: Vec<(Path, Path)> = Vec::new();
    for path in paths {
        let shape = shape(&path);
        match found.iter_mut().find(|(known, _)| *known == shape) {
            Some((_, first)) => {
                if let (Origin::Pod { alike, .. }, Origin::Pod { link, .. }) =
                    (&mut first.origin, &path.origin)
                {
                    alike.push(*link);
                }
            }
            None => found.push((shape, path)),
        }
    }
    found.into_iter().map(|(_, path)| path).collect()
}

/// A path without what differs from pod to pod.
fn shape(path: &Path) -> Path {
    let Origin::Pod { link, .. } = &path.origin else {
        return path.clone();
    };
    let own = *link;
    let mut shape = path.clone();
    shape.origin = Origin::Host;
    // A pod's gateway and the unknown facts name its veth; what remains of them shows in the numbers.
    for (at, hop) in shape.hops.iter_mut().enumerate() {
        if hop.place == Place::Origin || hop.device == own {
            // The same name for all of them: that of the device by which they leave.
            let last = path.hops.last().map(|hop| hop.device);
            hop.device = last.unwrap_or(own);
        }
        if at == 0 {
            hop.gateway = None;
            hop.route = hop.route.take().map(|route| RouteStep { via: None, ..route });
        }
        hop.ports.clear();
    }
    shape.unknown = path
        .unknown
        .iter()
        .filter(|unknown| !unknown.is_of(own))
        .copied()
        .collect();
    shape
}
