//! Talos machine configurations.

pub mod configuration;
pub mod conflict;
mod cozystack;
mod delete;
pub mod desired;
mod documents;
mod identity;
mod json_patch;
pub mod keys;
pub mod links;
pub mod lint;
mod merge;
mod selector;
pub mod version;
pub mod write;
