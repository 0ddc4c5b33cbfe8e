//! Files of sysctl.d: parsed, ordered and resolved as systemd-sysctl and procps do.

pub mod answer;
mod copies;
pub mod drop_in;
pub mod file;
pub mod mention;
pub mod order;
pub mod parse;
mod pattern;
pub mod reader;
pub mod settings;
pub mod ufw;
