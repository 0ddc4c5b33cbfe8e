//! `netkeel probe ipip`: asks realservers with an encapsulated SYN, as their load balancer would.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::arguments::Format;

use crate::load::address::resolve;
use crate::load::file::read_printed;
use crate::load::snapshot::read_snapshot;
use crate::load::targets::{Target, targets};
use crate::{exit, output};
use netkeel_core::error::Error;
use netkeel_core::name::netns::Netns;
use netkeel_diagnose::decapsulation::{Explanation, explain};
use netkeel_host::snapshot::Snapshot;
use netkeel_kernel::namespace::enter::inside;
use netkeel_kernel::probe::encapsulated;
use netkeel_mtu::probe::encapsulated::Answer;
use netkeel_render::mtu::encapsulated::{EncapsulatedSyn, Row, Sent, Unexplained, answer, table};
use netkeel_render::paint::Paint;
use netkeel_service::http::at_once::at_once;

const EXAMPLES: &str = "Examples:
  netkeel probe ipip --outer-dst 10.2.0.9 --inner-dst 203.0.113.9 --port 443
  netkeel probe ipip --outer-dst 10.2.0.9 --inner-dst 203.0.113.9 --port 443 --snapshot realserver.json
  netkeel probe ipip --targets targets.txt --expect-mss 1400
  netkeel probe ipip --targets targets.txt --snapshot a.json --snapshot b.json

A file of targets has one per line; every service is asked on every realserver:
  realserver 10.2.0.9
  realserver 10.2.0.10
  service 203.0.113.9 443";

/// Send a realserver an encapsulated SYN, and check the answer
///
/// netkeel sends a TCP SYN inside an IP packet, as a load balancer does (IPVS in tunnel mode, Katran), and waits for
/// the answer of the service, which comes without a tunnel. The encapsulation follows from the addresses: IPv4 in
/// IPv4, IPv6 in IPv6 or IPv4 in IPv6. netkeel sends up to three packets in three seconds and needs CAP_NET_RAW.
///
/// No connection is made: the kernel of this host answers the SYN-ACK with a reset, which closes it.
///
/// Exit status: 0 a SYN-ACK, with at least --expect-mss; 2 another answer: a reset, an ICMP error, a smaller MSS; 1
/// no answer, or an error.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Address or name of the host that decapsulates
    #[arg(
        long,
        value_name = "HOST",
        required_unless_present = "targets",
        conflicts_with = "targets"
    )]
    outer_dst: Option<String>,
    /// Address of the service
    #[arg(
        long,
        value_name = "VIP",
        required_unless_present = "targets",
        conflicts_with = "targets"
    )]
    inner_dst: Option<IpAddr>,
    /// TCP port of the service
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..), required_unless_present = "targets",
        conflicts_with = "targets")]
    port: Option<u16>,
    /// Ask all realservers for all services that this file lists
    #[arg(long, value_name = "FILE")]
    targets: Option<PathBuf>,
    /// Source of the outer header [default: this host's address]
    ///
    /// Use the address of the load balancer where a firewall accepts only that.
    #[arg(long, value_name = "ADDRESS")]
    outer_src: Option<IpAddr>,
    /// Exit with status 2 if the service announces a smaller MSS
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(1..))]
    expect_mss: Option<u16>,
    /// Explain a failure from a snapshot of the host that decapsulates
    ///
    /// `netkeel observe` prints one there. The rules of its firewall need CAP_NET_ADMIN. A rule that depends on
    /// something that a snapshot does not hold, such as a set or a mark, is named as possible. With --targets, give one
    /// of each realserver: a failure is explained from the only one whose interfaces or local routes have the
    /// realserver's address. ADDRESS=FILE says of which realserver a file is.
    #[arg(long, value_name = "[ADDRESS=]FILE")]
    snapshot: Vec<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    /// Send from this network namespace, as `ip netns` names it
    #[arg(long, value_name = "NAME")]
    netns: Option<String>,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let netns = arguments.netns.as_deref().map_or(Netns::CURRENT, Netns::named);
    let expected = arguments.expect_mss;
    let ask = |target: Target| -> Result<Sent, Error> {
        let packet = encapsulated::packet(
            target.realserver,
            arguments.outer_src,
            target.service.ip(),
            target.service.port(),
        )?;
        let answer = encapsulated::ask(&packet)?;
        Ok(Sent { packet, answer })
    };
    // A file that cannot be read is found before a packet is sent.
    let snapshots = arguments.snapshot.iter().map(|value| {
        let (realserver, path) = bound(value);
        let snapshot = read_snapshot(path)?;
        Ok(Named { realserver, snapshot })
    });
    let snapshots = snapshots.collect::<Result<Vec<Named>, Error>>()?;
    let rows = match (
        &arguments.targets,
        &arguments.outer_dst,
        arguments.inner_dst,
        arguments.port,
    ) {
        (None, Some(host), Some(vip), Some(port)) => {
            let target = Target {
                realserver: resolve(host, None)?,
                service: SocketAddr::new(vip, port),
            };
            let sent = inside(&netns, || ask(target))??;
            let explained = explained(&snapshots, &[target], &sent);
            if arguments.output == Format::Text {
                let paint = Paint(output::stdout_colour());
                output::print(&answer(
                    &sent.packet,
                    sent.answer,
                    expected,
                    explained.as_ref().map(|found| found.as_ref().map_err(|why| *why)),
                    paint,
                ))?;
            }
            vec![with(explained, row(target, Ok(sent), expected))]
        }
        _ => {
            let path = arguments.targets.as_deref().unwrap_or_else(|| "-".as_ref());
            let text = read_printed(path)?;
            let targets = targets(&text).map_err(|error| error.context(path.display()))?;
            let results = inside(&netns, || at_once(&targets, |target| ask(*target)))?;
            let results = targets.iter().zip(results);
            let rows: Vec<Row> = results
                .map(|(target, result)| {
                    let sent = result.as_ref().ok();
                    let explained = sent.and_then(|sent| explained(&snapshots, &targets, sent));
                    with(explained, row(*target, result, expected))
                })
                .collect();
            if arguments.output == Format::Text {
                output::print(&table(&rows, expected))?;
            }
            rows
        }
    };
    let status = status(&rows);
    if arguments.output == Format::Json {
        output::print(&output::json(&EncapsulatedSyn {
            format: EncapsulatedSyn::FORMAT,
            version: EncapsulatedSyn::VERSION,
            expected_mss: expected,
            results: rows,
        })?)?;
    }
    Ok(status)
}

/// A snapshot, with the realserver that the command line says it is of.
struct Named {
    realserver: Option<IpAddr>,
    snapshot: Snapshot,
}

/// The parts of `ADDRESS=FILE`, or of `FILE`.
fn bound(value: &Path) -> (Option<IpAddr>, &Path) {
    let parts = value.to_str().and_then(|text| text.split_once('='));
    let named = parts.and_then(|(address, file)| Some((address.parse().ok()?, file)));
    match named {
        Some((realserver, file)) => (Some(realserver), Path::new(file)),
        None => (None, value),
    }
}

/// The snapshot of a realserver: the one that is named so, else the only one that has its address. Of one realserver
/// alone, an only snapshot is its own.
fn of_realserver(snapshots: &[Named], realserver: IpAddr, is_alone: bool) -> Result<&Snapshot, Unexplained> {
    let is_named = |one: &Named| one.realserver == Some(realserver);
    let has_address = |one: &Named| {
        let mut addresses = one.snapshot.links.values().flat_map(|link| &link.addresses);
        one.realserver.is_none() && addresses.any(|own| own.addr() == realserver)
    };
    let has_route = |one: &Named| {
        let forwarding = one.snapshot.forwarding.as_deref();
        let mut local = forwarding
            .and_then(|found| found.local.as_ref())
            .into_iter()
            .flatten();
        one.realserver.is_none() && local.any(|net| net.contains(&realserver))
    };
    let only = |has: &dyn Fn(&Named) -> bool| {
        let mut found = snapshots.iter().filter(|one| has(one));
        let first = found.next()?;
        Some(match found.next() {
            None => Ok(&first.snapshot),
            Some(_) => Err(Unexplained::SeveralSnapshots),
        })
    };
    let found = only(&is_named)
        .or_else(|| only(&has_address))
        .or_else(|| only(&has_route));
    match (found, snapshots) {
        (Some(found), _) => found,
        (None, [one]) if is_alone && one.realserver.is_none() => Ok(&one.snapshot),
        (None, _) => Err(Unexplained::NoSnapshot),
    }
}

/// Why there was no answer, or a bad one; none without a snapshot.
fn explained(
    snapshots: &[Named],
    targets: &[Target],
    sent: &Sent,
) -> Option<Result<Explanation, Unexplained>> {
    if snapshots.is_empty() || !needs_reasons(sent.answer) {
        return None;
    }
    let realserver = sent.packet.outer_dst;
    let is_alone = targets.iter().all(|target| target.realserver == realserver);
    let snapshot = of_realserver(snapshots, realserver, is_alone);
    Some(snapshot.map(|snapshot| explain(snapshot, &sent.packet)))
}

fn with(explained: Option<Result<Explanation, Unexplained>>, row: Row) -> Row {
    match explained {
        Some(Ok(explanation)) => Row {
            explanation: Some(explanation),
            ..row
        },
        Some(Err(why)) => Row {
            unexplained: Some(why),
            ..row
        },
        None => row,
    }
}

/// Whether settings of the host can be the reason of an answer.
fn needs_reasons(answer: Answer) -> bool {
    match answer {
        Answer::Silent | Answer::InnerRejected { .. } | Answer::OuterRejected { .. } => true,
        Answer::SynAck { .. } | Answer::Reset => false,
    }
}

fn row(target: Target, result: Result<Sent, Error>, expected: Option<u16>) -> Row {
    let (sent, error) = match result {
        Ok(sent) => (Some(sent), None),
        Err(error) => (None, Some(error.message)),
    };
    Row {
        realserver: target.realserver,
        service: target.service,
        as_expected: sent.and_then(|sent| sent.answer.is_well(&sent.packet, expected)),
        sent,
        error,
        explanation: None,
        unexplained: None,
    }
}

/// One answer that is not as expected decides, then one without a verdict.
fn status(rows: &[Row]) -> u8 {
    if rows.iter().any(|row| row.as_expected == Some(false)) {
        exit::CHANGES
    } else if rows.iter().all(|row| row.as_expected == Some(true)) {
        exit::OK
    } else {
        exit::ERROR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_of_the_realserver_that_it_names_or_has() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let named = |realserver: Option<&str>, kernel: &str, own: &str, local: &str| {
            Named {
            realserver: realserver.map(address),
            snapshot: Snapshot::from_json(&format!(
                r#"{{"format":1,"netns":null,"kernel":"{kernel}","families":{{"ipv4":true,"ipv6":true}},"sysctls":{{}},
                "links":{{"eth0":{{"index":2,"mtu":1500,"up":true,"addresses":["{own}"]}}}},
                "forwarding":{{"local":["{local}"]}}}}"#
            ))
            .unwrap(),
        }
        };
        let of = |snapshots: &[Named], is_alone| {
            let found = of_realserver(snapshots, address("192.0.2.9"), is_alone);
            found.map(|snapshot| snapshot.kernel.clone())
        };
        let other = || named(None, "other", "192.0.2.1/24", "10.0.0.0/24");
        let own = || named(None, "own", "192.0.2.9/24", "10.0.0.0/24");
        let any = || named(None, "any", "192.0.2.2/24", "192.0.2.8/31");
        let bound = || named(Some("192.0.2.9"), "bound", "192.0.2.3/24", "10.0.0.0/24");
        assert_eq!(of(&[other(), own()], false), Ok("own".into()));
        assert_eq!(of(&[other(), any()], false), Ok("any".into()));
        assert_eq!(of(&[own(), any(), bound()], false), Ok("bound".into()));
        assert_eq!(of(&[own(), own()], false), Err(Unexplained::SeveralSnapshots));
        assert_eq!(of(&[other()], false), Err(Unexplained::NoSnapshot));
        assert_eq!(of(&[other()], true), Ok("other".into()));
    }

    #[test]
    fn a_file_may_be_named_for_a_realserver() {
        let parts = |text| bound(Path::new(text));
        assert_eq!(parts("a.json"), (None, Path::new("a.json")));
        assert_eq!(parts("b=a.json"), (None, Path::new("b=a.json")));
        let realserver = "2001:db8::9".parse().ok();
        assert_eq!(parts("2001:db8::9=a.json"), (realserver, Path::new("a.json")));
    }
}
