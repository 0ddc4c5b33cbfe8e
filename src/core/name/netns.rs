//! Which network namespace a fact or a write belongs to.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A network namespace, as netkeel names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Netns(#[schemars(with = "Option<String>")] Option<Arc<str>>);

impl Netns {
    /// The one in which netkeel was started.
    pub const CURRENT: Netns = Netns(None);

    /// One that `ip netns add` made: a name below /run/netns.
    pub fn named(name: &str) -> Self {
        Netns(Some(name.into()))
    }

    /// It is the one in which netkeel was started.
    pub fn is_current(&self) -> bool {
        self.0.is_none()
    }

    /// Its name, when it has one.
    pub fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl fmt::Display for Netns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(name) => write!(f, "netns {name}"),
            None => f.write_str("this host"),
        }
    }
}
