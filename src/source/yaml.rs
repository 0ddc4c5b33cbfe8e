//! YAML to nodes with spans.

mod anchor;
pub(crate) mod builder;
mod explain;
mod flow;
mod offsets;
#[cfg(test)]
mod refusals;
mod scalar;
#[cfg(test)]
mod tests;
