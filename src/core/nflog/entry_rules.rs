//! The kernel's rules of one `nflog` entry.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::nflog::rules::Rules;

/// The rules of an entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EntryRules {
    /// The kernel has no rule of this entry.
    None,
    /// Somebody else changed them, so that they are not as netkeel writes any rules.
    Changed,
    /// They are as netkeel writes these.
    Rules(Arc<Rules>),
}

impl fmt::Display for EntryRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EntryRules::None => f.write_str("none"),
            EntryRules::Changed => f.write_str("changed by somebody else"),
            EntryRules::Rules(rules) => rules.fmt(f),
        }
    }
}
