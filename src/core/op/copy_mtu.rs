//! The change that an op makes to a private copy of a WireGuard configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::Value;
use crate::wireguard::CopyState;

/// The new state of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CopyMtu {
    /// It goes.
    Remove,
    /// It is the source as it is.
    AsSource,
    /// It is the source with this MTU in bytes.
    Bytes(u32),
}

impl CopyMtu {
    /// The value of the fact afterwards.
    pub fn value(self) -> Option<Value> {
        match self {
            CopyMtu::Remove => None,
            CopyMtu::AsSource => Some(Value::Copy(CopyState::WithoutMtu)),
            CopyMtu::Bytes(mtu) => Some(Value::Number(mtu.into())),
        }
    }
}
