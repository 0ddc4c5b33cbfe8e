//! Verbs that change the host.

pub(crate) mod ansible_module;
pub(crate) mod apply;
pub(crate) mod confirm;
mod countdown;
pub(crate) mod edit;
mod failed;
mod fall_back;
pub(crate) mod holds_nothing;
mod prompt;
pub(crate) mod recover;
pub(crate) mod release;
mod said;
mod service_holder;
pub(crate) mod undo;
mod watcher;
pub(crate) mod wireguard_mtu;
