//! The real kernel: one netlink socket and one /proc/sys, both of the namespace in which it was
//! opened.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use ipnet::IpNet;
use nix::errno::Errno;
use nix::sys::utsname::uname;

use super::link::{Setting, Words};
use super::netlink::Socket;
use super::netns::inside;
use super::refusal::{Refusal, error};
use super::{Kernel, address, file, ioctl, link, modules, sysctl, udev};
use crate::error::{Error, ErrorKind};
use crate::netns::Netns;
use crate::op::{Op, Target};
use crate::snapshot::{FORMAT, Problem, Scope, Snapshot, Support};
use crate::tunnel_mode::TunnelMode;

/// The kernel that runs here, seen from one network namespace. It stays in the thread that opened
/// it: sysctls are those of the thread's namespace.
pub struct Live {
    netns: Netns,
    release: String,
    socket: Socket,
    sysctls: sysctl::Tree,
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
            socket,
            sysctls: sysctl::Tree::open()?,
            here: PhantomData,
        })
    }

    /// The index of an op's interface, after making sure that it still is that interface.
    fn index(&self, target: &Target) -> Result<i32, Error> {
        let name = target.name;
        if target.index == 0 {
            return match ioctl::index_of(self.socket.raw(), name) {
                Ok(index) => Ok(index),
                Err(Errno::ENODEV) => Err(missing(format!("there is no interface {name}"))),
                Err(errno) => Err(error(errno).context(format_args!("looking for the interface {name}"))),
            };
        }
        let index = target.index.cast_signed();
        match ioctl::name_of(self.socket.raw(), index) {
            Ok(found) if found == name => Ok(index),
            Ok(found) => Err(missing(format!(
                "the interface {name} (index {index}) is named {found} now"
            ))
            .hint("look again: it was renamed, or its index went to another one")),
            Err(Errno::ENODEV) => Err(missing(format!("the interface {name} (index {index}) is gone"))),
            Err(errno) => Err(error(errno).context(format_args!("looking for the interface {name}"))),
        }
    }

    fn create(&mut self, target: &Target, mode: TunnelMode) -> Result<(), Error> {
        link::create(&mut self.socket, target, mode)
            .map_err(|refusal| self.explain_create(refusal, target, mode))?;
        if let Ok(index) = ioctl::index_of(self.socket.raw(), target.name) {
            udev::settle(index);
        }
        Ok(())
    }

    fn explain_create(&mut self, refusal: Refusal, target: &Target, mode: TunnelMode) -> Error {
        match refusal.errno {
            Errno::EOPNOTSUPP => unsupported(mode),
            Errno::EEXIST if ioctl::index_of(self.socket.raw(), target.name).is_ok() => Error::new(
                ErrorKind::Refused,
                format!("there is an interface {} already", target.name),
            ),
            // One external device of a kind and namespace (`ip_tunnel_newlink`, `ip6_tnl_newlink`).
            Errno::EEXIST => {
                let mut others = link::dump(&mut self.socket, &mut Vec::new()).unwrap_or_default();
                others.retain(|(_, link)| link.external && link.kind.as_deref() == Some(mode.kind()));
                let error = Error::new(
                    ErrorKind::Refused,
                    format!(
                        "there is another external {mode} tunnel in this namespace, and the kernel allows one"
                    ),
                );
                match others.first() {
                    Some((name, _)) => error.hint(format!("it is {name}: use that name, or delete it first")),
                    None => error,
                }
            }
            _ => refusal.into(),
        }
    }

    fn add_address(&mut self, target: &Target, new: IpNet) -> Result<(), Error> {
        let index = self.index(target)?;
        match address::add(&mut self.socket, index, new) {
            Ok(()) => Ok(()),
            Err(refusal) if refusal.errno == Errno::EEXIST => {
                // IPv6 compares without the prefix length (`ipv6_chk_same_addr`).
                let family = match new {
                    IpNet::V4(_) => libc::AF_INET,
                    IpNet::V6(_) => libc::AF_INET6,
                };
                let mut rows = Vec::new();
                address::dump(&mut self.socket, family, &mut rows)?;
                rows.retain(|row| row.index.cast_signed() == index && row.address.addr() == new.addr());
                match rows.first() {
                    _ if rows.iter().any(|row| row.address == new) => Ok(()),
                    Some(row) => Err(Error::new(
                        ErrorKind::Refused,
                        format!("{} has that address already, as {}", target.name, row.address),
                    )),
                    None => Err(refusal.into()),
                }
            }
            // Not for lack of privilege (`addrconf_add_dev`, net/ipv6/addrconf.c).
            Err(refusal) if refusal.errno == Errno::EACCES => {
                let error = Error::from(refusal);
                Err(Error::new(ErrorKind::Refused, error.message))
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    fn set(&mut self, target: &Target, setting: &Setting<'_>) -> Result<(), Error> {
        let index = self.index(target)?;
        Ok(link::set(&mut self.socket, index, setting)?)
    }

    /// Reads everything that can be told of the interfaces.
    fn read_links(&mut self, scope: &Scope, snapshot: &mut Snapshot) -> Result<(), Error> {
        let mut rows = link::dump(&mut self.socket, &mut snapshot.problems)
            .map_err(|refusal| Error::from(refusal).context("reading the interfaces"))?;
        for (asked, family, name) in [
            (scope.families.ipv4, libc::AF_INET, "IPv4"),
            (scope.families.ipv6, libc::AF_INET6, "IPv6"),
        ] {
            if asked && let Err(refusal) = self.read_addresses(family, &mut rows) {
                // Not read is not "none": the family is taken back.
                match family {
                    libc::AF_INET => snapshot.families.ipv4 = false,
                    _ => snapshot.families.ipv6 = false,
                }
                snapshot.problems.push(Problem {
                    what: format!("the {name} addresses"),
                    why: Error::from(refusal).message,
                });
            }
        }
        if scope.drivers {
            let mut words = Words::default();
            for (name, link) in &mut rows {
                match ioctl::driver_of(self.socket.raw(), *name) {
                    Ok(driver) => link.driver = driver.map(|driver| words.share(&driver)),
                    // It went away since.
                    Err(Errno::ENODEV) => {}
                    Err(errno) => snapshot.problems.push(Problem {
                        what: format!("the driver of {name}"),
                        why: error(errno).message,
                    }),
                }
            }
        }
        snapshot.links = rows.into_iter().collect();
        Ok(())
    }

    fn read_addresses(&mut self, family: libc::c_int, rows: &mut [link::Row]) -> Result<(), Refusal> {
        let mut addresses = Vec::new();
        address::dump(&mut self.socket, family, &mut addresses)?;
        for row in addresses {
            // An address of an interface that is newer than the list of them has no place; the
            // interface's event brings the next look.
            let place = rows.binary_search_by_key(&row.index, |(_, link)| link.index);
            if let Some((_, link)) = place.ok().and_then(|at| rows.get_mut(at)) {
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
        let mut snapshot = Snapshot {
            format: FORMAT,
            kernel: self.release.clone(),
            families: scope.families,
            ..Snapshot::empty(self.netns.clone())
        };
        self.read_links(scope, &mut snapshot)?;
        for key in &scope.sysctls {
            match self.sysctls.read(key) {
                Ok(reading) => {
                    snapshot.sysctls.insert(key.clone(), reading);
                }
                Err(error) => snapshot.problems.push(Problem {
                    what: format!("sysctl {key}"),
                    why: error.message,
                }),
            }
        }
        for path in &scope.files {
            match file::read(path) {
                Ok(file) => {
                    snapshot.files.insert(path.clone(), file);
                }
                Err(error) => snapshot.problems.push(Problem {
                    what: format!("file {}", path.display()),
                    why: error.message,
                }),
            }
        }
        for mode in &scope.tunnels {
            let support = modules::support(*mode, &snapshot.links, &self.release);
            snapshot.tunnels.insert(*mode, support);
        }
        Ok(snapshot)
    }

    fn execute(&mut self, op: &Op) -> Result<(), Error> {
        if let Some(netns) = op.netns()
            && *netns != self.netns
        {
            if *netns == Netns::CURRENT {
                return Err(Error::new(
                    ErrorKind::Input,
                    format!("the write is for {netns}, and this is {}", self.netns),
                ));
            }
            return Live::with(netns, |live| live.execute(op))?;
        }
        match op {
            Op::WriteFile { path, content, mode } => file::write(path, content, *mode),
            Op::RemoveFile { path } => file::remove(path),
            Op::CreateTunnel { target, mode } => self.create(target, *mode),
            Op::RecreateTunnel { target, mode } => {
                let index = self.index(target)?;
                // Nothing is deleted for a tunnel that is known to be impossible.
                let support = modules::support(*mode, &BTreeMap::new(), &self.release);
                if let Support::Missing { .. } = support {
                    return Err(unsupported(*mode));
                }
                link::delete(&mut self.socket, index)?;
                self.create(target, *mode)
                    .map_err(|error| error.hint(format!("the old {} was deleted before that", target.name)))
            }
            Op::DeleteLink { target } => {
                let index = self.index(target)?;
                Ok(link::delete(&mut self.socket, index)?)
            }
            Op::AddAddress { target, address } => self.add_address(target, *address),
            Op::RemoveAddress { target, address } => {
                let index = self.index(target)?;
                Ok(address::remove(&mut self.socket, index, *address)?)
            }
            Op::SetMtu { target, mtu } => self.set(target, &Setting::Mtu(*mtu)),
            Op::SetUp { target, up } => self.set(target, &Setting::Up(*up)),
            Op::SetTxQueueLength { target, packets } => self.set(target, &Setting::TxQueueLength(*packets)),
            Op::SetAlias { target, alias } => self.set(target, &Setting::Alias(alias)),
            Op::WriteSysctl { key, value, link, .. } => {
                let sysctl = self.sysctls.open_for_write(key);
                // After opening, so that the check holds for what was opened; and first of the two
                // errors, since it says more than that the key is not there.
                if let Some(target) = link {
                    self.index(target)?;
                }
                sysctl?.write(value)
            }
        }
    }
}

fn unsupported(mode: TunnelMode) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!(
            "this kernel cannot make {mode} tunnels: it has no module {}",
            mode.module()
        ),
    )
    .hint(format!(
        "install the package that brings the module {}, or use a kernel built with {}",
        mode.module(),
        mode.config()
    ))
}

fn missing(message: String) -> Error {
    Error::new(ErrorKind::Missing, message)
}
