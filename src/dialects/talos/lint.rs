//! Problems in machine configurations of Talos Linux: values that Talos reads differently, forms
//! that a version does not support, and MTUs that do not fit each other.

mod fields;
mod findings;
mod forms;
mod kubespan;
mod pod_mtu;
mod uplink;
mod values;

use crate::talos::configuration::Configuration;
use crate::talos::cozystack::PodMtus;
use crate::talos::desired;
use crate::talos::lint::findings::Lint;
use crate::talos::version::Version;
use netkeel_core::finding::Finding;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

/// Checks a configuration; forms are checked against a version if one is given.
pub fn look(
    configuration: &Configuration,
    version: Option<Version>,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Vec<Finding> {
    let pods = PodMtus::read(configuration, sources, diagnostics);
    // As a plan reports them.
    let mut unplaced = Diagnostics::default();
    desired::layers(configuration, sources, &mut unplaced);
    let mut lint = Lint {
        configuration,
        sources,
        findings: unplaced.findings,
    };
    values::look(&mut lint);
    fields::look(&mut lint);
    forms::look(&mut lint, version);
    pod_mtu::look(&mut lint, &pods);
    kubespan::look(&mut lint, version, &pods);
    lint.findings.into_sorted()
}
