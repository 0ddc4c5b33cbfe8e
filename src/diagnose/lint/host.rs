//! What is amiss on a host, whatever a document says of it: each rule looks at a snapshot and adds
//! findings.

use crate::lint::{cni, encapsulation, mtu, pmtud, rp_filter, sysctl_d};
use netkeel_core::finding::{Finding, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::Snapshot;

/// Looks at a whole host.
pub fn host(host: &Snapshot) -> Vec<Finding> {
    let mut findings = Findings::default();
    links(host, &|_| true, &mut findings);
    rp_filter::tunnels(host, &mut findings);
    pmtud::look(host, &mut findings);
    sysctl_d::host(host, &mut findings);
    cni::look(host, &mut findings);
    encapsulation::look(host, &mut findings);
    findings.into_sorted()
}

/// Looks at the interfaces that are asked for: what a plan comes to.
pub(crate) fn links(host: &Snapshot, wanted: &dyn Fn(LinkName) -> bool, findings: &mut Findings) {
    mtu::look(host, wanted, findings);
    rp_filter::look(host, wanted, findings);
}
