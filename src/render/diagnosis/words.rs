//! The words of a diagnosis that text and HTML share.

use std::collections::BTreeSet;
use std::sync::Arc;

use netkeel_core::text::escape::printable;
use netkeel_core::text::list::some;
use netkeel_diagnose::bundle::Bundle;
use netkeel_diagnose::diagnosis::cause::{Cause, Evidence, Grounds, Kind, Subject};
use netkeel_diagnose::diagnosis::fix::Fix;
use netkeel_diagnose::diagnosis::growth::Growth;
use netkeel_diagnose::diagnosis::sign::SignKind;
use netkeel_diagnose::path::hop::Cause as Hole;
use netkeel_host::counters::counter::{Counter, CpuStat};
use netkeel_host::counters::reading::PathMtus;
use netkeel_host::snapshot::forwarding::{AttachPoint, Attached};

/// Subjects that a title names.
const NAMED: usize = 3;

/// The cause in one line, without a full stop.
pub(super) fn title(cause: &Cause) -> String {
    let at = some(cause.subjects.iter().map(subject), NAMED, ", ");
    let with = |text: &str, joint: &str| match at.is_empty() {
        true => text.to_owned(),
        false => format!("{text}{joint}{at}"),
    };
    match cause.kind {
        Kind::RpFilter => with("rp_filter drops packets", " that come in on "),
        Kind::GatewaySilent => with("nobody answers for the address of the gateway", " behind "),
        Kind::ForwardingOff => with("forwarding is off", " where packets arrive: "),
        Kind::DeviceDown => with("a device on the way is down", ": "),
        Kind::NoRoute => with("there is no route for the packets", " at "),
        Kind::VethEnds => with("the ends of a veth have different MTUs", ": "),
        Kind::BridgePort => with("a bridge has a port that is smaller than its clients", ": "),
        Kind::TooLarge => with("packets are too large for the device below", ": "),
        Kind::DiscoveryOff => with("path MTU discovery does not work", " at "),
        Kind::ConntrackFull => with("the connection table is full", ": "),
        Kind::ConntrackRace => with("connections are lost to a race in conntrack", ": "),
        Kind::NeighboursFull => with("the neighbour table is full", ": "),
        Kind::Firewall => with("the firewall drops packets", ": "),
        Kind::Checksums => with("packets arrive with wrong checksums", ": "),
        Kind::QdiscFull => with("the send queue drops packets", " of "),
        Kind::BacklogFull => with("the receive queue overflows", " of "),
        Kind::ReceiveBuffer => with("UDP sockets have full receive buffers", ": "),
        Kind::RemoteBlackHole => with("a router beyond this host drops large packets", ": "),
        Kind::NeighbourSilent => with("neighbours do not answer", ": "),
        Kind::PathMtuTiny => with("a learned path MTU is far too small", ": "),
        Kind::OtherHost => with("frames for the MAC address of another host are dropped", ": "),
    }
}

/// A sign in one line, without a full stop.
pub(super) fn sign(kind: SignKind) -> &'static str {
    match kind {
        SignKind::InterfaceErrors => "interfaces count errors",
        SignKind::InterfaceDrops => "interfaces drop frames",
        SignKind::ConntrackInvalid => "packets fit no connection",
        SignKind::ConntrackEarlyDrop => "connections were dropped to make room in the table",
        SignKind::Martians => "packets have addresses that cannot be there",
        SignKind::Ipsec => "IPsec drops packets",
        SignKind::BridgeFilter => "rules of IP drop frames that cross a bridge, or may",
        SignKind::OutDiscards => "packets of this host were discarded",
        SignKind::InDiscards => "received packets were discarded",
        SignKind::OutNoRoutes => "packets had no route",
        SignKind::InAddrErrors => "packets came for an address that nobody here has",
        SignKind::ReasmFails => "fragments are missing",
        SignKind::SndbufErrors => "UDP was sent faster than the queue takes it",
        SignKind::TcpMtuProbing => "TCP probed the path MTU",
        SignKind::NetlinkDrops => "programs missed netlink messages",
        SignKind::QueueDrops => "an NFQUEUE lost packets",
        SignKind::FilterDrops => "filters of tc dropped packets",
        SignKind::Squeezed => "a CPU did not finish its received packets in one turn",
        SignKind::IcmpUnreachable => "ICMP says that packets cannot be delivered",
        SignKind::IcmpTooBig => "ICMP says that packets are too big",
        SignKind::IcmpTimeExceeded => "ICMP says that packets ran out of hops",
        SignKind::IcmpRedirect => "ICMP names a nearer gateway",
        SignKind::IcmpParameterProblem => "ICMP says that a header is wrong",
    }
}

fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Link(link) => printable(&link.as_text()).into_owned(),
        Subject::Cpu(cpu) => format!("CPU {cpu}"),
        Subject::Address(address) => address.to_string(),
        Subject::Rule(key) => printable(&key.to_string()).into_owned(),
    }
}

/// Why a cause has its place.
pub(super) fn grounds(grounds: Grounds) -> &'static str {
    match grounds {
        Grounds::ConfiguredAndCounted => "the configuration and the counters agree",
        Grounds::LosesEverything => "the configuration loses every packet of a path",
        Grounds::Counted => "these counters grow for this cause only",
        Grounds::LosesLarge => "the configuration loses large packets, and no counter needs to grow",
        Grounds::Possible => "possible: little or nothing was counted",
    }
}

/// The meaning that a counter does not have, where people often take it for that.
pub(super) fn not_this(cause: &Cause) -> Option<&'static str> {
    let is_counted = |one: &Evidence| matches!(one, Evidence::Connections { .. });
    let still = |one: &Evidence| matches!(one, Evidence::DidNotGrow(_));
    match cause.kind {
        Kind::QdiscFull => Some("net.core.wmem_max does not help: the queue drops, not the socket"),
        Kind::TooLarge => Some("larger buffers (rmem_max, wmem_max) do not help"),
        Kind::VethEnds if !cause.evidence.iter().any(still) => None,
        Kind::ConntrackRace if !cause.evidence.iter().any(is_counted) => None,
        Kind::VethEnds => Some("netdev_max_backlog does not help as softnet drops nothing"),
        Kind::ConntrackRace => Some("the table is not full: nf_conntrack_max does not help"),
        Kind::DiscoveryOff => Some("icmp_ratelimit is not the cause: packet-too-big is exempt"),
        Kind::RpFilter
        | Kind::GatewaySilent
        | Kind::ForwardingOff
        | Kind::DeviceDown
        | Kind::NoRoute
        | Kind::BridgePort
        | Kind::ConntrackFull
        | Kind::NeighboursFull
        | Kind::Firewall
        | Kind::Checksums
        | Kind::BacklogFull
        | Kind::ReceiveBuffer
        | Kind::RemoteBlackHole
        | Kind::NeighbourSilent => None,
        Kind::PathMtuTiny => {
            Some("the MTU of the interface is not at fault: the kernel sends less than that")
        }
        Kind::OtherHost => {
            Some("the sender has the wrong MAC address, so no route or rule of this host is at fault")
        }
    }
}

/// One piece of evidence, without a full stop.
pub(super) fn evidence(evidence: &Evidence, window_ms: Option<u64>) -> String {
    match evidence {
        Evidence::Grew(found) => growth(found, window_ms),
        Evidence::DidNotGrow(counter) => match counter {
            Counter::Cpu(_, CpuStat::Dropped) => "softnet dropped +0: no queue overflowed".to_owned(),
            _ => format!("{counter} +0"),
        },
        Evidence::Finding(finding) => {
            let subjects = some(finding.subjects.iter().cloned(), NAMED, ", ");
            let (subjects, message) = (printable(&subjects).into_owned(), printable(&finding.message));
            format!("{} {subjects}: {message}", finding.code)
        }
        Evidence::BlackHole { link, from, to, why } => {
            let sizes = match (from, to) {
                (..=1, _) => "every packet".to_owned(),
                (from, Some(to)) => format!("packets of {from} to {to} bytes"),
                (from, None) => format!("packets of {from} bytes and more"),
            };
            let link = link.as_text();
            format!("{sizes} lost at {}: {}", printable(&link), hole(*why))
        }
        Evidence::Limited { link, whole, sent } => {
            let link = link.as_text();
            format!(
                "pods send up to {sent} bytes; {} passes {whole} whole",
                printable(&link)
            )
        }
        Evidence::RpFilter { link, all, own } => {
            let (link, larger) = (link.as_text(), all.max(own));
            format!(
                "effective rp_filter of {} is {larger}: `all` is {all}, its own is {own}",
                printable(&link)
            )
        }
        Evidence::Connections { now, most } => format!("{now} of at most {most} connections"),
        Evidence::Learned(found) => learned(found),
        Evidence::Silent { link, address } => {
            let link = link.as_text();
            format!("{address} did not answer on {}", printable(&link))
        }
    }
}

/// `2 path MTUs learned, the smallest 552 for 192.0.2.9 by eth0, locked; 1 below 576 (IPv4) or 1280 (IPv6)`.
fn learned(found: &PathMtus) -> String {
    let plural = if found.learned == 1 { "" } else { "s" };
    let mut text = format!("{} path MTU{plural} learned", found.learned);
    if let Some(path) = &found.smallest {
        text.push_str(&format!(", the smallest {} for {}", path.mtu, path.destination));
        if let Some(link) = path.link {
            text.push_str(&format!(" by {}", printable(&link.as_text())));
        }
        if path.locked {
            text.push_str(", locked");
        }
    }
    let parts = [
        (found.tiny, "below 576 (IPv4) or 1280 (IPv6)"),
        (found.locked, "locked"),
        (found.expiring, "forgotten within a minute"),
    ];
    for (number, what) in parts {
        if number > 0 {
            text.push_str(&format!("; {number} {what}"));
        }
    }
    text
}

/// `tx_errors of genev_sys_6081 +5190 in 10 s (0.519 %)`.
pub(super) fn growth(found: &Growth, window_ms: Option<u64>) -> String {
    let name = found.counter.to_string();
    let mut window = window_ms.map_or(String::new(), |window| format!(" in {}", seconds(window)));
    if matches!(found.counter, Counter::DropReason(_) | Counter::RouteLookup(_)) {
        window.push_str(" in all namespaces");
    }
    let share = found
        .share()
        .filter(|_| found.of.is_some_and(|of| of > 0))
        .map_or(String::new(), |share| format!(" ({})", percent(share)));
    format!("{} +{}{window}{share}", printable(&name), found.by)
}

/// A window in seconds.
pub(super) fn seconds(window_ms: u64) -> String {
    match window_ms % 1000 {
        0 => format!("{} s", window_ms / 1000),
        _ => format!("{:.1} s", window_ms as f64 / 1000.0),
    }
}

/// A share with three significant digits or fewer.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        10.0.. => format!("{percent:.0} %"),
        1.0.. => format!("{percent:.1} %"),
        0.0095.. => format!("{percent:.3} %"),
        _ => format!("{percent:.4} %"),
    }
}

fn hole(why: Hole) -> &'static str {
    crate::path::words::because(why)
}

/// A remedy as text.
pub(super) fn fix(fix: &Fix) -> &str {
    match fix {
        Fix::Document(text) | Fix::Command(text) | Fix::Elsewhere(text) => text,
    }
}

/// The plugins of the CNI with the versions of their programs, and the versions of the specification; none of a bundle
/// without plugins.
pub(super) fn plugins(bundle: &Bundle) -> Option<String> {
    let kinds: BTreeSet<&Arc<str>> = bundle
        .plugins
        .values()
        .flatten()
        .chain(bundle.programs.keys())
        .collect();
    let each = |kind: &&Arc<str>| match bundle
        .programs
        .get(*kind)
        .and_then(|program| program.version.as_ref())
    {
        Some(version) => format!("{kind} {version}"),
        None => format!("{kind} (version not known)"),
    };
    let named: Vec<String> = kinds.iter().map(each).collect();
    let versions: BTreeSet<&str> = bundle.cni_versions.values().map(|version| &**version).collect();
    let versions: Vec<&str> = versions.into_iter().collect();
    let specification = match versions.as_slice() {
        [] => String::new(),
        some => format!("; cniVersion {}", some.join(", ")),
    };
    (!named.is_empty()).then(|| format!("{}{specification}", named.join(", ")))
}

/// What is attached to interfaces, with where its drops are counted, and what was not read: sentences after others.
pub(super) fn attached(attached: &Attached) -> String {
    let mut text = String::new();
    let of = |point| {
        let links = attached.of(point).into_iter().flatten();
        some(links.map(ToString::to_string), NAMED, ", ")
    };
    let (xdp, tc) = (of(AttachPoint::Xdp), of(AttachPoint::Tc));
    if !xdp.is_empty() {
        text.push_str(&format!(
            " XDP ({xdp}) may drop packets too: `--drop-reasons` counts those of its generic mode."
        ));
    }
    if !tc.is_empty() {
        text.push_str(&format!(
            " Filters of tc, if there are any (clsact or ingress on {tc}), may drop packets too. Their drops are \
             counted, but for those of programs that a link attaches (tcx)."
        ));
    }
    let unread = match (&attached.xdp, &attached.tc) {
        (Some(_), Some(_)) => return text,
        (None, None) => "programs of XDP and filters of tc",
        (None, Some(_)) => "programs of XDP",
        (Some(_), None) => "filters of tc",
    };
    text.push_str(&format!(" Not read: {unread}."));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_read_is_told_from_what_is_not_there() {
        let none = Attached {
            xdp: Some(BTreeSet::new()),
            tc: Some(BTreeSet::new()),
        };
        assert_eq!(attached(&none), "");
        let unread = Attached {
            tc: Some(["cali1".parse().unwrap()].into()),
            ..Attached::default()
        };
        let text = attached(&unread);
        assert!(text.contains("clsact or ingress on cali1"), "{text}");
        assert!(text.ends_with(" Not read: programs of XDP."), "{text}");
    }
}
