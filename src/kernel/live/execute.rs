//! Executes an op on the real kernel: checks that the interface still is the one that the op names, sends one
//! request, and describes a failure.

use std::collections::BTreeMap;

use ipnet::IpNet;
use nix::errno::Errno;

use crate::files::{cni, file, private};
use crate::live::snapshot::Live;
use crate::netlink::refusal::{Refusal, error};
use crate::pod::ends;
use crate::rtnetlink::link_change::Setting;
use crate::rtnetlink::route_change::MetricChange;
use crate::rtnetlink::{address, link, link_change, route_change};
use crate::sysctl::udev;
use crate::{ioctl, modules};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_core::name::tunnel::TunnelKind;
use netkeel_core::op::{Made, Op, Target};
use netkeel_host::snapshot::reading::Support;

impl Live {
    pub(crate) fn do_op(&mut self, op: &Op) -> Result<(), Error> {
        if let Some(netns) = op.netns()
            && *netns != self.netns
        {
            if *netns == Netns::CURRENT {
                return Err(Error::new(
                    ErrorKind::Input,
                    format!("the write is for {netns}, and this is {}", self.netns),
                ));
            }
            return Live::with(netns, |live| live.do_op(op))?;
        }
        if !matches!(op, Op::SetRouteMetric { pod: Some(_), .. }) {
            // Open sockets would keep the namespace of a pod that ends.
            self.pod_routes = None;
        }
        match op {
            Op::WriteFile { path, content, mode } => file::write(path, content, *mode),
            Op::RemoveFile { path } => file::remove(path),
            Op::SetPluginMtu {
                path,
                plugin,
                was,
                mtu,
            } => cni::set_mtu(path, plugin, was.as_ref(), mtu.as_ref()),
            Op::SetWireguardMtu {
                source,
                path,
                was,
                to,
            } => private::set_mtu(source, path, was.as_ref(), *to),
            Op::CreateTunnel { target, mode } => self.create(target, *mode),
            Op::RecreateTunnel { target, mode } => {
                let index = self.index(target)?;
                // Nothing is deleted for a tunnel that is known to be impossible.
                let support = modules::support(*mode, &BTreeMap::new(), &self.release);
                if let Support::Missing { .. } = support {
                    return Err(unsupported(*mode));
                }
                link_change::delete(&mut self.socket, index)?;
                self.create(target, *mode)
                    .map_err(|error| error.hint(format!("the old {} was deleted before that", target.name)))
            }
            Op::DeleteLink { target, made } => {
                let index = self.index(target)?;
                if let Some(made) = made {
                    self.is_made(index.cast_unsigned(), target.name, made)?;
                }
                Ok(link_change::delete(&mut self.socket, index)?)
            }
            Op::AddAddress { target, address } => self.add_address(target, *address),
            Op::RemoveAddress { target, address } => {
                let index = self.index(target)?;
                Ok(address::remove(&mut self.socket, index, *address)?)
            }
            Op::SetMtu { target, mtu } => self.set(target, &Setting::Mtu(*mtu)),
            Op::SetPodMtu { target, pod, mtu } => {
                self.index(target)?;
                ends::set_mtu(pod, *mtu)
            }
            Op::SetRouteMetric {
                target,
                pod,
                destination,
                metric,
                was,
                to,
                ..
            } => {
                let index = self.index(target)?;
                let change = MetricChange {
                    metric: *metric,
                    was: *was,
                    to: *to,
                };
                match pod {
                    Some(pod) => ends::set_route_metric(&mut self.pod_routes, pod, *destination, &change),
                    None => route_change::set(&mut self.socket, index.cast_unsigned(), *destination, &change),
                }
            }
            Op::SetUp { target, up } => self.set(target, &Setting::Up(*up)),
            Op::SetTxQueueLength { target, packets } => self.set(target, &Setting::TxQueueLength(*packets)),
            Op::SetAlias { target, alias } => self.set(target, &Setting::Alias(alias)),
            Op::SetRules { name, rules, .. } => self.nftables.set(name, Some(rules)),
            Op::RemoveRules { name, .. } => self.nftables.set(name, None),
            Op::RemoveForeignRules { rules, .. } => self.nftables.delete(rules),
            Op::RestoreForeignRules { rules, .. } => self.nftables.insert(rules),
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
        if ioctl::is_named(self.socket.raw(), index, name) == Ok(true) {
            return Ok(index);
        }
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

    /// Makes sure that a device is the one that an op made.
    fn is_made(&mut self, index: u32, name: LinkName, made: &Made) -> Result<(), Error> {
        let rows = link::some(&mut self.socket, &[index].into(), &mut Vec::new())?;
        match rows.iter().any(|(_, link)| made.is(index, &link.device_kind())) {
            true => Ok(()),
            false => Err(made.replaced(name)),
        }
    }

    fn create(&mut self, target: &Target, mode: TunnelKind) -> Result<(), Error> {
        link_change::create(&mut self.socket, target, mode)
            .map_err(|refusal| self.explain_create(refusal, target, mode))?;
        if let Ok(index) = ioctl::index_of(self.socket.raw(), target.name) {
            udev::settle(index);
        }
        Ok(())
    }

    fn explain_create(&mut self, refusal: Refusal, target: &Target, mode: TunnelKind) -> Error {
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
        Ok(link_change::set(&mut self.socket, index, setting)?)
    }
}

fn unsupported(mode: TunnelKind) -> Error {
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
