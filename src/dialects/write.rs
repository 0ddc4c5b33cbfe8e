//! Writes trees as YAML.

pub(crate) mod node;
pub mod yaml;
