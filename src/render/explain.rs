//! Explanations as text.

mod device;
pub mod key;
mod row;
#[cfg(test)]
mod tests;
