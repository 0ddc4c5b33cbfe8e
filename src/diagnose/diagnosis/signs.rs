//! Finds the signs of a window.

use std::collections::BTreeMap;

use crate::diagnosis::cause::Diagnosis;
use crate::diagnosis::counted::growth;
use crate::diagnosis::fix::Fix;
use crate::diagnosis::fragment::raised;
use crate::diagnosis::growth::{FEW, Growth};
use crate::diagnosis::sign::{Sign, SignKind};
use netkeel_core::finding::Severity;
use netkeel_core::name::link::LinkName;
use netkeel_core::text::shell::Quoted;
use netkeel_host::counters::counter::{Counter, CpuStat, FilterStat, LinkStat, RuleKey};
use netkeel_host::counters::deltas::Deltas;
use netkeel_host::counters::reading::Gauge;
use netkeel_host::snapshot::Snapshot;

/// Twice the kernel's default of `net.core.netdev_budget`.
const LEAST_BUDGET: i64 = 600;

/// NETLINK_NETFILTER, which NFLOG uses.
const NETFILTER: u32 = 12;

/// The signs of a window, the most severe first. Counters that are evidence of a cause are no sign.
pub(super) fn signs(found: &Diagnosis, deltas: &Deltas, host: &Snapshot) -> Vec<Sign> {
    let mut grown: BTreeMap<SignKind, Vec<Growth>> = BTreeMap::new();
    for (counter, by) in deltas.grown.iter().filter(|(_, by)| **by > 0) {
        let Some(kind) = kind(counter) else { continue };
        let is_explained = found.explains(counter);
        let is_loss = super::counted::is_loss(counter);
        // A loss that is no cause's evidence and is not in the list is harmless.
        if is_explained || (is_loss && !found.also.iter().any(|growth| growth.counter == *counter)) {
            continue;
        }
        let by = match kind {
            SignKind::Martians => martians(counter, *by, deltas),
            _ => *by,
        };
        if by > 0 {
            grown.entry(kind).or_default().push(growth(counter, by, deltas));
        }
    }
    grown.extend(bridged(deltas, host));
    let mut signs: Vec<Sign> = grown
        .into_iter()
        .filter(|(kind, counters)| is_worth_a_line(*kind, counters))
        .map(|(kind, mut counters)| {
            counters.sort_by_key(|growth| std::cmp::Reverse(growth.by));
            let [means, means_not] = kind.meaning();
            if kind == SignKind::ConntrackInvalid {
                counters.extend(resets(deltas));
            }
            Sign {
                severity: severity(kind, &counters),
                next: next(kind, &counters, host),
                kind,
                counters,
                means,
                means_not,
            }
        })
        .collect();
    signs.sort_by_key(|sign| (sign.severity, sign.kind));
    signs
}

fn kind(counter: &Counter) -> Option<SignKind> {
    Some(match counter {
        Counter::Link(_, LinkStat::RxErrors | LinkStat::TxErrors) => SignKind::InterfaceErrors,
        Counter::Link(_, LinkStat::RxDropped | LinkStat::TxDropped | LinkStat::RxMissedErrors) => {
            SignKind::InterfaceDrops
        }
        Counter::Cpu(_, CpuStat::Squeezed) => SignKind::Squeezed,
        Counter::Conntrack(name) => match name.as_ref() {
            "invalid" => SignKind::ConntrackInvalid,
            "early_drop" => SignKind::ConntrackEarlyDrop,
            _ => return None,
        },
        Counter::RouteLookup(name) => match name.as_ref() {
            "in_martian_src" | "in_martian_dst" => SignKind::Martians,
            _ => return None,
        },
        Counter::NetlinkDrops(_) => SignKind::NetlinkDrops,
        Counter::QueueDrops(_) => SignKind::QueueDrops,
        Counter::Filters(_, FilterStat::Drops) => SignKind::FilterDrops,
        Counter::Protocol(group, name) => return protocol(group, name),
        Counter::Link(..)
        | Counter::Cpu(..)
        | Counter::Qdisc(..)
        | Counter::Filters(..)
        | Counter::Neighbours(..)
        | Counter::Rule(_)
        | Counter::DropReason(_) => return None,
    })
}

fn protocol(group: &str, name: &str) -> Option<SignKind> {
    Some(match (group, name) {
        ("Ip" | "Ip6", "OutDiscards") => SignKind::OutDiscards,
        ("Ip" | "Ip6", "InDiscards") => SignKind::InDiscards,
        ("Ip" | "Ip6", "OutNoRoutes") => SignKind::OutNoRoutes,
        ("Ip" | "Ip6", "InAddrErrors") => SignKind::InAddrErrors,
        ("Ip" | "Ip6", "ReasmFails") => SignKind::ReasmFails,
        ("Udp" | "Udp6", "SndbufErrors") => SignKind::SndbufErrors,
        ("TcpExt", "TCPMTUPFail" | "TCPMTUPSuccess") => SignKind::TcpMtuProbing,
        ("Xfrm", _) => SignKind::Ipsec,
        ("IcmpMsg", "InType3") | ("Icmp6", "InDestUnreachs") => SignKind::IcmpUnreachable,
        ("Icmp6", "InPktTooBigs") => SignKind::IcmpTooBig,
        ("IcmpMsg", "InType11" | "OutType11") | ("Icmp6", "InTimeExcds" | "OutTimeExcds") => {
            SignKind::IcmpTimeExceeded
        }
        ("IcmpMsg", "InType5") | ("Icmp6", "InRedirects") => SignKind::IcmpRedirect,
        ("IcmpMsg", "InType12") | ("Icmp6", "InParmProblems") => SignKind::IcmpParameterProblem,
        _ => return None,
    })
}

/// rp_filter counts its drops here too (`ip_handle_martian_source`, net/ipv4/route.c).
fn martians(counter: &Counter, by: u64, deltas: &Deltas) -> u64 {
    let is_source = matches!(counter, Counter::RouteLookup(name) if **name == *"in_martian_src");
    match is_source {
        true => by.saturating_sub(deltas.protocol("TcpExt", "IPReversePathFilter").unwrap_or(0)),
        false => by,
    }
}

/// The resets that the host sent: the answer to a segment of no connection.
fn resets(deltas: &Deltas) -> Option<Growth> {
    let sent = Counter::protocol("Tcp", "OutRsts");
    let by = deltas.of(&sent).filter(|by| *by > 0)?;
    Some(growth(&sent, by, deltas))
}

/// Whether the frames of bridges may come to a rule. A packet to or from this host itself comes to the hooks input
/// and output in any case.
fn may_see_frames(key: &RuleKey, deltas: &Deltas) -> bool {
    let hook = deltas.after.rules.get(key).and_then(|rule| rule.hook.as_deref());
    !matches!(hook, Some("input" | "output"))
}

/// Rules of IP that dropped, where frames of a bridge go through them.
fn bridged(deltas: &Deltas, host: &Snapshot) -> Option<(SignKind, Vec<Growth>)> {
    let is_on = |gauge: &Gauge| deltas.gauge(gauge) == Some(1);
    let four = is_on(&Gauge::BridgeCallsIptables);
    let six = is_on(&Gauge::BridgeCallsIp6tables);
    let has_bridge = host.links.values().any(|link| link.kind_name() == "bridge");
    let dropped = deltas.grown.iter().filter(|(counter, by)| match counter {
        Counter::Rule(key) => {
            **by > 0
                && may_see_frames(key, deltas)
                && match &*key.family {
                    "ip" => four,
                    "ip6" => six,
                    "inet" => four || six,
                    _ => false,
                }
        }
        _ => false,
    });
    let dropped: Vec<Growth> = dropped
        .map(|(counter, by)| growth(counter, *by, deltas))
        .collect();
    (has_bridge && !dropped.is_empty()).then_some((SignKind::BridgeFilter, dropped))
}

/// A few packets of these are on every network.
fn is_worth_a_line(kind: SignKind, counters: &[Growth]) -> bool {
    let by: u64 = counters.iter().map(|growth| growth.by).sum();
    match kind {
        SignKind::InterfaceErrors
        | SignKind::InterfaceDrops
        | SignKind::ConntrackEarlyDrop
        | SignKind::Ipsec
        | SignKind::OutDiscards
        | SignKind::ReasmFails
        | SignKind::SndbufErrors
        | SignKind::NetlinkDrops
        | SignKind::QueueDrops
        | SignKind::Squeezed => true,
        SignKind::ConntrackInvalid
        | SignKind::Martians
        | SignKind::BridgeFilter
        | SignKind::FilterDrops
        | SignKind::InDiscards
        | SignKind::OutNoRoutes
        | SignKind::InAddrErrors
        | SignKind::TcpMtuProbing
        | SignKind::IcmpUnreachable
        | SignKind::IcmpTooBig
        | SignKind::IcmpTimeExceeded
        | SignKind::IcmpRedirect
        | SignKind::IcmpParameterProblem => by >= FEW,
    }
}

/// The severity of the largest share. A share of few packets is an accident.
fn severity(kind: SignKind, counters: &[Growth]) -> Severity {
    let worst = counters
        .iter()
        .map(Growth::severity)
        .min()
        .unwrap_or(Severity::Note);
    match kind {
        // Frames for nobody are counted as drops, and filters drop what they were made to drop.
        SignKind::InterfaceDrops | SignKind::FilterDrops => worst.max(Severity::Warning),
        // Where IPv6 is switched off, each multicast packet of a neighbour is one.
        SignKind::InDiscards if counters.iter().all(is_of_ipv6) => worst.max(Severity::Warning),
        // Connections of clients may end.
        SignKind::ConntrackInvalid if are_resets_of_invalid(counters) => Severity::Warning,
        SignKind::QueueDrops | SignKind::Ipsec if counters.iter().any(|growth| growth.by >= FEW) => {
            worst.min(Severity::Warning)
        }
        _ => worst,
    }
}

fn is_of_ipv6(growth: &Growth) -> bool {
    matches!(&growth.counter, Counter::Protocol(group, _) if group.as_ref() == "Ip6")
}

/// Whether the resets may be answers to packets of no connection: each is answered by one at most, so that far more
/// resets have other reasons.
fn are_resets_of_invalid(counters: &[Growth]) -> bool {
    let is_reset = |growth: &&Growth| growth.counter == Counter::protocol("Tcp", "OutRsts");
    let of = |resets: bool| -> u64 {
        let such = counters.iter().filter(|growth| is_reset(growth) == resets);
        such.map(|growth| growth.by).sum()
    };
    let (resets, invalid) = (of(true), of(false));
    resets >= FEW && resets <= invalid.saturating_mul(2)
}

fn next(kind: SignKind, counters: &[Growth], host: &Snapshot) -> Vec<Fix> {
    let command = |text: &str| vec![Fix::Command(text.to_owned())];
    let document = |text: &str| Fix::Document(text.to_owned());
    let link = counters.iter().find_map(|growth| growth.counter.link());
    let of_link = |before: &str, after: &str| {
        let name = link.map_or("INTERFACE".to_owned(), |link: LinkName| {
            Quoted(link.to_string()).to_string()
        });
        Fix::Command(format!("{before}{name}{after}"))
    };
    match kind {
        SignKind::InterfaceErrors => vec![of_link("ip -s -s link show dev ", ""), of_link("ethtool -S ", "")],
        SignKind::InterfaceDrops => vec![of_link("ethtool -S ", ""), of_link("tc -s qdisc show dev ", "")],
        SignKind::ConntrackInvalid => vec![
            document("sysctl: { net.netfilter.nf_conntrack_tcp_be_liberal: 1 }"),
            Fix::Elsewhere(
                "or drop packets of the state INVALID before they reach the host itself".to_owned(),
            ),
        ],
        SignKind::ConntrackEarlyDrop => {
            command("sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max")
        }
        SignKind::Martians => vec![
            document("sysctl: { net.ipv4.conf.all.log_martians: 1 }"),
            Fix::Command("dmesg | grep martian".to_owned()),
        ],
        SignKind::Ipsec => command("ip -s xfrm state; ip -s xfrm policy"),
        SignKind::BridgeFilter => {
            let of = |family: &str| {
                counters
                    .iter()
                    .any(|growth| matches!(&growth.counter, Counter::Rule(key) if *key.family == *family))
            };
            let off = |leaf: &str| document(&format!("sysctl: {{ net.bridge.{leaf}: 0 }}"));
            let warning =
                "check that neither kube-proxy nor network policies need it before you switch it off";
            let mut next = vec![Fix::Elsewhere(warning.to_owned())];
            // Rules of the family inet see both.
            if of("ip") || !of("ip6") {
                next.push(off("bridge-nf-call-iptables"));
            }
            if of("ip6") {
                next.push(off("bridge-nf-call-ip6tables"));
            }
            next
        }
        SignKind::OutDiscards => command("tc -s qdisc show; nft list ruleset"),
        SignKind::InDiscards => command("sysctl -ar 'conf.*disable_ipv6'; ip -s xfrm policy"),
        SignKind::OutNoRoutes => command("ip route show; ip -6 route show"),
        SignKind::InAddrErrors => command("sysctl net.ipv4.ip_forward; ip addr show"),
        SignKind::ReasmFails => command("netkeel probe pmtu SENDER"),
        SignKind::SndbufErrors => command("tc -s qdisc show"),
        SignKind::TcpMtuProbing => command("netkeel probe pmtu TARGET"),
        SignKind::NetlinkDrops => {
            let is_nflog = |growth: &Growth| matches!(&growth.counter, Counter::NetlinkDrops(socket) if socket.protocol == NETFILTER);
            let show = Fix::Command("ss -f netlink -p".to_owned());
            let fewer = Fix::Elsewhere(
                "log fewer packets to the group, or give its reader a larger buffer".to_owned(),
            );
            match counters.iter().any(is_nflog) {
                true => vec![show, fewer],
                false => vec![show],
            }
        }
        SignKind::FilterDrops => vec![
            of_link("tc -s filter show dev ", " ingress"),
            of_link("tc -s filter show dev ", " egress"),
        ],
        SignKind::QueueDrops => command("cat /proc/net/netfilter/nfnetlink_queue"),
        SignKind::Squeezed => {
            vec![raised(host, "net.core.netdev_budget", LEAST_BUDGET)]
        }
        SignKind::IcmpUnreachable => command("tcpdump -ni any -c 20 'icmp[0] == 3 or icmp6[0] == 1'"),
        SignKind::IcmpTooBig => command("ip -6 route show cache"),
        SignKind::IcmpTimeExceeded => command("tcpdump -ni any -c 20 'icmp[0] == 11 or icmp6[0] == 3'"),
        SignKind::IcmpRedirect => vec![document("sysctl: { net.ipv4.conf.all.accept_redirects: 0 }")],
        SignKind::IcmpParameterProblem => command("tcpdump -ni any -c 20 'icmp[0] == 12 or icmp6[0] == 4'"),
    }
}

#[cfg(test)]
mod tests;
