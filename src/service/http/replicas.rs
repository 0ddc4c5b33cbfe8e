//! Sends a packet too big to a served address, and asks the services of all nodes for it.

use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::ask::node_report;
use crate::http::at_once::at_once;
use netkeel_core::error::Error;
use netkeel_core::probe::{Outcome, Probe, ProbeResult, Target};
use netkeel_core::replication::node_report::{MOST_PEERS, NodeReport};
use netkeel_core::replication::probe::Token;
use netkeel_diagnose::replicas::{Observed, Verdict, judge};
use netkeel_kernel::probe::declared;
use netkeel_kernel::probe::too_big::TooBigSender;
use netkeel_render::mtu::replicas::Replicas;

/// Packets that are sent until one arrives anywhere.
const TRIES: usize = 3;

/// How long nodes are asked after each packet. A worker reports its packets once a second.
const PATIENCE: Duration = Duration::from_secs(4);

/// The pause between two questions to all nodes.
const PAUSE: Duration = Duration::from_millis(300);

/// The port of HTTPS: the flow that the packet of a declared probe quotes.
const PORT: u16 = 443;

/// The MTU in the packet of a declared probe, bytes: the smallest of IPv6.
const MTU: u16 = 1280;

/// The packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// The served address to which it is sent.
    pub vip: IpAddr,
    /// The source port of the TCP segment that it quotes.
    pub port: u16,
    /// The MTU in it, bytes.
    pub mtu: u16,
}

/// Runs a probe that a document declares, in the calling thread's namespace.
pub(crate) fn declared(wanted: &Probe) -> ProbeResult {
    let done = match &wanted.target {
        Target::PathMtu {
            target,
            protocol,
            port,
        } => declared::path_mtu(*target, *protocol, *port, wanted.expect),
        Target::Ipip { realserver, service } => declared::ipip(*realserver, *service, wanted.expect),
        Target::Replicate { vip, nodes } => {
            let packet = Packet {
                vip: *vip,
                port: PORT,
                mtu: MTU,
            };
            probe(&packet, nodes).map(|found| result(&found))
        }
    };
    done.unwrap_or_else(|error| ProbeResult {
        outcome: Outcome::Failed {
            message: error.message,
        },
        as_expected: None,
    })
}

fn result(found: &Replicas) -> ProbeResult {
    let with = |wanted: Option<bool>| {
        let nodes = found.nodes.iter().filter(|node| node.as_expected == wanted);
        nodes.map(|node| node.node).collect()
    };
    let (outcome, as_expected) = match found.verdict {
        Verdict::Replicated => (Outcome::Replicated, Some(true)),
        Verdict::NotReplicated => {
            let nodes = with(Some(false));
            (Outcome::NotReplicated { nodes }, Some(false))
        }
        Verdict::Unknown => (Outcome::ReplicationUnknown { nodes: with(None) }, None),
    };
    ProbeResult { outcome, as_expected }
}

/// Sends packets until one arrives, and judges the reports on the last.
///
/// # Errors
/// When the packet cannot be sent.
pub fn probe(packet: &Packet, nodes: &[SocketAddr]) -> Result<Replicas, Error> {
    let sender = TooBigSender::open(packet.vip, packet.port)?;
    let mut packets = 0;
    loop {
        packets += 1;
        let observed = observe(&sender, packet.mtu, nodes)?;
        let arrived = |one: &Observed| one.after.as_ref().is_ok_and(|report| report.record.is_some());
        if packets < TRIES && !observed.iter().any(arrived) {
            continue;
        }
        let (verdict, nodes) = judge(&observed, packet.vip.is_ipv6());
        return Ok(Replicas {
            format: Replicas::FORMAT,
            version: Replicas::VERSION,
            vip: packet.vip,
            source: sender.own(),
            mtu: packet.mtu,
            packets,
            verdict,
            nodes,
        });
    }
}

/// Sends a packet, and asks the nodes until each has recorded it, or the time is over.
fn observe(sender: &TooBigSender, mtu: u16, nodes: &[SocketAddr]) -> Result<Vec<Observed>, Error> {
    // No node has a record of this token.
    let ask_all = |nodes: &[SocketAddr], token, peers: &[IpAddr]| {
        at_once(nodes, |node| node_report(*node, token, peers))
    };
    let before: Vec<Option<NodeReport>> = ask_all(nodes, Token(0), &[])
        .into_iter()
        .map(Result::ok)
        .collect();
    // A node that does not answer delays each question to all of them.
    let answering: Vec<SocketAddr> = nodes
        .iter()
        .zip(&before)
        .filter(|(_, report)| report.is_some())
        .map(|(node, _)| *node)
        .collect();
    let token = sender.send(mtu)?;
    let start = Instant::now();
    loop {
        let reports = ask_all(&answering, token, &[]);
        let recorded =
            |report: &Result<NodeReport, Error>| report.as_ref().is_ok_and(|one| one.record.is_some());
        let refused = |report: &Result<NodeReport, Error>| {
            let record = report.as_ref().ok().and_then(|one| one.record.as_ref());
            record.is_some_and(|record| record.refusal().is_some())
        };
        let done = reports.iter().all(recorded) || reports.iter().any(refused);
        if done || start.elapsed() >= PATIENCE {
            break;
        }
        thread::sleep(PAUSE);
    }
    // A question has room for some peers only.
    let addresses: Vec<IpAddr> = nodes.iter().map(SocketAddr::ip).collect();
    let mut after: Vec<Result<NodeReport, Error>> = Vec::new();
    for peers in addresses.chunks(MOST_PEERS) {
        let reports = ask_all(nodes, token, peers);
        for (known, report) in after.iter_mut().zip(&reports) {
            match (known, report) {
                (Ok(known), Ok(report)) => known.peers.extend(&report.peers),
                // An incomplete report would deny that a node is a peer.
                (known @ Ok(_), Err(error)) => *known = Err(error.clone()),
                (Err(_), _) => {}
            }
        }
        if after.is_empty() {
            after = reports;
        }
    }
    let observed = nodes.iter().zip(before).zip(after);
    Ok(observed
        .map(|((node, before), after)| Observed {
            node: node.ip(),
            before,
            after: after.map_err(|error| error.message),
        })
        .collect())
}
