//! Verbs that change the host.

pub(crate) mod ansible_module;
pub(crate) mod apply;
pub(crate) mod confirm;
pub(crate) mod holds_nothing;
pub(crate) mod recover;
pub(crate) mod release;
mod service_holder;
mod watcher;
pub(crate) mod wireguard_mtu;
