//! TOML to nodes with spans.

mod neighbour;
pub mod parse;
#[cfg(test)]
mod tests;
mod tree;
