//! The real kernel: one netlink socket and one /proc/sys, both of the namespace in which it was
//! opened.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use netlink_packet_route::route::RouteHeader;
use nix::errno::Errno;
use nix::sys::utsname::uname;

use crate::files::root::Root;
use crate::files::{cni, file, private};
use crate::live::machine::{boot, cpus, ticks};
use crate::namespace::enter::inside;
use crate::namespace::identity::{Identity, identify};
use crate::netlink::interrupt::Interrupt;
use crate::netlink::refusal::{Refusal, error};
use crate::netlink::socket::Socket;
use crate::nftables::client::Nftables;
use crate::nftables::filter;
use crate::pod::ends;
use crate::pod::pod_routes::PodRoutes;
use crate::probe::path;
use crate::rtnetlink::events::Events;
use crate::rtnetlink::forwarding::rules;
use crate::rtnetlink::link::Words;
use crate::rtnetlink::{address, announced, forwarding, link, macs, next_hops, route, route_row};
use crate::sysctl::tree;
use crate::{ioctl, modules};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Fact;
use netkeel_core::name::device::BootId;
use netkeel_core::name::netns::Netns;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::op::Op;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::default_route::DefaultRoute;
use netkeel_host::snapshot::forwarding::Family;
use netkeel_host::snapshot::next_hop::NextHop;
use netkeel_host::snapshot::problem::{Problem, Subject};
use netkeel_host::snapshot::reading::SysctlReading;
use netkeel_host::snapshot::scope::{Links, Scope};
use netkeel_host::snapshot::{FORMAT, Snapshot};

/// The kernel that runs here, seen from one network namespace. It stays in the thread that opened
/// it: sysctls are those of the thread's namespace.
pub struct Live {
    pub(crate) netns: Netns,
    pub(crate) release: String,
    boot: BootId,
    pub(crate) socket: Socket,
    pub(crate) nftables: Nftables,
    pub(crate) sysctls: tree::Tree,
    /// The MTU of the paths that were measured, bytes.
    paths: BTreeMap<IpAddr, u32>,
    /// Set to stop a long read.
    interrupt: Interrupt,
    /// The routes of the pod that was written last, while its routes are written.
    pub(crate) pod_routes: Option<PodRoutes>,
    /// Not `Send`.
    here: PhantomData<*const ()>,
}

impl Live {
    /// Runs `work` with the kernel of a namespace; in a thread of its own where it is another one.
    ///
    /// # Errors
    /// When there is no such namespace, or netlink or /proc/sys cannot be opened.
    pub fn with<T: Send>(netns: &Netns, work: impl FnOnce(&mut Live) -> T + Send) -> Result<T, Error> {
        inside(netns, || Live::open(netns).map(|mut live| work(&mut live)))?
    }

    /// Opens the kernel in the calling thread's namespace, which bears this name.
    fn open(netns: &Netns) -> Result<Self, Error> {
        let socket =
            Socket::open().map_err(|refusal| Error::from(refusal).context("opening a netlink socket"))?;
        let release = uname().map_err(error)?;
        Ok(Live {
            netns: netns.clone(),
            release: release.release().to_string_lossy().into_owned(),
            boot: boot()?,
            socket,
            nftables: Nftables::default(),
            sysctls: tree::Tree::open()?,
            paths: BTreeMap::new(),
            interrupt: Interrupt::default(),
            pod_routes: None,
            here: PhantomData,
        })
    }

    /// Makes a request to stop end a snapshot with an error.
    pub fn stop_on(&mut self, interrupt: Interrupt) {
        self.interrupt = interrupt;
    }

    /// The socket, for ioctls.
    pub fn raw(&self) -> &netlink_sys::Socket {
        self.socket.raw()
    }

    /// Listens to what changes in its namespace; see [`Events`].
    ///
    /// # Errors
    /// When there is no socket to be had.
    pub fn events(&self, queue: usize) -> Result<Events, Error> {
        Events::open(queue).map_err(|refusal| Error::from(refusal).context("listening to rtnetlink"))
    }

    /// Takes the measured MTU of a path, and says whether it is news.
    pub fn learn_path(&mut self, target: IpAddr, mtu: u32) -> bool {
        self.paths.insert(target, mtu) != Some(mtu)
    }

    /// Measures the paths of a scope that were not measured yet: what is done and seen in one go rests
    /// on one measurement.
    fn read_paths(&mut self, scope: &Scope, snapshot: &mut Snapshot) {
        for target in &scope.paths {
            let known = self.paths.get(target).copied();
            match known.map_or_else(|| path::measure(*target), Ok) {
                Ok(mtu) => {
                    self.paths.insert(*target, mtu);
                    snapshot.path_mtus.insert(*target, mtu);
                }
                Err(error) => snapshot.problems.push(Problem {
                    what: Subject::Other(format!("the MTU of the path to {target}")),
                    why: error.message,
                }),
            }
        }
    }

    /// Reads the interfaces and everything that belongs to them.
    fn read_links(&mut self, scope: &Scope, snapshot: &mut Snapshot) -> Result<(), Error> {
        let rows = match &scope.links {
            Links::All => link::dump(&mut self.socket, &mut snapshot.problems),
            Links::These(these) => link::some(&mut self.socket, these, &mut snapshot.problems),
        };
        let mut rows = rows.map_err(|refusal| Error::from(refusal).context("reading the interfaces"))?;
        let all = || {
            let all = SysctlKey::known("net/ipv4/conf/all/rp_filter");
            self.sysctls.read(&all).ok()?.number()
        };
        let families = scope.families_of(rows.iter().map(|(_, link)| link.as_ref()), all);
        snapshot.families = families;
        for (asked, family, what) in [
            (families.ipv4, libc::AF_INET, Subject::Ipv4Addresses),
            (families.ipv6, libc::AF_INET6, Subject::Ipv6Addresses),
        ] {
            if asked && let Err(refusal) = self.read_addresses(family, &mut rows) {
                // Not read is not "none": the family is taken back.
                match family {
                    libc::AF_INET => snapshot.families.ipv4 = false,
                    _ => snapshot.families.ipv6 = false,
                }
                snapshot.problems.push(Problem {
                    what,
                    why: Error::from(refusal).message,
                });
            }
        }
        if scope.drivers {
            let mut words = Words::default();
            for (name, link) in &mut rows {
                match ioctl::driver_of(self.socket.raw(), *name) {
                    Ok(driver) => {
                        let link = Arc::make_mut(link);
                        link.driver = driver.name.map(|name| words.share(&name));
                        link.bus = driver.bus.map(|bus| String::from_utf8_lossy(&bus).into());
                    }
                    // The interface was deleted after the dump.
                    Err(Errno::ENODEV) => {}
                    Err(errno) => snapshot.problems.push(Problem {
                        what: Subject::Other(format!("the driver of {name}")),
                        why: error(errno).message,
                    }),
                }
            }
        }
        if scope.macs {
            match macs::dump(&mut self.socket) {
                Ok(macs) => macs::enter(&macs, &mut rows),
                Err(refusal) => snapshot.problems.push(Problem {
                    what: Subject::Other("the Ethernet addresses of the interfaces".to_owned()),
                    why: Error::from(refusal).message,
                }),
            }
        }
        if scope.peer_routes {
            self.read_peer_routes(&mut rows, &mut snapshot.problems);
        }
        if scope.default_routes {
            self.read_default_routes(&rows, snapshot);
        }
        if scope.next_hops {
            self.read_next_hops(&rows, snapshot);
        }
        if scope.announced_routes {
            self.read_announced_routes(snapshot);
        }
        if !scope.routes.is_empty() {
            self.read_routes(scope, &mut rows, snapshot);
        }
        if scope.route_mtus {
            self.read_route_mtus(&mut rows, snapshot);
        }
        if scope.pods {
            ends::read(
                &mut self.socket,
                &mut rows,
                &mut snapshot.problems,
                &self.interrupt,
            )?;
        }
        if scope.forwarding {
            let found = forwarding::read(&mut self.socket, &rows, &mut snapshot.problems, &self.interrupt)?;
            snapshot.forwarding = Some(Box::new(found));
        }
        for (name, link) in &mut rows {
            if let Some(mtu) = link.mtu6 {
                Arc::make_mut(link).mtu6 = None;
                let reading = SysctlReading::Value {
                    value: mtu.to_string().into(),
                    writable: true,
                };
                snapshot
                    .sysctls
                    .insert(SysctlKey::conf("ipv6", *name, "mtu"), reading);
            }
        }
        snapshot.links = rows.into_iter().collect();
        snapshot.mark_uplinks();
        Ok(())
    }

    /// Reads which interfaces forward IPv6 though `all` does not. The key is there since Linux 6.17.
    fn read_force_forwarding(&mut self, snapshot: &mut Snapshot) {
        let Some(forwarding) = &mut snapshot.forwarding else {
            return;
        };
        let mut forced = BTreeSet::new();
        for name in snapshot.links.keys() {
            let key = SysctlKey::conf("ipv6", *name, "force_forwarding");
            match self.sysctls.read(&key) {
                Ok(reading) if reading.number().is_some_and(|value| value != 0) => {
                    forced.insert(*name);
                }
                Ok(_) => {}
                Err(error) => {
                    snapshot.problems.push(Problem {
                        what: Subject::sysctl(&snapshot.netns, &key),
                        why: error.message,
                    });
                    return;
                }
            }
        }
        forwarding.forced6 = Some(forced);
    }

    fn read_default_routes(&mut self, rows: &[link::Row], snapshot: &mut Snapshot) {
        match route::defaults(&mut self.socket) {
            Ok(found) => {
                let named = |route: route::Hop| {
                    let (link, _) = link::by_index(rows, route.index)?;
                    Some(DefaultRoute {
                        link: *link,
                        mtu: route.mtu,
                        metric: Some(route.metric),
                        family: Some(match route.ipv6 {
                            true => Family::Ipv6,
                            false => Family::Ipv4,
                        }),
                    })
                };
                snapshot.default_routes = Some(found.into_iter().filter_map(named).collect());
            }
            Err(refusal) => snapshot.problems.push(Problem {
                what: Subject::Other("the default routes".to_owned()),
                why: Error::from(refusal).message,
            }),
        }
    }

    fn read_next_hops(&mut self, rows: &[link::Row], snapshot: &mut Snapshot) {
        match next_hops::read(&mut self.socket) {
            Ok(found) => {
                let named = |hop: next_hops::Row| {
                    let (link, _) = link::by_index(rows, hop.index)?;
                    Some(NextHop {
                        link: *link,
                        router: hop.router,
                        ipv6: hop.ipv6,
                        default: hop.default,
                        table: hop.table,
                        metric: hop.metric,
                        protocol: hop.protocol,
                    })
                };
                snapshot.next_hops = Some(found.into_iter().filter_map(named).collect());
            }
            Err(refusal) => snapshot.problems.push(Problem {
                what: Subject::Other("the next hops of the routes".to_owned()),
                why: Error::from(refusal).message,
            }),
        }
        match rules::families_with_policy_routing(&mut self.socket) {
            Ok(families) => snapshot.policy_routing = Some(families),
            Err(refusal) => snapshot.problems.push(Problem {
                what: Subject::Other("the routing rules".to_owned()),
                why: Error::from(refusal).message,
            }),
        }
    }

    fn read_announced_routes(&mut self, snapshot: &mut Snapshot) {
        match announced::links() {
            Ok(links) => {
                let mut found = BTreeMap::new();
                for name in links {
                    let key = SysctlKey::conf("ipv6", name, "accept_ra");
                    let reading = self.sysctls.read(&key).ok();
                    found.insert(name, reading.as_ref().and_then(SysctlReading::number));
                    // A plan that keeps the routes writes it.
                    if let Some(reading) = reading {
                        snapshot.sysctls.entry(key).or_insert(reading);
                    }
                }
                snapshot.announced_routes = Some(found);
            }
            Err(error) => snapshot.problems.push(Problem {
                what: Subject::Other("the default routes that routers announced".to_owned()),
                why: error.message,
            }),
        }
    }

    fn read_routes(&mut self, scope: &Scope, rows: &mut [link::Row], snapshot: &mut Snapshot) {
        let lengths: BTreeSet<u8> = scope
            .routes
            .iter()
            .map(|key| key.destination.prefix_len())
            .collect();
        let wanted = |header: &RouteHeader| lengths.contains(&header.destination_prefix_length);
        let found = match route_row::read_routes(&mut self.socket, &wanted) {
            Ok(found) => found,
            Err(refusal) => {
                snapshot.problems.push(Problem {
                    what: Subject::Routes,
                    why: Error::from(refusal).message,
                });
                return;
            }
        };
        snapshot.routes = scope.routes.clone();
        for row in found {
            let key = row.key;
            if !scope.routes.contains(&key.place()) {
                continue;
            }
            let index = row.indices.first().copied().unwrap_or_default();
            match link::by_index_mut(rows, index) {
                Some((_, link)) => match Arc::make_mut(link).routes.entry(key) {
                    Entry::Vacant(entry) => drop(entry.insert(row.into_route())),
                    Entry::Occupied(mut entry) => entry.get_mut().several = true,
                },
                // A next hop object without its interface (nexthop_compat_mode=0), or a new interface.
                None => {
                    snapshot.routes.remove(&key.place());
                    snapshot.problems.push(Problem {
                        what: Subject::Routes,
                        why: format!("the interface of the route to {key} is not known"),
                    });
                }
            }
        }
    }

    fn read_addresses(&mut self, family: libc::c_int, rows: &mut [link::Row]) -> Result<(), Refusal> {
        let mut addresses = Vec::new();
        address::dump(&mut self.socket, family, &mut addresses)?;
        for row in addresses {
            // An address of an interface that is newer than the list of them has no place; the
            // interface's event brings the next look.
            if let Some((_, link)) = link::by_index_mut(rows, row.index) {
                let link = Arc::make_mut(link);
                link.addresses.insert(row.address);
                if row.secondary {
                    link.secondary.insert(row.address);
                }
            }
        }
        Ok(())
    }
}

impl Kernel for Live {
    fn snapshot(&mut self, scope: &Scope) -> Result<Snapshot, Error> {
        self.interrupt.check()?;
        let mut snapshot = Snapshot {
            format: FORMAT,
            kernel: self.release.clone(),
            boot: self.boot,
            ..Snapshot::empty(self.netns.clone())
        };
        self.pod_routes = None;
        self.read_links(scope, &mut snapshot)?;
        self.read_paths(scope, &mut snapshot);
        if scope.firewall {
            let name = |index| snapshot.by_index(index).map(|(name, _)| name);
            let found = filter::read(&self.release, &name);
            snapshot.firewall = Some(Box::new(found));
        }
        for key in scope.sysctls_of(&snapshot.links) {
            match self.sysctls.read(&key) {
                Ok(reading) => {
                    snapshot.sysctls.insert(key, reading);
                }
                Err(error) => snapshot.problems.push(Problem {
                    what: Subject::sysctl(&snapshot.netns, &key),
                    why: error.message,
                }),
            }
        }
        if scope.forwarding && snapshot.sysctl_number("net/ipv6/conf/all/forwarding") == Some(0) {
            self.read_force_forwarding(&mut snapshot);
        }
        for path in &scope.files {
            match file::read(path) {
                Ok(file) => {
                    snapshot.files.insert(path.clone(), file);
                }
                Err(error) => snapshot.problems.push(Problem {
                    what: Subject::Fact(Fact::file(path)),
                    why: error.message,
                }),
            }
        }
        // Other programs' files hold no wanted fact: a file that cannot be read reports its own problem.
        if scope.sysctl_d && identify(&Netns::CURRENT).is_ok_and(|this| this == Identity::Host) {
            snapshot.sysctl_d = Some(Root::open(Path::new("/"))?.sysctl_d_to_show());
        }
        // They are the host's.
        if !scope.cni.is_empty() && self.netns == Netns::CURRENT {
            snapshot.cni = Some(cni::read(&scope.cni, &mut snapshot.problems));
        }
        for (copy, source) in &scope.wireguard {
            match private::look(source, copy) {
                Ok(copied) => {
                    snapshot.wireguard.insert(copy.clone(), copied);
                }
                Err(error) => snapshot.problems.push(Problem {
                    what: Subject::Fact(Fact::wireguard(copy, source)),
                    why: error.message,
                }),
            }
        }
        for mode in &scope.tunnels {
            let support = modules::support(*mode, &snapshot.links, &self.release);
            snapshot.tunnels.insert(*mode, support);
        }
        for module in &scope.modules {
            let support = modules::all_of(&[module.as_str()], &self.release);
            snapshot.modules.insert(module.clone(), support);
        }
        snapshot.ticks = scope.needs_ticks().then(ticks).flatten();
        snapshot.cpus = scope.needs_cpus().then(cpus).flatten();
        if scope.nflog {
            match self.nftables.observe(&self.release, &mut snapshot.problems) {
                Ok(observed) => snapshot.nflog = Some(observed),
                Err(error) => snapshot.problems.push(Problem {
                    what: Subject::Nflog,
                    why: match error.kind {
                        ErrorKind::Permission => format!("{}; it needs CAP_NET_ADMIN", error.message),
                        _ => error.message,
                    },
                }),
            }
        }
        Ok(snapshot)
    }

    fn execute(&mut self, op: &Op) -> Result<(), Error> {
        self.do_op(op)
    }
}
