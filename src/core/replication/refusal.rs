//! The reasons why a packet is not replicated: a closed set. Each reason has a counter and a name for
//! metrics. A reason holds nothing from the packet, so that no sender chooses what is stored or logged.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A reason for which a packet is not replicated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Fewer bytes than its own header or the captured length says.
    Truncated,
    /// Neither IPv4 nor IPv6.
    NotIp,
    /// Lengths in the headers contradict each other.
    BadLength,
    /// The checksum of the IPv4 header is wrong.
    BadHeaderChecksum,
    /// A fragment: the rest of the packet is missing.
    Fragment,
    /// IPv6 extension headers that cannot be walked, or a routing header with segments left.
    ExtensionHeaders,
    /// Not ICMP "packet too big" by protocol, type or code.
    NotTooBig,
    /// The checksum of the ICMP message is wrong.
    BadChecksum,
    /// The quoted packet is too short for its ports, or of another family.
    BadQuote,
    /// The source of the quoted packet is not the destination of the error.
    QuoteOfAnother,
    /// The quoted source is not one of `vips`.
    OutsideVips,
    /// The quoted packet went to a node.
    QuoteToNode,
    /// The next-hop MTU is below the floor.
    BelowFloor,
    /// The next-hop MTU is not below the MTU of the interface by which answers to the quoted destination leave.
    NotBelowLink,
    /// A node sent it.
    FromNode,
    /// Its source is one of `ignore_sources`.
    IgnoredSource,
    /// The packet is a replica: its frame came from a peer, was a broadcast, or came out of a tunnel.
    Replica,
    /// The same flow with the same MTU was replicated a moment ago.
    Duplicate,
    /// The source exceeds its rate.
    SourceRate,
    /// Packets about this destination exceed its rate.
    DestinationRate,
    /// The copies exceed the total rate.
    CopyRate,
    /// No peer can be reached.
    NoPeer,
}

impl Refusal {
    /// All reasons, in the order of the checks.
    pub const ALL: [Refusal; 22] = [
        Refusal::Truncated,
        Refusal::NotIp,
        Refusal::BadLength,
        Refusal::BadHeaderChecksum,
        Refusal::Fragment,
        Refusal::ExtensionHeaders,
        Refusal::NotTooBig,
        Refusal::BadChecksum,
        Refusal::BadQuote,
        Refusal::QuoteOfAnother,
        Refusal::OutsideVips,
        Refusal::QuoteToNode,
        Refusal::BelowFloor,
        Refusal::NotBelowLink,
        Refusal::FromNode,
        Refusal::IgnoredSource,
        Refusal::Replica,
        Refusal::Duplicate,
        Refusal::SourceRate,
        Refusal::DestinationRate,
        Refusal::CopyRate,
        Refusal::NoPeer,
    ];

    /// Whether the packet could not be read: nothing in it was judged.
    pub fn is_of_reading(self) -> bool {
        self < Refusal::QuoteOfAnother
    }

    /// The name in metrics and in `netkeel status`.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::Truncated => "truncated",
            Refusal::NotIp => "not-ip",
            Refusal::BadLength => "bad-length",
            Refusal::BadHeaderChecksum => "bad-header-checksum",
            Refusal::Fragment => "fragment",
            Refusal::ExtensionHeaders => "extension-headers",
            Refusal::NotTooBig => "not-too-big",
            Refusal::BadChecksum => "bad-checksum",
            Refusal::BadQuote => "bad-quote",
            Refusal::QuoteOfAnother => "quote-of-another",
            Refusal::OutsideVips => "outside-vips",
            Refusal::QuoteToNode => "quote-to-node",
            Refusal::BelowFloor => "below-floor",
            Refusal::NotBelowLink => "not-below-link",
            Refusal::FromNode => "from-node",
            Refusal::IgnoredSource => "ignored-source",
            Refusal::Replica => "replica",
            Refusal::Duplicate => "duplicate",
            Refusal::SourceRate => "source-rate",
            Refusal::DestinationRate => "destination-rate",
            Refusal::CopyRate => "copy-rate",
            Refusal::NoPeer => "no-peer",
        }
    }
}
