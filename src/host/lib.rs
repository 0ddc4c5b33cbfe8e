//! One host as data: the snapshot, the model of its kernel, and its configuration files as text.

pub mod cni;
pub mod counters;
pub mod device_owner;
pub mod event;
pub mod evidence;
pub mod kernel;
pub mod model;
pub mod pods;
pub mod snapshot;
pub mod sysctl_d;
pub mod sysctl_form;
pub mod wireguard;
