//! The CNI configuration of a host.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cni::configuration::Configuration;
use crate::cni::runtime::Runtime;

/// The files into which CNIs write their MTU.
#[derive(Debug, PartialEq, Eq)]
pub struct StateFiles {
    /// Felix's. Calico's plugin reads it.
    pub calico: &'static str,
    /// flannel's, in the line `FLANNEL_MTU=`.
    pub flannel: &'static str,
    /// Cilium's agent's, in `#define MTU` and in a comment.
    pub cilium: &'static str,
}

/// MicroK8s is a snap: it has the directories of CNIs below its own.
const MICROK8S: &str = "/var/snap/microk8s";

impl StateFiles {
    /// The files of the CNI whose configurations this runtime loads.
    pub fn of(runtime: Option<&Runtime>) -> &'static StateFiles {
        match runtime {
            Some(runtime) if runtime.directory.starts_with(MICROK8S) => &StateFiles {
                calico: "/var/snap/microk8s/current/var/lib/calico/mtu",
                flannel: "/var/snap/microk8s/common/run/flannel/subnet.env",
                cilium: "/var/snap/microk8s/current/var/run/cilium/state/globals/node_config.h",
            },
            _ => &StateFiles {
                calico: "/var/lib/calico/mtu",
                flannel: "/run/flannel/subnet.env",
                cilium: "/run/cilium/state/globals/node_config.h",
            },
        }
    }
}

/// The CNI configurations of a host, as far as they were read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cni {
    /// The runtime that loads them; none when it was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// The MTU in bytes that Felix wrote. Calico's plugin uses it when the MTU in its configuration is missing
    /// or 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calico_mtu: Option<i64>,
    /// The MTU in bytes that flannel wrote. Its plugin uses it when the `delegate` has no MTU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flannel_mtu: Option<i64>,
    /// The MTU in bytes that Cilium's agent gives devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cilium_mtu: Option<i64>,
    /// The index of the interface that Cilium uses between nodes. Older agents write it where they need one
    /// (`DIRECT_ROUTING_DEV_IFINDEX`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cilium_device: Option<u32>,
    /// The addresses of the node that Cilium's agent writes (`cilium.v4.external.str`, `cilium.v6.external.str`).
    /// Packets to other nodes leave by the interface that has them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub cilium_addresses: BTreeSet<IpAddr>,
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
            cilium_device: None,
            cilium_addresses: BTreeSet::new(),
            files: BTreeMap::new(),
        }
    }

    /// The configuration that Multus calls from the loaded one. Multus names it by path (below /host in its
    /// container), by file or by network.
    pub fn called_by(&self, loaded: &Path) -> Option<&Path> {
        self.callable_by(loaded).next()
    }

    /// All configurations that Multus may mean in the loaded one, the likeliest first: files and networks may have one
    /// name.
    pub fn callable_by(&self, loaded: &Path) -> impl Iterator<Item = &Path> {
        let named = self
            .file(loaded)
            .flatten()
            .and_then(Configuration::cluster_network);
        let mut found: Vec<(u8, &Path)> = Vec::new();
        for (path, other) in self.files.iter().filter(|(path, _)| path.as_path() != loaded) {
            let (Some(named), Some(other)) = (named.map(Path::new), other) else {
                continue;
            };
            let below_host = named.strip_prefix("/host").map(|rest| Path::new("/").join(rest));
            if path.as_path() == named || below_host.is_ok_and(|below| below == *path) {
                found.push((0, path));
            } else if path.file_name() == named.file_name() {
                found.push((1, path));
            } else if other.network.as_deref() == named.to_str() {
                found.push((2, path));
            }
        }
        found.sort();
        found.into_iter().map(|(_, path)| path)
    }

    /// A file that was read: the inner none when it does not exist, the outer none when it was not
    /// read.
    pub fn file(&self, path: &Path) -> Option<Option<&Configuration>> {
        self.files.get(path).map(Option::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_multus_names_comes_before_one_with_the_same_name() {
        let file = |path: &str, network: &str| {
            format!(
                r#""{path}": {{"sha256": "", "network": "{network}", "plugins": [{{"type": "calico", "at": "mtu"}}]}}"#
            )
        };
        let called = |named: &str| {
            let multus = format!(
                r#""/d/00-multus.conf": {{"sha256": "", "plugins": [{{"type": "multus-shim", "at": "mtu", "cluster_network": "{named}"}}]}}"#
            );
            let files = [
                multus,
                file("/a/10-calico.conflist", "one"),
                file("/b/10-calico.conflist", "two"),
                file("/c/20-other.conflist", "two"),
            ];
            let text = format!(r#"{{"files": {{{}}}}}"#, files.join(","));
            let cni: Cni = serde_json::from_str(&text).unwrap();
            let found = cni.callable_by(Path::new("/d/00-multus.conf"));
            found
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let (a, b, c) = (
            "/a/10-calico.conflist",
            "/b/10-calico.conflist",
            "/c/20-other.conflist",
        );
        assert_eq!(called(b), format!("{b} {a}"));
        assert_eq!(called("/host/b/10-calico.conflist"), format!("{b} {a}"));
        assert_eq!(called("two"), format!("{b} {c}"));
        assert_eq!(called("none"), "");
    }
}
