//! Strict JSON, with an error for each relaxation.

pub mod parse;
mod relaxed;
#[cfg(test)]
mod tests;
