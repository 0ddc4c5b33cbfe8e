//! What pods are given, held against what the CNI's encapsulation leaves of the default route.

use crate::finding::Findings;
use crate::mtu::detect::detect;
use crate::mtu::underlay::Underlay;
use crate::snapshot::Snapshot;

/// Looks at a host where a CNI shows itself and the underlay is known.
pub(super) fn look(host: &Snapshot, findings: &mut Findings) {
    let Some(detected) = detect(host) else { return };
    let Ok((underlay, from)) = Underlay::DefaultRoute.on(host) else {
        return;
    };
    if let Ok(answer) = detected.answer(underlay, &from) {
        detected.judge(&answer, findings);
    }
}
