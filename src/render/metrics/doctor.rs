//! Metrics of lost packets and their causes.

use std::fmt::Error;

use crate::metrics::page::Page;
use netkeel_core::finding::Severity;
use netkeel_reconcile::status::Status;

pub(super) fn doctor(status: &Status, page: &mut Page<'_>) -> Result<(), Error> {
    let doctor = &status.doctor;
    page.gauges(
        "doctor_cause",
        "Causes of lost packets in the last window, by their grounds: 1 for each.",
        doctor
            .causes
            .iter()
            .map(|one| ([("cause", one.cause), ("grounds", one.grounds)], 1)),
    )?;
    page.gauges(
        "doctor_sign",
        "Counters of losses and of messages about them that grew in the last window, by their severity: 1 for each.",
        doctor
            .signs
            .iter()
            .map(|one| ([("sign", one.sign), ("severity", severity(one.severity))], 1)),
    )?;
    page.counters(
        "doctor_lost",
        "Packets that were counted for a cause of loss.",
        doctor
            .lost
            .iter()
            .map(|(cause, lost)| ([("cause", *cause)], *lost)),
    )?;
    page.counter(
        "doctor_unexplained",
        "Packets or events of losses that no cause explains.",
        doctor.unexplained,
    )?;
    page.gauge(
        "doctor_unread_sources",
        "Sources of counters that could not be read in the last window.",
        doctor.unread,
    )?;
    page.gauge(
        "doctor_window_seconds",
        "Length of the last window over which losses were counted in seconds, 0 before the first.",
        doctor.window_ms as f64 / 1000.0,
    )?;
    page.gauge(
        "doctor_timestamp_seconds",
        "End of that window in Unix seconds, 0 before the first.",
        doctor.at,
    )
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}
