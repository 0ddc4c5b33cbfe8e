//! CNI network configurations: where their `mtu` stands, how it is set with all other bytes kept,
//! and which of the files in a directory the container runtime loads.

pub mod conflist;
pub mod runtime;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::fact::Value;
pub use runtime::Runtime;

/// What is known of the CNI configurations of a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// One file, without its text: it may hold a token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// SHA-256 of the text, in hexadecimal, when it was read.
    pub sha256: String,
    /// Where it leads, when it is a symbolic link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symlink: Option<PathBuf>,
    /// The `name` of the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// What a runtime makes of it.
    #[serde(flatten)]
    pub reading: Reading,
}

/// What can be made of the text of a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reading {
    /// It can be loaded.
    Plugins(Vec<Plugin>),
    /// It cannot, and why.
    Invalid(String),
    /// It is a template with this placeholder, which somebody fills in.
    Template(String),
}

/// A plugin of a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plugin {
    /// Its `type`.
    #[serde(rename = "type")]
    pub kind: Arc<str>,
    /// Where its `mtu` stands or would stand, as a path of keys: `plugins[0].delegate.mtu`.
    pub at: String,
    /// Its `mtu`: a number, or whatever JSON stands there; none when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<Value>,
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

impl Configuration {
    /// Its plugins; none when it cannot be loaded.
    pub fn plugins(&self) -> &[Plugin] {
        match &self.reading {
            Reading::Plugins(plugins) => plugins,
            Reading::Invalid(_) | Reading::Template(_) => &[],
        }
    }

    /// The plugins of a type.
    pub fn of(&self, kind: &str) -> impl Iterator<Item = &Plugin> {
        self.plugins().iter().filter(move |plugin| &*plugin.kind == kind)
    }

    /// The `mtu` that the plugins of a type have; what they differ in is text.
    pub fn mtu(&self, kind: &str) -> Option<Value> {
        let mtus: Vec<&Option<Value>> = self.of(kind).map(|plugin| &plugin.mtu).collect();
        let first = *mtus.first()?;
        if mtus.iter().all(|mtu| *mtu == first) {
            return first.clone();
        }
        let show = |mtu: &&Option<Value>| mtu.as_ref().map_or("none".to_owned(), ToString::to_string);
        let all: Vec<String> = mtus.iter().map(show).collect();
        Some(Value::Text(all.join(", ").into()))
    }

    /// Sets or, with none, takes away the `mtu` of the plugins of a type.
    pub fn set(&mut self, kind: &str, mtu: Option<&Value>) {
        if let Reading::Plugins(plugins) = &mut self.reading {
            for plugin in plugins.iter_mut().filter(|plugin| &*plugin.kind == kind) {
                plugin.mtu = mtu.cloned();
            }
        }
    }
}
