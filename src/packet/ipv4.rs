//! IPv4: ICMP errors of type 3 code 4, with options in either header, and the packets they quote.

use crate::address::Address;
use crate::bytes::{u16_at, u32_at};
use crate::checksum::{holds, sum};
use crate::too_big::{Flow, TooBig, guess};
use netkeel_core::replication::refusal::Refusal;

/// An IPv4 header without options, bytes.
const HEADER: usize = 20;

/// An ICMP header, bytes.
const ICMP: usize = 8;

/// The flag More Fragments and the fragment offset.
const FRAGMENT: u16 = 0x3fff;

/// The fragment offset.
const OFFSET: u16 = 0x1fff;

/// Protocol 1.
const PROTOCOL_ICMP: u8 = 1;

/// Destination Unreachable, Fragmentation Needed (RFC 792).
const TOO_BIG: [u8; 2] = [3, 4];

/// Reads a packet whose version is 4.
pub(crate) fn read(bytes: &[u8]) -> Result<TooBig, Refusal> {
    let fixed = bytes.first_chunk::<HEADER>().ok_or(Refusal::Truncated)?;
    let header = usize::from(fixed[0] & 0x0f) * 4;
    let length = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    if header < HEADER || length < header {
        return Err(Refusal::BadLength);
    }
    let packet = bytes.get(..length).ok_or(Refusal::Truncated)?;
    let (header, message) = packet.split_at_checked(header).ok_or(Refusal::BadLength)?;
    if !holds(sum(header)) {
        return Err(Refusal::BadHeaderChecksum);
    }
    if u16::from_be_bytes([fixed[6], fixed[7]]) & FRAGMENT != 0 {
        return Err(Refusal::Fragment);
    }
    if fixed[9] != PROTOCOL_ICMP {
        return Err(Refusal::NotTooBig);
    }
    let (icmp, quote) = message.split_at_checked(ICMP).ok_or(Refusal::BadLength)?;
    if icmp.get(..2) != Some(&TOO_BIG) {
        return Err(Refusal::NotTooBig);
    }
    if !holds(sum(message)) {
        return Err(Refusal::BadChecksum);
    }
    Ok(TooBig {
        length,
        ipv6: false,
        source: address(fixed, 12),
        destination: address(fixed, 16),
        // RFC 1191: the low half of what RFC 792 leaves unused.
        mtu: u16_at(icmp, 6).unwrap_or(0).into(),
        quoted: quoted(quote).ok_or(Refusal::BadQuote)?,
    })
}

/// The flow of a quoted packet: its header and at least 8 bytes after it (RFC 792). Its checksum and
/// length are not checked: a router may have changed them before it quoted the packet, and Linux does
/// not check them either.
fn quoted(quote: &[u8]) -> Option<Flow> {
    let fixed = quote.first_chunk::<HEADER>()?;
    let header = usize::from(fixed[0] & 0x0f) * 4;
    if fixed[0] >> 4 != 4 || header < HEADER {
        return None;
    }
    // Errors are about first fragments only (RFC 1122, 3.2.2), and later fragments have no ports.
    if u16::from_be_bytes([fixed[6], fixed[7]]) & OFFSET != 0 {
        return None;
    }
    let transport = quote.get(header..).filter(|transport| transport.len() >= 8)?;
    Some(Flow {
        source: address(fixed, 12),
        destination: address(fixed, 16),
        protocol: fixed[9],
        ports: u32_at(transport, 0)?,
        guess: guess(fixed[9], transport),
    })
}

fn address(header: &[u8; HEADER], at: usize) -> Address {
    let bytes = header.get(at..).and_then(|rest| rest.first_chunk::<4>());
    Address::v4(bytes.copied().unwrap_or_default())
}
