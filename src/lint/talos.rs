//! What is amiss in machine configurations of Talos Linux: values that it takes for something else,
//! forms that a version does not have, and MTUs that do not fit into each other.

mod fields;
mod forms;
mod pod_mtu;
mod values;

use std::fmt;

use crate::error::Diagnostics;
use crate::finding::{Code, Finding, Findings};
use crate::source::talos::version::Version;
use crate::source::talos::{Configuration, cozystack};
use crate::source::{Node, Sources, Span};

/// Looks at a configuration; forms are judged for a version, when one is given.
pub fn look(
    configuration: &Configuration,
    version: Option<Version>,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Vec<Finding> {
    let kube_ovn = cozystack::pod_mtu(configuration, sources, diagnostics);
    let mut lint = Lint {
        configuration,
        sources,
        findings: Findings::default(),
    };
    values::look(&mut lint);
    fields::look(&mut lint);
    forms::look(&mut lint, version);
    pod_mtu::look(&mut lint, kube_ovn.as_ref());
    lint.findings.into_sorted()
}

/// What the rules look at, and where they say what they find.
struct Lint<'a> {
    configuration: &'a Configuration,
    sources: &'a Sources,
    findings: Findings,
}

impl Lint<'_> {
    /// A finding names its path and its place: there is no interface yet that it could name.
    fn add(&mut self, code: Code, path: impl fmt::Display, span: Span, message: String, remedy: &str) {
        let subject = format!("{path} ({})", self.sources.locate(span));
        self.findings.add(code, subject, message, remedy);
    }
}

/// A map of free keys: its path, and the map.
type Free<'a> = (String, &'a Node);

impl<'a> Lint<'a> {
    /// The maps whose values are text, in both of their forms.
    fn text_maps(&self) -> Vec<Free<'a>> {
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
