//! Misconfigurations of a host, independent of any document. Each rule checks a snapshot and adds findings.

use crate::lint::{cni, encapsulation, mtu, pmtud, rp_filter, sysctl_d, wireguard};
use netkeel_core::finding::{Finding, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::Snapshot;
use netkeel_mtu::underlay::Underlay;

/// Checks a whole host.
pub fn host(host: &Snapshot) -> Vec<Finding> {
    host_over(host, None)
}

/// Checks a whole host whose pods' packets leave over this underlay; `None` takes the one that the host
/// shows.
pub fn host_over(host: &Snapshot, underlay: Option<Underlay>) -> Vec<Finding> {
    let mut findings = Findings::default();
    links(host, &|_| true, &mut findings);
    rp_filter::tunnels(host, &mut findings);
    pmtud::check(host, &mut findings);
    sysctl_d::host(host, &mut findings);
    cni::check(host, &mut findings);
    encapsulation::check(host, underlay, &mut findings);
    findings.into_sorted()
}

/// Checks the selected interfaces, on a host as a plan leaves it.
pub(crate) fn links(host: &Snapshot, wanted: &dyn Fn(LinkName) -> bool, findings: &mut Findings) {
    mtu::check(host, wanted, findings);
    rp_filter::check(host, wanted, findings);
    wireguard::check(host, wanted, findings);
}
