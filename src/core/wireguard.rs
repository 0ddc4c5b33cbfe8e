//! The states of a private copy of a WireGuard configuration, apart from a copy with an MTU.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of a copy. One that is private and is its source but for an MTU is that number instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CopyState {
    /// It is private and is its source, which names no MTU: wg-quick then finds one by itself.
    WithoutMtu,
    /// It is not its source with another MTU, so that it cannot be made again.
    Differs {
        /// The MTU that it names, in bytes.
        mtu: Option<i64>,
    },
    /// It is its source but for the MTU, and others than its owner may read or write it.
    Exposed {
        /// The MTU that it names, in bytes.
        mtu: Option<i64>,
        /// Its permission bits.
        mode: u32,
    },
}

impl CopyState {
    /// netkeel can make such a copy from the source.
    pub fn can_be_made(&self) -> bool {
        match self {
            CopyState::WithoutMtu => true,
            CopyState::Differs { .. } | CopyState::Exposed { .. } => false,
        }
    }
}

impl fmt::Display for CopyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has = |f: &mut fmt::Formatter<'_>, mtu: &Option<i64>| match mtu {
            Some(mtu) => write!(f, "MTU {mtu}"),
            None => f.write_str("no MTU"),
        };
        match self {
            CopyState::WithoutMtu => f.write_str("none"),
            CopyState::Differs { mtu } => {
                has(f, mtu)?;
                f.write_str(", and not a copy of the source")
            }
            CopyState::Exposed { mtu, mode } => {
                has(f, mtu)?;
                write!(f, ", mode {mode:o}")
            }
        }
    }
}
