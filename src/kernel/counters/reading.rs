//! Reads all counters of the network namespace of the calling thread.

use std::collections::BTreeMap;
use std::path::Path;

use nix::time::{ClockId, clock_gettime};

use crate::counters::drop_reasons::DropReasons;
use crate::counters::not_read::NotRead;
use crate::counters::proc_net::{lines, paired, per_cpu, softnet};
use crate::counters::{firewall, links, neighbours, path_mtus, qdiscs, sockets};
use crate::files::read;
use crate::files::read::{ReadError, Symlinks};
use crate::namespace::enter;
use netkeel_core::name::netns::Netns;
use netkeel_host::counters::counter::{Counter, IpVersion};
use netkeel_host::counters::reading::{Gauge, Reading};
use netkeel_host::counters::unread::{Source, Unread};

/// Longest file that is read, bytes: /proc/net/netlink of 100,000 sockets has less.
const LONGEST: u64 = 16 * 1024 * 1024;

/// Reads the counters of the calling thread's namespace, which has this name.
pub fn reading(netns: &Netns, reasons: &DropReasons) -> Reading {
    let mut reading = Reading {
        at_ms: now_ms(),
        netns: netns.clone(),
        initial: enter::is_first_of_the_machine(),
        ..Reading::default()
    };
    // The interfaces come before the sources that name them by index.
    for source in Source::ALL {
        if let Err(NotRead { absent, why }) = read_source(source, &mut reading, reasons) {
            reading.unread.insert(Unread { source, absent, why });
        }
    }
    reading
}

fn read_source(source: Source, reading: &mut Reading, reasons: &DropReasons) -> Result<(), NotRead> {
    match source {
        Source::Snmp => file(reading, "snmp", |text| Some(paired(text))),
        Source::Snmp6 => file(reading, "snmp6", |text| Some(lines(text))),
        Source::Netstat => file(reading, "netstat", |text| Some(paired(text))),
        Source::Xfrm => file(reading, "xfrm_stat", sockets::xfrm),
        Source::Softnet => file(reading, "softnet_stat", softnet),
        Source::Conntrack => file(reading, "stat/nf_conntrack", |text| {
            per_cpu(text, Counter::Conntrack)
        }),
        Source::ArpCache => file(reading, "stat/arp_cache", |text| {
            per_cpu(text, |name| Counter::Neighbours(IpVersion::Ipv4, name))
        }),
        Source::NdiscCache => file(reading, "stat/ndisc_cache", |text| {
            per_cpu(text, |name| Counter::Neighbours(IpVersion::Ipv6, name))
        }),
        Source::RouteLookup => file(reading, "stat/rt_cache", |text| {
            per_cpu(text, Counter::RouteLookup)
        }),
        Source::Netlink => file(reading, "netlink", sockets::netlink),
        Source::Queues => file(reading, "netfilter/nfnetlink_queue", sockets::queues),
        Source::Links => links::read(reading),
        Source::Qdiscs => qdiscs::read(reading),
        Source::Settings => gauges(reading),
        Source::Nftables => firewall::nftables(reading),
        Source::Iptables => firewall::iptables(),
        Source::Neighbours => neighbours::read(reading),
        Source::PathMtus => path_mtus::read(reading),
        Source::DropReasons => reasons.read(reading),
    }
}

/// Reads a file below /proc/net of the thread's namespace. `/proc/net` itself is that of the main thread.
fn file(
    reading: &mut Reading,
    name: &str,
    parse: impl FnOnce(&str) -> Option<BTreeMap<Counter, u64>>,
) -> Result<(), NotRead> {
    let path = Path::new("/proc/thread-self/net").join(name);
    match read::text(&path, Symlinks::Follow, LONGEST) {
        Ok(text) => {
            let found = parse(&text).ok_or_else(|| NotRead::failed("its form is not known"))?;
            reading.counters.extend(found);
            Ok(())
        }
        Err(ReadError::Io(cause)) if cause.kind() == std::io::ErrorKind::NotFound => {
            Err(NotRead::absent("the kernel does not have it here"))
        }
        Err(cause) => Err(NotRead::failed(cause)),
    }
}

/// Reads the values that rise and fall, and the settings that tell look-alikes apart. A setting of a module that
/// is not loaded does not exist. The first of the others that cannot be read is the error.
fn gauges(reading: &mut Reading) -> Result<(), NotRead> {
    let gauges = [
        (Gauge::Connections, "net/netfilter/nf_conntrack_count"),
        (Gauge::MaxConnections, "net/netfilter/nf_conntrack_max"),
        (Gauge::Forwarding4, "net/ipv4/ip_forward"),
        (Gauge::Forwarding6, "net/ipv6/conf/all/forwarding"),
        (Gauge::BridgeCallsIptables, "net/bridge/bridge-nf-call-iptables"),
        (Gauge::BridgeCallsIp6tables, "net/bridge/bridge-nf-call-ip6tables"),
    ];
    let mut whole = Ok(());
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
        whole = whole.and(Err(NotRead::failed(why)));
    }
    whole
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_this_namespace_and_names_what_it_does_not_read() {
        let here = reading(&Netns::default(), &DropReasons::not_asked());
        assert_eq!(here.unread(Source::Netlink), None);
        assert!(
            here.counters
                .keys()
                .any(|key| matches!(key, Counter::NetlinkDrops(_)))
        );
        assert_eq!(here.unread(Source::Links), None);
        let lo = "lo".parse().unwrap();
        assert_eq!(here.links[&lo].index, 1);
        for stat in netkeel_host::counters::counter::LinkStat::ALL {
            let is_old =
                stat == netkeel_host::counters::counter::LinkStat::RxOtherhostDropped || stat.is_detail();
            let counter = here.counters.get(&Counter::Link(lo, stat));
            assert!(is_old || counter.is_some(), "{}", stat.name());
        }
    }
}
