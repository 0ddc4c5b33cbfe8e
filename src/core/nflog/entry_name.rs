//! The names of `nflog` entries and of the nftables objects that belong to them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Error, ErrorKind};
use crate::text::from_str;

/// The name of netkeel's table in the family `inet`.
pub const TABLE: &str = "netkeel";

/// The comment of netkeel's own rules. It distinguishes them from rules of other programs.
pub const MARK: &str = "netkeel";

/// Longest name of an entry in bytes. With its prefix, a chain's name has at most 31
/// (NFT_CHAIN_MAXNAMELEN of kernels before 4.14, less the terminating zero).
const LONGEST: usize = 20;

/// The name of an entry: 1 to 20 lower-case letters, digits and dashes. The first character is a
/// letter, as nft requires without quotes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct EntryName(Arc<str>);

impl FromStr for EntryName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let starts = text.starts_with(|c: char| c.is_ascii_lowercase());
        if starts && text.len() <= LONGEST && text.chars().all(legal) {
            return Ok(EntryName(text.into()));
        }
        let shown = text.escape_debug();
        Err(
            Error::new(ErrorKind::Input, format!("`{shown}` cannot name a chain")).hint(format!(
                "a name has 1 to {LONGEST} lower-case letters, digits and dashes, and begins with a letter: packet-too-big"
            )),
        )
    }
}

impl EntryName {
    /// The name of the entry's chain.
    pub fn chain(&self) -> String {
        format!("nflog-{self}")
    }

    /// The entry of a chain.
    pub fn of_chain(chain: &str) -> Option<Self> {
        chain.strip_prefix("nflog-")?.parse().ok()
    }

    /// The name of the set that tracks the entry's sources of one family.
    pub fn set(&self, ipv6: bool) -> String {
        format!("nflog-{self}-{}", if ipv6 { "ipv6" } else { "ipv4" })
    }
}

from_str::schema_as_text!(EntryName, "EntryName");

impl<'de> Deserialize<'de> for EntryName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_str::deserialize(deserializer)
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A rate limit per source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Rate {
    /// Packets per second.
    pub per_second: u32,
    /// Packets of a burst above the rate.
    pub burst: u32,
}
