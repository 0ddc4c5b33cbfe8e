//! The counters of the files of /proc/net and of the qdiscs, in the network namespace of the calling thread.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nix::time::{ClockId, clock_gettime};

use crate::files::read::{ReadError, Symlinks};
use crate::files::{proc_sockets, read};
use crate::namespace::enter;
use crate::netlink::socket::Socket;
use crate::rtnetlink::qdisc;
use netkeel_core::error::Error;
use netkeel_core::name::link::LinkName;
use netkeel_host::counters::counter::{Counter, CpuStat, IpVersion, LinkStat, QdiscStat};
use netkeel_host::counters::reading::{Gauge, LinkIdentity, Reading};
use netkeel_host::counters::unread::{Source, Unread};
use netkeel_host::snapshot::Snapshot;

/// Longest file that is read, bytes: /proc/net/dev of 100,000 interfaces has less.
const LONGEST: u64 = 16 * 1024 * 1024;

/// The columns of /proc/net/dev (`dev_seq_printf_stats`, net/core/net-procfs.c). `drop` of received packets
/// has the missed ones too.
const COLUMNS: [Option<LinkStat>; 16] = [
    Some(LinkStat::RxBytes),
    Some(LinkStat::RxPackets),
    Some(LinkStat::RxErrors),
    Some(LinkStat::RxDropped),
    Some(LinkStat::RxFifoErrors),
    None,
    None,
    Some(LinkStat::Multicast),
    Some(LinkStat::TxBytes),
    Some(LinkStat::TxPackets),
    Some(LinkStat::TxErrors),
    Some(LinkStat::TxDropped),
    Some(LinkStat::TxFifoErrors),
    Some(LinkStat::Collisions),
    None,
    None,
];

/// Reads the counters of the namespace that the snapshot is of.
pub fn reading(snapshot: &Snapshot) -> Reading {
    let mut reading = Reading {
        at_ms: now_ms(),
        netns: snapshot.netns.clone(),
        initial: enter::is_initial(),
        links: identities(snapshot),
        ..Reading::default()
    };
    let mut read = BTreeSet::new();
    let mut files = Files {
        counters: &mut reading.counters,
        unread: &mut reading.unread,
        read: &mut read,
    };
    files.read(Source::Snmp, "snmp", |text| Some(paired(text)));
    files.read(Source::Netstat, "netstat", |text| Some(paired(text)));
    files.read(Source::Snmp6, "snmp6", |text| Some(lines(text)));
    files.read(Source::Softnet, "softnet_stat", softnet);
    files.read(Source::Conntrack, "stat/nf_conntrack", |text| {
        per_cpu(text, Counter::Conntrack)
    });
    files.read(Source::ArpCache, "stat/arp_cache", |text| {
        per_cpu(text, |name| Counter::Neighbours(IpVersion::Ipv4, name))
    });
    files.read(Source::NdiscCache, "stat/ndisc_cache", |text| {
        per_cpu(text, |name| Counter::Neighbours(IpVersion::Ipv6, name))
    });
    files.read(Source::Links, "dev", devices);
    files.read(Source::Xfrm, "xfrm_stat", proc_sockets::xfrm);
    files.read(Source::RouteLookup, "stat/rt_cache", |text| {
        per_cpu(text, Counter::RouteLookup)
    });
    files.read(Source::Netlink, "netlink", proc_sockets::netlink);
    files.read(Source::Queues, "netfilter/nfnetlink_queue", proc_sockets::queues);
    if qdiscs(&mut reading) {
        read.insert(Source::Qdiscs);
    }
    if gauges(&mut reading) {
        read.insert(Source::Settings);
    }
    complete(&mut reading, &read);
    reading
}

/// Names each source that was not tried: none is missing without a word.
fn complete(reading: &mut Reading, read: &BTreeSet<Source>) {
    for source in Source::ALL {
        if !read.contains(&source) && reading.unread(source).is_none() {
            reading.unread.insert(Unread {
                source,
                absent: false,
                why: "this version does not read it".to_owned(),
            });
        }
    }
}

/// Reads the values that rise and fall, and the settings that tell look-alikes apart. A setting of a module that
/// is not loaded does not exist. Returns whether all others were read.
fn gauges(reading: &mut Reading) -> bool {
    let gauges = [
        (Gauge::Connections, "net/netfilter/nf_conntrack_count"),
        (Gauge::MaxConnections, "net/netfilter/nf_conntrack_max"),
        (Gauge::Forwarding4, "net/ipv4/ip_forward"),
        (Gauge::Forwarding6, "net/ipv6/conf/all/forwarding"),
        (Gauge::BridgeCallsIptables, "net/bridge/bridge-nf-call-iptables"),
        (Gauge::BridgeCallsIp6tables, "net/bridge/bridge-nf-call-ip6tables"),
    ];
    let mut whole = true;
    for (gauge, key) in gauges {
        let why = match read::text(&Path::new("/proc/sys").join(key), Symlinks::Follow, 64) {
            Ok(text) => match text.trim().parse() {
                Ok(value) => {
                    reading.gauges.insert(gauge, value);
                    continue;
                }
                Err(_) => format!("{key} is no number"),
            },
            Err(ReadError::Io(cause)) if cause.kind() == std::io::ErrorKind::NotFound => continue,
            Err(cause) => format!("{key}: {cause}"),
        };
        whole = false;
        reading.unread.insert(Unread {
            source: Source::Settings,
            absent: false,
            why,
        });
    }
    whole
}

/// Reads the root qdiscs. Returns whether they were read.
fn qdiscs(reading: &mut Reading) -> bool {
    let found = Socket::open().and_then(|mut socket| qdisc::dump(&mut socket));
    let found = match found {
        Ok(found) => found,
        Err(refusal) => {
            let (source, why) = (Source::Qdiscs, Error::from(refusal).message);
            reading.unread.insert(Unread {
                source,
                absent: false,
                why,
            });
            return false;
        }
    };
    for (index, qdisc) in found {
        let Some((link, _)) = reading.by_index(index) else {
            continue;
        };
        let counters = [
            (QdiscStat::Packets, qdisc.packets),
            (QdiscStat::Drops, qdisc.drops),
            (QdiscStat::Overlimits, qdisc.overlimits),
        ];
        for (stat, value) in counters {
            if let Some(value) = value {
                reading.counters.insert(Counter::Qdisc(link, stat), value.into());
            }
        }
        reading.qdiscs.insert(link, qdisc.kind.into());
    }
    true
}

fn now_ms() -> u64 {
    let Ok(now) = clock_gettime(ClockId::CLOCK_MONOTONIC) else {
        return 0;
    };
    let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
    let nanoseconds = u64::try_from(now.tv_nsec()).unwrap_or(0);
    seconds
        .saturating_mul(1000)
        .saturating_add(nanoseconds / 1_000_000)
}

/// The interfaces of a snapshot, as their counters need them.
pub fn identities(snapshot: &Snapshot) -> BTreeMap<LinkName, LinkIdentity> {
    let identity = |link: &netkeel_host::snapshot::link::Link| LinkIdentity {
        index: link.index,
        kind: link.kind.clone(),
        mtu: link.mtu,
        lower: link.lower,
        leads_elsewhere: link.peer_netns.is_some(),
        master: link.master,
    };
    snapshot
        .links
        .iter()
        .map(|(name, link)| (*name, identity(link)))
        .collect()
}

struct Files<'a> {
    counters: &'a mut BTreeMap<Counter, u64>,
    unread: &'a mut BTreeSet<Unread>,
    read: &'a mut BTreeSet<Source>,
}

impl Files<'_> {
    /// Reads a file below /proc/net of the thread's namespace. `/proc/net` itself is that of the main thread.
    fn read(
        &mut self,
        source: Source,
        name: &str,
        parse: impl FnOnce(&str) -> Option<BTreeMap<Counter, u64>>,
    ) {
        let path = Path::new("/proc/thread-self/net").join(name);
        let (absent, why) = match read::text(&path, Symlinks::Follow, LONGEST) {
            Ok(text) => match parse(&text) {
                Some(found) => {
                    self.read.insert(source);
                    return self.counters.extend(found);
                }
                None => (false, "its form is not known".to_owned()),
            },
            Err(ReadError::Io(cause)) if cause.kind() == std::io::ErrorKind::NotFound => {
                (true, "the kernel does not have it here".to_owned())
            }
            Err(cause) => (false, cause.to_string()),
        };
        self.unread.insert(Unread { source, absent, why });
    }
}

/// `Udp: InDatagrams …` above `Udp: 12 …`, as snmp and netstat have it.
fn paired(text: &str) -> BTreeMap<Counter, u64> {
    let mut found = BTreeMap::new();
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let (Some((group, names)), Some((_, values))) = (names.split_once(':'), values.split_once(':'))
        else {
            continue;
        };
        for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
            // `Tcp: MaxConn` is -1: a setting, and no counter.
            if let Ok(value) = value.parse() {
                found.insert(Counter::protocol(group, name), value);
            }
        }
    }
    found
}

/// `Ip6FragFails 0`, as snmp6 has it.
fn lines(text: &str) -> BTreeMap<Counter, u64> {
    let line = |line: &str| {
        let (name, value) = line.split_once(char::is_whitespace)?;
        let value = value.trim().parse().ok()?;
        let group = ["Icmp6", "Ip6", "UdpLite6", "Udp6"]
            .into_iter()
            .find(|group| name.starts_with(group))?;
        Some((Counter::protocol(group, name.strip_prefix(group)?), value))
    };
    text.lines().filter_map(line).collect()
}

/// Hexadecimal columns, one line for each CPU (`softnet_seq_show`, net/core/net-procfs.c). The thirteenth is
/// the number of the CPU. Without it, lines and CPUs cannot be matched.
fn softnet(text: &str) -> Option<BTreeMap<Counter, u64>> {
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let columns: Vec<u64> = line
            .split_whitespace()
            .map(|column| u64::from_str_radix(column, 16))
            .collect::<Result<_, _>>()
            .ok()?;
        let cpu = u32::try_from(*columns.get(12)?).ok()?;
        for (at, stat) in [CpuStat::Processed, CpuStat::Dropped, CpuStat::Squeezed]
            .into_iter()
            .enumerate()
        {
            found.insert(Counter::Cpu(cpu, stat), *columns.get(at)?);
        }
    }
    Some(found)
}

/// A head line, then hexadecimal columns for each CPU, which are added up. `entries` is no counter.
fn per_cpu(text: &str, counter: impl Fn(std::sync::Arc<str>) -> Counter) -> Option<BTreeMap<Counter, u64>> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next()?.split_whitespace().collect();
    let mut found: BTreeMap<Counter, u64> = BTreeMap::new();
    for line in lines {
        for (name, value) in names.iter().zip(line.split_whitespace()) {
            if *name == "entries" {
                continue;
            }
            let value = u64::from_str_radix(value, 16).ok()?;
            let sum = found.entry(counter((*name).into())).or_default();
            *sum = sum.saturating_add(value);
        }
    }
    Some(found)
}

/// Two head lines, then `eth0: 1 2 …`.
fn devices(text: &str) -> Option<BTreeMap<Counter, u64>> {
    let mut found = BTreeMap::new();
    for line in text.lines().skip(2) {
        // The name of an interface has no colon.
        let (name, values) = line.split_once(':')?;
        let Ok(link) = name.trim().parse::<LinkName>() else {
            continue;
        };
        for (stat, value) in COLUMNS.iter().zip(values.split_whitespace()) {
            if let Some(stat) = stat {
                found.insert(Counter::Link(link, *stat), value.parse().ok()?);
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_forms_of_the_kernel() {
        let snmp = "Udp: InDatagrams RcvbufErrors\nUdp: 7 3\nTcp: MaxConn InSegs\nTcp: -1 9\n";
        let found = paired(snmp);
        assert_eq!(found[&Counter::protocol("Udp", "RcvbufErrors")], 3);
        assert_eq!(found.len(), 3);
        let six = lines("Ip6FragFails                    \t4\nUdp6InCsumErrors   5\n");
        assert_eq!(six[&Counter::protocol("Ip6", "FragFails")], 4);
        assert_eq!(six[&Counter::protocol("Udp6", "InCsumErrors")], 5);
        let cpus = "0000000a 00000001 00000002 0 0 0 0 0 0 0 0 0 00000003 0 0\n";
        assert_eq!(softnet(cpus).unwrap()[&Counter::Cpu(3, CpuStat::Dropped)], 1);
        assert_eq!(softnet("0000000a 1\n"), None);
        let stat = "entries  insert_failed drop\n00000005 0000000a 1\n00000005 00000001 2\n";
        let found = per_cpu(stat, Counter::Conntrack).unwrap();
        assert_eq!(found[&Counter::Conntrack("insert_failed".into())], 11);
        assert_eq!(found.len(), 2);
        let dev = "head\nhead\n  eth0: 100 1 2 3 0 0 0 0 200 4 5 6 0 0 0 0\n";
        let found = devices(dev).unwrap();
        let link = "eth0".parse().unwrap();
        assert_eq!(found[&Counter::Link(link, LinkStat::TxDropped)], 6);
        assert_eq!(found[&Counter::Link(link, LinkStat::RxErrors)], 2);
    }

    #[test]
    fn names_every_source_that_it_does_not_read() {
        let mut none = Reading::default();
        complete(&mut none, &BTreeSet::new());
        let named: Vec<Source> = none.unread.iter().map(|unread| unread.source).collect();
        assert_eq!(named, Source::ALL);
        let mut all = Reading::default();
        complete(&mut all, &Source::ALL.into());
        assert_eq!(all.unread, BTreeSet::new());
        let here = reading(&Snapshot::empty(Default::default()));
        assert_eq!(here.unread(Source::Netlink), None);
        assert!(
            here.counters
                .keys()
                .any(|key| matches!(key, Counter::NetlinkDrops(_)))
        );
        for source in [
            Source::Nftables,
            Source::Iptables,
            Source::PathMtus,
            Source::DropReasons,
        ] {
            assert!(
                here.unread(source).is_some_and(|unread| !unread.absent),
                "{source}"
            );
        }
    }
}
