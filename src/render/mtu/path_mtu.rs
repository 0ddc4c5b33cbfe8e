//! A measured path as text.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::paint::Paint;
use netkeel_mtu::probe::reply::{Method, Reply};
use netkeel_mtu::probe::report::{Outcome, Report, Trial, Verdict, is_private, mss};
use netkeel_mtu::probe::search::{Limit, Measurement};
use netkeel_mtu::probe::trace::{Hop, Trace};

/// The report on the path to `name`, of which at least `expected` bytes are expected.
pub fn path_mtu(name: &str, report: &Report, expected: Option<u32>, paint: Paint) -> String {
    let mut out = format!("{}\n", headline(name, report, paint));
    let mut row = |label: &str, text: String| {
        let _ = writeln!(out, "  {label:<10} {text}");
    };
    for (label, text) in evidence(report) {
        row(label, text);
    }
    row("route", route(report));
    row("cache", cache(report));
    if let Some(trace) = &report.small {
        row("hops", hops(trace));
    }
    if let Some(trace) = &report.large {
        row("larger", larger(trace));
    }
    for sentence in conclusions(report, expected) {
        out.push_str(&sentence);
        out.push('\n');
    }
    out
}

fn headline(name: &str, report: &Report, paint: Paint) -> String {
    let of = if name == report.target.to_string() {
        name.to_owned()
    } else {
        format!("{name} ({})", report.target)
    };
    let measured = |trial: &Trial, found: &Measurement| {
        format!("{of}: path MTU {} (by {})", paint.bold(found.mtu), trial.method)
    };
    match report.verdict() {
        Verdict::Carries(trial, found) => format!("{}.", measured(trial, found)),
        Verdict::BlackHole(trial, found) => {
            let larger = match found.limit() {
                Limit::Rejected { .. } => "larger packets are rejected, but not as too big",
                _ => "larger packets get no answer",
            };
            let hole = paint.red("A black hole");
            format!("{}. {hole}: {larger}.", measured(trial, found))
        }
        Verdict::LostOnTheWayBack { there, found, back } => format!(
            "{}. {}: answers larger than {back} do not come back.",
            measured(there, found),
            paint.red("A black hole on the way back, or a filter of large echoes")
        ),
        Verdict::Unknown => {
            let silent = |trial: &Trial| matches!(trial.outcome, Outcome::Unanswered { .. });
            let why = match report.trials.iter().any(silent) {
                true => "the target does not answer",
                false => "this host did not let all packets out",
            };
            format!("{of}: {}: {why}.", paint.yellow("not measured"))
        }
    }
}

/// The results of each method.
fn evidence(report: &Report) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    for trial in &report.trials {
        match &trial.outcome {
            Outcome::Measured(found) => {
                rows.push((
                    "passes",
                    format!("{} bytes by {}: {}", found.mtu, trial.method, fits(found)),
                ));
                rows.push(("limit", limit(found, report)));
                if let Some(back) = found.back() {
                    rows.push(("way back", way_back(back, found.mtu)));
                }
            }
            Outcome::Checked { size, answer } => {
                rows.push((
                    "also",
                    format!("{size} bytes by {}: {}", trial.method, reply(*answer)),
                ));
            }
            Outcome::Unanswered { answer } => {
                rows.push(("tried", format!("{}: {}", trial.method, reply(*answer))));
            }
            Outcome::Failed { why } => rows.push(("tried", format!("{}: {why}", trial.method))),
        }
    }
    rows
}

fn fits(found: &Measurement) -> String {
    found
        .attempt(found.mtu)
        .map_or_else(|| "answered".to_owned(), |attempt| reply(attempt.reply))
}

fn reply(reply: Reply) -> String {
    match reply {
        Reply::Answered {
            after: Some(after), ..
        } => {
            format!("answered after {:.2} ms", after.as_secs_f64() * 1000.0)
        }
        Reply::Answered { after: None, .. } => "answered".to_owned(),
        Reply::TooBig { mtu: Some(mtu), .. } => format!("too big, at most {mtu}"),
        Reply::TooBig { mtu: None, .. } => "too big".to_owned(),
        Reply::Undelivered { from, reason } => format!("{from} answers: {reason}"),
        Reply::Silent => "no answer to 3 packets".to_owned(),
    }
}

/// Why nothing larger passes.
fn limit(found: &Measurement, report: &Report) -> String {
    let larger = found.mtu + 1;
    match found.limit() {
        Limit::None => "the largest IP packet passes".to_owned(),
        Limit::ThisHost => format!(
            "{} of this host has MTU {}",
            report.route.interface, report.route.interface_mtu
        ),
        Limit::Router { from, reported } => {
            let router = reporter(from, report);
            match reported {
                Some(mtu) => format!("{router} reports that it takes at most {mtu}"),
                None => format!("{router} reports that larger packets are too big, without its MTU"),
            }
        }
        Limit::Rejected { from, reason } => {
            format!("{larger} bytes: {} answers: {reason}", router(from, report))
        }
        Limit::Silence => {
            let reports = found.reporters();
            let also = reports.last().map_or_else(
                || "; no \"packet too big\" came back".to_owned(),
                |(from, mtu)| {
                    let mtu = mtu.map_or(String::new(), |mtu| format!(" above {mtu}"));
                    format!("; {} reports packets{mtu} only", reporter(*from, report))
                },
            );
            format!("{larger} bytes: no answer to 3 packets{also}")
        }
    }
}

/// Who reports that packets are too big. A tunnel answers in the name of the target (`iptunnel_pmtud_build_icmp`,
/// net/ipv4/ip_tunnel_core.c).
fn reporter(address: IpAddr, report: &Report) -> String {
    match address == report.target {
        true => format!("{address}, or a tunnel on the way in its name,"),
        false => router(address, report),
    }
}

/// A router with its place on the path, if it is known.
fn router(address: IpAddr, report: &Report) -> String {
    let hop = report.small.as_ref().and_then(|trace| trace.hop_of(address));
    hop.map_or_else(|| address.to_string(), numbered)
}

fn numbered(hop: Hop) -> String {
    match hop.address {
        Some(address) => format!("hop {} ({address})", hop.number),
        None => format!("hop {}", hop.number),
    }
}

fn way_back(back: u32, mtu: u32) -> String {
    if back < mtu {
        format!("carries less: answers of {mtu} bytes come back in pieces of at most {back}")
    } else {
        format!("carries {back} bytes at least: the answers come back whole")
    }
}

fn route(report: &Report) -> String {
    let route = &report.route;
    let mut text = format!("{} (MTU {})", route.interface, route.interface_mtu);
    if let Some(mtu) = route.ipv6_mtu {
        let _ = write!(text, ", its IPv6 MTU is {mtu}");
    }
    if let Some(gateway) = route.gateway {
        let _ = write!(text, " via {gateway}");
    }
    if let Some(mtu) = route.route_mtu {
        let _ = write!(text, ", the route has MTU {mtu}");
    }
    text
}

fn cache(report: &Report) -> String {
    let bytes = |mtu: Option<u32>| mtu.map_or("none".to_owned(), |mtu| mtu.to_string());
    let (before, now) = (report.route.cached_before, report.route.cached_now);
    match before == now {
        true => format!("the kernel's path MTU for it: {}", bytes(now)),
        false => format!(
            "the kernel's path MTU for it: {} before, {} now",
            bytes(before),
            bytes(now)
        ),
    }
}

fn hops(trace: &Trace) -> String {
    let hop = |hop: &Hop| {
        let address = hop
            .address
            .map_or("no answer".to_owned(), |address| address.to_string());
        format!("{} {address}", hop.number)
    };
    let mut text: Vec<String> = trace.hops.iter().map(hop).collect();
    text.push(match (trace.arrived, trace.hops.is_empty()) {
        (true, true) => "the target, without a router".to_owned(),
        (true, false) => "then the target".to_owned(),
        (false, _) => "not further".to_owned(),
    });
    text.join(", ")
}

fn larger(trace: &Trace) -> String {
    match trace.last() {
        Some(hop) => format!(
            "{} bytes reach {} and get no further answer",
            trace.size,
            numbered(hop)
        ),
        None => format!("{} bytes reach no hop that answers", trace.size),
    }
}

/// The conclusions from the measurement, and remedies.
fn conclusions(report: &Report, expected: Option<u32>) -> Vec<String> {
    let mut lines = Vec::new();
    match report.verdict() {
        Verdict::BlackHole(_, found) => {
            lines.push(likely(report, found));
            lines.push(format!(
                "Work around it: a route to {} with MTU {}, or TCP MSS {}.",
                report.target,
                found.mtu,
                mss(found.mtu, report.target)
            ));
        }
        Verdict::LostOnTheWayBack { back, .. } => lines.push(format!(
            "Likely: the way back takes at most {back} bytes and its \"packet too big\" is filtered, or a \
             filter drops large echoes."
        )),
        Verdict::Carries(..) => {}
        Verdict::Unknown => lines.extend(unanswered(report)),
    }
    if let Some(found) = report.verdict().measurement() {
        for address in report.strangers() {
            lines.push(format!(
                "{address} reports packets as too big and is not on the path, as far as the hops tell."
            ));
        }
        for (address, _) in found.reporters() {
            if is_private(address) && !is_private(report.target) {
                lines.push(format!(
                    "The report comes from the private address {address}: filters often drop those, so other \
                     hosts may not get it."
                ));
            }
        }
        let smaller = [report.route.route_mtu, report.route.cached_before];
        if let Some(mtu) = smaller.into_iter().flatten().filter(|mtu| *mtu < found.mtu).min() {
            lines.push(format!(
                "Other programs of this host send at most {mtu} bytes: the route or the cached path MTU is \
                 smaller than the path."
            ));
        } else if let Some(mtu) = report.route.ipv6_mtu.filter(|mtu| *mtu < found.mtu) {
            let link = report.route.interface;
            lines.push(format!(
                "Other programs of this host send at most {mtu} bytes: the IPv6 MTU of {link} is smaller than the path."
            ));
        }
        if let Some(expected) = expected {
            lines.push(match found.mtu >= expected {
                true => format!("Expected: at least {expected}, which holds."),
                false => format!("Expected: at least {expected}, which does not hold."),
            });
        }
    }
    lines
}

fn likely(report: &Report, found: &Measurement) -> String {
    if let Limit::Rejected { from, .. } = found.limit() {
        let router = router(from, report);
        return format!(
            "{router} rejects packets above {} bytes: look at its firewall.",
            found.mtu
        );
    }
    let place = match report.large.as_ref().and_then(Trace::last) {
        Some(hop) => format!("what comes after {}", numbered(hop)),
        None => "what comes after this host".to_owned(),
    };
    let there = match report.is_lost_on_the_way_there() {
        true => "",
        false => ", on the way there or back,",
    };
    format!(
        "Likely: {place}{there} takes at most {} bytes, and its \"packet too big\" is filtered or never sent.",
        found.mtu
    )
}

fn unanswered(report: &Report) -> Vec<String> {
    let methods: Vec<Method> = report.trials.iter().map(|trial| trial.method).collect();
    let reached = report.small.as_ref().and_then(Trace::last);
    let mut lines = Vec::new();
    if let Some(hop) = reached {
        lines.push(format!("Packets get as far as {}.", numbered(hop)));
    }
    if !methods.iter().any(|method| matches!(method, Method::Tcp { .. })) {
        lines.push("Name a TCP port of the target: --proto tcp --port N.".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_mtu::probe::reply::Reporter;
    use netkeel_mtu::probe::report::RouteTo;
    use netkeel_mtu::probe::search::Attempt;

    fn report(trials: Vec<Trial>) -> Report {
        Report {
            target: "10.10.0.2".parse().unwrap(),
            route: RouteTo {
                interface: "vx0".parse().unwrap(),
                interface_mtu: 1500,
                ipv6_mtu: None,
                gateway: None,
                route_mtu: None,
                cached_before: None,
                cached_now: None,
            },
            trials,
            small: None,
            large: None,
        }
    }

    #[test]
    fn what_this_host_refuses_is_no_silence_of_the_target() {
        let trial = |outcome| Trial {
            method: Method::Icmp,
            outcome,
        };
        let failed = || {
            trial(Outcome::Failed {
                why: "Operation not permitted (EPERM)".to_owned(),
            })
        };
        let shown = |trials| headline("10.10.0.2", &report(trials), Paint(false));
        assert_eq!(
            shown(vec![failed()]),
            "10.10.0.2: not measured: this host did not let all packets out."
        );
        let silent = trial(Outcome::Unanswered {
            answer: Reply::Silent,
        });
        assert_eq!(
            shown(vec![failed(), silent]),
            "10.10.0.2: not measured: the target does not answer."
        );
    }

    /// The limit of a path of 1450 bytes on which this address reports packets as too big.
    fn limit_by(from: &str) -> String {
        let answered = Reply::Answered {
            back: None,
            after: None,
        };
        let too_big = Reply::TooBig {
            mtu: Some(1450),
            from: Reporter::Router(from.parse().unwrap()),
        };
        let attempts = [(1450, answered), (1451, too_big)];
        let attempts = attempts.map(|(size, reply)| Attempt { size, reply });
        let found = Measurement {
            mtu: 1450,
            attempts: attempts.to_vec(),
        };
        limit(&found, &report(Vec::new()))
    }

    #[test]
    fn a_tunnel_may_answer_in_the_name_of_the_target() {
        assert_eq!(
            limit_by("192.0.2.1"),
            "192.0.2.1 reports that it takes at most 1450"
        );
        assert_eq!(
            limit_by("10.10.0.2"),
            "10.10.0.2, or a tunnel on the way in its name, reports that it takes at most 1450"
        );
    }
}
