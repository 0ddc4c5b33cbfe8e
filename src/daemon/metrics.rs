//! The picture as metrics, in Prometheus's text format 0.0.4.

use std::fmt::{Display, Write};

use super::picture::{BUCKETS, Picture};
use crate::packet::Refusal;
use crate::replicate::{Health, Status};
use crate::replication::{BOUNDS, Histogram};
use crate::resource::KINDS;

/// A text that metrics are added to.
struct Text(String);

impl Text {
    /// A metric's description; its samples follow.
    fn metric(&mut self, name: &str, kind: &str, help: &str) -> &mut Self {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        self
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (number, (key, value)) in labels.iter().enumerate() {
            let start = if number == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{start}{key}=\"{}\"", escaped(value));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// A metric of buckets: each bound with how many were no larger and larger than the one before,
    /// how many there were in all, and their sum.
    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        buckets: impl Iterator<Item = (f64, u64)>,
        count: u64,
        sum: f64,
    ) {
        self.metric(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        let mut so_far = 0;
        for (bound, count) in buckets {
            so_far += count;
            self.sample(&bucket, &[("le", &bound.to_string())], so_far);
        }
        self.sample(&bucket, &[("le", "+Inf")], count);
        self.sample(&format!("{name}_sum"), &[], sum);
        self.sample(&format!("{name}_count"), &[], count);
    }

    /// A metric of one sample.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.metric(name, kind, help).sample(name, &[], value);
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// All metrics.
pub fn text(picture: &Picture) -> String {
    let mut text = Text(String::with_capacity(4096 + 200 * picture.mtus.len()));
    let name = "netkeel_build_info";
    text.metric(name, "gauge", "The version that runs.")
        .sample(name, &[("version", picture.version)], 1);
    text.one(
        "netkeel_start_time_seconds",
        "gauge",
        "When the service began, since 1970.",
        picture.since,
    );
    let enforces = u8::from(picture.mode == "enforce");
    text.one(
        "netkeel_enforcing",
        "gauge",
        "1 when it writes, 0 when it only observes.",
        enforces,
    );
    let healthy = u8::from(picture.healthy().is_ok());
    text.one(
        "netkeel_healthy",
        "gauge",
        "What /healthz says: 1 for 200.",
        healthy,
    );
    document(picture, &mut text);
    facts(picture, &mut text);
    passes(picture, &mut text);
    mtus(picture, &mut text);
    handshakes(picture, &mut text);
    if let Some(worker) = &picture.worker {
        replication(worker, &mut text);
    }
    text.0
}

fn document(picture: &Picture, text: &mut Text) {
    let counters = &picture.counters;
    let name = "netkeel_document_info";
    let labels = [
        ("hash", picture.document.hash.as_str()),
        ("owner", &picture.document.owner),
    ];
    text.metric(name, "gauge", "The document that is in force.")
        .sample(name, &labels, 1);
    text.one(
        "netkeel_document_loaded_timestamp_seconds",
        "gauge",
        "When it was read, since 1970.",
        picture.document.loaded,
    );
    let rejected = u8::from(picture.document.rejected.is_some());
    text.one(
        "netkeel_document_rejected",
        "gauge",
        "1 while a newer document is not taken and an older one is in force.",
        rejected,
    );
    text.one(
        "netkeel_document_loads_total",
        "counter",
        "Times that the document was read again.",
        counters.loads,
    );
    text.one(
        "netkeel_document_load_failures_total",
        "counter",
        "Times that it was not taken.",
        counters.load_failures,
    );
    let paused = picture.paused.as_ref().map_or(0, |pause| pause.until);
    text.one(
        "netkeel_paused",
        "gauge",
        "1 while nothing is written because somebody paused it.",
        u8::from(paused > 0),
    );
    text.one(
        "netkeel_paused_until_timestamp_seconds",
        "gauge",
        "When the pause ends, since 1970; 0 when there is none.",
        paused,
    );
}

fn facts(picture: &Picture, text: &mut Text) {
    text.one(
        "netkeel_facts_wanted",
        "gauge",
        "Facts of this host that the document wants.",
        picture.wanted,
    );
    let name = "netkeel_drift_facts";
    let drift = picture.drift_by_kind();
    text.metric(
        name,
        "gauge",
        "Facts that differ from what the document wants, by its kind.",
    );
    let kinds: Vec<&str> = KINDS.iter().map(|kind| kind.field().name).collect();
    for kind in kinds.iter().copied().chain(["persist", "released"]) {
        text.sample(
            name,
            &[("kind", kind)],
            drift.get(kind).copied().unwrap_or_default(),
        );
    }
    let name = "netkeel_left_alone_facts";
    text.metric(name, "gauge", "Facts that are left alone for a while, by why.");
    for why in ["flaps", "refused"] {
        let count = picture.left_alone.iter().filter(|alone| alone.why == why).count();
        text.sample(name, &[("why", why)], count);
    }
    text.one(
        "netkeel_flaps_total",
        "counter",
        "Facts that began to flap: another program writes them too.",
        picture.counters.flaps,
    );
    text.one(
        "netkeel_unread_facts",
        "gauge",
        "Wanted facts that could not be read.",
        picture.problems.len(),
    );
    let name = "netkeel_findings";
    text.metric(
        name,
        "gauge",
        "Findings of the last look at the whole host, by their code.",
    );
    let mut codes = std::collections::BTreeMap::<&str, usize>::new();
    for finding in &picture.findings {
        *codes.entry(&finding.code).or_default() += 1;
    }
    for (code, count) in codes {
        text.sample(name, &[("code", code)], count);
    }
}

fn passes(picture: &Picture, text: &mut Text) {
    let counters = &picture.counters;
    text.one(
        "netkeel_applies_total",
        "counter",
        "Passes that wrote something that was then seen to hold.",
        counters.applies,
    );
    text.one(
        "netkeel_writes_total",
        "counter",
        "Writes of those passes.",
        counters.writes,
    );
    text.one(
        "netkeel_failures_total",
        "counter",
        "Passes that failed or could not begin.",
        counters.failures,
    );
    let name = "netkeel_rollbacks_total";
    text.metric(
        name,
        "counter",
        "Passes that failed after something was written, by whether all of it was undone.",
    );
    text.sample(name, &[("result", "undone")], counters.rollbacks);
    text.sample(name, &[("result", "not_undone")], counters.not_rolled_back);
    text.one(
        "netkeel_events_lost_total",
        "counter",
        "Times that the kernel had more to tell than there was room for.",
        counters.events_lost,
    );
    text.histogram(
        "netkeel_pass_duration_seconds",
        "How long looking at a part of the host takes, and putting it right.",
        BUCKETS.into_iter().zip(counters.durations),
        counters.passes,
        counters.seconds,
    );
}

fn mtus(picture: &Picture, text: &mut Text) {
    let name = "netkeel_interface_mtu_bytes";
    text.metric(
        name,
        "gauge",
        "MTU of each interface that the document wants one of.",
    );
    for (link, mtu) in picture.mtus.iter() {
        text.sample(name, &[("interface", &link.to_string())], mtu.observed);
    }
    let name = "netkeel_interface_mtu_desired_bytes";
    text.metric(name, "gauge", "The MTU that it wants.");
    for (link, mtu) in picture.mtus.iter() {
        text.sample(name, &[("interface", &link.to_string())], mtu.desired);
    }
    let name = "netkeel_interfaces";
    text.metric(
        name,
        "gauge",
        "How many interfaces of a kind have an MTU and are wanted to have one.",
    );
    for ((class, observed, desired), count) in picture.mtus.by_class() {
        let (observed, desired) = (observed.to_string(), desired.to_string());
        let labels = [("class", class), ("mtu", &observed), ("desired", &desired)];
        text.sample(name, &labels, count);
    }
    let name = "netkeel_underlay_mtu_bytes";
    text.metric(
        name,
        "gauge",
        "The least MTU of the default routes, where the document has a budget over them.",
    );
    if let Some((link, mtu)) = &picture.underlay {
        text.sample(name, &[("interface", &link.to_string())], mtu);
    }
    text.one(
        "netkeel_stale_pods",
        "gauge",
        "Pods whose end of a veth, or a route by it, has another MTU than is wanted.",
        picture.stale_pods(),
    );
    text.one(
        "netkeel_conflist_rewrites_total",
        "counter",
        "Times that somebody else wrote a CNI configuration that was right.",
        picture.counters.conflist_rewrites,
    );
}

fn handshakes(picture: &Picture, text: &mut Text) {
    let name = "netkeel_wireguard_last_handshake_timestamp_seconds";
    text.metric(
        name,
        "gauge",
        "The last handshake of each WireGuard interface of the document, since 1970; 0 when there was none.",
    );
    for one in &picture.handshakes {
        text.sample(name, &[("interface", &one.interface)], one.last.unwrap_or(0));
    }
}

/// Nothing that a packet holds is a label.
fn replication(worker: &Status, text: &mut Text) {
    let name = "netkeel_replication_health";
    text.metric(name, "gauge", "Whether packets are replicated: 1 for what is so.");
    let states = [
        (Health::Good, "good"),
        (Health::Partly, "partly"),
        (Health::Dry, "dry"),
        (Health::Bad, "bad"),
    ];
    for (health, word) in states {
        text.sample(name, &[("health", word)], u8::from(worker.health == health));
    }
    text.one(
        "netkeel_replication_restarts_total",
        "counter",
        "Times that the worker was started again.",
        worker.restarts,
    );
    let Some(told) = &worker.statistics else { return };
    text.one(
        "netkeel_replication_received_total",
        "counter",
        "Packets that NFLOG handed over, since the worker was started.",
        told.received,
    );
    text.one(
        "netkeel_replication_replicated_total",
        "counter",
        "Packets that were copied to the peers.",
        told.replicated,
    );
    text.one(
        "netkeel_replication_copies_sent_total",
        "counter",
        "Copies that were sent.",
        told.sent,
    );
    text.one(
        "netkeel_replication_copies_failed_total",
        "counter",
        "Copies that the kernel did not take.",
        told.failed,
    );
    let name = "netkeel_replication_refused_total";
    text.metric(name, "counter", "Packets that were not copied, by reason.");
    // All from the start: a series that begins with its first event has no rate of it.
    for reason in Refusal::ALL {
        let count = told.refused.get(&reason).copied().unwrap_or_default();
        text.sample(name, &[("reason", reason.name())], count);
    }
    text.one(
        "netkeel_replication_lost_total",
        "counter",
        "Packets that the kernel logged and could not hand over.",
        told.lost,
    );
    text.one(
        "netkeel_replication_overruns_total",
        "counter",
        "Times that the socket said that messages were lost.",
        told.overruns,
    );
    text.one(
        "netkeel_replication_dropped_total",
        "counter",
        "Messages that did not fit into the socket.",
        told.dropped,
    );
    text.one(
        "netkeel_replication_malformed_total",
        "counter",
        "Messages that were no packets of NFLOG.",
        told.malformed,
    );
    let served = told.peers.iter().filter(|peer| peer.state.is_served()).count();
    let amiss = told.peers.iter().filter(|peer| peer.state.is_amiss()).count();
    let name = "netkeel_replication_peers";
    text.metric(name, "gauge", "Peers, by whether copies reach them.");
    text.sample(name, &[("state", "served")], served);
    text.sample(name, &[("state", "amiss")], amiss);
    latency(&told.latency, text);
}

fn latency(latency: &Histogram, text: &mut Text) {
    let seconds = BOUNDS.iter().map(|bound| f64::from(*bound) / 1e6);
    text.histogram(
        "netkeel_replication_latency_seconds",
        "From when packets were read until their copies were sent.",
        seconds.zip(latency.counts),
        latency.counts.iter().sum(),
        latency.sum as f64 / 1e6,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::mtus::MtuPicture;
    use std::time::Duration;

    #[test]
    fn every_sample_has_a_description_and_labels_are_escaped() {
        let mut picture = Picture::new("enforce", None, 7);
        picture.took(Duration::from_millis(2));
        picture.took(Duration::from_secs(60));
        let mtu = MtuPicture {
            index: 3,
            class: Some("veth".into()),
            observed: 1500,
            desired: 1460,
        };
        picture.mtus.insert("a\"b\\c".parse().unwrap(), mtu);
        let text = text(&picture);
        let mut described = "";
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                described = help.split(' ').next().unwrap();
            } else if !line.starts_with('#') {
                assert!(line.starts_with(described), "{line}");
            }
        }
        for line in [
            "netkeel_interface_mtu_bytes{interface=\"a\\\"b\\\\c\"} 1500",
            "netkeel_interface_mtu_desired_bytes{interface=\"a\\\"b\\\\c\"} 1460",
            "netkeel_interfaces{class=\"veth\",mtu=\"1500\",desired=\"1460\"} 1",
            "netkeel_stale_pods 0",
            "netkeel_pass_duration_seconds_bucket{le=\"0.0025\"} 1",
            "netkeel_pass_duration_seconds_bucket{le=\"10\"} 1",
            "netkeel_pass_duration_seconds_bucket{le=\"+Inf\"} 2",
            "netkeel_drift_facts{kind=\"link\"} 0",
            "netkeel_healthy 0",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
    }
}
