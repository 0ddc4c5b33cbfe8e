//! NFLOG entries: their names and rules, and the rules of other programs that log the same packets.

pub mod entry_name;
pub mod entry_rules;
pub mod foreign;
pub mod nft;
pub mod rules;
