//! `netkeel probe ipip`: asks realservers with an encapsulated SYN, as their load balancer would.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args;

use crate::arguments::Format;
use crate::at_once::at_once;
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
use netkeel_render::mtu::encapsulated::{EncapsulatedSyn, Row, Sent, answer, table};
use netkeel_render::paint::Paint;

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
    /// of each realserver: a failure is explained from the one whose interfaces have the realserver's address.
    #[arg(long, value_name = "FILE")]
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
    let snapshots = arguments.snapshot.iter().map(|path| read_snapshot(path));
    let snapshots = snapshots.collect::<Result<Vec<Snapshot>, Error>>()?;
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
            let snapshot = match snapshots.as_slice() {
                [only] => Some(only),
                several => of_realserver(several, target.realserver),
            };
            let explanation = explanation(snapshot, &sent);
            if arguments.output == Format::Text {
                let paint = Paint(output::stdout_colour());
                output::print(&answer(
                    &sent.packet,
                    sent.answer,
                    expected,
                    explanation.as_ref(),
                    paint,
                ))?;
            }
            vec![Row {
                explanation,
                ..row(target, Ok(sent), expected)
            }]
        }
        _ => {
            let path = arguments.targets.as_deref().unwrap_or_else(|| "-".as_ref());
            let text = read_printed(path)?;
            let targets = targets(&text).map_err(|error| error.context(path.display()))?;
            let results = inside(&netns, || at_once(&targets, |target| ask(*target)))?;
            let results = targets.iter().zip(results);
            let rows: Vec<Row> = results
                .map(|(target, result)| {
                    let snapshot = of_realserver(&snapshots, target.realserver);
                    let explanation = result.as_ref().ok().and_then(|sent| explanation(snapshot, sent));
                    Row {
                        explanation,
                        ..row(*target, result, expected)
                    }
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

/// The snapshot of a realserver: the only one whose interfaces have its address.
fn of_realserver(snapshots: &[Snapshot], realserver: IpAddr) -> Option<&Snapshot> {
    let has_it = |snapshot: &&Snapshot| {
        let addresses = snapshot.links.values().flat_map(|link| &link.addresses);
        addresses.into_iter().any(|own| own.addr() == realserver)
    };
    let mut found = snapshots.iter().filter(has_it);
    found.next().filter(|_| found.next().is_none())
}

/// Why there was no answer, or a bad one.
fn explanation(snapshot: Option<&Snapshot>, sent: &Sent) -> Option<Explanation> {
    snapshot
        .filter(|_| needs_reasons(sent.answer))
        .map(|snapshot| explain(snapshot, &sent.packet))
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
