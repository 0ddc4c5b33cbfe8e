//! Compares the MTU of pods with the MTU that the CNI's encapsulation leaves of its underlay.

use netkeel_core::finding::Findings;
use netkeel_host::snapshot::Snapshot;
use netkeel_mtu::detect::detect;
use netkeel_mtu::judge::TooLarge;
use netkeel_mtu::underlay::Underlay;

/// Checks a host on which a CNI is detected and the underlay is known.
pub(crate) fn check(host: &Snapshot, over: Option<Underlay>, findings: &mut Findings) -> TooLarge {
    let Some(detected) = detect(host) else {
        return TooLarge::default();
    };
    let found = match over {
        Some(underlay) => underlay.on(host),
        None => detected.underlay(host),
    };
    let Ok((underlay, from)) = found else {
        return TooLarge::default();
    };
    match detected.answer(underlay, &from) {
        Ok(answer) => detected.judge(host, &answer, findings),
        Err(_) => TooLarge::default(),
    }
}
