//! The one door to Linux: netlink, nftables, `/proc/sys`, files, namespaces and pods.

pub mod counters;
pub mod files;
mod ioctl;
pub mod live;
pub mod management;
mod modules;
pub mod namespace;
pub mod netlink;
pub mod nftables;
pub mod pod;
pub mod probe;
pub mod process;
pub mod rtnetlink;
pub mod sysctl;
mod wireguard;
