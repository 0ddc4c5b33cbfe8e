//! Extensions of iptables as conditions: `struct xt_tcp`, `struct xt_udp`, `struct xt_state_info` and
//! `struct xt_conntrack_mtinfo3` (include/uapi/linux/netfilter).

use crate::netlink::message::{u16_at, u32_at};
use netkeel_host::snapshot::firewall::{Condition, ConnectionState, Test};

/// The conditions of an extension; none if it is not known.
pub(super) fn conditions(name: &str, revision: Option<u32>, info: &[u8]) -> Option<Vec<Condition>> {
    match (name, revision) {
        ("comment", _) => Some(Vec::new()),
        ("tcp", Some(0)) => tcp(info),
        ("udp", Some(0)) => range(info, 8),
        ("state", Some(0)) => u32_at(info, 0).map(|bits| vec![states(bits, false)]),
        ("conntrack", Some(2 | 3)) => conntrack(info),
        _ => None,
    }
}

/// A test of the port at an offset in the header.
pub(super) fn ports(at: u32, range: [u16; 2]) -> Test {
    match at {
        0 => Test::SourcePort(range),
        _ => Test::DestinationPort(range),
    }
}

fn states(bits: u32, not: bool) -> Condition {
    Condition {
        test: Test::State(ConnectionState::of_bits(bits)),
        not,
    }
}

/// Ranges of ports, and the byte with their inversion.
fn range(info: &[u8], inverted: usize) -> Option<Vec<Condition>> {
    let inverted = *info.get(inverted)?;
    let mut found = Vec::new();
    for (at, bit) in [(0, 1), (4, 2)] {
        let range = [u16_at(info, at)?, u16_at(info, at + 2)?];
        let not = inverted & bit != 0;
        // All ports, unless the rule wants none of them.
        if range != [0, u16::MAX] || not {
            let at = if at == 0 { 0 } else { 2 };
            found.push(Condition {
                test: ports(at, range),
                not,
            });
        }
    }
    Some(found)
}

/// XT_TCP_INV_FLAGS (include/uapi/linux/netfilter/xt_tcpudp.h); 8 inverts the option.
const INVERTED_FLAGS: u8 = 4;

/// Ports, option, mask of the flags, flags, inversions.
fn tcp(info: &[u8]) -> Option<Vec<Condition>> {
    let [option, mask, value, inverted] = *info.get(8..)?.first_chunk()?;
    let mut found = range(info, 11)?;
    if option != 0 {
        return None;
    }
    let not = inverted & INVERTED_FLAGS != 0;
    // Without a mask and a value it is a condition on nothing, which always holds.
    if not || mask != 0 || value != 0 {
        found.push(Condition {
            test: Test::TcpFlags { mask, value },
            not,
        });
    }
    Some(found)
}

/// Only its condition on the state is known.
fn conntrack(info: &[u8]) -> Option<Vec<Condition>> {
    const STATE: u16 = 1;
    // XT_CONNTRACK_STATE_UNTRACKED; the bits below it are for translated addresses.
    const UNTRACKED: u16 = 1 << 8;
    let (flags, inverted, bits) = (u16_at(info, 146)?, u16_at(info, 148)?, u16_at(info, 150)?);
    let mut known = u32::from(bits & 0xf);
    if bits & UNTRACKED != 0 {
        known |= ConnectionState::Untracked.bit();
    }
    let is_known = flags == STATE && bits & !(0xf | UNTRACKED) == 0;
    is_known.then(|| vec![states(known, inverted & STATE != 0)])
}
