//! Rate limits by flow, with a reserve for sources that are not yet known.

pub mod bucket;
pub mod dedup_cache;
pub mod flow_hash;
pub mod known_sources;
pub mod limiter;
#[cfg(test)]
mod tests;
