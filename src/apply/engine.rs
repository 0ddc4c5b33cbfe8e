//! Executes a plan and verifies it.

pub mod apply;
pub mod guard;
pub mod recorder;
mod second_look;
pub mod session;
pub mod stop;
#[cfg(test)]
mod tests;
