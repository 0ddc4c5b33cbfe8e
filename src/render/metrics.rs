//! The service's status as Prometheus metrics, text format 0.0.4.

mod doctor;
mod page;
mod probes;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text};
use prometheus_client::registry::Registry;

use crate::metrics::doctor::doctor;
use crate::metrics::page::Page;
use crate::metrics::probes::probes;
use netkeel_core::name::link::LinkName;
use netkeel_core::replication::histogram::{BOUNDS, Histogram};
use netkeel_core::replication::refusal::Refusal;
use netkeel_core::replication::worker::{WorkerHealth, WorkerStatus};
use netkeel_document::kinds::KINDS;
use netkeel_reconcile::status::Status;
use netkeel_reconcile::status::counters::BUCKETS;
use netkeel_reconcile::status::mtus::MtuStatus;

/// The HTTP content type of [`text`].
pub const TYPE: &str = CONTENT_TYPE;

/// All metrics of a status.
pub fn text(status: Status) -> String {
    let mut text = String::with_capacity(4096 + 200 * status.mtus.iter().len());
    let mut registry = Registry::with_prefix("netkeel");
    registry.register_collector(Box::new(Metrics { status }));
    // Writing to a String does not fail.
    let _ = prometheus_text::encode(&mut text, &registry);
    text
}

/// The metrics of one status. They are built anew for each scrape, since the status already has every
/// number.
#[derive(Debug)]
struct Metrics {
    status: Status,
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let status = &self.status;
        let mut page = Page(encoder);
        service(status, &mut page)?;
        document(status, &mut page)?;
        facts(status, &mut page)?;
        passes(status, &mut page)?;
        mtus(status, &mut page)?;
        handshakes(status, &mut page)?;
        doctor(status, &mut page)?;
        probes(&status.probes, &mut page)?;
        match &status.worker {
            Some(worker) => replication(worker, &mut page),
            None => Ok(()),
        }
    }
}

fn service(status: &Status, page: &mut Page<'_>) -> Result<(), Error> {
    page.info("build", "Version of netkeel.", [("version", status.version)])?;
    page.gauge(
        "start_time_seconds",
        "Start time of the service in Unix seconds.",
        status.since,
    )?;
    page.gauge(
        "enforcing",
        "Whether the service writes settings: 1, or 0 in observe mode.",
        u32::from(status.mode == "enforce"),
    )?;
    page.gauge(
        "healthy",
        "Result of /healthz: 1 for status 200, 0 for 503.",
        u32::from(status.healthy().is_ok()),
    )
}

fn document(status: &Status, page: &mut Page<'_>) -> Result<(), Error> {
    let (document, counters) = (&status.document, &status.counters);
    page.info(
        "document",
        "Document in force.",
        [("hash", document.hash.as_str()), ("owner", &document.owner)],
    )?;
    page.gauge(
        "document_loaded_timestamp_seconds",
        "Load time of the document in force in Unix seconds.",
        document.loaded,
    )?;
    page.gauge(
        "document_rejected",
        "Whether a newer document was rejected: 1 while the previous one stays in force.",
        u32::from(document.rejected.is_some()),
    )?;
    page.counter("document_loads", "Document loads.", counters.loads)?;
    page.counter(
        "document_load_failures",
        "Document loads that were rejected.",
        counters.load_failures,
    )?;
    if let Some(reason) = status.paused.as_ref().and_then(|pause| pause.reason.as_deref()) {
        page.info(
            "pause",
            "Reason of the pause, if one was given.",
            [("reason", reason)],
        )?;
    }
    let paused = status.paused.as_ref().map_or(0, |pause| pause.until);
    page.gauge(
        "paused",
        "Whether writes are paused: 1 during a pause.",
        u32::from(paused > 0),
    )?;
    page.gauge(
        "paused_until_timestamp_seconds",
        "End of the pause in Unix seconds, 0 without a pause.",
        paused,
    )
}

fn facts(status: &Status, page: &mut Page<'_>) -> Result<(), Error> {
    page.gauge(
        "facts_wanted",
        "Facts of this host that the document declares.",
        status.wanted,
    )?;
    let drift = status.drift_by_kind();
    let kinds = KINDS.iter().map(|kind| kind.field().name);
    page.gauges(
        "drift_facts",
        "Facts that differ from the document, by kind.",
        kinds.chain(["persist", "released"]).map(|kind| {
            let count = drift.get(kind).copied().unwrap_or_default();
            ([("kind", kind)], count)
        }),
    )?;
    page.gauges(
        "suspended_facts",
        "Facts that netkeel does not write for a while, by reason.",
        ["flaps", "refused"].map(|reason| {
            let suspended = status.suspended.iter().filter(|alone| alone.why == reason);
            ([("reason", reason)], suspended.count())
        }),
    )?;
    page.counter(
        "flaps",
        "Facts that began to flap because another program writes them too.",
        status.counters.flaps,
    )?;
    page.gauge(
        "unread_facts",
        "Declared facts that could not be read.",
        status.unread.count(),
    )?;
    page.gauge(
        "unread_parts",
        "Parts of the host that could not be read.",
        status.problems.len(),
    )?;
    let mut codes = BTreeMap::<String, usize>::new();
    for finding in &status.findings {
        *codes.entry(finding.code.to_string()).or_default() += 1;
    }
    page.gauges(
        "findings",
        "Findings of the last full scan, by code.",
        codes
            .iter()
            .map(|(code, count)| ([("code", code.as_str())], *count)),
    )
}

fn passes(status: &Status, page: &mut Page<'_>) -> Result<(), Error> {
    let counters = &status.counters;
    page.counter(
        "applies",
        "Passes that wrote settings and verified them.",
        counters.applies,
    )?;
    page.counter("writes", "Writes of verified passes.", counters.writes)?;
    page.counter(
        "failures",
        "Passes that failed or could not start.",
        counters.failures,
    )?;
    page.counters(
        "rollbacks",
        "Passes that failed after a write, by whether the rollback was complete.",
        [
            ([("result", "undone")], counters.rollbacks),
            ([("result", "not_undone")], counters.not_rolled_back),
        ],
    )?;
    page.counter(
        "events_lost",
        "Netlink receive buffer overruns (ENOBUFS).",
        counters.events_lost,
    )?;
    page.counter(
        "log_lines_dropped",
        "Lines of the log that were dropped because standard error did not take them.",
        counters.log_lines_dropped,
    )?;
    page.histogram(
        "pass_duration_seconds",
        "Duration of a pass in seconds: scan, plan, apply and verification.",
        BUCKETS.into_iter().zip(counters.durations),
        (counters.passes, counters.seconds),
    )
}

fn mtus(status: &Status, page: &mut Page<'_>) -> Result<(), Error> {
    // Interfaces that a match finds, as those of pods, come and go: each would be a new series.
    let lasting = |(_, mtu): &(&LinkName, &MtuStatus)| mtu.named || status.metrics_per_interface;
    let each = || status.mtus.iter().filter(lasting);
    page.gauges(
        "interface_mtu_bytes",
        "MTU in bytes of each interface that the document names with an MTU.",
        each().map(|(link, mtu)| ([("device", link.to_string())], mtu.observed)),
    )?;
    page.gauges(
        "interface_mtu_desired_bytes",
        "MTU in bytes that the document declares for the interface.",
        each().map(|(link, mtu)| ([("device", link.to_string())], mtu.desired)),
    )?;
    let classes = status.mtus.by_class();
    page.gauges(
        "interfaces",
        "Interfaces whose MTU the document declares, by class, rule, MTU and declared MTU in bytes.",
        classes.iter().map(|((class, rule, observed, desired), count)| {
            let labels = [
                ("class", (*class).to_owned()),
                ("rule", (*rule).to_owned()),
                ("mtu", observed.to_string()),
                ("desired", desired.to_string()),
            ];
            (labels, *count)
        }),
    )?;
    let mut differing = BTreeMap::<(&str, &str), usize>::new();
    for ((class, rule, observed, desired), count) in &classes {
        let differs = i64::from(*observed) != *desired;
        *differing.entry((class, rule)).or_default() += if differs { *count } else { 0 };
    }
    page.gauges(
        "interfaces_differing",
        "Interfaces whose MTU differs from the declared one, by class and rule.",
        differing
            .iter()
            .map(|((class, rule), count)| ([("class", *class), ("rule", *rule)], *count)),
    )?;
    page.gauges(
        "underlay_mtu_bytes",
        "Smallest MTU in bytes of the default routes, where the document has a budget over them.",
        status
            .underlay
            .iter()
            .map(|(link, mtu)| ([("device", link.to_string())], *mtu)),
    )?;
    page.gauge(
        "stale_pods",
        "Pods with another MTU than the document declares, on their veth or on a route over it.",
        status.stale_pods(),
    )?;
    page.gauge(
        "unreachable_pods",
        "Pods whose end of a veth cannot be read or written, so that neither end is set.",
        status.unreachable_pods.len(),
    )?;
    page.counter(
        "conflist_rewrites",
        "Changes of a correct CNI configuration by another program.",
        status.counters.conflist_rewrites,
    )
}

fn handshakes(status: &Status, page: &mut Page<'_>) -> Result<(), Error> {
    page.gauges(
        "wireguard_last_handshake_timestamp_seconds",
        "Last handshake of each WireGuard interface of the document in Unix seconds, 0 for none.",
        status
            .handshakes
            .iter()
            .map(|one| ([("device", one.interface.as_str())], one.last.unwrap_or(0))),
    )
}

/// No label has data from a packet, so remote hosts cannot create series.
fn replication(worker: &WorkerStatus, page: &mut Page<'_>) -> Result<(), Error> {
    page.gauges(
        "replication_health",
        "Health of packet replication: 1 for the current state.",
        [
            (WorkerHealth::Ok, "ok"),
            (WorkerHealth::Degraded, "degraded"),
            (WorkerHealth::DryRun, "dry_run"),
            (WorkerHealth::Failed, "failed"),
        ]
        .map(|(health, word)| ([("health", word)], u32::from(worker.health == health))),
    )?;
    page.counter(
        "replication_restarts",
        "Restarts of the replication worker.",
        worker.restarts,
    )?;
    let Some(statistics) = &worker.statistics else {
        return Ok(());
    };
    for (name, help, count) in [
        (
            "replication_received",
            "Packets received from NFLOG since the worker started.",
            statistics.received,
        ),
        (
            "replication_replicated",
            "Packets copied to the peers.",
            statistics.replicated,
        ),
        ("replication_copies_sent", "Copies sent.", statistics.sent),
        (
            "replication_copies_failed",
            "Copies that the kernel refused to send.",
            statistics.failed,
        ),
        (
            "replication_lost",
            "Packets that the kernel logged and could not deliver.",
            statistics.lost,
        ),
        (
            "replication_overruns",
            "NFLOG receive buffer overruns (ENOBUFS).",
            statistics.overruns,
        ),
        (
            "replication_dropped",
            "NFLOG messages dropped because the receive buffer was full.",
            statistics.dropped,
        ),
        (
            "replication_malformed",
            "NFLOG messages that are not a valid packet record.",
            statistics.malformed,
        ),
    ] {
        page.counter(name, help, count)?;
    }
    // Export all reasons from the start: `rate()` misses the first event of a series that starts with it.
    page.counters(
        "replication_refused",
        "Packets that were not copied, by reason.",
        Refusal::ALL.iter().map(|reason| {
            let count = statistics.refused.get(reason).copied().unwrap_or_default();
            ([("reason", reason.name())], count)
        }),
    )?;
    let reachable = statistics.peers.iter().filter(|peer| peer.state.is_reachable());
    let unreachable = statistics
        .peers
        .iter()
        .filter(|peer| peer.state.needs_attention() && !peer.state.is_reachable());
    page.gauges(
        "replication_peers",
        "Peers, by whether copies reach them.",
        [
            ([("state", "reachable")], reachable.count()),
            ([("state", "unreachable")], unreachable.count()),
        ],
    )?;
    latency(&statistics.latency, page)
}

fn latency(latency: &Histogram, page: &mut Page<'_>) -> Result<(), Error> {
    let seconds = BOUNDS.iter().map(|bound| f64::from(*bound) / 1e6);
    page.histogram(
        "replication_latency_seconds",
        "Time in seconds from reading a batch of packets to sending its copies.",
        seconds.zip(latency.counts),
        (latency.counts.iter().sum(), latency.sum as f64 / 1e6),
    )
}
