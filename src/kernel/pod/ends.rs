//! The other ends of veths and netkit devices, in pods: found by the kernel's namespace ids, read from outside, and
//! written by a thread that goes in.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::thread;

use ipnet::{IpNet, Ipv6Net};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};

use crate::files::read;
use crate::files::read::{ReadError, Symlinks};
use crate::ioctl;
use crate::netlink::interrupt::Interrupt;
use crate::netlink::refusal::{Refusal, error};
use crate::netlink::socket::Socket;
use crate::pod::pod_routes::PodRoutes;
use crate::pod::sandbox;
use crate::rtnetlink::link::Row;
use crate::rtnetlink::route_change::MetricChange;
use crate::rtnetlink::route_row::Defaults;
use crate::rtnetlink::{address, link, link_change, route, route_row};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::route::RouteKey;
use netkeel_core::name::sandbox::Sandbox;
use netkeel_core::op::PodTarget;
use netkeel_host::snapshot::pod::{CniOwner, Excess, MOST_ADDRESSES, MOST_INTERFACES, PodEnd, Unwritable};
use netkeel_host::snapshot::problem::{Problem, Subject};

/// Adds to each veth whose other end is in another namespace what is known of that end. One that
/// cannot be read stays without, and is a problem. So does a NIC of this namespace whose other end is in a namespace that
/// no file or process shows, as that of a container is: the other end belongs to another host.
///
/// # Errors
/// When a stop is requested between two namespaces.
pub(crate) fn read(
    socket: &mut Socket,
    rows: &mut [Row],
    problems: &mut Vec<Problem>,
    interrupt: &Interrupt,
) -> Result<(), Error> {
    let cilium = rows.iter().any(|(name, _)| name.as_bytes() == b"cilium_host");
    let mut by_namespace: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for (at, (_, link)) in rows.iter().enumerate() {
        if let (Some(id), true) = (link.peer_netns, link.leads_elsewhere()) {
            by_namespace.entry(id).or_default().push(at);
        }
    }
    if by_namespace.is_empty() {
        return Ok(());
    }
    let sandboxes = sandbox::find(socket);
    let hidden = by_namespace.iter().filter(|(id, _)| !sandboxes.contains_key(*id));
    let hidden: Vec<usize> = hidden.flat_map(|(_, ends)| ends).copied().collect();
    if let Err(refusal) = mark_nics(socket, rows, &hidden) {
        problems.push(Problem {
            what: Subject::Other("whether veths are NICs of this namespace".to_owned()),
            why: Error::from(refusal).message,
        });
    }
    for (id, mut ends) in by_namespace {
        interrupt.check()?;
        ends.retain(|at| rows.get(*at).is_some_and(|(_, link)| !link.uplink));
        if ends.is_empty() {
            continue;
        }
        let seen = Namespace::read(socket, id, sandboxes.get(&id));
        for at in ends {
            let Some((name, link)) = rows.get_mut(at) else {
                continue;
            };
            let found = seen.as_ref().map_err(|error| error.message.clone());
            match found.and_then(|seen| seen.end(socket, link.lower)) {
                Ok(mut end) => {
                    if cilium && name.as_bytes().starts_with(b"lxc") {
                        end.kept_by = Some(CniOwner::Cilium);
                    }
                    Arc::make_mut(link).pod = Some(Box::new(end));
                }
                Err(why) => problems.push(Problem {
                    what: Subject::PodEnd(*name),
                    why,
                }),
            }
        }
    }
    Ok(())
}

/// Marks those of these veths that are NICs of this namespace. The scope may be without what shows them, so that it is read
/// here; few hosts have a veth into a namespace that nothing shows.
fn mark_nics(socket: &mut Socket, rows: &mut [Row], hidden: &[usize]) -> Result<(), Refusal> {
    if hidden.is_empty() {
        return Ok(());
    }
    let defaults: BTreeSet<u32> = route::defaults(socket)?.iter().map(|hop| hop.index).collect();
    let mut addresses = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        address::dump(socket, family, &mut addresses)?;
    }
    let has_hardware = rows.iter().any(|(name, link)| link.is_hardware(*name));
    for at in hidden {
        let Some((_, link)) = rows.get_mut(*at) else {
            continue;
        };
        let mut with_addresses = (**link).clone();
        let own = addresses.iter().filter(|row| row.index == link.index);
        with_addresses.addresses.extend(own.map(|row| row.address));
        if with_addresses.is_own_nic(defaults.contains(&link.index), true, has_hardware) {
            Arc::make_mut(link).uplink = true;
        }
    }
    Ok(())
}

/// One namespace as it was read.
struct Namespace {
    sandbox: Option<Sandbox>,
    kept_by: Option<CniOwner>,
    /// Its id here.
    id: i32,
    excess: Option<Excess>,
    links: Vec<Row>,
    addresses: Vec<address::Row>,
    routes: Vec<route_row::Row>,
    /// None where the routes were not read.
    defaults: Option<Defaults>,
}

impl Namespace {
    /// Interfaces and addresses from outside; routes can be asked for inside only. The pod decides how much
    /// there is of each, so that each is read up to a limit, and nothing after one limit is exceeded.
    fn read(socket: &mut Socket, id: i32, found: Option<&sandbox::FoundSandbox>) -> Result<Self, Error> {
        let mut excess = None;
        let links = link::dump_of(socket, id, MOST_INTERFACES, &mut Vec::new())?;
        let links = links.unwrap_or_else(|| {
            excess = Some(Excess::Interfaces);
            Vec::new()
        });
        let addresses = match excess {
            None => address::dump_of(socket, id, MOST_ADDRESSES)?,
            Some(_) => Some(Vec::new()),
        };
        let addresses = addresses.unwrap_or_else(|| {
            excess = Some(Excess::Addresses);
            Vec::new()
        });
        let (routes, defaults) = match found {
            Some(found) if excess.is_none() => enter(&found.sandbox, || {
                let mut socket = Socket::open()?;
                let mut defaults = Defaults::default();
                let routes = route_row::with_mtu_and_defaults(&mut socket, &mut defaults)?;
                Ok((routes, Some(defaults)))
            })?,
            _ => (Some(Vec::new()), None),
        };
        let defaults = defaults.filter(|_| routes.is_some());
        let routes = routes.unwrap_or_else(|| {
            excess = Some(Excess::Routes);
            Vec::new()
        });
        let virtual_machine = links.iter().any(|(name, _)| name.as_bytes().starts_with(b"k6t-"));
        Ok(Namespace {
            sandbox: found.map(|found| found.sandbox.clone()),
            kept_by: match found {
                Some(found) if found.gvisor => Some(CniOwner::Gvisor),
                _ if virtual_machine => Some(CniOwner::Kubevirt),
                _ => None,
            },
            id,
            excess,
            links,
            addresses,
            routes,
            defaults,
        })
    }

    /// The interface of an index.
    fn end(&self, socket: &mut Socket, index: Option<u32>) -> Result<PodEnd, String> {
        let gone = || "it is gone".to_owned();
        let index = index.ok_or_else(gone)?;
        let asked = match self.excess {
            Some(Excess::Interfaces) => {
                link::one_of(socket, self.id, index).map_err(|refusal| Error::from(refusal).message)?
            }
            _ => None,
        };
        let mut links = self.links.iter().chain(&asked);
        let (name, link) = links.find(|(_, link)| link.index == index).ok_or_else(gone)?;
        let ipv6 = |row: &address::Row| match row.address {
            IpNet::V6(net) if !net.addr().is_unicast_link_local() => Some(net),
            _ => None,
        };
        let mut routes = BTreeMap::new();
        // IPv6 has several of one key where they are the parts of one, by several interfaces.
        for row in self.routes.iter().filter(|row| row.indices.contains(&index)) {
            let Some(mut route) = row.as_pod_route() else {
                continue;
            };
            if self.routes.iter().filter(|other| other.key == row.key).count() > 1 {
                route.unwritable = Some(Unwritable::Several);
            }
            // Of several the largest MTU counts.
            let first = routes.entry(row.key).or_insert_with(|| route.clone());
            if route.mtu > first.mtu {
                *first = route;
            }
        }
        Ok(PodEnd {
            excess: self.excess,
            sandbox: self.sandbox.clone(),
            index,
            name: *name,
            mtu: link.mtu,
            mtu6: link.mtu6,
            leads_out: self
                .defaults
                .as_ref()
                .and_then(|defaults| defaults.lead_by(index)),
            routes,
            ipv6: self
                .addresses
                .iter()
                .filter(|row| row.index == index)
                .filter_map(ipv6)
                .collect::<BTreeSet<Ipv6Net>>(),
            kept_by: self.kept_by,
        })
    }
}

/// Sets the MTU of a pod's end.
pub(crate) fn set_mtu(pod: &PodTarget, mtu: u32) -> Result<(), Error> {
    enter(&pod.sandbox, || {
        let mut socket = Socket::open()?;
        let index = checked(&socket, pod)?;
        Ok(link_change::set(
            &mut socket,
            index,
            &link_change::Setting::Mtu(mtu),
        )?)
    })
}

/// Changes a metric of a route in a pod; other attributes of the route stay. `opened` has the routes of the pod
/// that was written last.
pub(crate) fn set_route_metric(
    opened: &mut Option<PodRoutes>,
    pod: &PodTarget,
    key: RouteKey,
    change: &MetricChange,
) -> Result<(), Error> {
    let routes = match opened.take().filter(|routes| routes.are_of(&pod.sandbox)) {
        Some(routes) => routes,
        None => enter(&pod.sandbox, || PodRoutes::open(pod.sandbox.clone()))?,
    };
    let routes = opened.insert(routes);
    let index = checked(routes.socket(), pod)?;
    routes.set(index.cast_unsigned(), key, change)
}

/// The index of a pod's end, after making sure that it still bears its name.
fn checked(socket: &Socket, pod: &PodTarget) -> Result<i32, Error> {
    let index = pod.index.cast_signed();
    match ioctl::name_of(socket.raw(), index) {
        Ok(found) if found == pod.name => Ok(index),
        Ok(_) | Err(Errno::ENODEV) => Err(Error::new(
            ErrorKind::Missing,
            format!("the pod's interface {} is gone", pod.name),
        )),
        Err(errno) => Err(error(errno).context(format_args!("looking for the pod's interface {}", pod.name))),
    }
}

/// Works in a sandbox, in a thread of its own.
///
/// # Errors
/// Those of `work`; [`ErrorKind::Missing`] when the sandbox is gone.
pub fn enter<T: Send>(sandbox: &Sandbox, work: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    let gone = || Error::new(ErrorKind::Missing, "the pod's network namespace is gone");
    let file = match read::open(&sandbox.path, Symlinks::Follow) {
        Err(ReadError::Io(cause)) if matches!(cause.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => {
            return Err(gone());
        }
        opened => opened.map_err(|cause| Error::from(cause).context(sandbox.path.display()))?,
    };
    if file.metadata().map_err(error)?.ino() != sandbox.inode {
        return Err(gone());
    }
    thread::scope(|scope| {
        let inside = thread::Builder::new()
            .name("pod".to_owned())
            .spawn_scoped(scope, || {
                setns(file, CloneFlags::CLONE_NEWNET)
                    .map_err(|errno| error(errno).context("entering the pod's network namespace"))?;
                work()
            })
            .map_err(error)?;
        inside.join().unwrap_or_else(|_| {
            let message = "the thread in the pod's network namespace panicked";
            Err(Error::new(ErrorKind::Refused, message))
        })
    })
}
