//! Joins the faults of the configuration and of the counters to causes, the most likely first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::diagnosis::cause::{Cause, Diagnosis, Evidence, Grounds, Kind, Subject};
use crate::diagnosis::configured::{Effect, Fault};
use crate::diagnosis::counted::{Counted, growth, is_loss, is_of_autoconfiguration, support};
use crate::diagnosis::growth::Growth;
use crate::diagnosis::{advice, refute};
use netkeel_core::rp_filter::{Verdict, effective};
use netkeel_host::counters::counter::Counter;
use netkeel_host::counters::deltas::Deltas;
use netkeel_host::counters::reading::Gauge;
use netkeel_host::counters::unread::Source;
use netkeel_host::snapshot::Snapshot;
use netkeel_mtu::detect::detect;

pub(crate) fn join(
    configured: BTreeMap<Kind, Fault>,
    mut counted: BTreeMap<Kind, Counted>,
    host: &Snapshot,
    window: Option<&Deltas>,
) -> Diagnosis {
    let mut causes = Vec::new();
    for (kind, fault) in configured {
        let mut evidence = counted
            .remove(&kind)
            .map(|counted| counted.evidence)
            .unwrap_or_default();
        if let Some(deltas) = window {
            evidence.extend(support(kind, &fault.subjects, deltas));
        }
        let grew = evidence.iter().any(
            |one| matches!(one, Evidence::Grew(growth) if growth.is_ample() && is_of_one_namespace(growth)),
        );
        let grounds = match (grew, fault.effect) {
            (true, _) => Grounds::ConfiguredAndCounted,
            (false, Effect::Everything) => Grounds::LosesEverything,
            (false, Effect::Large) => Grounds::LosesLarge,
            (false, Effect::May) => Grounds::Possible,
        };
        evidence.extend(settings(kind, &fault.subjects, host));
        evidence.extend(learned(kind, window));
        evidence.extend(fault.evidence.iter().cloned());
        causes.push(cause(kind, &fault, grounds, evidence, host, window));
    }
    for (kind, counted) in counted {
        let grounds = match counted.is_decisive {
            true => Grounds::Counted,
            false => Grounds::Possible,
        };
        let subjects = match kind {
            Kind::RpFilter => filtering_pods(host),
            _ => counted.subjects,
        };
        let mut evidence = counted.evidence;
        evidence.extend(settings(kind, &subjects, host));
        evidence.extend(learned(kind, window));
        let fault = Fault {
            subjects,
            ..Fault::default()
        };
        causes.push(cause(kind, &fault, grounds, evidence, host, window));
    }
    causes.sort_by_key(|cause| (cause.grounds, cause.severity, Reverse(cause.lost()), cause.kind));
    let explained: BTreeSet<&Counter> = causes.iter().flat_map(Cause::counters).collect();
    let also = window.into_iter().flat_map(|deltas| {
        let left = deltas
            .grown
            .iter()
            .filter(|(counter, by)| **by > 0 && is_loss(counter) && !explained.contains(counter))
            .filter(|(counter, by)| !is_of_autoconfiguration(counter, **by, host));
        left.map(|(counter, by)| growth(counter, *by, deltas))
    });
    Diagnosis {
        also: also.collect(),
        causes,
        window_ms: window.map(|deltas| deltas.window_ms),
        uncounted: window
            .into_iter()
            .flat_map(|deltas| deltas.after.uncounted.keys().cloned())
            .collect(),
        changed: window.map_or(0, |deltas| deltas.appeared.union(&deltas.vanished).count()),
        unread: window
            .into_iter()
            .flat_map(|deltas| &deltas.unread)
            .filter(|unread| !unread.absent || (unread.source == Source::Conntrack && tracks(window)))
            .map(|unread| unread.source)
            .collect(),
        attached: host
            .forwarding
            .as_deref()
            .map(|forwarding| forwarding.attached.clone())
            .unwrap_or_default(),
        problems: host.problems.len(),
        unknown: BTreeSet::new(),
        signs: Vec::new(),
    }
}

/// Whether a counter is of one network namespace: a drop reason is of all.
fn is_of_one_namespace(growth: &Growth) -> bool {
    !matches!(growth.counter, Counter::DropReason(_))
}

/// The path MTUs that the kernel learned, for faults that lose large packets.
fn learned(kind: Kind, window: Option<&Deltas>) -> Option<Evidence> {
    let is_of_size = matches!(
        kind,
        Kind::TooLarge | Kind::DiscoveryOff | Kind::RemoteBlackHole | Kind::VethEnds
    );
    let found = window?.after.path_mtus.as_ref()?;
    (is_of_size && found.learned > 0).then(|| Evidence::Learned(found.clone()))
}

/// Whether the kernel tracks connections: it may do so without the file of the counters.
fn tracks(window: Option<&Deltas>) -> bool {
    window.is_some_and(|deltas| deltas.gauge(&Gauge::Connections).is_some())
}

fn cause(
    kind: Kind,
    fault: &Fault,
    grounds: Grounds,
    evidence: Vec<Evidence>,
    host: &Snapshot,
    window: Option<&Deltas>,
) -> Cause {
    Cause {
        kind,
        grounds,
        severity: grounds.severity(&evidence),
        refute: refute::refutation(kind, fault, host),
        fix: advice::fixes(kind, fault, &evidence, host, window),
        evidence,
        subjects: fault.subjects.clone(),
    }
}

/// The counter names no interface. Pods' interfaces that filter are suspects, except with Calico, which means them
/// to: its pods send from their own addresses only.
fn filtering_pods(host: &Snapshot) -> BTreeSet<Subject> {
    let all = host.sysctl_number("net/ipv4/conf/all/rp_filter");
    let (Some(all), false) = (all, detect(host).is_some_and(|found| found.cni == "calico")) else {
        return BTreeSet::new();
    };
    let filters = host.links.iter().filter(|(_, link)| {
        let own = link.rp_filter.map_or(0, i64::from);
        let effect = effective(all, own, link.has_ipv4() || !host.families.ipv4);
        link.leads_into_a_pod() && effect.verdict != Verdict::Accept
    });
    filters.map(|(name, _)| Subject::Link(*name)).collect()
}

/// The settings that decide, as evidence.
fn settings(kind: Kind, subjects: &BTreeSet<Subject>, host: &Snapshot) -> Vec<Evidence> {
    let all = host.sysctl_number("net/ipv4/conf/all/rp_filter");
    let (Kind::RpFilter, Some(all)) = (kind, all) else {
        return Vec::new();
    };
    let links = subjects.iter().filter_map(Subject::link);
    let values = links.filter_map(|link| {
        let own = host.link(link)?.rp_filter?;
        Some(Evidence::RpFilter {
            link,
            all,
            own: own.into(),
        })
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::fix::Fix;
    use netkeel_host::counters::counter::{LinkStat, QdiscStat};
    use netkeel_host::counters::reading::{LinkIdentity, Reading};
    use netkeel_host::snapshot::link::Link;

    fn host() -> Snapshot {
        Snapshot::from_json(
            r#"{"format":1,"netns":null,"kernel":"6.12","families":{"ipv4":true,"ipv6":true},"sysctls":{},"links":{
                "eth0":{"index":2,"mtu":1500,"up":true},"v0":{"index":3,"kind":"veth","lower":4,"mtu":1500,"up":true},
                "v1":{"index":4,"kind":"veth","lower":3,"mtu":1400,"up":true}}}"#,
        )
        .unwrap()
    }

    /// The causes after counters grew, each with its grounds.
    fn causes(grown: &[(Counter, u64)], gauges: &[(Gauge, u64)]) -> Vec<(Kind, Grounds)> {
        let host = host();
        let reading = |by: &dyn Fn(u64) -> u64| Reading {
            counters: grown
                .iter()
                .map(|(counter, growth)| (counter.clone(), by(*growth)))
                .collect(),
            gauges: gauges.iter().cloned().collect(),
            links: host
                .links
                .iter()
                .map(|(name, link)| (*name, identity(link)))
                .collect(),
            ..Reading::default()
        };
        let deltas = Deltas::between(reading(&|_| 7), reading(&|growth| 7 + growth));
        let findings = crate::lint::host::host(&host);
        let found = crate::diagnosis::diagnose(&host, &findings, Some(&deltas));
        found
            .causes
            .iter()
            .map(|cause| (cause.kind, cause.grounds))
            .collect()
    }

    fn identity(link: &Link) -> LinkIdentity {
        LinkIdentity {
            index: link.index,
            kind: link.kind.clone(),
            mtu: link.mtu,
            lower: link.lower,
            leads_elsewhere: false,
            master: None,
        }
    }

    fn of(group: &str, name: &str) -> Counter {
        Counter::protocol(group, name)
    }

    #[test]
    fn the_configuration_alone_and_with_its_counter() {
        assert_eq!(causes(&[], &[]), [(Kind::VethEnds, Grounds::LosesLarge)]);
        let dropped = Counter::Link("v0".parse().unwrap(), LinkStat::TxDropped);
        let found = causes(&[(dropped.clone(), 30), (of("Udp", "RcvbufErrors"), 900)], &[]);
        let first = (Kind::VethEnds, Grounds::ConfiguredAndCounted);
        assert_eq!(found, [first, (Kind::ReceiveBuffer, Grounds::Counted)]);
        // One packet may be an accident.
        assert_eq!(
            causes(&[(dropped, 1)], &[]),
            [(Kind::VethEnds, Grounds::LosesLarge)]
        );
    }

    #[test]
    fn counters_of_one_cause_come_before_a_loss_of_large_packets() {
        let found = causes(&[(of("Tcp", "InCsumErrors"), 50)], &[]);
        let counted = (Kind::Checksums, Grounds::Counted);
        assert_eq!(found, [counted, (Kind::VethEnds, Grounds::LosesLarge)]);
        // Few packets are no ground.
        let found = causes(&[(of("Tcp", "InCsumErrors"), 2)], &[]);
        let possible = (Kind::Checksums, Grounds::Possible);
        assert_eq!(found, [(Kind::VethEnds, Grounds::LosesLarge), possible]);
    }

    #[test]
    fn a_full_table_and_a_race_are_told_apart() {
        let fails = [
            (Counter::Conntrack("insert_failed".into()), 40),
            (Counter::Conntrack("drop".into()), 40),
        ];
        let full = [(Gauge::Connections, 1000), (Gauge::MaxConnections, 1000)];
        assert_eq!(causes(&fails, &full)[0], (Kind::ConntrackFull, Grounds::Counted));
        let free = [(Gauge::Connections, 100), (Gauge::MaxConnections, 1000)];
        assert_eq!(causes(&fails, &free)[0], (Kind::ConntrackRace, Grounds::Counted));
        // Without its limit, nobody knows whether the table is full.
        assert!(causes(&fails, &[]).contains(&(Kind::ConntrackRace, Grounds::Possible)));
    }

    #[test]
    fn the_length_of_a_send_queue_helps_only_where_the_qdisc_heeds_it() {
        let host = host();
        let eth0 = "eth0".parse().unwrap();
        let drops = Counter::Qdisc(eth0, QdiscStat::Drops);
        let fix = |kind: &str| {
            let reading = |value| Reading {
                counters: BTreeMap::from([(drops.clone(), value)]),
                qdiscs: BTreeMap::from([(eth0, kind.into())]),
                links: BTreeMap::from([(eth0, identity(&host.links[&eth0]))]),
                ..Reading::default()
            };
            let deltas = Deltas::between(reading(7), reading(90));
            let found = crate::diagnosis::diagnose(&host, &[], Some(&deltas));
            let mut causes = found.causes.into_iter();
            let cause = causes.find(|cause| cause.kind == Kind::QdiscFull).unwrap();
            (cause.grounds, cause.fix)
        };
        let (grounds, fixes) = fix("pfifo_fast");
        assert_eq!(grounds, Grounds::Counted);
        assert!(matches!(fixes.as_slice(), [Fix::Document(text)] if text.contains("txqueuelen")));
        let (grounds, fixes) = fix("fq_codel");
        assert_eq!(grounds, Grounds::Possible);
        assert!(matches!(fixes.as_slice(), [Fix::Elsewhere(text)] if text.contains("fq_codel")));
    }

    #[test]
    fn packets_for_other_addresses_need_forwarding_only_where_it_is_off() {
        let errors = [(of("Ip", "InAddrErrors"), 90)];
        let kinds = |value| causes(&errors, &[(Gauge::Forwarding4, value)]);
        // This host has nobody to forward for.
        assert!(kinds(0).contains(&(Kind::ForwardingOff, Grounds::Possible)));
        assert_eq!(kinds(1), [(Kind::VethEnds, Grounds::LosesLarge)]);
    }

    #[test]
    fn counters_with_harmless_reasons_decide_nothing() {
        let alone = [(Kind::VethEnds, Grounds::LosesLarge)];
        for (group, name) in [
            ("Ip6", "OutNoRoutes"),
            ("Ip", "FragCreates"),
            ("IcmpMsg", "OutType3"),
            ("TcpExt", "TCPMTUPSuccess"),
        ] {
            assert_eq!(causes(&[(of(group, name), 5000)], &[]), alone, "{name}");
        }
        for (group, name) in [("Ip", "FragFails"), ("TcpExt", "TCPMTUPFail")] {
            let found = causes(&[(of(group, name), 5000)], &[]);
            assert_eq!((found[0], found[1].1), (alone[0], Grounds::Possible), "{name}");
        }
        let unlimited = [(Gauge::Connections, 5000), (Gauge::MaxConnections, 0)];
        let found = causes(&[(Counter::Conntrack("drop".into()), 40)], &unlimited);
        assert!(!found.iter().any(|(kind, _)| *kind == Kind::ConntrackFull));
    }

    #[test]
    fn each_veth_gets_the_smaller_mtu_of_its_own_ends() {
        let host = Snapshot::from_json(
            r#"{"format":1,"netns":"nu","kernel":"6.12","families":{"ipv4":true,"ipv6":true},"sysctls":{},"links":{
                "v0":{"index":3,"kind":"veth","lower":4,"mtu":1500,"up":true},
                "v1":{"index":4,"kind":"veth","lower":3,"mtu":1400,"up":true},
                "w0":{"index":5,"kind":"veth","lower":6,"mtu":1300,"up":true},
                "w1":{"index":6,"kind":"veth","lower":5,"mtu":1460,"up":true}}}"#,
        )
        .unwrap();
        let findings = crate::lint::host::host(&host);
        let cause = &crate::diagnosis::diagnose(&host, &findings, None).causes[0];
        let wanted =
            "link: { w0: { mtu: 1300 }, w1: { mtu: 1300 }, v0: { mtu: 1400 }, v1: { mtu: 1400 } }".to_owned();
        assert_eq!(cause.fix, [Fix::Document(wanted)]);
        // The test runs where the diagnosis was made.
        assert_eq!(cause.refute.command, "ip netns exec nu ip neigh show dev v1");
    }

    #[test]
    fn the_remedy_is_of_the_setting_that_is_wrong() {
        let mut host = host();
        host.links.clear();
        let value = netkeel_host::snapshot::reading::SysctlReading::Value {
            value: "1000".into(),
            writable: true,
        };
        host.sysctls
            .insert("net/ipv4/route/min_pmtu".parse().unwrap(), value);
        let findings = crate::lint::host::host(&host);
        let found = crate::diagnosis::diagnose(&host, &findings, None);
        let wanted = "sysctl: { net.ipv4.route.min_pmtu: 552 }".to_owned();
        assert_eq!(
            found.causes[0].fix,
            [crate::diagnosis::fix::Fix::Document(wanted)]
        );
    }
}
