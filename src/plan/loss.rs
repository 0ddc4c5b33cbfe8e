//! Losses: state that the undo of an op does not restore.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use netkeel_core::name::link::LinkName;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::nflog::entry_name::EntryName;

/// State that an undo does not restore. It is shown after the word "loses".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// A device that netkeel cannot recreate.
    Device {
        /// The device.
        link: LinkName,
    },
    /// A device that the kernel deletes together with another one.
    DeviceWith {
        /// The device.
        link: LinkName,
        /// The other device.
        with: LinkName,
    },
    /// The routes through an interface.
    Routes {
        /// The interface.
        link: LinkName,
    },
    /// The default routes that routers announced on an interface: IPv6 forwarding removes them.
    AnnouncedRoutes {
        /// The interface.
        link: LinkName,
    },
    /// As [`Loss::AnnouncedRoutes`], on interfaces that were not read.
    UnreadAnnouncedRoutes,
    /// The lifetime and the routes of an IPv6 address. The undo adds the address again, without them.
    AddressLifetime {
        /// The address with its prefix length.
        address: IpNet,
        /// The interface.
        link: LinkName,
    },
    /// A link-local IPv6 address, until the kernel creates one again.
    LinkLocalAddress {
        /// The address with its prefix length.
        address: IpNet,
        /// The interface.
        link: LinkName,
    },
    /// An address of the pod's end of a veth.
    PodAddress {
        /// The address with its prefix length.
        address: IpNet,
        /// The host's end of the veth.
        link: LinkName,
    },
    /// The settings below `net.ipv6.conf` of an interface.
    Ipv6Settings {
        /// The interface.
        link: LinkName,
    },
    /// Changes of another program to the rules of an `nflog` entry.
    ChangedRules {
        /// The entry.
        entry: EntryName,
    },
    /// The text of a file that is not a private copy of its WireGuard configuration.
    WireguardFile {
        /// The file.
        path: Arc<Path>,
    },
}

/// The kind of a loss, without the names and addresses of a host. [`Loss`] documents each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the variants of `Loss` have them")]
pub enum LossKind {
    Device,
    DeviceWith,
    Routes,
    AnnouncedRoutes,
    UnreadAnnouncedRoutes,
    AddressLifetime,
    LinkLocalAddress,
    PodAddress,
    Ipv6Settings,
    ChangedRules,
    WireguardFile,
}

impl Loss {
    /// The kind.
    pub fn kind(&self) -> LossKind {
        match self {
            Loss::Device { .. } => LossKind::Device,
            Loss::DeviceWith { .. } => LossKind::DeviceWith,
            Loss::Routes { .. } => LossKind::Routes,
            Loss::AnnouncedRoutes { .. } => LossKind::AnnouncedRoutes,
            Loss::UnreadAnnouncedRoutes => LossKind::UnreadAnnouncedRoutes,
            Loss::AddressLifetime { .. } => LossKind::AddressLifetime,
            Loss::LinkLocalAddress { .. } => LossKind::LinkLocalAddress,
            Loss::PodAddress { .. } => LossKind::PodAddress,
            Loss::Ipv6Settings { .. } => LossKind::Ipv6Settings,
            Loss::ChangedRules { .. } => LossKind::ChangedRules,
            Loss::WireguardFile { .. } => LossKind::WireguardFile,
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loss::Device { link } => {
                write!(f, "the device {link} as it is, with its addresses and routes")
            }
            Loss::DeviceWith { link, with } => write!(f, "the device {link}, which goes with {with}"),
            Loss::Routes { link } => write!(f, "the routes through {link}"),
            Loss::AnnouncedRoutes { link } => write!(
                f,
                "the default routes of {link} that routers announced; declare {}: 2 to keep them",
                SysctlKey::conf("ipv6", *link, "accept_ra")
            ),
            Loss::UnreadAnnouncedRoutes => f.write_str(
                "the default routes that routers announced on interfaces whose accept_ra is not 2; they were not read",
            ),
            Loss::AddressLifetime { address, link } => write!(
                f,
                "{address} of {link}: undo adds it again, without its lifetime and routes"
            ),
            Loss::LinkLocalAddress { address, link } => {
                write!(f, "{address} of {link}, until the kernel makes it again; with addr_gen_mode 1 it does not")
            }
            Loss::PodAddress { address, link } => {
                write!(f, "{address} of the pod's end of {link}, with its routes")
            }
            Loss::Ipv6Settings { link } => write!(
                f,
                "the settings below net.ipv6.conf.{link}, which start anew from `default`"
            ),
            Loss::ChangedRules { entry } => {
                write!(f, "the changes of another program to netkeel's rules of {entry}")
            }
            Loss::WireguardFile { path } => write!(
                f,
                "the content of {}, which is not a private copy of its source: netkeel keeps no key to restore it",
                path.display()
            ),
        }
    }
}
