//! The findings that the Talos checks collect.

use std::fmt;

use crate::talos::configuration::Configuration;
use netkeel_core::finding::{Code, Findings};
use netkeel_source::node::Node;
use netkeel_source::sources::Sources;
use netkeel_source::span::Span;

/// The input of the rules, and their findings.
pub(crate) struct Lint<'a> {
    pub(crate) configuration: &'a Configuration,
    pub(crate) sources: &'a Sources,
    pub(crate) findings: Findings,
}

impl Lint<'_> {
    /// Adds a finding with its path and position: no interface exists yet that it could name.
    pub(crate) fn add(
        &mut self,
        code: Code,
        path: impl fmt::Display,
        span: Span,
        message: String,
        remedy: &str,
    ) {
        let subject = format!("{path} ({})", self.sources.locate(span));
        self.findings.add(code, subject, message, remedy);
    }
}

/// A map with free keys: its path, and the map.
type Free<'a> = (String, &'a Node);

impl<'a> Lint<'a> {
    /// The maps whose values are text, in both of their forms.
    pub(crate) fn text_maps(&self) -> Vec<Free<'a>> {
        let mut found = Vec::new();
        for key in ["sysctls", "sysfs", "nodeLabels", "nodeAnnotations", "nodeTaints"] {
            let map = self.configuration.legacy_at(&["machine", key]);
            found.extend(map.map(|map| (format!("machine.{key}"), map)));
        }
        let documents = [
            ("SysctlConfig", "params"),
            ("SysfsConfig", "params"),
            ("KubeNodeConfig", "labels"),
            ("KubeNodeConfig", "annotations"),
            ("KubeNodeConfig", "taints"),
        ];
        for (kind, key) in documents {
            let maps = self
                .configuration
                .of_kind(kind)
                .filter_map(|document| document.get(key));
            found.extend(maps.map(|map| (format!("{kind}.{key}"), map)));
        }
        found
    }
}
