//! The desired state: its kinds, its validation, its schema, and its wants on a host.

mod at_boot;
mod check;
pub mod document;
pub mod draft;
pub mod kinds;
mod max_matches;
pub mod not_the_host;
pub mod policy;
#[cfg(test)]
mod sample;
pub mod schema;
pub mod section_name;
mod selector;
pub mod shape;
mod spelling;
pub mod want;
