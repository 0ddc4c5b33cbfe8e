//! The result of reading a file or a sysctl: a value, absent, or unreadable.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sysctl_d::file::Files;

/// What is applied at boot and, by udev, to interfaces that appear later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SysctlD {
    /// The files.
    #[serde(flatten)]
    pub files: Files,
    /// udev applies them to each interface that appears (99-systemd.rules).
    pub udev: bool,
}

/// What reading a sysctl gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Sysctl")]
#[serde(untagged)]
pub enum SysctlReading {
    /// Its value, blanks and tabs folded to single blanks.
    Value {
        /// The value.
        value: Arc<str>,
        /// It may be written in this namespace.
        writable: bool,
    },
    /// There is no such key: the interface is not there, or the kernel does not know it.
    Absent,
}

impl SysctlReading {
    /// The number; none when there is no such key or it is not a number.
    pub fn number(&self) -> Option<i64> {
        match self {
            SysctlReading::Value { value, .. } => value.parse().ok(),
            SysctlReading::Absent => None,
        }
    }
}

/// A file that was asked for and exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct File {
    /// Its text.
    pub content: Arc<str>,
    /// Permission bits.
    pub mode: u32,
}

/// Whether the kernel can make a kind of tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Support {
    /// It has the module.
    Yes,
    /// It has not; which one is missing.
    Missing {
        /// The module's name.
        module: String,
    },
    /// It cannot be told from here (no /lib/modules): making one will tell.
    Unknown,
}
