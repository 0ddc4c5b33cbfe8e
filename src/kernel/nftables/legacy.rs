//! Rules of iptables-legacy: read from the tables that there are, and never written. A table that
//! the kernel has not made yet is not asked for, since that would make it.
#![expect(unsafe_code, reason = "getsockopt takes a pointer")]

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

use crate::files::read;
use crate::netlink::message::{u16_at, u32_at};
use crate::netlink::refusal::error;
use crate::nftables::conditions::Conditions;
use crate::nftables::expression::{End, end_of_target};
use crate::nftables::foreign::RulePosition;
use crate::nftables::foreign::reach::{Base, Step};
use crate::nftables::protocol::{NFPROTO_IPV4, NFPROTO_IPV6};
use crate::nftables::{foreign, protocol};
use netkeel_host::snapshot::problem::{Problem, Subject};

/// IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES; those of IPv6 have the same numbers.
const GET_INFO: libc::c_int = 64;

const GET_ENTRIES: libc::c_int = 65;

/// `struct ipt_getinfo`, and what stands before the entries in `struct ipt_get_entries`, bytes
/// (include/uapi/linux/netfilter_ipv4/ip_tables.h).
const INFO: usize = 84;

const BEFORE_ENTRIES: usize = 40;

/// Largest table in bytes that is believed.
const LARGEST: usize = 64 * 1024 * 1024;

/// Where the parts of an entry stand, in bytes from its beginning.
struct Layout {
    family: &'static str,
    protocol: u8,
    level: libc::c_int,
    names: &'static str,
    /// Bytes of an address: source, destination and their masks come first.
    address: usize,
    /// Of the inverting flags.
    inverted: usize,
    /// Of the offsets of target and next entry.
    offsets: usize,
    /// Of the first extension.
    extensions: usize,
}

const LAYOUTS: [Layout; 2] = [
    Layout {
        family: "ip",
        protocol: NFPROTO_IPV4,
        level: libc::IPPROTO_IP,
        names: "/proc/thread-self/net/ip_tables_names",
        address: 4,
        inverted: 83,
        offsets: 88,
        extensions: 112,
    },
    Layout {
        family: "ip6",
        protocol: NFPROTO_IPV6,
        level: libc::IPPROTO_IPV6,
        names: "/proc/thread-self/net/ip6_tables_names",
        address: 16,
        inverted: 132,
        offsets: 140,
        extensions: 168,
    },
];

/// The tables that see packets before they are routed, with their priorities
/// (include/uapi/linux/netfilter_ipv4.h).
const TABLES: [(&str, i32); 2] = [("raw", libc::NF_IP_PRI_RAW), ("mangle", libc::NF_IP_PRI_MANGLE)];

/// The chains of the tables that there are.
pub(crate) fn read(problems: &mut Vec<Problem>) -> Vec<Base> {
    let mut bases = Vec::new();
    for layout in &LAYOUTS {
        let names = match read::system(layout.names) {
            Ok(names) => names,
            // The kernel has no such tables, or they are not for this user to see: then nftables
            // are not either, which is reported.
            Err(_) => continue,
        };
        for (table, priority) in TABLES {
            if !names.lines().any(|name| name == table) {
                continue;
            }
            let mut base = Base::new(priority, false);
            match read_table(layout, table) {
                Ok(Some(chain)) => {
                    walk(layout, table, &chain.entries, &mut base);
                    if chain.drops {
                        base.drops(Some(layout.protocol));
                    }
                }
                Ok(None) => {}
                Err(errno) => {
                    base.drops(Some(layout.protocol));
                    problems.push(Problem {
                        what: Subject::Other(format!(
                            "the table {table} of iptables-legacy ({})",
                            layout.family
                        )),
                        why: error(errno).message,
                    });
                }
            }
            bases.push(base);
        }
    }
    bases
}

/// The chain PREROUTING: the entries less the policy at its end, and whether that lets nothing through.
struct Prerouting {
    entries: Vec<u8>,
    drops: bool,
}

/// Bytes of a target's header, before the verdict of a standard target.
const HEADER: usize = 32;

/// The chain of a table, if the table has it.
fn read_table(layout: &Layout, table: &str) -> Result<Option<Prerouting>, Errno> {
    let family = if layout.protocol == NFPROTO_IPV4 {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw)?;
    // A table that changes between the two questions is asked for again (EAGAIN).
    for _ in 0..4 {
        let mut info = named(table, INFO);
        ask(&socket, layout.level, GET_INFO, &mut info)?;
        let word = |at: usize| u32_at(&info, at).map(|word| word as usize).ok_or(Errno::EBADMSG);
        let (hooks, first, policy, size) = (word(32)?, word(36)?, word(56)?, word(80)?);
        if hooks & 1 == 0 || first > policy {
            return Ok(None);
        }
        if size > LARGEST {
            return Err(Errno::EMSGSIZE);
        }
        let mut entries = named(table, BEFORE_ENTRIES + size);
        if let Some(place) = entries.get_mut(32..36) {
            place.copy_from_slice(&(size as u32).to_ne_bytes());
        }
        match ask(&socket, layout.level, GET_ENTRIES, &mut entries) {
            Ok(()) => {
                let table = entries.get(BEFORE_ENTRIES..).unwrap_or_default();
                let (chain, last) = (table.get(first..policy), table.get(policy..));
                return Ok(Some(Prerouting {
                    entries: chain.ok_or(Errno::EBADMSG)?.to_vec(),
                    drops: end(layout, last.unwrap_or_default()) != Some(End::Chain),
                }));
            }
            Err(Errno::EAGAIN) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EAGAIN)
}

fn named(table: &str, length: usize) -> Vec<u8> {
    let mut bytes = table.as_bytes().to_vec();
    bytes.resize(length, 0);
    bytes
}

fn ask(socket: &OwnedFd, level: libc::c_int, what: libc::c_int, bytes: &mut [u8]) -> Result<(), Errno> {
    let mut length = bytes.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to the buffer, which has that many and
    // outlives the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            what,
            bytes.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    Errno::result(result).map(|_| ())
}

/// Walks the entries of a chain; what does not fit ends the walk.
fn walk(layout: &Layout, table: &str, mut entries: &[u8], base: &mut Base) {
    let mut position = 0;
    while let Some(next) = u16_at(entries, layout.offsets + 2).map(usize::from) {
        let Some(entry) = entries.get(..next).filter(|_| next >= layout.extensions) else {
            return;
        };
        position += 1;
        let place = RulePosition {
            family: layout.family,
            table: table.to_owned(),
            chain: "PREROUTING".to_owned(),
            position,
        };
        let conditions = conditions(layout, entry);
        base.steps.push(Step {
            logs: conditions
                .as_ref()
                .and_then(|conditions| foreign::judge(&place, true, conditions, None)),
            end: end(layout, entry),
            conditions: conditions.unwrap_or_default(),
        });
        entries = entries.get(next..).unwrap_or_default();
    }
}

/// The conditions of an entry.
fn conditions(layout: &Layout, entry: &[u8]) -> Option<Conditions> {
    const BY_INTERFACE: u8 = 0x01;
    const BY_SOURCE: u8 = 0x08;
    const BY_PROTOCOL: u8 = 0x40;
    let width = layout.address;
    let bytes = |at: usize, length: usize| entry.get(at..at + length);
    let is_set = |bytes: &[u8]| bytes.iter().any(|byte| *byte != 0);
    let mut found = Conditions {
        family: Some(layout.protocol),
        ..Conditions::default()
    };
    let inverted = *entry.get(layout.inverted)?;
    let (source, source_mask) = (bytes(0, width)?, bytes(2 * width, width)?);
    if is_set(source_mask) {
        match protocol::network(layout.protocol == NFPROTO_IPV6, source, Some(source_mask)) {
            Some(net) if inverted & BY_SOURCE != 0 => found.ignored.push(net),
            Some(net) => found.from.push(net),
            None => found.unknown = true,
        }
    }
    let interfaces = 4 * width;
    let (name, mask) = (bytes(interfaces, 16)?, bytes(interfaces + 32, 16)?);
    if is_set(mask) {
        let length = mask.iter().take_while(|byte| **byte != 0).count();
        let name = name.get(..length)?;
        match inverted & BY_INTERFACE != 0 {
            true => found.unknown |= found.not(name).is_none(),
            false => found.interface = Some(name.to_vec()),
        }
    }
    // The destination, and the interface by which the packet would leave.
    found.unknown |= is_set(bytes(3 * width, width)?) || is_set(bytes(interfaces + 48, 16)?);
    found.unknown |= inverted & !(BY_INTERFACE | BY_SOURCE) != 0;
    let protocol = u16_at(entry, interfaces + 64)?;
    found.protocol = (protocol != 0 && inverted & BY_PROTOCOL == 0).then_some(protocol as u8);
    let target = usize::from(u16_at(entry, layout.offsets)?);
    let mut at = layout.extensions;
    while at < target {
        at += extension(entry, at, target, false, &mut found)?;
    }
    extension(entry, target, entry.len(), true, &mut found)?;
    Some(found)
}

/// What the target of an entry ends, at most. The verdict of a standard target is less than 0, or it jumps
/// (`struct xt_standard_target`).
fn end(layout: &Layout, entry: &[u8]) -> Option<End> {
    /// -NF_ACCEPT - 1, and XT_RETURN.
    const ENDS_THE_CHAIN: [u32; 2] = [-2_i32 as u32, -5_i32 as u32];
    let target = u16_at(entry, layout.offsets).map(usize::from).unwrap_or_default();
    let Some(target) = entry.get(target..).filter(|target| target.len() >= HEADER) else {
        return Some(End::Packet);
    };
    let name = target.get(2..31).unwrap_or_default();
    match name.split(|byte| *byte == 0).next().unwrap_or_default() {
        b"" => match u32_at(target, HEADER) {
            Some(verdict) if ENDS_THE_CHAIN.contains(&verdict) => Some(End::Chain),
            _ => Some(End::Packet),
        },
        name => end_of_target(&String::from_utf8_lossy(name)),
    }
}

/// One extension: `struct xt_entry_match`, or `struct xt_entry_target`. Its length is returned.
fn extension(entry: &[u8], at: usize, end: usize, target: bool, found: &mut Conditions) -> Option<usize> {
    let length = usize::from(u16_at(entry, at)?);
    let whole = entry
        .get(at..at.checked_add(length)?)
        .filter(|_| length >= HEADER && at + length <= end)?;
    let name = whole.get(2..31)?;
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let revision = u32::from(*whole.get(31)?);
    let name = String::from_utf8_lossy(name);
    let known = found.extension(target, &name, revision, whole.get(HEADER..)?);
    found.unknown |= known.is_none();
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), next in 0u16..400, target in 0u16..400) {
            for layout in &LAYOUTS {
                let mut bytes = bytes.clone();
                if let Some(place) = bytes.get_mut(layout.offsets..layout.offsets + 4) {
                    place[..2].copy_from_slice(&target.to_ne_bytes());
                    place[2..].copy_from_slice(&next.to_ne_bytes());
                }
                walk(layout, "raw", &bytes, &mut Base::new(0, false));
            }
        }
    }
}
