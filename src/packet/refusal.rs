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

/// How often each reason was met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused([u64; Refusal::ALL.len()]);

impl Refused {
    /// Counts one.
    pub fn count(&mut self, refusal: Refusal) {
        if let Some(counter) = self.0.get_mut(refusal as usize) {
            *counter += 1;
        }
    }

    /// How often a reason was met.
    pub fn of(&self, refusal: Refusal) -> u64 {
        self.0.get(refusal as usize).copied().unwrap_or(0)
    }

    /// All together.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Every reason with its count.
    pub fn each(&self) -> impl Iterator<Item = (Refusal, u64)> {
        Refusal::ALL.into_iter().zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_name_and_a_counter_of_its_own() {
        let mut refused = Refused::default();
        for (place, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, place);
            assert_eq!(
                serde_json::to_value(refusal).unwrap(),
                serde_json::Value::from(refusal.name())
            );
            for _ in 0..=place {
                refused.count(refusal);
            }
        }
        let counts: Vec<u64> = refused.each().map(|(_, count)| count).collect();
        assert_eq!(counts, (1..=22).collect::<Vec<u64>>());
    }
}
