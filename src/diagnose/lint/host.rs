//! Misconfigurations of a host, independent of any document. Each rule checks a snapshot and adds findings.

use crate::lint::{cni, encapsulation, mtu, pmtud, rp_filter, sysctl_d, wireguard};
use netkeel_core::finding::{Finding, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::Snapshot;
use netkeel_mtu::judge::TooLarge;
use netkeel_mtu::underlay::Underlay;

/// Checks a whole host.
pub fn host(host: &Snapshot) -> Vec<Finding> {
    host_over(host, None)
}

/// Checks a whole host whose pods' packets leave over this underlay; `None` takes the one that the host
/// shows.
pub fn host_over(host: &Snapshot, underlay: Option<Underlay>) -> Vec<Finding> {
    let mut findings = Findings::default();
    let too_large = encapsulation::check(host, underlay, &mut findings);
    links(host, &|_| true, &too_large, &mut findings);
    rp_filter::tunnels(host, &mut findings);
    pmtud::check(host, &mut findings);
    sysctl_d::host(host, &mut findings);
    cni::check(host, too_large.is_reported, &mut findings);
    findings.into_sorted()
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
    mtu::tunnels(host, &not_named, findings);
    rp_filter::check(host, wanted, findings);
    wireguard::check(host, &not_named, findings);
}
