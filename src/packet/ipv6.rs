//! IPv6: ICMPv6 errors of type 2 after any extension headers, and the packets they quote.

use crate::address::Address;
use crate::bytes::{u16_at, u32_at};
use crate::checksum::{holds, sum};
use crate::too_big::{Flow, TooBig, guess};
use netkeel_core::replication::refusal::Refusal;

/// An IPv6 header, bytes.
const HEADER: usize = 40;

/// The header of a "packet too big", bytes: type, code, checksum, MTU.
const ICMP: usize = 8;

/// ICMPv6 as a next header.
const NEXT_ICMP: u8 = 58;

/// Packet Too Big. Senders set the code to 0 and receivers ignore it (RFC 4443, 3.2).
const TOO_BIG: u8 = 2;

/// The maximum number of extension headers; a valid packet has each at most once or twice (RFC 8200,
/// 4.1).
const MOST_HEADERS: usize = 8;

/// Reads a packet whose version is 6.
pub(crate) fn read(bytes: &[u8]) -> Result<TooBig, Refusal> {
    let fixed = bytes.first_chunk::<HEADER>().ok_or(Refusal::Truncated)?;
    let length = HEADER + usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
    let packet = bytes.get(..length).ok_or(Refusal::Truncated)?;
    let mut walk = Walk::new(packet, fixed[6]);
    walk.reach_the_end()?;
    if walk.fragment != 0 {
        return Err(Refusal::Fragment);
    }
    if walk.next != NEXT_ICMP {
        return Err(Refusal::NotTooBig);
    }
    if walk.segments_left {
        return Err(Refusal::ExtensionHeaders);
    }
    let message = packet.get(walk.at..).ok_or(Refusal::BadLength)?;
    let (icmp, quote) = message.split_at_checked(ICMP).ok_or(Refusal::BadLength)?;
    if icmp.first() != Some(&TOO_BIG) {
        return Err(Refusal::NotTooBig);
    }
    // The pseudo header (RFC 8200, 8.1): addresses, length, next header.
    let addresses = fixed.get(8..).map_or(0, sum);
    let pseudo = [(message.len() as u32).to_be_bytes(), [0, 0, 0, NEXT_ICMP]];
    if !holds(addresses + sum(pseudo.as_flattened()) + sum(message)) {
        return Err(Refusal::BadChecksum);
    }
    Ok(TooBig {
        length,
        ipv6: true,
        source: address(fixed, 8),
        destination: address(fixed, 24),
        mtu: u32_at(icmp, 4).unwrap_or(0),
        quoted: quoted(quote).ok_or(Refusal::BadQuote)?,
    })
}

/// The flow of a quoted packet: its headers and at least the ports after them.
fn quoted(quote: &[u8]) -> Option<Flow> {
    let fixed = quote.first_chunk::<HEADER>()?;
    if fixed[0] >> 4 != 6 {
        return None;
    }
    let mut walk = Walk::new(quote, fixed[6]);
    walk.reach_the_end().ok()?;
    // A later fragment has no ports; the first has an offset of 0.
    if walk.fragment & !1 != 0 {
        return None;
    }
    Some(Flow {
        source: address(fixed, 8),
        destination: address(fixed, 24),
        protocol: walk.next,
        ports: u32_at(quote, walk.at)?,
        guess: guess(walk.next, quote.get(walk.at..).unwrap_or_default()),
    })
}

/// A walk over the extension headers of a packet.
struct Walk<'a> {
    packet: &'a [u8],
    /// The offset of the next header.
    at: usize,
    /// The type of the next header.
    next: u8,
    /// Offset (upper 13 bits) and More (lowest bit) of a fragment header. 0 without one, and for an
    /// atomic fragment (RFC 6946), which is a complete packet.
    fragment: u16,
    /// Whether a routing header has segments left.
    segments_left: bool,
}

impl<'a> Walk<'a> {
    fn new(packet: &'a [u8], next: u8) -> Self {
        Walk {
            packet,
            at: HEADER,
            next,
            fragment: 0,
            segments_left: false,
        }
    }

    /// Moves to the first header that is not an extension.
    fn reach_the_end(&mut self) -> Result<(), Refusal> {
        for _ in 0..MOST_HEADERS {
            let rest = self.packet.get(self.at..).unwrap_or_default();
            let length = match self.next {
                // Hop-by-hop options, destination options.
                0 | 60 => eights(rest),
                43 => {
                    self.segments_left = rest.get(3).is_none_or(|left| *left != 0);
                    eights(rest)
                }
                44 => {
                    self.fragment = u16_at(rest, 2).ok_or(Refusal::ExtensionHeaders)? & 0xfff9;
                    Some(8)
                }
                // Authentication counts in four bytes, less two (RFC 4302).
                51 => rest.get(1).map(|length| (usize::from(*length) + 2) * 4),
                _ => return Ok(()),
            };
            let length = length.filter(|length| *length <= rest.len());
            self.at += length.ok_or(Refusal::ExtensionHeaders)?;
            self.next = *rest.first().ok_or(Refusal::ExtensionHeaders)?;
            if self.fragment & !1 != 0 {
                // A later fragment continues with payload, not with a header.
                return Ok(());
            }
        }
        Err(Refusal::ExtensionHeaders)
    }
}

/// The length of a header that counts in units of eight bytes, without the first unit.
fn eights(header: &[u8]) -> Option<usize> {
    header.get(1).map(|length| (usize::from(*length) + 1) * 8)
}

fn address(header: &[u8; HEADER], at: usize) -> Address {
    let bytes = header.get(at..).and_then(|rest| rest.first_chunk::<16>());
    Address::v6(bytes.copied().unwrap_or_default())
}
