//! Hiera, Ansible, Talos and CozyStack: read, merged, checked and written back. The configurations of other programs:
//! imported.

mod ansible;
pub mod dialect;
mod dispatch;
pub mod go_pmtud;
pub mod hiera;
pub mod import;
pub mod inventory;
pub mod kubernetes;
pub mod talos;
mod variables;
mod version;
pub mod write;
