//! The writes that netkeel can do. The set is closed: the real and the model kernel must each handle
//! every op. `Display` shows an op as the command that an operator would type.

pub mod command;
pub mod copy_mtu;

use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::fact::Value;
use crate::maybe_secret::MaybeSecret;
use crate::name::link::LinkName;
use crate::name::netns::Netns;
use crate::name::route::{Metric, RouteKey};
use crate::name::sandbox::Sandbox;
use crate::name::sysctl::SysctlKey;
use crate::name::tunnel::TunnelKind;
use crate::nflog::entry_name::EntryName;
use crate::nflog::foreign::ForeignRule;
use crate::nflog::rules::Rules;
use crate::op::copy_mtu::CopyMtu;
use crate::value::DeviceKind;

/// The interface of an op.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// The namespace.
    #[serde(default, skip_serializing_if = "crate::name::netns::Netns::is_current")]
    pub netns: Netns,
    /// The index that had this name when the plan was made; 0 for an interface that the same plan
    /// makes. The executor rejects the op when the index no longer has the name.
    pub index: u32,
    /// The name.
    pub name: LinkName,
}

/// The pod's end of a veth.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct PodTarget {
    /// Its namespace.
    pub sandbox: Sandbox,
    /// Its index there. The executor rejects the op when the index no longer has the name.
    pub index: u32,
    /// Its name there.
    pub name: LinkName,
}

/// A device that an op made. Its index is not known when its undo is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Made {
    /// It is an external tunnel of this kind; the kernel allows one in a namespace.
    pub mode: TunnelKind,
    /// The index of the device that had its name before; 0 if there was none. The new one has another index.
    pub instead_of: u32,
}

impl Made {
    /// Whether a device of the right name is the one that was made.
    pub fn is(&self, index: u32, kind: &DeviceKind) -> bool {
        let is_old = self.instead_of != 0 && index == self.instead_of;
        !is_old && *kind == DeviceKind::tunnel(self.mode)
    }

    /// The failure to delete it where another device has its name.
    pub fn replaced(&self, name: LinkName) -> Error {
        let message = format!(
            "the {} tunnel {name} that was made is gone; another device has its name",
            self.mode
        );
        Error::new(ErrorKind::Missing, message)
    }
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Op {
    /// Replaces a file: temporary file in the same directory, fsync, rename.
    WriteFile {
        /// Absolute path.
        path: Arc<Path>,
        /// The whole text.
        content: Arc<str>,
        /// Permission bits.
        mode: u32,
    },
    /// Removes a file.
    RemoveFile {
        /// Absolute path.
        path: Arc<Path>,
    },
    /// Sets the `mtu` of the plugins of one type in a CNI configuration and keeps all other bytes. The
    /// file is replaced as for [`Op::WriteFile`]. The op holds an edit instead of the text, because the
    /// file may hold a token.
    SetPluginMtu {
        /// Absolute path.
        path: Arc<Path>,
        /// The `type` of the plugins.
        plugin: Arc<str>,
        /// The previous value. The executor rejects the op when the file has neither this nor `mtu`.
        was: Option<Value>,
        /// The new value, in bytes or exactly as it was before; `None` removes the key.
        mtu: Option<Value>,
    },
    /// Writes a private copy of a WireGuard configuration with its own MTU. The file is replaced as for
    /// [`Op::WriteFile`]. The op does not hold the text, which has keys.
    SetWireguardMtu {
        /// The original: absolute path.
        source: Arc<Path>,
        /// The copy: absolute path.
        path: Arc<Path>,
        /// The previous value. The executor rejects the op when the copy has neither this nor the
        /// wanted value.
        was: Option<Value>,
        /// Bytes, or 0 for the original unchanged; `None` removes the copy.
        to: CopyMtu,
    },
    /// Makes an external tunnel, down and without addresses, then waits for udev to settle.
    CreateTunnel {
        /// Namespace and name; the index is not known yet.
        target: Target,
        /// The kind.
        mode: TunnelKind,
    },
    /// Deletes a device and makes an external tunnel with its name.
    RecreateTunnel {
        /// The device to delete.
        target: Target,
        /// The kind of the new one.
        mode: TunnelKind,
    },
    /// Deletes a device.
    DeleteLink {
        /// The device.
        target: Target,
        /// For the undo of a creation: the device that was made. Another one of that name stays.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        made: Option<Made>,
    },
    /// Adds an address to an interface.
    AddAddress {
        /// The interface.
        target: Target,
        /// Address with prefix length.
        #[schemars(with = "String")]
        address: IpNet,
    },
    /// Removes an address from an interface.
    RemoveAddress {
        /// The interface.
        target: Target,
        /// Address with prefix length.
        #[schemars(with = "String")]
        address: IpNet,
    },
    /// Sets the MTU.
    SetMtu {
        /// The interface.
        target: Target,
        /// Bytes.
        mtu: u32,
    },
    /// Sets the MTU of the pod's end of a veth.
    SetPodMtu {
        /// The end in the host's namespace.
        target: Target,
        /// The end in the pod.
        pod: Box<PodTarget>,
        /// Bytes.
        mtu: u32,
    },
    /// Sets a metric of a route; other attributes of the route stay.
    SetRouteMetric {
        /// The route's interface, or the host's end of a veth to a pod.
        target: Target,
        /// For a route in a pod: the route's interface there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pod: Option<Box<PodTarget>>,
        /// The key of the route.
        destination: RouteKey,
        /// The other attributes of the route, as `ip route` accepts them.
        rest: Arc<str>,
        /// Whether `rest` names next hops; then no `dev` precedes it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        next_hops: bool,
        /// The metric.
        metric: Metric,
        /// Whether the metric is locked; the op keeps that.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        locked: bool,
        /// The previous value, bytes; `None` if the route did not have the metric.
        was: Option<u32>,
        /// The new value, bytes; `None` removes the metric.
        to: Option<u32>,
    },
    /// Sets the interface administratively up or down.
    SetUp {
        /// The interface.
        target: Target,
        /// Whether the interface is to be up.
        up: bool,
    },
    /// Sets the transmit queue length.
    SetTxQueueLength {
        /// The interface.
        target: Target,
        /// Packets.
        packets: u32,
    },
    /// Sets the alias; an empty one removes it.
    SetAlias {
        /// The interface.
        target: Target,
        /// The alias.
        alias: Arc<str>,
    },
    /// Writes a sysctl.
    WriteSysctl {
        /// The namespace.
        #[serde(default, skip_serializing_if = "crate::name::netns::Netns::is_current")]
        netns: Netns,
        /// The key.
        key: SysctlKey,
        /// The value; vectors with single blanks.
        value: MaybeSecret,
        /// The interface of the key: its index is checked before the write.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<Target>,
    },
    /// Replaces the rules of an `nflog` entry.
    SetRules {
        /// The namespace.
        netns: Netns,
        /// The entry.
        name: EntryName,
        /// The new rules.
        rules: Arc<Rules>,
    },
    /// Removes the rules of an `nflog` entry.
    RemoveRules {
        /// The namespace.
        netns: Netns,
        /// The entry.
        name: EntryName,
    },
    /// Deletes rules of other programs.
    RemoveForeignRules {
        /// The namespace.
        netns: Netns,
        /// The rules.
        rules: Vec<ForeignRule>,
    },
    /// Restores rules of other programs at their previous positions.
    RestoreForeignRules {
        /// The namespace.
        netns: Netns,
        /// The rules, ordered by position.
        rules: Vec<ForeignRule>,
    },
}

/// The phase in which an op runs, in the order of the declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Files come first: udev applies them to devices that are made next.
    Files,
    /// Devices and their addresses.
    Create,
    /// Routes whose MTU decreases, or that get one.
    LowerRoutes,
    /// Interfaces whose MTU decreases or that go down, child before parent.
    LowerLinks,
    /// Sysctls, and attributes whose order does not matter.
    Sysctls,
    /// Interfaces whose MTU increases or that come up, parent before child.
    RaiseLinks,
    /// Routes whose MTU increases, or that lose it.
    RaiseRoutes,
    /// Deletions.
    Delete,
}

impl Op {
    /// Whether the op writes a file, so that its effect survives a reboot.
    pub fn is_durable(&self) -> bool {
        matches!(
            self,
            Op::WriteFile { .. }
                | Op::RemoveFile { .. }
                | Op::SetPluginMtu { .. }
                | Op::SetWireguardMtu { .. }
        )
    }

    /// Whether the op makes an interface, also in the place of another one.
    pub fn makes_device(&self) -> bool {
        matches!(self, Op::CreateTunnel { .. } | Op::RecreateTunnel { .. })
    }

    /// Whether the op removes only objects of netkeel, so that it needs no permission. netkeel deletes only
    /// devices that it created, and may always correct its own rules and copies.
    pub fn loses_only_what_is_its_own(&self) -> bool {
        match self {
            Op::DeleteLink { .. }
            | Op::SetRules { .. }
            | Op::RemoveRules { .. }
            | Op::SetWireguardMtu { .. } => true,
            Op::WriteFile { .. }
            | Op::RemoveFile { .. }
            | Op::SetPluginMtu { .. }
            | Op::CreateTunnel { .. }
            | Op::RecreateTunnel { .. }
            | Op::AddAddress { .. }
            | Op::RemoveAddress { .. }
            | Op::SetMtu { .. }
            | Op::SetPodMtu { .. }
            | Op::SetRouteMetric { .. }
            | Op::SetUp { .. }
            | Op::SetTxQueueLength { .. }
            | Op::SetAlias { .. }
            | Op::WriteSysctl { .. }
            | Op::RemoveForeignRules { .. }
            | Op::RestoreForeignRules { .. } => false,
        }
    }

    /// The interface the op is for.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Op::WriteFile { .. }
            | Op::RemoveFile { .. }
            | Op::SetPluginMtu { .. }
            | Op::SetWireguardMtu { .. }
            | Op::SetRules { .. }
            | Op::RemoveRules { .. }
            | Op::RemoveForeignRules { .. }
            | Op::RestoreForeignRules { .. } => None,
            Op::WriteSysctl { link, .. } => link.as_ref(),
            Op::CreateTunnel { target, .. }
            | Op::RecreateTunnel { target, .. }
            | Op::DeleteLink { target, .. }
            | Op::AddAddress { target, .. }
            | Op::RemoveAddress { target, .. }
            | Op::SetMtu { target, .. }
            | Op::SetPodMtu { target, .. }
            | Op::SetRouteMetric { target, .. }
            | Op::SetUp { target, .. }
            | Op::SetTxQueueLength { target, .. }
            | Op::SetAlias { target, .. } => Some(target),
        }
    }

    /// The same op for the same interface by another name; `None` for an op of no interface.
    pub fn on(&self, name: LinkName) -> Option<Op> {
        let mut op = self.clone();
        match &mut op {
            Op::WriteFile { .. }
            | Op::RemoveFile { .. }
            | Op::SetPluginMtu { .. }
            | Op::SetWireguardMtu { .. }
            | Op::SetRules { .. }
            | Op::RemoveRules { .. }
            | Op::RemoveForeignRules { .. }
            | Op::RestoreForeignRules { .. } => return None,
            Op::WriteSysctl { key, link, .. } => {
                *key = key.of_link(name)?;
                link.as_mut()?.name = name;
            }
            Op::CreateTunnel { target, .. }
            | Op::RecreateTunnel { target, .. }
            | Op::DeleteLink { target, .. }
            | Op::AddAddress { target, .. }
            | Op::RemoveAddress { target, .. }
            | Op::SetMtu { target, .. }
            | Op::SetPodMtu { target, .. }
            | Op::SetRouteMetric { target, .. }
            | Op::SetUp { target, .. }
            | Op::SetTxQueueLength { target, .. }
            | Op::SetAlias { target, .. } => target.name = name,
        }
        Some(op)
    }

    /// The namespace of the op; `None` for a file.
    pub fn netns(&self) -> Option<&Netns> {
        match self {
            Op::WriteSysctl { netns, .. }
            | Op::SetRules { netns, .. }
            | Op::RemoveRules { netns, .. }
            | Op::RemoveForeignRules { netns, .. }
            | Op::RestoreForeignRules { netns, .. } => Some(netns),
            Op::WriteFile { .. }
            | Op::RemoveFile { .. }
            | Op::SetPluginMtu { .. }
            | Op::SetWireguardMtu { .. } => None,
            Op::CreateTunnel { target, .. }
            | Op::RecreateTunnel { target, .. }
            | Op::DeleteLink { target, .. }
            | Op::AddAddress { target, .. }
            | Op::RemoveAddress { target, .. }
            | Op::SetMtu { target, .. }
            | Op::SetPodMtu { target, .. }
            | Op::SetRouteMetric { target, .. }
            | Op::SetUp { target, .. }
            | Op::SetTxQueueLength { target, .. }
            | Op::SetAlias { target, .. } => Some(&target.netns),
        }
    }
}
