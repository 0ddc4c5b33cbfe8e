//! The result of reading a file or a sysctl: a value, absent, or unreadable.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sysctl_d::file::Files;
use netkeel_core::maybe_secret::MaybeSecret;

/// Settings that apply at boot and, through udev, to interfaces that appear later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SysctlD {
    /// The files.
    #[serde(flatten)]
    pub files: Files,
    /// udev applies them to each interface that appears (99-systemd.rules).
    pub udev: bool,
    /// The file that ufw applies when it starts; none where ufw is disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ufw: Option<UfwFile>,
}

/// The sysctl file of ufw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UfwFile {
    /// Its path.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// The result of reading a sysctl.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Sysctl")]
#[serde(
    untagged,
    expecting = "expected an object with `value` and `writable`, or null"
)]
pub enum SysctlReading {
    /// Its value, with runs of blanks and tabs folded to one blank.
    Value {
        /// The value; a secret if only root can read the key's file.
        value: MaybeSecret,
        /// It is writable in this namespace.
        writable: bool,
    },
    /// A secret of another host or time: a saved snapshot does not have its text.
    Hidden {
        /// The form of a secret without its text.
        value: Hidden,
        /// It is writable in this namespace.
        writable: bool,
    },
    /// The key does not exist: the interface is missing, or the kernel does not know the key.
    Absent,
}

/// A secret without its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hidden {
    /// Always null.
    secret: (),
}

impl SysctlReading {
    /// The value as a number; none when the key does not exist or the value is not a number.
    pub fn number(&self) -> Option<i64> {
        match self {
            SysctlReading::Value { value, .. } => value.parse().ok(),
            SysctlReading::Hidden { .. } | SysctlReading::Absent => None,
        }
    }
}

/// A requested file that exists.
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
    /// The kernel has the module.
    Yes,
    /// The kernel lacks a module.
    Missing {
        /// The module's name.
        module: String,
    },
    /// Unknown, since there is no /lib/modules; creating a tunnel will show it.
    Unknown,
}
