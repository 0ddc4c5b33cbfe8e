//! Why a packet is not replicated, as a closed set: each reason has a name for metrics and a counter.
//! Nothing in it comes from the packet, so that no sender chooses what is stored or logged.

use serde::{Deserialize, Serialize};

/// A reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Fewer bytes than its own header says, or than were captured.
    Truncated,
    /// Neither IPv4 nor IPv6.
    NotIp,
    /// Lengths in the headers contradict each other.
    BadLength,
    /// The checksum of the IPv4 header is wrong.
    BadHeaderChecksum,
    /// A fragment: the rest of it is elsewhere.
    Fragment,
    /// IPv6 extension headers that cannot be walked, or a routing header that has not ended.
    ExtensionHeaders,
    /// Not ICMP "packet too big" by protocol, type or code.
    NotTooBig,
    /// The checksum of the ICMP message is wrong.
    BadChecksum,
    /// The quoted packet is too short to tell its flow, or no packet of the same family.
    BadQuote,
    /// The quoted packet is not from the address that the error was sent to.
    QuoteOfAnother,
    /// The quoted source is not one of `vips`.
    OutsideVips,
    /// The quoted packet went to a node.
    QuoteToNode,
    /// The next-hop MTU is below the floor.
    BelowFloor,
    /// The next-hop MTU is not below that of the interface it came in by.
    NotBelowLink,
    /// A node sent it.
    FromNode,
    /// Its source is one of `ignore_sources`.
    IgnoredSource,
    /// It is a replica: its frame came from a peer, went to all, or came out of a tunnel.
    Replica,
    /// The same flow with the same MTU was replicated a moment ago.
    Duplicate,
    /// Its source sends more than it may.
    SourceRate,
    /// More about one destination than there may be.
    DestinationRate,
    /// More copies than may be sent.
    CopyRate,
    /// There is no peer that can be reached.
    NoPeer,
}

impl Refusal {
    /// All, in the order in which they are looked for.
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

    /// Its name, as in metrics and in `netkeel status`.
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
