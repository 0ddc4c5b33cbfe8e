//! The measurement of a path: the answers to packets that may not be fragmented, the search for the largest
//! size that passes, and the verdict.

pub mod encapsulated;
pub mod reply;
pub mod report;
pub mod search;
pub mod trace;
