//! The CNI configuration of a host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cni::configuration::Configuration;
use crate::cni::runtime::Runtime;

/// The CNI configurations of a host, as far as they were read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cni {
    /// The runtime that loads them; none when it was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// The MTU in bytes that Felix wrote to /var/lib/calico/mtu. Calico's plugin uses it when the
    /// MTU in its configuration is missing or 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calico_mtu: Option<i64>,
    /// The MTU in bytes that flannel wrote to /run/flannel/subnet.env. Its plugin uses it when the
    /// `delegate` has no MTU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flannel_mtu: Option<i64>,
    /// The MTU in bytes that Cilium's agent gives devices
    /// (/run/cilium/state/globals/node_config.h).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cilium_mtu: Option<i64>,
    /// The files that were read: those in the runtime's directory and those that were named. None
    /// marks a file that does not exist.
    pub files: BTreeMap<PathBuf, Option<Configuration>>,
}

impl Cni {
    /// A state in which nothing was read.
    pub fn empty() -> Self {
        Cni {
            runtime: None,
            calico_mtu: None,
            flannel_mtu: None,
            cilium_mtu: None,
            files: BTreeMap::new(),
        }
    }

    /// A file that was read: the inner none when it does not exist, the outer none when it was not
    /// read.
    pub fn file(&self, path: &Path) -> Option<Option<&Configuration>> {
        self.files.get(path).map(Option::as_ref)
    }
}
