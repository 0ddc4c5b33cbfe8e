//! CNI network configurations: where their `mtu` stands, how it is set with all other bytes kept,
//! and which of the files in a directory the container runtime loads.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use netkeel_core::fact::Value;

/// Plugins that do not read an `mtu` of their own, and where it is to be set instead.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "kube-ovn",
        "kube-ovn takes it from the subnet's `mtu` or the `--mtu` of the DaemonSet kube-ovn-cni (in Cozystack `kube-ovn.mtu` of the values)",
    ),
    (
        "ovn-k8s-cni-overlay",
        "OVN-Kubernetes takes it from `mtu` of its own configuration (ovnkube-config; in OpenShift the Network operator's)",
    ),
    (
        "multus",
        "Multus calls the plugins it delegates to: name one of those",
    ),
    ("loopback", "the loopback interface keeps its MTU"),
    ("portmap", "portmap makes no interface"),
    (
        "bandwidth",
        "bandwidth makes no interface that carries an MTU of its own",
    ),
];

/// Where the MTU is to be set of a plugin that does not read one in its configuration.
pub fn elsewhere(plugin: &str) -> Option<&'static str> {
    let found = ELSEWHERE.iter().find(|(kind, _)| *kind == plugin)?;
    Some(found.1)
}

/// One file, without its text: it may hold a token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "CniConfiguration")]
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
    pub reading: Contents,
}

/// What can be made of the text of a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Contents {
    /// It can be loaded.
    Plugins(Vec<Plugin>),
    /// It can, and netkeel neither reads nor edits it, and why.
    Unread(String),
    /// It cannot, and why.
    Invalid(String),
    /// It is a template with this placeholder, which somebody fills in.
    Template(String),
}

/// A plugin of a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "CniPlugin")]
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

impl Contents {
    /// Why it is not edited; empty where it can be.
    pub fn refusal(&self) -> String {
        match self {
            Contents::Plugins(_) => String::new(),
            Contents::Unread(why) => format!("it loads, but netkeel does not edit it: {why}"),
            Contents::Invalid(why) => format!("it is no CNI configuration: {why}"),
            Contents::Template(placeholder) => format!("it is a template: {placeholder} is to be filled in"),
        }
    }

    /// What to do about that.
    pub fn remedy(&self) -> &'static str {
        match self {
            Contents::Plugins(_) => "",
            Contents::Unread(_) => "mend that, so that it says one thing to everybody",
            Contents::Invalid(_) => "no runtime loads it: mend it, or take it away",
            Contents::Template(_) => {
                "the CNI's installer writes it anew: set the value that it fills in (Calico: `veth_mtu` of the ConfigMap calico-config in kube-system)"
            }
        }
    }
}

impl Configuration {
    /// Its plugins; none when it cannot be loaded.
    pub fn plugins(&self) -> &[Plugin] {
        match &self.reading {
            Contents::Plugins(plugins) => plugins,
            Contents::Unread(_) | Contents::Invalid(_) | Contents::Template(_) => &[],
        }
    }

    /// What the plugins of a type have, where they differ in it.
    pub fn differ(&self, kind: &str) -> Option<Value> {
        let mut mtus = self.of(kind).map(|plugin| &plugin.mtu);
        let first = mtus.next()?;
        mtus.any(|mtu| mtu != first).then(|| self.mtu(kind)).flatten()
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
        if let Contents::Plugins(plugins) = &mut self.reading {
            for plugin in plugins.iter_mut().filter(|plugin| &*plugin.kind == kind) {
                plugin.mtu = mtu.cloned();
            }
        }
    }
}
