//! Misconfigurations of a host, independent of any document. Each rule checks a snapshot and adds findings.

use std::collections::BTreeSet;

use crate::lint::{cni, encapsulation, forwarding, mtu, pmtud, rp_filter, sysctl_d, tunnels, wireguard};
use netkeel_core::finding::{Finding, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::problem::{Problem, Subject};
use netkeel_mtu::detect::detect;
use netkeel_mtu::judge::TooLarge;
use netkeel_mtu::underlay::Underlay;

/// A whole host, as it was judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// The findings, sorted.
    pub findings: Vec<Finding>,
    /// The tunnels that the finding on pods names: they have no finding of their own.
    pub named_with_pods: BTreeSet<LinkName>,
    /// What could not be judged, because it was not read: unknown is no "0 findings".
    pub unjudged: Vec<Problem>,
}

/// Whether findings depend on routes to pods that were not read: whether a pod is of the CNI's overlay, and whether the way
/// back to a pod of Cilium is by its device.
pub fn lacks_routes(host: &Snapshot) -> bool {
    let filtered = || {
        let mut findings = Findings::default();
        rp_filter::of_cilium(host, &mut findings);
        !findings.into_sorted().is_empty()
    };
    let is_unplaced = || detect(host).is_some_and(|detected| detected.unplaced(host).is_some());
    host.forwarding.is_none() && (is_unplaced() || filtered())
}

/// The findings on a whole host.
pub fn host(host: &Snapshot) -> Vec<Finding> {
    judge(host, None).findings
}

/// Checks a whole host whose pods' packets leave over this underlay; `None` takes the one that the host
/// shows.
pub fn judge(host: &Snapshot, underlay: Option<Underlay>) -> Judged {
    let mut findings = Findings::default();
    let detected = detect(host);
    let too_large = encapsulation::check(host, detected.as_ref(), underlay, &mut findings);
    links(host, &|_| true, &too_large, &mut findings);
    rp_filter::tunnels(host, &mut findings);
    rp_filter::of_cilium(host, &mut findings);
    forwarding::off(host, &mut findings);
    pmtud::check(host, &mut findings);
    sysctl_d::host(host, &mut findings);
    cni::check(host, too_large.is_reported, &mut findings);
    let unjudged = encapsulation::unjudged(host, detected.as_ref(), underlay).map(|error| Problem {
        what: Subject::Other("whether the packets of pods fit their underlay".to_owned()),
        why: error.message,
    });
    Judged {
        findings: findings.into_sorted(),
        named_with_pods: too_large.tunnels,
        unjudged: unjudged.into_iter().collect(),
    }
}

/// Checks the selected interfaces, on a host as a plan leaves it. Tunnels that the finding on pods names have no
/// finding of their own: it is one fault.
pub(crate) fn links(
    host: &Snapshot,
    wanted: &dyn Fn(LinkName) -> bool,
    too_large: &TooLarge,
    findings: &mut Findings,
) {
    let not_named = |name: LinkName| wanted(name) && !too_large.tunnels.contains(&name);
    mtu::check(host, wanted, findings);
    tunnels::check(host, &not_named, findings);
    rp_filter::check(host, wanted, findings);
    wireguard::check(host, &not_named, findings);
}
