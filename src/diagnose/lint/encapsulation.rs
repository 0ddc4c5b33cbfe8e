//! What pods are given, held against what the CNI's encapsulation leaves of the default route.

use netkeel_core::finding::Findings;
use netkeel_host::snapshot::Snapshot;
use netkeel_mtu::detect::detect;
use netkeel_mtu::underlay::Underlay;

/// Looks at a host where a CNI shows itself and the underlay is known.
pub(crate) fn look(host: &Snapshot, findings: &mut Findings) {
    let Some(detected) = detect(host) else { return };
    let Ok((underlay, from)) = Underlay::DefaultRoute.on(host) else {
        return;
    };
    if let Ok(answer) = detected.answer(underlay, &from) {
        detected.judge(&answer, findings);
    }
}
