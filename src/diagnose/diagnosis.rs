//! The diagnosis: the most likely cause of lost packets first, from counters, configuration and paths.

pub mod advice;
pub mod cause;
pub mod compare;
mod configured;
mod counted;
pub mod fix;
mod forwarding;
mod fragment;
pub mod growth;
mod join;
mod neighbours;
mod paste;
mod refute;
pub mod sign;
mod signs;

use netkeel_core::finding::Finding;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_host::counters::deltas::Deltas;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::scope::Scope;

use crate::diagnosis::cause::Diagnosis;
use crate::diagnosis::fix::Fix;

/// The facts of a host that a diagnosis needs.
pub fn scope() -> Scope {
    let mut scope = Scope {
        forwarding: true,
        ..Scope::wide()
    };
    scope.sysctls.extend(RAISED.map(SysctlKey::known));
    scope
}

/// The sysctls that a remedy raises, which other commands do not read.
const RAISED: [&str; 4] = [
    "net/ipv4/neigh/default/gc_thresh2",
    "net/ipv4/neigh/default/gc_thresh3",
    "net/ipv6/neigh/default/gc_thresh2",
    "net/ipv6/neigh/default/gc_thresh3",
];

/// Names the causes that the host's configuration, its findings and the growth of its counters show.
/// Without a `window` no counters were read, and the configuration is judged alone.
pub fn diagnose(host: &Snapshot, findings: &[Finding], window: Option<&Deltas>) -> Diagnosis {
    let (configured, unknown) = configured::causes(host, findings);
    let counted = window
        .map(|window| counted::causes(window, host))
        .unwrap_or_default();
    let found = Diagnosis {
        unknown,
        ..join::join(configured, counted, host, window)
    };
    let signs = window.map(|window| signs::signs(&found, window, host));
    let mut found = Diagnosis {
        signs: signs.unwrap_or_default(),
        ..found
    };
    let fixes = found.causes.iter_mut().map(|cause| &mut cause.fix);
    for fixes in fixes.chain(found.signs.iter_mut().map(|sign| &mut sign.next)) {
        *fixes = paste::one_of_each_section(std::mem::take(fixes));
        for fix in fixes {
            if let Fix::Command(command) = fix {
                *command = paste::inside(command, &host.netns);
            }
        }
    }
    for cause in found.causes.iter_mut().filter(|cause| !cause.refute.elsewhere) {
        cause.refute.command = paste::inside(&cause.refute.command, &host.netns);
    }
    found
}
