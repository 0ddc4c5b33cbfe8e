//! Findings on default routes that routers announced (IPv6 router advertisements).

use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_plan::loss::Loss;
use netkeel_plan::plan::Step;

/// The default routes that a step removes.
pub(crate) fn lost(step: &Step, findings: &mut Findings) {
    for loss in &step.undo.loses {
        if let Loss::AnnouncedRoutes { link } = loss {
            findings.add(
                Code::NK029,
                link,
                format!("`{}` removes its default routes that routers announced", step.op),
                format!(
                    "declare {}: 2, which keeps them with forwarding on",
                    SysctlKey::conf("ipv6", *link, "accept_ra")
                ),
            );
        }
    }
}
