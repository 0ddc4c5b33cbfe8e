//! The answer to one probe.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use netkeel_core::probe::Protocol;

/// The destination port of UDP: traceroute's first, on which usually nobody listens. The host then answers that the
/// port is unreachable, which proves that the datagram arrived.
pub const UDP_PORT: u16 = 33_434;

/// The destination port of TCP: HTTPS.
pub const TCP_PORT: u16 = 443;

/// How a path is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "protocol", rename_all = "lowercase")]
pub enum Method {
    /// An ICMP echo request.
    Icmp,
    /// A UDP datagram to this port. A port on which nobody listens answers too.
    Udp {
        /// The destination port.
        port: u16,
    },
    /// A TCP SYN to this port, with data that fills it up. A port that refuses answers too.
    Tcp {
        /// The destination port.
        port: u16,
    },
}

impl Method {
    /// The methods to try in turn: one for a protocol, else all. Without a protocol, a port is that of TCP, because UDP
    /// is asked on one where nobody listens.
    pub fn all(protocol: Option<Protocol>, port: Option<u16>) -> Vec<Self> {
        let udp = |port: Option<u16>| Method::Udp {
            port: port.unwrap_or(UDP_PORT),
        };
        let tcp = Method::Tcp {
            port: port.unwrap_or(TCP_PORT),
        };
        match protocol {
            Some(Protocol::Icmp) => vec![Method::Icmp],
            Some(Protocol::Udp) => vec![udp(port)],
            Some(Protocol::Tcp) => vec![tcp],
            None => vec![Method::Icmp, udp(None), tcp],
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Method::Icmp => f.write_str("ICMP echo"),
            Method::Udp { port } => write!(f, "UDP port {port}"),
            Method::Tcp { port } => write!(f, "TCP port {port}"),
        }
    }
}

/// Where a packet was found too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reporter {
    /// The interface of this host refused to send it.
    ThisHost,
    /// An ICMP "packet too big" came from this address.
    Router(IpAddr),
}

/// The answer to one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// The target answered, so the packet arrived.
    Answered {
        /// Time between the packet and its answer; `None` if several packets were on the way.
        #[serde(rename = "micros", serialize_with = "micros")]
        #[schemars(with = "Option<u64>")]
        after: Option<Duration>,
        /// Bytes of the largest piece in which an answer of the same size came back. `None` if the answer is
        /// smaller than the packet by its nature, as that of UDP and TCP.
        back: Option<u32>,
    },
    /// Somebody takes only smaller packets.
    TooBig {
        /// The MTU in the report, bytes. `None` if the report lacks it (a router from before RFC 1191) or
        /// one that is not smaller than the packet.
        mtu: Option<u32>,
        /// The author of the report.
        from: Reporter,
    },
    /// Another host than the target reports that it does not deliver the packet.
    Undelivered {
        /// The author of the report.
        from: IpAddr,
        /// The reason, from its ICMP code.
        reason: &'static str,
    },
    /// No answer to any of the tries.
    Silent,
}

fn micros<S: Serializer>(after: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    after
        .and_then(|after| u64::try_from(after.as_micros()).ok())
        .serialize(serializer)
}

/// A time as whole microseconds, for serde.
pub(super) fn as_micros<S: Serializer>(after: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    micros(&Some(*after), serializer)
}
