//! The result of a probe of replication as text and as JSON.

use std::fmt::Write as _;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::paint::Paint;
use netkeel_core::finding::Code;
use netkeel_core::replication::refusal::Refusal;
use netkeel_core::replication::statistics::PeerState;
use netkeel_diagnose::replicas::{Arrival, NodeResult, Reason, Verdict};

/// The JSON output.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "Replicas")]
pub struct Replicas {
    /// The name of the format.
    pub format: &'static str,
    /// The version of the format.
    pub version: u32,
    /// The served address.
    pub vip: IpAddr,
    /// The source of the packet.
    pub source: IpAddr,
    /// The next-hop MTU in the packet, bytes.
    pub mtu: u16,
    /// The number of packets that were sent.
    pub packets: usize,
    /// The verdict on all nodes.
    pub verdict: Verdict,
    /// The nodes, in the order of the question.
    pub nodes: Vec<NodeResult>,
}

impl Replicas {
    /// The name of the format.
    pub const FORMAT: &'static str = "netkeel/replicas";

    /// The version of the format.
    pub const VERSION: u32 = 1;
}

/// The result as text.
pub fn replicas(result: &Replicas, paint: Paint) -> String {
    let verdict = match result.verdict {
        Verdict::Replicated => paint.green("replicated to all nodes"),
        Verdict::NotReplicated if arrived_nowhere(result) => {
            paint.red("not replicated: the packet reached no worker")
        }
        Verdict::NotReplicated => paint.red("not replicated to all nodes"),
        Verdict::Unknown => paint.yellow("unknown: a node could not be asked, or cannot know"),
    };
    let mut out = format!("{}: {verdict}\n", result.vip);
    let packets = match result.packets {
        1 => "1 packet".to_owned(),
        count => format!("{count} packets"),
    };
    let _ = writeln!(
        out,
        "  sent  {packets} too big with MTU {}: {} → {}",
        result.mtu, result.source, result.vip
    );
    let width = result.nodes.iter().map(|one| one.node.to_string().len()).max();
    let width = width.unwrap_or_default();
    for one in &result.nodes {
        let arrival = arrival(one);
        let arrival = match one.as_expected {
            Some(true) => arrival,
            Some(false) => paint.red(arrival),
            None => paint.yellow(arrival),
        };
        let node = one.node.to_string();
        let _ = writeln!(out, "  {node:<width$}  {arrival}");
        for reason in &one.reasons {
            let _ = writeln!(out, "  {:<width$}  {}", "", self::reason(reason));
        }
    }
    out
}

fn arrived_nowhere(result: &Replicas) -> bool {
    result.nodes.iter().all(|one| one.arrival == Arrival::Nothing)
}

fn arrival(result: &NodeResult) -> String {
    match result.arrival {
        Arrival::Original { copies: 1 } => "got the packet: 1 copy sent".to_owned(),
        Arrival::Original { .. } if result.reasons.contains(&Reason::DryRun) => {
            "got the packet: no copy sent".to_owned()
        }
        Arrival::Original { copies } => format!("got the packet: {copies} copies sent"),
        Arrival::Refused { refusal } => {
            format!(
                "got the packet and refused it: {} ({})",
                refusal.name(),
                why(refusal)
            )
        }
        Arrival::Copy { count: 1 } => "got a copy".to_owned(),
        Arrival::Copy { count } => format!("got {count} copies"),
        Arrival::Nothing if result.as_expected == Some(false) => "got nothing".to_owned(),
        Arrival::Nothing => "got nothing, as no copy was sent".to_owned(),
        Arrival::Unknown => "unknown".to_owned(),
    }
}

fn reason(reason: &Reason) -> String {
    match reason {
        Reason::CopiedTwice => {
            "another node copied it too: one of them took a copy for the packet, so each must name all others in peers".to_owned()
        }
        Reason::DryRun => "the worker sends nothing: dry_run, --dry-run or --mode observe".to_owned(),
        Reason::NotConfigured => "the document of its service has no replicate".to_owned(),
        Reason::WorkerFailed => "its replication has failed: `netkeel status` there says why".to_owned(),
        Reason::Starting => "its service has not finished the first full scan".to_owned(),
        Reason::RulesMissing { count } => {
            format!("its rules of nflog are not in place: {count} facts differ, see `netkeel status` there")
        }
        Reason::Finding { code, subject } => format!("{code} {subject}: {}", meaning(*code)),
        Reason::PeerState { by, state } => format!("{by} sends it no copies: the peer is {} there ({})", state.name(), of_peer(*state)),
        Reason::NotAPeer { by } => format!("{by} sends it no copies: the node is not in peers there"),
        Reason::Unreadable { refusal, count } => {
            format!("meanwhile its worker could not read {count} packets: {} ({})", refusal.name(), why(*refusal))
        }
        Reason::NotLogged => "a copy comes out of its tunnel, which the rules of nflog do not log".to_owned(),
        Reason::NoRoom => "its worker recorded too many probes within a minute".to_owned(),
        Reason::UnknownSender => {
            "no node that was asked sent the copy: name all nodes in --peers".to_owned()
        }
        Reason::TakenForCopy { peer } => {
            format!("no node sent a copy: the packet came by the MAC address of the peer {peer}, which is the router too; use another router or mode: ipip")
        }
        Reason::NoAnswer { message } => message.clone(),
    }
}

/// Why a worker refuses a packet, and what to do where that depends on the probe.
fn why(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Truncated => "the rules of nflog cut it off: raise snaplen",
        Refusal::NotIp
        | Refusal::BadLength
        | Refusal::BadHeaderChecksum
        | Refusal::Fragment
        | Refusal::ExtensionHeaders => "it is not a complete IP packet",
        Refusal::NotTooBig | Refusal::BadChecksum | Refusal::BadQuote => "it is not a valid packet too big",
        Refusal::QuoteOfAnother => "the address was translated on the way",
        Refusal::OutsideVips => "vips does not contain the address",
        Refusal::QuoteToNode => "this host is a peer there: probe from another, or set flows_to_nodes",
        Refusal::BelowFloor => "its MTU is below floor: see --mtu",
        Refusal::NotBelowLink => {
            "its MTU is not below that of the interface by which the node answers this host: see --mtu"
        }
        Refusal::FromNode => "this host is a peer there: probe from another",
        Refusal::IgnoredSource => "ignore_sources contains this host",
        Refusal::Replica => "it is a copy",
        Refusal::Duplicate => "the same packet was copied a moment ago",
        Refusal::SourceRate | Refusal::DestinationRate | Refusal::CopyRate => "a rate limit is reached",
        Refusal::NoPeer => "no peer can be reached",
    }
}

fn of_peer(state: PeerState) -> &'static str {
    match state {
        PeerState::Ready | PeerState::Router => "it gets copies",
        PeerState::Itself => "the address is that node's own",
        PeerState::Unresolved => "its MAC address is not known",
        PeerState::NoRoute => "there is no route to it",
        PeerState::BehindRouter => "use mode: ipip",
        PeerState::SameStation => "an earlier peer has the same MAC address",
        PeerState::Ipv4Only => "IPv6 copies need an IPv6 address",
        PeerState::Refused => "that node does not let copies out",
    }
}

/// The effect of a finding on replication.
fn meaning(code: Code) -> &'static str {
    match code {
        Code::NK009 => "reverse path filtering drops the copies that come out of the tunnel",
        Code::NK036 => "the rules of nflog cut off or filter packets before the worker",
        Code::NK038 => "a router on the link is in this list, so its messages are lost",
        Code::NK039 => "reverse path filtering drops copies that arrive there",
        Code::NK062 => {
            "it names a port: the kernel hands its packets to its master, so the rules match nothing"
        }
        _ => "see its page",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(last: u8, arrival: Arrival, as_expected: Option<bool>, reasons: Vec<Reason>) -> NodeResult {
        NodeResult {
            node: [192, 0, 2, last].into(),
            arrival,
            as_expected,
            reasons,
        }
    }

    fn result(verdict: Verdict, nodes: Vec<NodeResult>) -> Replicas {
        Replicas {
            format: Replicas::FORMAT,
            version: Replicas::VERSION,
            vip: [198, 51, 100, 10].into(),
            source: [203, 0, 113, 7].into(),
            mtu: 1280,
            packets: 1,
            verdict,
            nodes,
        }
    }

    #[test]
    fn each_node_has_a_line_and_its_reasons() {
        let by = [192, 0, 2, 1].into();
        let state = PeerState::BehindRouter;
        let nodes = vec![
            node(1, Arrival::Original { copies: 2 }, Some(true), Vec::new()),
            node(2, Arrival::Copy { count: 1 }, Some(true), Vec::new()),
            node(
                10,
                Arrival::Nothing,
                Some(false),
                vec![Reason::PeerState { by, state }],
            ),
        ];
        let text = replicas(&result(Verdict::NotReplicated, nodes), Paint(false));
        assert_eq!(
            text,
            "198.51.100.10: not replicated to all nodes
  sent  1 packet too big with MTU 1280: 203.0.113.7 → 198.51.100.10
  192.0.2.1   got the packet: 2 copies sent
  192.0.2.2   got a copy
  192.0.2.10  got nothing
              192.0.2.1 sends it no copies: the peer is behind-router there (use mode: ipip)
"
        );
    }

    #[test]
    fn a_packet_that_reached_no_worker_says_so() {
        let nodes = vec![node(1, Arrival::Nothing, None, Vec::new())];
        let text = replicas(&result(Verdict::NotReplicated, nodes), Paint(false));
        assert!(
            text.starts_with("198.51.100.10: not replicated: the packet reached no worker\n"),
            "{text}"
        );
        let refusal = Refusal::BelowFloor;
        let nodes = vec![node(1, Arrival::Refused { refusal }, Some(false), Vec::new())];
        let text = replicas(&result(Verdict::NotReplicated, nodes), Paint(false));
        assert!(
            text.contains("refused it: below-floor (its MTU is below floor: see --mtu)\n"),
            "{text}"
        );
    }
}
