//! The writes netkeel can do: a closed set, since the real and the model kernel must each handle
//! every one. Shown, an op is the command an operator would type.

pub mod command;
pub mod copy_mtu;

use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fact::Value;
use crate::name::link::LinkName;
use crate::name::netns::Netns;
use crate::name::route::RouteKey;
use crate::name::sandbox::Sandbox;
use crate::name::sysctl::SysctlKey;
use crate::name::tunnel::TunnelKind;
use crate::nflog::entry_name::EntryName;
use crate::nflog::foreign::ForeignRule;
use crate::nflog::rules::Rules;
use crate::op::copy_mtu::CopyMtu;

/// The interface an op is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// The namespace.
    #[serde(default, skip_serializing_if = "crate::name::netns::Netns::is_current")]
    pub netns: Netns,
    /// The index that bore the name when the plan was made; 0 for an interface that the same plan
    /// makes. Executing refuses when the index no longer bears the name.
    pub index: u32,
    /// The name.
    pub name: LinkName,
}

/// The other end of a veth that an op is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct PodTarget {
    /// Its namespace.
    pub sandbox: Sandbox,
    /// Its index there; executing refuses when it no longer bears the name.
    pub index: u32,
    /// Its name there.
    pub name: LinkName,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Op {
    /// Puts a file in place: temporary file in the same directory, fsync, rename.
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
    /// Sets the `mtu` of the plugins of a type in a CNI configuration and keeps all its other
    /// bytes: the same replacement of the file as [`Op::WriteFile`]. An edit and not a text, since
    /// the file may hold a token.
    SetPluginMtu {
        /// Absolute path.
        path: Arc<Path>,
        /// The `type` of the plugins.
        plugin: Arc<str>,
        /// What stands there now: executing refuses when it is neither this nor `mtu`.
        was: Option<Value>,
        /// Bytes, or whatever stood there before; none takes the key away.
        mtu: Option<Value>,
    },
    /// Puts a private copy of a WireGuard configuration in place, with an MTU of its own: the same
    /// replacement of the file as [`Op::WriteFile`]. Not its text, which holds keys.
    SetWireguardMtu {
        /// What it is a copy of: absolute path.
        source: Arc<Path>,
        /// The copy: absolute path.
        path: Arc<Path>,
        /// What it is now: executing refuses when it is neither this nor what is wanted.
        was: Option<Value>,
        /// What it is to be.
        to: CopyMtu,
    },
    /// Makes an external tunnel, down and without addresses, and waits for udev to settle.
    CreateTunnel {
        /// Namespace and name; the index is not known yet.
        target: Target,
        /// The kind.
        mode: TunnelKind,
    },
    /// Deletes a device and makes an external tunnel of its name.
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
    },
    /// Gives an address to an interface.
    AddAddress {
        /// The interface.
        target: Target,
        /// Address with prefix length.
        #[schemars(with = "String")]
        address: IpNet,
    },
    /// Takes an address away.
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
    /// Sets the MTU of a veth's other end, in a pod.
    SetPodMtu {
        /// The end in this namespace.
        target: Target,
        /// The other one.
        pod: Box<PodTarget>,
        /// Bytes.
        mtu: u32,
    },
    /// Sets the MTU of a route in a pod, which has one of its own; all else of the route stays.
    SetPodRouteMtu {
        /// The end in this namespace.
        target: Target,
        /// The end in the pod, by which the route leads.
        pod: Box<PodTarget>,
        /// Which it is.
        destination: RouteKey,
        /// The rest of the route, as `ip route` takes it.
        rest: Arc<str>,
        /// The rest names its next hops, so that no `dev` stands before it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        next_hops: bool,
        /// What it is now, bytes.
        was: u32,
        /// Bytes.
        mtu: u32,
    },
    /// Sets administratively up or down.
    SetUp {
        /// The interface.
        target: Target,
        /// Up.
        up: bool,
    },
    /// Sets the transmit queue length.
    SetTxQueueLength {
        /// The interface.
        target: Target,
        /// Packets.
        packets: u32,
    },
    /// Sets or, when empty, removes the alias.
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
        /// The value, vectors with single blanks.
        value: Arc<str>,
        /// The interface the key belongs to: its index is checked before the write.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<Target>,
    },
    /// Gives an entry of `nflog` its rules, in place of those it has.
    SetRules {
        /// The namespace.
        netns: Netns,
        /// The entry.
        name: EntryName,
        /// Its rules.
        rules: Arc<Rules>,
    },
    /// Takes the rules of an entry of `nflog` away.
    RemoveRules {
        /// The namespace.
        netns: Netns,
        /// The entry.
        name: EntryName,
    },
    /// Takes rules of others away.
    RemoveForeignRules {
        /// The namespace.
        netns: Netns,
        /// The rules.
        rules: Vec<ForeignRule>,
    },
    /// Puts rules of others back where they were.
    RestoreForeignRules {
        /// The namespace.
        netns: Netns,
        /// The rules, in the order of their places.
        rules: Vec<ForeignRule>,
    },
}

/// When an op is done. The order is the declaration's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Files first: what they say is applied by udev to devices that are made next.
    Files,
    /// Devices and their addresses.
    Create,
    /// Routes whose MTU falls.
    LowerRoutes,
    /// Interfaces whose MTU falls or that go down, child before parent.
    LowerLinks,
    /// Sysctls and the attributes that order does not matter to.
    Sysctls,
    /// Interfaces whose MTU rises or that come up, parent before child.
    RaiseLinks,
    /// Routes whose MTU rises.
    RaiseRoutes,
    /// What goes away.
    Delete,
}

impl Op {
    /// It is about a file, and so outlives a boot.
    pub fn is_durable(&self) -> bool {
        matches!(
            self,
            Op::WriteFile { .. }
                | Op::RemoveFile { .. }
                | Op::SetPluginMtu { .. }
                | Op::SetWireguardMtu { .. }
        )
    }

    /// What it takes away is netkeel's own, so that no permission is needed: a device is deleted only
    /// when netkeel made it and is told to give it back, and its own rules and copies are its to mend,
    /// whatever somebody has made of them.
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
            | Op::SetPodRouteMtu { .. }
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
            | Op::DeleteLink { target }
            | Op::AddAddress { target, .. }
            | Op::RemoveAddress { target, .. }
            | Op::SetMtu { target, .. }
            | Op::SetPodMtu { target, .. }
            | Op::SetPodRouteMtu { target, .. }
            | Op::SetUp { target, .. }
            | Op::SetTxQueueLength { target, .. }
            | Op::SetAlias { target, .. } => Some(target),
        }
    }

    /// The namespace the op is for; none for a file.
    pub fn netns(&self) -> Option<&Netns> {
        match self {
            Op::WriteSysctl { netns, .. }
            | Op::SetRules { netns, .. }
            | Op::RemoveRules { netns, .. }
            | Op::RemoveForeignRules { netns, .. }
            | Op::RestoreForeignRules { netns, .. } => Some(netns),
            _ => self.target().map(|target| &target.netns),
        }
    }
}
