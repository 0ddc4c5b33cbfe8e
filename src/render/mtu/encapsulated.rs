//! Answers to encapsulated SYNs as text: one with its explanation, and many as a table.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::paint::Paint;
use netkeel_core::rp_filter::RpFilter;
use netkeel_core::text::escape::printable;
use netkeel_core::text::shell::Quoted;
use netkeel_diagnose::decapsulation::{Explanation, Part, Reason, Unchecked};
use netkeel_host::counters::counter::RuleKey;
use netkeel_host::snapshot::forwarding::AttachPoint;
use netkeel_mtu::probe::encapsulated::{Answer, Encapsulated, Encapsulation};

/// The JSON output.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "Encapsulated SYN")]
pub struct EncapsulatedSyn {
    /// The name of the format.
    pub format: &'static str,
    /// The version of the format.
    pub version: u32,
    /// The value of `--expect-mss`, bytes.
    pub expected_mss: Option<u16>,
    /// The results, in the order of the targets.
    pub results: Vec<Row>,
}

impl EncapsulatedSyn {
    /// The name of the format.
    pub const FORMAT: &'static str = "netkeel/encapsulated-syn";

    /// The version of the format.
    pub const VERSION: u32 = 1;
}

/// The result for one service of one realserver.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Row {
    /// The realserver.
    pub realserver: IpAddr,
    /// The service, ADDRESS:PORT.
    #[schemars(with = "String")]
    pub service: SocketAddr,
    /// Null where there is no verdict.
    pub as_expected: Option<bool>,
    /// The packet and the answer; none of their keys after an error.
    #[serde(flatten)]
    pub sent: Option<Sent>,
    /// Why the packet could not be sent.
    pub error: Option<String>,
    /// Why there was no answer, from the snapshot of the realserver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
    /// Why a failure is not explained, although there are snapshots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unexplained: Option<Unexplained>,
}

/// Why a failure is not explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unexplained {
    /// No snapshot has the address of the realserver.
    NoSnapshot,
    /// Several snapshots have it.
    SeveralSnapshots,
}

/// A packet and its answer.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Sent {
    /// The packet.
    pub packet: Encapsulated,
    /// The answer.
    #[serde(flatten)]
    pub answer: Answer,
}

/// One answer, with the explanation of a failure if there is a snapshot.
pub fn answer(
    packet: &Encapsulated,
    answer: Answer,
    expected: Option<u16>,
    explanation: Option<Result<&Explanation, Unexplained>>,
    paint: Paint,
) -> String {
    let service = SocketAddr::new(packet.inner_dst, packet.port);
    let verdict = verdict(packet, answer, expected);
    let verdict = match answer.is_well(packet, expected) {
        Some(true) => verdict,
        Some(false) => paint.red(verdict),
        None => paint.yellow(verdict),
    };
    let mut out = format!("{service} by {}: {verdict}\n", packet.outer_dst);
    let kind = Encapsulation::of(packet.outer_dst, packet.inner_dst);
    let mut row = |label: &str, text: String| {
        // A snapshot may have been written by somebody else.
        let _ = writeln!(out, "  {label:<10} {}", printable(&text));
    };
    row(
        "sent",
        format!(
            "{}: {} → {}, inside {} → {service}",
            kind.map_or_else(|| "SYN".to_owned(), |kind| kind.to_string()),
            packet.outer_src,
            packet.outer_dst,
            packet.inner_src
        ),
    );
    row("means", meaning(packet, answer));
    match explanation {
        Some(Ok(explanation)) => explained(explanation, row),
        Some(Err(why)) => row("reason", unexplained(why, packet.outer_dst)),
        None => {}
    }
    out
}

fn unexplained(why: Unexplained, realserver: IpAddr) -> String {
    let have = match why {
        Unexplained::NoSnapshot => "no snapshot has",
        Unexplained::SeveralSnapshots => "several snapshots have",
    };
    format!("not known, as {have} {realserver}: name its snapshot with `--snapshot {realserver}=FILE`")
}

/// The labelled lines of an explanation.
fn explained(explanation: &Explanation, mut row: impl FnMut(&str, String)) {
    for reason in &explanation.reasons {
        row("reason", self::reason(reason));
    }
    if explanation.reasons.is_empty() {
        row("reason", "the snapshot shows none".to_owned());
    }
    for text in all_unchecked(&explanation.unchecked) {
        row("unchecked", text);
    }
}

/// The results of many, one a line, then the explanations of failures.
pub fn table(results: &[Row], expected: Option<u16>) -> String {
    let mut rows = vec![["REALSERVER", "SERVICE", "RESULT"].map(str::to_owned)];
    for result in results {
        let text = match (&result.sent, &result.error) {
            (Some(sent), _) => verdict(&sent.packet, sent.answer, expected),
            (None, error) => format!("error: {}", error.as_deref().unwrap_or("not sent")),
        };
        rows.push([result.realserver.to_string(), result.service.to_string(), text]);
    }
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let (first, second) = (width(0), width(1));
    let mut out = String::new();
    for [realserver, service, text] in &rows {
        let _ = writeln!(out, "{realserver:<first$}  {service:<second$}  {text}");
    }
    let well = results.iter().filter(|row| row.as_expected == Some(true)).count();
    let _ = writeln!(out, "{well} of {} answer as expected.", results.len());
    for result in results {
        if result.explanation.is_none() && result.unexplained.is_none() {
            continue;
        }
        let _ = writeln!(out, "\n{} by {}", result.service, result.realserver);
        let mut row = |label: &str, text: String| {
            let _ = writeln!(out, "  {label:<10} {}", printable(&text));
        };
        if let Some(why) = result.unexplained {
            row("reason", unexplained(why, result.realserver));
        }
        if let Some(explanation) = &result.explanation {
            explained(explanation, row);
        }
    }
    out
}

fn verdict(packet: &Encapsulated, answer: Answer, expected: Option<u16>) -> String {
    match answer {
        Answer::SynAck { mss, .. } => {
            let mss = match mss {
                Some(mss) => format!("MSS {mss}"),
                None => {
                    let default = answer.mss(packet.inner_dst).unwrap_or_default();
                    format!("no MSS, so {default}")
                }
            };
            match (answer.is_well(packet, expected), expected) {
                (Some(false), Some(expected)) => format!("answered, {mss}, less than {expected}"),
                _ => format!("answered, {mss}"),
            }
        }
        Answer::Reset => "refused by a TCP reset".to_owned(),
        Answer::InnerRejected { from, reason } => format!("decapsulated, then {reason} (from {from})"),
        Answer::OuterRejected { from, reason } => format!("not decapsulated: {reason} (from {from})"),
        Answer::Silent => "no answer to 3 packets".to_owned(),
    }
}

fn meaning(packet: &Encapsulated, answer: Answer) -> String {
    match answer {
        Answer::SynAck { after, .. } => format!(
            "the host decapsulates and the service accepts; answered after {:.2} ms",
            after.as_secs_f64() * 1000.0
        ),
        Answer::Reset => "the host decapsulates; nobody listens, or a firewall rejects".to_owned(),
        Answer::InnerRejected { .. } => "the host decapsulates, and the SYN is not delivered".to_owned(),
        Answer::OuterRejected { from, .. } if from == packet.outer_dst => {
            "the host has no tunnel that takes the packet, or a firewall rejects it".to_owned()
        }
        Answer::OuterRejected { .. } => {
            "the packet did not reach the host, which proves nothing about it".to_owned()
        }
        Answer::Silent => "not measured: the packet or its answer was lost anywhere on its way".to_owned(),
    }
}

fn reason(reason: &Reason) -> String {
    match reason {
        Reason::OuterNotLocal { address } => {
            format!(
                "no interface of the snapshot has {address}: add the address, or take the snapshot of its host"
            )
        }
        Reason::NoTunnel { kind } => {
            format!("no {kind} device takes the packet: add one in external mode")
        }
        Reason::TunnelDown { link } => format!("{link} is down: `ip link set {link} up`"),
        Reason::RpFilter {
            link,
            value,
            by_all,
            no_address,
        } => {
            let key = if *by_all {
                "all".to_owned()
            } else {
                link.to_string()
            };
            let mode = RpFilter::from_number(*value).map_or_else(String::new, |mode| format!(" ({mode})"));
            let why = if *no_address {
                "loose mode drops the packet because the device has no IPv4 address"
            } else {
                "it drops the packet because the route back leaves by another interface"
            };
            format!("rp_filter of {link} is {value}{mode}, from net.ipv4.conf.{key}.rp_filter: {why}")
        }
        Reason::NoRouteBack { to } => format!("no route leads back to {to}"),
        Reason::ForwardingOff { link } => {
            format!("the service's address is not local, and net.ipv4.conf.{link}.forwarding is off")
        }
        Reason::NoRoute { to } => format!("{to} is not local, and no route leads to it"),
        Reason::Firewall {
            packet,
            rule,
            rejects,
            policies,
        } => {
            let does = if *rejects { "rejects" } else { "drops" };
            let of = of_policies(*policies);
            format!("{rule} {does} {}{of}: `{}`", part(*packet), list_chain(rule))
        }
    }
}

/// The facts that could not be judged, one a line. The rules of one chain that may drop a packet are one line.
fn all_unchecked(all: &[Unchecked]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut told = BTreeSet::new();
    for one in all {
        let Some(place) = place(one) else {
            lines.push(unchecked(one));
            continue;
        };
        if !told.insert(place) {
            continue;
        }
        let of_chain = all.iter().filter(|other| self::place(other) == Some(place));
        let (mut count, mut by) = (0_usize, BTreeSet::new());
        for other in of_chain {
            if let Unchecked::MayDrop { by: why, .. } = other {
                count += 1;
                by.extend(why.iter().cloned());
            }
        }
        let Place(packet, [family, table, chain], policies) = place;
        lines.push(match count {
            1 => unchecked(one),
            _ => format!(
                "{count} rules of {family} {table} {chain} may drop {}{}: they depend on {}",
                part(packet),
                of_policies(policies),
                some_of(&by)
            ),
        });
    }
    lines
}

/// A chain with a rule that may drop a packet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place<'a>(Part, [&'a str; 3], Option<&'static str>);

/// The chain of a rule. A policy has a place of its own.
fn place(unchecked: &Unchecked) -> Option<Place<'_>> {
    match unchecked {
        Unchecked::MayDrop {
            packet,
            rule,
            policies,
            ..
        } if rule.handle.is_some() => Some(Place(
            *packet,
            [&*rule.family, &*rule.table, &*rule.chain],
            *policies,
        )),
        _ => None,
    }
}

/// The first of some parts, and the number of the others.
fn some_of(parts: &BTreeSet<Arc<str>>) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<&str> = parts.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match parts.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn unchecked(unchecked: &Unchecked) -> String {
    match unchecked {
        Unchecked::Addresses => "the addresses of the host: the snapshot lacks them".to_owned(),
        Unchecked::Routes => "the route that decides: the snapshot lacks it".to_owned(),
        Unchecked::Rules => "rules of `ip rule` that select other tables".to_owned(),
        Unchecked::RpFilter { link } => format!("rp_filter of {link}: the snapshot lacks it"),
        Unchecked::Forwarding { link } => format!("forwarding of {link}: the snapshot lacks it"),
        Unchecked::ForwardingOff { link, to } => {
            format!("forwarding of {link} is off: the SYN is lost if {to} is not an address of the host")
        }
        Unchecked::NoRouteBack { to } => {
            format!("no route leads back to {to}: the answer is lost if the service is on this host")
        }
        Unchecked::TunnelEndpoints { link } => format!("whether the addresses of {link} fit the packet"),
        Unchecked::Forwarded { to } => {
            format!("what happens to {to} after this host: it is not local, so it is forwarded or translated")
        }
        Unchecked::Firewall => "firewall rules, network policies and address translation".to_owned(),
        Unchecked::MayDrop {
            packet,
            rule,
            by,
            policies,
        } => {
            let of = of_policies(*policies);
            format!(
                "{rule} may drop {}{of}: it depends on {}",
                part(*packet),
                some_of(by)
            )
        }
        Unchecked::FirewallPart { what } => what.to_string(),
        Unchecked::Translation => {
            "address translation: rules or IPVS may send the packet to another destination".to_owned()
        }
        Unchecked::EbpfPolicies { cni } => format!("network policies of {cni}, which are eBPF programs"),
        Unchecked::Attached { what, links } => {
            let what = match what {
                AttachPoint::Xdp => "the program of XDP",
                AttachPoint::Tc => "filters of tc (a qdisc clsact or ingress)",
            };
            format!("{what} on {}", some_of(links))
        }
        Unchecked::Ebpf => "eBPF programs (XDP, tc)".to_owned(),
    }
}

fn part(packet: Part) -> &'static str {
    match packet {
        Part::Outer => "the outer packet",
        Part::Inner => "the SYN inside",
        Part::Answer => "the answer of the service",
    }
}

fn of_policies(policies: Option<&str>) -> String {
    policies.map_or(String::new(), |program| {
        format!(" (a network policy of {program})")
    })
}

/// The command that lists the chain of a rule.
fn list_chain(rule: &RuleKey) -> String {
    format!(
        "nft -a list chain {} {} {}",
        Quoted(&rule.family),
        Quoted(&rule.table),
        Quoted(&rule.chain)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_drop(chain: &str, handle: Option<u64>, by: &str) -> Unchecked {
        Unchecked::MayDrop {
            packet: Part::Inner,
            rule: RuleKey {
                family: "ip".into(),
                table: "filter".into(),
                chain: chain.into(),
                handle,
            },
            by: [by.into()].into(),
            policies: None,
        }
    }

    #[test]
    fn the_rules_of_one_chain_are_one_line() {
        let mut all: Vec<Unchecked> = (1..=6)
            .map(|number| {
                may_drop(
                    "SERVICES",
                    Some(number),
                    &format!("destination 10.96.0.{number}/32"),
                )
            })
            .collect();
        all.insert(1, may_drop("INPUT", None, "lookup"));
        all.push(may_drop("INPUT", Some(9), "limit"));
        assert_eq!(
            all_unchecked(&all),
            [
                "6 rules of ip filter SERVICES may drop the SYN inside: they depend on destination 10.96.0.1/32, \
                 destination 10.96.0.2/32, destination 10.96.0.3/32, destination 10.96.0.4/32 and 2 more",
                "policy of ip filter INPUT may drop the SYN inside: it depends on lookup",
                "rule handle 9 of ip filter INPUT may drop the SYN inside: it depends on limit",
            ]
        );
    }

    #[test]
    fn text_of_a_snapshot_moves_no_terminal() {
        let address = |text: &str| text.parse().unwrap();
        let packet = Encapsulated {
            outer_src: address("198.51.100.1"),
            outer_dst: address("192.0.2.2"),
            inner_src: address("198.51.100.1"),
            inner_dst: address("203.0.113.9"),
            port: 80,
        };
        let rule = |chain: &str| RuleKey {
            family: "ip".into(),
            table: "t\u{1b}[2J".into(),
            chain: chain.into(),
            handle: None,
        };
        let explanation = Explanation {
            reasons: vec![Reason::Firewall {
                packet: Part::Outer,
                rule: rule("\u{1b}[2J\n"),
                rejects: false,
                policies: None,
            }],
            unchecked: vec![
                may_drop("a\u{7}", Some(1), "arrival on \u{1b}[31m"),
                Unchecked::FirewallPart {
                    what: "the table \r\u{202e}".into(),
                },
            ],
        };
        let text = answer(
            &packet,
            Answer::Silent,
            None,
            Some(Ok(&explanation)),
            Paint(false),
        );
        let deceptive = |char: char| char != '\n' && netkeel_core::text::escape::is_deceptive(char);
        assert!(!text.contains(deceptive), "{text:?}");
        assert_eq!(text.lines().count(), 6, "{text}");
    }
}
