//! The counters of a host as data: one [`reading::Reading`], and the [`deltas::Deltas`] between two.

pub mod counter;
pub mod deltas;
mod entries;
pub mod reading;
pub mod unread;
