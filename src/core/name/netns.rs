//! The network namespace of a fact or an op.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A network namespace: the current one, or a named one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Netns(#[schemars(with = "Option<String>")] Option<Arc<str>>);

impl Netns {
    /// The namespace in which netkeel was started.
    pub const CURRENT: Netns = Netns(None);

    /// A namespace that `ip netns add` made: a name below /run/netns.
    pub fn named(name: &str) -> Self {
        Netns(Some(name.into()))
    }

    /// Whether it is the namespace in which netkeel was started.
    pub fn is_current(&self) -> bool {
        self.0.is_none()
    }

    /// The name; `None` for the current namespace.
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
