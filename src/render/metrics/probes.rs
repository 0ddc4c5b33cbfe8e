//! Metrics of the document's probes.

use std::fmt::Error;

use crate::metrics::page::Page;
use netkeel_reconcile::status::probes::{ProbeState, ProbeStatus};

pub(super) fn probes(probes: &[ProbeStatus], page: &mut Page<'_>) -> Result<(), Error> {
    page.gauges(
        "probe_state",
        "State of each probe of the document: 1 for the current state.",
        probes.iter().flat_map(|one| {
            ProbeState::ALL.map(|state| {
                let labels = [
                    ("probe", one.name.to_string()),
                    ("state", state.name().to_owned()),
                ];
                (labels, u32::from(one.state() == state))
            })
        }),
    )?;
    let measured = probes.iter().filter_map(|one| {
        let bytes = one.result.as_ref()?.outcome.bytes()?;
        Some(([("probe", one.name.to_string())], bytes))
    });
    page.gauges(
        "probe_measured_bytes",
        "Path MTU or MSS in bytes that a probe measured last.",
        measured,
    )?;
    let ended = probes
        .iter()
        .map(|one| ([("probe", one.name.to_string())], one.at.unwrap_or(0)));
    page.gauges(
        "probe_last_timestamp_seconds",
        "Time of the last result of a probe in Unix seconds, 0 before the first.",
        ended,
    )
}
