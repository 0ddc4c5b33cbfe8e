//! The CNI configuration of a host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cni::configuration::Configuration;
use crate::cni::runtime::Runtime;

/// What is known of the CNI configurations of a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cni {
    /// Who loads them, from where; none when that was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// What Felix has written to /var/lib/calico/mtu, in bytes: what Calico's plugin takes when its
    /// configuration has no MTU, or 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calico_mtu: Option<i64>,
    /// What flannel has written to /run/flannel/subnet.env, in bytes: what its plugin takes when there
    /// is none in the `delegate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flannel_mtu: Option<i64>,
    /// What Cilium's agent gives to devices, in bytes, by /run/cilium/state/globals/node_config.h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cilium_mtu: Option<i64>,
    /// The files that were read: those of the runtime's directory and those that were named; none
    /// for one that is not there.
    pub files: BTreeMap<PathBuf, Option<Configuration>>,
}

impl Cni {
    /// Nothing was read.
    pub fn empty() -> Self {
        Cni {
            runtime: None,
            calico_mtu: None,
            flannel_mtu: None,
            cilium_mtu: None,
            files: BTreeMap::new(),
        }
    }

    /// What is known of a file; the outer none when it was not read.
    pub fn file(&self, path: &Path) -> Option<Option<&Configuration>> {
        self.files.get(path).map(Option::as_ref)
    }
}
