//! Problems in machine configurations of Talos Linux: values that Talos reads differently, forms
//! that a version does not support, and MTUs that do not fit each other.

mod fields;
mod findings;
mod forms;
mod pod_mtu;
mod values;

use crate::talos::configuration::Configuration;
use crate::talos::cozystack;
use crate::talos::lint::findings::Lint;
use crate::talos::version::Version;
use netkeel_core::finding::{Finding, Findings};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

/// Checks a configuration; forms are checked against a version if one is given.
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
