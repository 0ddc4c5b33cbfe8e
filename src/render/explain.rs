//! Explanations as text.

mod declared;
mod device;
pub mod field;
pub mod finding;
pub mod key;
mod row;
#[cfg(test)]
mod tests;
