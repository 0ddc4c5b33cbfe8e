//! The MTUs of pods on a host whose CNI is not known.

use std::collections::BTreeMap;

use netkeel_core::finding::{Code, Findings};
use netkeel_host::snapshot::Snapshot;

/// The MTUs of pods on a host, whatever their CNI: the bytes of a packet that a pod can send, and how many
/// pods can.
pub fn pods(host: &Snapshot) -> BTreeMap<i64, usize> {
    let mut found = BTreeMap::new();
    for link in host.links.values().filter(|link| link.leads_into_a_pod()) {
        let route = link.pod.as_ref().and_then(|pod| pod.largest_route());
        let mtu = route.map_or(link.mtu, |route| route.min(link.mtu));
        *found.entry(mtu.into()).or_default() += 1;
    }
    found
}

/// Reports pods whose packets do not fit the underlay, on a host whose CNI is not known: nothing then shows
/// an encapsulation, which would leave even less.
pub fn judge_pods(host: &Snapshot, underlay: i64, from: &str, findings: &mut Findings) {
    for (mtu, number) in pods(host) {
        if mtu > underlay {
            let message = format!(
                "they have an MTU of {mtu}, and their packets leave over {from} with {underlay}: full packets are {} bytes too large",
                mtu - underlay
            );
            let remedy = format!(
                "give pods {underlay}, less what their CNI adds to packets; `--underlay` names another underlay"
            );
            findings.add(Code::NK047, veths(number), message, remedy);
        }
    }
}

/// Veths into pods, as text.
pub(crate) fn veths(number: usize) -> String {
    match number {
        1 => "1 veth into a pod".to_owned(),
        _ => format!("{number} veths into pods"),
    }
}
