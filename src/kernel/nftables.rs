//! nftables: the rules of netkeel, and rules of other programs.

pub mod changes;
pub mod client;
mod conditions;
pub(crate) mod drops;
mod expression;
pub(crate) mod filter;
mod foreign;
mod ipvs;
mod legacy;
mod matches;
mod moment;
mod protocol;
mod rules;
mod ruleset;
mod table;
mod write;
