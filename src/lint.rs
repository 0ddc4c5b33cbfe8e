//! What is amiss on a host, whatever a document says of it: each rule looks at a snapshot and adds
//! findings.

pub(crate) mod cni;
mod effects;
mod encapsulation;
mod mtu;
pub mod plan;
mod pmtud;
pub mod replication;
mod rp_filter;
pub mod sysctl_d;
pub mod talos;

use crate::finding::{Finding, Findings};
use crate::link_name::LinkName;
use crate::snapshot::Snapshot;

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
pub fn links(host: &Snapshot, wanted: &dyn Fn(LinkName) -> bool, findings: &mut Findings) {
    mtu::look(host, wanted, findings);
    rp_filter::look(host, wanted, findings);
}
