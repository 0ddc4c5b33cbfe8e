//! Predicts which ops the kernel refuses, as far as a snapshot shows it.

use ipnet::IpNet;

use crate::model::Model;
use crate::snapshot::link::Link;
use crate::snapshot::lookup::Lookup;
use crate::snapshot::reading::Support;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Fact;
use netkeel_core::mtu::{IPV4_MIN_MTU, IPV6_MIN_MTU};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sysctl::{Slot, SysctlKey};
use netkeel_core::name::tunnel::TunnelKind;
use netkeel_core::op::{Made, Op, Target};

/// Longest alias in bytes: IFALIASZ minus the terminating zero (include/uapi/linux/if.h).
const ALIAS: usize = 255;

/// Bytes that a VXLAN adds to a packet over IPv4: IPv4, UDP and VXLAN headers, and the inner
/// Ethernet header (`vxlan_headroom`, include/net/vxlan.h). Over IPv6 it is 70, but a snapshot does
/// not show which family a VXLAN uses.
const VXLAN_HEADROOM: u32 = 50;

impl Model {
    /// Why the kernel will refuse an op. None is no guarantee: a snapshot does not show everything.
    pub fn refusal(&self, op: &Op) -> Option<Error> {
        match op {
            Op::WriteFile { .. }
            | Op::RemoveFile { .. }
            | Op::SetPluginMtu { .. }
            | Op::SetWireguardMtu { .. } => None,
            Op::SetRules { .. } => self.refuses_rules(),
            Op::RemoveRules { .. } | Op::RemoveForeignRules { .. } | Op::RestoreForeignRules { .. } => None,
            Op::CreateTunnel { target, mode } => {
                if self.host.links.contains_key(&target.name) {
                    return refuse(format!("there is an interface {} already", target.name));
                }
                self.refuses_tunnel(target.name, *mode)
            }
            Op::RecreateTunnel { target, mode } => self
                .missing(target)
                .or_else(|| self.refuses_tunnel(target.name, *mode)),
            Op::SetMtu { target, mtu } => match self.present(target) {
                Ok(link) => self.refuses_mtu(target.name, link, *mtu),
                Err(error) => Some(error),
            },
            Op::SetPodMtu { target, .. }
            | Op::SetRouteMetric {
                target, pod: Some(_), ..
            } => self.missing(target).or_else(|| self.refuses_pod(target.name)),
            Op::SetRouteMetric {
                target,
                pod: None,
                destination,
                ..
            } => self.missing(target).or_else(|| {
                let link = self.host.links.get(&target.name)?;
                (!link.routes.contains_key(destination)).then(|| {
                    let message = format!("{} does not have a route to {destination}", target.name);
                    Error::new(ErrorKind::Missing, message)
                })
            }),
            Op::SetUp { target, up } => self
                .missing(target)
                .or_else(|| self.refuses_up(target.name).filter(|_| *up)),
            Op::AddAddress { target, address } => self
                .missing(target)
                .or_else(|| self.refuses_address(target.name, *address)),
            Op::RemoveAddress { target, address } => self.missing(target).or_else(|| {
                let link = self.host.links.get(&target.name)?;
                (!link.addresses.contains(address)).then(|| {
                    Error::new(
                        ErrorKind::Missing,
                        format!("{} does not have the address {address}", target.name),
                    )
                })
            }),
            Op::SetAlias { target, alias } => self.missing(target).or_else(|| {
                (alias.len() > ALIAS).then(|| Error::new(ErrorKind::Refused, "the alias is too long"))
            }),
            Op::DeleteLink { target, made } => self.missing(target).or_else(|| {
                let made = made.as_ref()?;
                (!self.is_made(target.name, Some(made))).then(|| made.replaced(target.name))
            }),
            Op::SetTxQueueLength { target, .. } => self.missing(target),
            Op::WriteSysctl { key, link, value, .. } => link
                .as_ref()
                .and_then(|target| self.missing(target))
                .or_else(|| self.refuses_write(key))
                .or_else(|| self.refuses_mtu6(key, value)),
        }
    }

    /// Whether a device may be deleted as the one that an op made, where that is asked for.
    pub(crate) fn is_made(&self, name: LinkName, made: Option<&Made>) -> bool {
        let link = self.host.links.get(&name);
        made.is_none_or(|made| link.is_some_and(|link| made.is(link.index, &link.device_kind())))
    }

    fn missing(&self, target: &Target) -> Option<Error> {
        self.present(target).err()
    }

    fn present(&self, target: &Target) -> Result<&Link, Error> {
        let name = target.name;
        match self.host.links.get(&name) {
            Some(link) if target.index == 0 || link.index == target.index => Ok(link),
            _ => Err(Error::new(
                ErrorKind::Missing,
                format!("the interface {name} (index {}) is gone", target.index),
            )),
        }
    }

    fn refuses_pod(&self, name: LinkName) -> Option<Error> {
        let pod = self.host.links.get(&name).and_then(|link| link.pod.as_ref());
        let reached = pod.is_some_and(|pod| pod.sandbox.is_some());
        (!reached).then(|| Error::new(ErrorKind::Missing, format!("the pod's end of {name} is gone")))
    }

    fn refuses_tunnel(&self, name: LinkName, mode: TunnelKind) -> Option<Error> {
        if let Some(Support::Missing { module }) = self.host.tunnels.get(&mode) {
            return Some(Error::new(
                ErrorKind::Unsupported,
                format!("this kernel cannot make {mode} tunnels: it has no module {module}"),
            ));
        }
        let same = |link: &Link| link.external && link.kind.as_deref() == Some(mode.kind());
        let other = self
            .host
            .links
            .iter()
            .find(|(other, link)| **other != name && same(link));
        other.and_then(|(other, _)| {
            refuse(format!(
                "{other} is the external {mode} tunnel of this namespace, and the kernel allows one"
            ))
        })
    }

    fn refuses_mtu(&self, name: LinkName, link: &Link, mtu: u32) -> Option<Error> {
        if mtu == link.mtu {
            return None;
        }
        if mtu < link.min_mtu {
            return refuse(format!(
                "MTU {mtu} is below the device's minimum of {}",
                link.min_mtu
            ));
        }
        if link.max_mtu != 0 && mtu > link.max_mtu {
            let largest = link.max_mtu;
            return refuse(format!("MTU {mtu} is above the maximum of {name}, {largest}"));
        }
        if let Some(error) = self.refuses_port(name, link, mtu) {
            return Some(error);
        }
        // Limits from `macvlan_change_mtu`, `vlan_dev_change_mtu`, `ipvlan_adjust_mtu`,
        // `vxlan_change_mtu`.
        let headroom = match link.kind_name() {
            "macvlan" | "macvtap" | "vlan" | "ipvlan" | "ipvtap" => 0,
            "vxlan" => VXLAN_HEADROOM,
            _ => return None,
        };
        let lower = link.lower.filter(|_| link.peer_netns.is_none())?;
        let (lower, below) = self.host.by_index(lower)?;
        let largest = below.mtu.saturating_sub(headroom);
        (mtu > largest)
            .then(|| {
                refuse(format!(
                    "MTU {mtu} is above the maximum of {name}, {largest}: its lower device {lower} has MTU {}",
                    below.mtu
                ))
            })
            .flatten()
    }

    /// A team refuses another MTU for its port (`team_device_event`). A device that sets the MTU of its
    /// ports fails with the first of them (`bond_change_mtu`, `team_change_mtu`).
    fn refuses_port(&self, name: LinkName, link: &Link, mtu: u32) -> Option<Error> {
        let master = link.master.and_then(|index| self.host.by_index(index));
        if let Some((team, _)) = master.filter(|(_, master)| master.kind_name() == "team") {
            return refuse(format!(
                "{name} is a port of {team}: a team sets the MTU of its ports"
            ))
            .map(|error| error.hint(format!("declare the MTU of {team}")));
        }
        let mut ports = self.stack.ports(link);
        ports.find_map(|port| {
            let largest = self.host.links.get(&port)?.max_mtu;
            (largest != 0 && mtu > largest)
                .then(|| {
                    refuse(format!(
                        "MTU {mtu} is above the maximum of {port}, a port of {name}: {largest}"
                    ))
                })
                .flatten()
        })
    }

    /// A VLAN cannot be up while its lower device is down (`vlan_dev_open`), unless its binding is
    /// loose.
    fn refuses_up(&self, name: LinkName) -> Option<Error> {
        let link = self.host.links.get(&name)?;
        let lower = link
            .lower
            .filter(|_| link.kind_name() == "vlan" && link.peer_netns.is_none())?;
        let (lower, below) = self.host.by_index(lower)?;
        (!below.up && !link.up)
            .then(|| refuse(format!("{lower}, the lower device of {name}, is down")))
            .flatten()
    }

    /// IPv6 compares addresses without the prefix length (`ipv6_chk_same_addr`), IPv4 with it.
    fn refuses_address(&self, name: LinkName, address: IpNet) -> Option<Error> {
        let link = self.host.links.get(&name)?;
        match address {
            IpNet::V4(_) if link.mtu < IPV4_MIN_MTU => {
                refuse(format!("IPv4 is off on {name}: its MTU is {}", link.mtu))
            }
            IpNet::V4(_) => None,
            IpNet::V6(_) if link.mtu < IPV6_MIN_MTU => refuse(format!(
                "IPv6 is off on {name}: its MTU is {} and IPv6 needs {IPV6_MIN_MTU}",
                link.mtu
            )),
            IpNet::V6(_) if link.disable_ipv6.is_some_and(|value| value != 0) => {
                refuse(format!("IPv6 is switched off on {name}: disable_ipv6 is not 0"))
            }
            IpNet::V6(_) => {
                let other = link
                    .addresses
                    .iter()
                    .find(|other| other.addr() == address.addr() && **other != address)?;
                refuse(format!("{name} has that address already, as {other}"))
            }
        }
    }

    /// The IPv6 MTU is at least 1280, also in `all` and `default`, and at most the MTU of the device
    /// (`addrconf_sysctl_mtu`, net/ipv6/addrconf.c).
    fn refuses_mtu6(&self, key: &SysctlKey, value: &str) -> Option<Error> {
        let parts = key.per_interface()?;
        if (parts.family, parts.table, parts.leaf) != ("ipv6", "conf", "mtu") {
            return None;
        }
        let mtu: i64 = value.parse().ok()?;
        let least = i64::from(IPV6_MIN_MTU);
        match parts.slot {
            Slot::All | Slot::Default if mtu < least => {
                refuse(format!("{key} takes {least} or more, and not {mtu}"))
            }
            Slot::All | Slot::Default => None,
            Slot::Link(name) => {
                let largest = self.host.links.get(&name)?.mtu;
                (!(least..=i64::from(largest)).contains(&mtu))
                    .then(|| {
                        refuse(format!(
                            "{key} takes {least} to {largest}, the MTU of {name}, and not {mtu}"
                        ))
                    })
                    .flatten()
            }
        }
    }

    fn refuses_write(&self, key: &SysctlKey) -> Option<Error> {
        if !self.host.can_be_written(key) {
            return Some(Error::new(
                ErrorKind::Permission,
                format!(
                    "{key} can only be read here: it is read-only in this namespace, or /proc/sys is mounted read-only"
                ),
            ));
        }
        let fact = Fact::sysctl(&self.host.netns, key);
        if self.host.get(&fact) != Lookup::Absent {
            return None;
        }
        let name = key.link();
        let mtu = name
            .and_then(|name| self.host.links.get(&name))
            .map(|link| link.mtu);
        let why = match (key.per_interface().map(|key| key.family), name, mtu) {
            (Some("ipv6"), Some(name), Some(mtu)) if mtu < IPV6_MIN_MTU => {
                format!("IPv6 is off on {name}, whose MTU is {mtu}: there is no {key} below {IPV6_MIN_MTU}")
            }
            _ => format!("there is no sysctl {key} in this namespace"),
        };
        Some(Error::new(ErrorKind::Missing, why))
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is the value of a refusal")]
fn refuse(message: String) -> Option<Error> {
    Some(Error::new(ErrorKind::Refused, message))
}
