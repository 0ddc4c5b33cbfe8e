//! Probes that a document declares and the service repeats, and their results.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;

use crate::error::{Error, ErrorKind};

/// Longest name of a probe in bytes. It is a label of metrics.
const LONGEST: usize = 40;

/// The name of a probe: letters, digits, dots, dashes and underscores.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ProbeName(Arc<str>);

impl FromStr for ProbeName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if (1..=LONGEST).contains(&text.len()) && text.chars().all(legal) {
            return Ok(ProbeName(text.into()));
        }
        let shown = text.escape_debug();
        Err(
            Error::new(ErrorKind::Input, format!("`{shown}` cannot name a probe")).hint(format!(
                "a name has 1 to {LONGEST} letters, digits, dots, dashes and underscores: database"
            )),
        )
    }
}

impl fmt::Display for ProbeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A protocol by which a path is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// ICMP echo.
    Icmp,
    /// A UDP datagram.
    Udp,
    /// A TCP SYN with data.
    Tcp,
}

/// The host or service that a probe asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The path MTU to a host.
    PathMtu {
        /// The host.
        target: IpAddr,
        /// The protocol; without one all are tried until one measures the path.
        protocol: Option<Protocol>,
        /// The port of UDP or TCP.
        port: Option<u16>,
    },
    /// The answer to an encapsulated SYN.
    Ipip {
        /// The host that decapsulates.
        realserver: IpAddr,
        /// The service.
        service: SocketAddr,
    },
    /// The copies of a packet too big on all nodes that replicate it.
    Replicate {
        /// The served address to which the packet is sent.
        vip: IpAddr,
        /// The services of the nodes.
        nodes: Arc<[SocketAddr]>,
    },
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::PathMtu { target, .. } => write!(f, "path MTU to {target}"),
            Target::Ipip { realserver, service } => write!(f, "{service} on {realserver}"),
            Target::Replicate { vip, .. } => write!(f, "replication for {vip}"),
        }
    }
}

/// A probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The host or service.
    pub target: Target,
    /// The smallest path MTU or MSS that is as expected, bytes.
    pub expect: Option<u16>,
}

/// The answer to a probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// The path carries packets of this size, and larger ones are reported as too big.
    Carries {
        /// Bytes.
        mtu: u32,
    },
    /// The path carries packets of this size, and larger ones disappear.
    BlackHole {
        /// Bytes.
        mtu: u32,
    },
    /// Packets of this size arrive, and their answers do not come back whole.
    LostOnTheWayBack {
        /// Bytes.
        mtu: u32,
    },
    /// The service accepts.
    SynAck {
        /// The MSS that its peers use, bytes.
        mss: u16,
    },
    /// The service refuses by a TCP reset.
    Reset,
    /// Somebody reports that the packet was not delivered.
    Rejected {
        /// The author of the report.
        from: IpAddr,
        /// The reason, from its ICMP code.
        reason: &'static str,
    },
    /// A node copied the packet too big, and all others got a copy.
    Replicated,
    /// Replication does not work.
    NotReplicated {
        /// The nodes on which it does not; none where the packet reached no worker.
        nodes: Vec<IpAddr>,
    },
    /// Whether the packet was replicated is not known.
    ReplicationUnknown {
        /// The nodes that could not be asked, or cannot know.
        nodes: Vec<IpAddr>,
    },
    /// Nobody answered.
    Silent,
    /// The packets could not be sent.
    Failed {
        /// The error.
        message: String,
    },
}

impl Outcome {
    /// The measured path MTU or MSS, bytes.
    pub fn bytes(&self) -> Option<u32> {
        match self {
            Outcome::Carries { mtu } | Outcome::BlackHole { mtu } | Outcome::LostOnTheWayBack { mtu } => {
                Some(*mtu)
            }
            Outcome::SynAck { mss } => Some((*mss).into()),
            Outcome::Reset
            | Outcome::Rejected { .. }
            | Outcome::Replicated
            | Outcome::NotReplicated { .. }
            | Outcome::ReplicationUnknown { .. }
            | Outcome::Silent
            | Outcome::Failed { .. } => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Carries { mtu } => write!(f, "path MTU {mtu}"),
            Outcome::BlackHole { mtu } => {
                write!(
                    f,
                    "path MTU {mtu}, and larger packets get no answer: a black hole"
                )
            }
            Outcome::LostOnTheWayBack { mtu } => {
                write!(f, "path MTU {mtu}, and large answers do not come back")
            }
            Outcome::SynAck { mss } => write!(f, "answered, MSS {mss}"),
            Outcome::Reset => f.write_str("refused by a TCP reset"),
            Outcome::Rejected { from, reason } => write!(f, "{reason} (from {from})"),
            Outcome::Replicated => f.write_str("replicated to all nodes"),
            Outcome::NotReplicated { nodes } if nodes.is_empty() => {
                f.write_str("not replicated: the packet reached no worker")
            }
            Outcome::NotReplicated { nodes } => write!(f, "not replicated: see {}", joined(nodes)),
            Outcome::ReplicationUnknown { nodes } => write!(
                f,
                "replication unknown: {} could not be asked, or cannot know",
                joined(nodes)
            ),
            Outcome::Silent => f.write_str("no answer, so nothing was measured"),
            Outcome::Failed { message } => f.write_str(message),
        }
    }
}

/// The addresses of nodes as text.
fn joined(nodes: &[IpAddr]) -> String {
    let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    nodes.join(", ")
}

/// The result of a probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProbeResult {
    /// The answer.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Whether it is as expected; null where there is no verdict.
    pub as_expected: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_plain_label() {
        for name in ["database", "a.b-c_9", &"x".repeat(LONGEST)] {
            assert_eq!(name.parse::<ProbeName>().unwrap().to_string(), name);
        }
        for name in ["", "a b", "a\"", "ä", &"x".repeat(LONGEST + 1)] {
            assert!(name.parse::<ProbeName>().is_err(), "{name}");
        }
    }
}
