//! A CNI network configuration: its plugins, their `mtu`, and why netkeel does not edit it.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use netkeel_core::fact::Value;

/// One file. The text is not kept: it may hold a token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "CniConfiguration")]
pub struct Configuration {
    /// SHA-256 of the text when it was read, in hexadecimal.
    pub sha256: String,
    /// The target, when the file is a symbolic link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symlink: Option<PathBuf>,
    /// The `name` of the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The `cniVersion`: the version of the specification that the plugins are called with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cni_version: Option<Arc<str>>,
    /// How a runtime reads the file.
    #[serde(flatten)]
    pub reading: Contents,
}

/// The result of parsing a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Contents {
    /// The runtime can load it.
    Plugins(Vec<Plugin>),
    /// The runtime can load it, but netkeel neither reads nor edits it, for this reason.
    Unread(String),
    /// The runtime cannot load it, for this reason.
    Invalid(String),
    /// A template in which this placeholder has not been filled in.
    Template(String),
}

/// One plugin of a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "CniPlugin")]
pub struct Plugin {
    /// Its `type`.
    #[serde(rename = "type")]
    pub kind: Arc<str>,
    /// Path of its `mtu`, present or not: `plugins[0].delegate.mtu`.
    pub at: String,
    /// Its `mtu`, which may be any JSON value; none when the key is missing. A number is one in the form
    /// that the plugin reads; text is anything else, as it is in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<Value>,
    /// Multus' `clusterNetwork`: the path, the file name or the name of the configuration that it calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_network: Option<String>,
    /// The `type` of its `ipam`: the plugin that gives pods their addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipam: Option<Arc<str>>,
}

impl Contents {
    /// Why netkeel does not edit the file; empty when it can.
    pub fn refusal(&self) -> String {
        match self {
            Contents::Plugins(_) => String::new(),
            Contents::Unread(why) => format!("it loads, but netkeel does not edit it: {why}"),
            Contents::Invalid(why) => format!("it is not a CNI configuration: {why}"),
            Contents::Template(placeholder) => {
                format!("it is a template: {placeholder} has not been filled in")
            }
        }
    }

    /// The remedy for [`Self::refusal`].
    pub fn remedy(&self) -> &'static str {
        match self {
            Contents::Plugins(_) => "",
            Contents::Unread(_) => "fix the file, so that all readers get the same value",
            Contents::Invalid(_) => "fix or remove the file: no runtime loads it",
            Contents::Template(_) => {
                "the CNI's installer rewrites it: set the value that it fills in (Calico: `veth_mtu` of the ConfigMap calico-config in kube-system)"
            }
        }
    }
}

impl Configuration {
    /// Its plugins; empty when the file cannot be loaded.
    pub fn plugins(&self) -> &[Plugin] {
        match &self.reading {
            Contents::Plugins(plugins) => plugins,
            Contents::Unread(_) | Contents::Invalid(_) | Contents::Template(_) => &[],
        }
    }

    /// The values of `mtu` that plugins of a type have, when they differ.
    pub fn differ(&self, kind: &str) -> Option<Value> {
        let mut mtus = self.of(kind).map(|plugin| &plugin.mtu);
        let first = mtus.next()?;
        mtus.any(|mtu| mtu != first).then(|| self.mtu(kind)).flatten()
    }

    /// Whether Multus made it: the runtime calls Multus, which calls others.
    pub fn is_of_multus(&self) -> bool {
        let mut plugins = self.plugins().iter();
        plugins.any(|plugin| matches!(&*plugin.kind, "multus" | "multus-shim"))
    }

    /// The network that Multus delegates to.
    pub fn cluster_network(&self) -> Option<&str> {
        self.plugins()
            .iter()
            .find_map(|plugin| plugin.cluster_network.as_deref())
    }

    /// The plugins of a type.
    pub fn of(&self, kind: &str) -> impl Iterator<Item = &Plugin> {
        self.plugins().iter().filter(move |plugin| &*plugin.kind == kind)
    }

    /// The `mtu` of the plugins of a type; text that lists the values when they differ.
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

    /// Sets the `mtu` of the plugins of a type, or removes it when `mtu` is `None`.
    pub fn set(&mut self, kind: &str, mtu: Option<&Value>) {
        if let Contents::Plugins(plugins) = &mut self.reading {
            for plugin in plugins.iter_mut().filter(|plugin| &*plugin.kind == kind) {
                plugin.mtu = mtu.cloned();
            }
        }
    }
}
