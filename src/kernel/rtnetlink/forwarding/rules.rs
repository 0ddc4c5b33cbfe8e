//! Routing rules beside the kernel's own.

use std::collections::BTreeSet;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::rule::RuleMessage;
use nix::errno::Errno;

use crate::netlink::message::{Attributes, Malformed, Message};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::Socket;
use netkeel_host::snapshot::forwarding::Family;

/// `struct fib_rule_hdr`, bytes (include/uapi/linux/fib_rules.h).
const FIXED: usize = 12;

/// FRA_PRIORITY, FRA_FWMARK, FRA_SUPPRESS_PREFIXLEN, FRA_TABLE, FRA_PAD, FRA_L3MDEV and FRA_PROTOCOL.
const PRIORITY: u16 = 6;
const MARK: u16 = 10;
const SUPPRESS: u16 = 14;
const TABLE: u16 = 15;
const PAD: u16 = 18;
const VRF: u16 = 19;
const PROTOCOL: u16 = 21;

/// FR_ACT_TO_TBL.
const TO_TABLE: u8 = 1;

/// FIB_RULE_INVERT.
const INVERT: u32 = 2;

/// The priorities of the kernel's rules, and their tables: local, main and default (`fib_default_rules_init`,
/// net/ipv4/fib_rules.c; `fib6_rules_net_init`, net/ipv6/fib6_rules.c).
const OF_IPV4: [(u32, u32); 3] = [(0, 255), (32_766, 254), (32_767, 253)];
const OF_IPV6: [(u32, u32); 2] = [(0, 255), (32_766, 254)];

/// The tables default, main and local (include/uapi/linux/rtnetlink.h).
const USUAL_TABLES: [u32; 3] = [253, 254, 255];

/// The families whose rules are not just those that the kernel makes by itself: there are others, or one is missing.
pub(super) fn families_with_other_rules(socket: &mut Socket) -> Result<BTreeSet<Family>, Refusal> {
    let mut found = BTreeSet::new();
    for (number, family, usual) in [
        (AddressFamily::Inet, Family::Ipv4, &OF_IPV4[..]),
        (AddressFamily::Inet6, Family::Ipv6, &OF_IPV6[..]),
    ] {
        // A torn dump is taken again, so that a rule may come several times.
        let mut rules = BTreeSet::new();
        let is_there = of(socket, number, |message| {
            rules.insert(plain(message)?);
            Ok(())
        })?;
        if is_there && !rules.into_iter().eq(usual.iter().copied().map(Some)) {
            found.insert(family);
        }
    }
    Ok(found)
}

/// The families with a rule that can send a packet without a mark to another table than the usual ones. The rule
/// that the kernel makes for VRFs concerns only their ports.
pub(crate) fn families_with_policy_routing(socket: &mut Socket) -> Result<BTreeSet<Family>, Refusal> {
    families_with(socket, chooses_a_table)
}

fn families_with(
    socket: &mut Socket,
    counts: fn(&Message<'_>) -> Result<bool, Malformed>,
) -> Result<BTreeSet<Family>, Refusal> {
    let mut found = BTreeSet::new();
    each(socket, |family, message| {
        if counts(message)? {
            found.insert(family);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Gives each rule of both families to `see`.
fn each(
    socket: &mut Socket,
    mut see: impl FnMut(Family, &Message<'_>) -> Result<(), Malformed>,
) -> Result<(), Refusal> {
    for (number, family) in [
        (AddressFamily::Inet, Family::Ipv4),
        (AddressFamily::Inet6, Family::Ipv6),
    ] {
        of(socket, number, |message| see(family, message))?;
    }
    Ok(())
}

/// Gives each rule of a family to `see`. Whether the kernel has the family: it may be booted with `ipv6.disable=1`
/// (`fib_nl_dumprule`, net/core/fib_rules.c).
fn of(
    socket: &mut Socket,
    family: AddressFamily,
    mut see: impl FnMut(&Message<'_>) -> Result<(), Malformed>,
) -> Result<bool, Refusal> {
    let mut message = RuleMessage::default();
    message.header.family = family;
    let read = socket.dump(libc::RTM_GETRULE, &message, |message| {
        match message.kind == libc::RTM_NEWRULE {
            true => see(message),
            false => Ok(()),
        }
    });
    match read {
        Ok(_) => Ok(true),
        Err(refusal) if refusal.errno == Errno::EAFNOSUPPORT => Ok(false),
        Err(refusal) => Err(refusal),
    }
}

/// The priority and the table of a rule that sends every packet to a table; none for another one.
fn plain(message: &Message<'_>) -> Result<Option<(u32, u32)>, Malformed> {
    let rule = Rule::read(message)?;
    Ok((rule.action == TO_TABLE && !rule.selects).then_some((rule.priority, rule.table)))
}

/// The tables that only packets with a mark reach. Those of VRFs are not among them, since no rule names them.
pub(crate) fn tables_of_marked_packets(socket: &mut Socket) -> Result<BTreeSet<u32>, Refusal> {
    let (mut marked, mut others) = (BTreeSet::new(), BTreeSet::from(USUAL_TABLES));
    each(socket, |_, message| {
        let rule = Rule::read(message)?;
        if rule.action == TO_TABLE && !rule.of_vrfs {
            let tables = if rule.only_marked {
                &mut marked
            } else {
                &mut others
            };
            tables.insert(rule.table);
        }
        Ok(())
    })?;
    Ok(&marked - &others)
}

/// What a rule selects, and what it does.
struct Rule {
    priority: u32,
    table: u32,
    action: u8,
    /// It is not for every packet, or not for every route of the table.
    selects: bool,
    only_marked: bool,
    of_vrfs: bool,
}

impl Rule {
    fn read(message: &Message<'_>) -> Result<Self, Malformed> {
        let byte = |at: usize| message.payload.get(at).copied().unwrap_or_default();
        // `table`, `action` and `flags` of the header.
        let (mut table, action) = (u32::from(byte(4)), byte(7));
        let flags = u32::from_ne_bytes([byte(8), byte(9), byte(10), byte(11)]);
        let inverts = flags & INVERT != 0;
        // `dst_len`, `src_len` and `tos` of the header.
        let mut selects = inverts || message.payload.get(1..4).is_none_or(|fields| fields != [0; 3]);
        // The kernel omits a priority of 0.
        let (mut priority, mut mark, mut of_vrfs) = (0, 0, false);
        for attribute in Attributes::after(message.payload, FIXED)? {
            let attribute = attribute?;
            match attribute.kind {
                PRIORITY => priority = attribute.u32()?,
                // The header has room for 255 tables.
                TABLE => table = attribute.u32()?,
                MARK => (mark, selects) = (attribute.u32()?, true),
                VRF => (of_vrfs, selects) = (true, true),
                // The kernel always gives what a rule suppresses.
                SUPPRESS => selects |= attribute.u32()? != u32::MAX,
                PAD | PROTOCOL => {}
                _ => selects = true,
            }
        }
        Ok(Rule {
            priority,
            table,
            action,
            selects,
            // A packet without a mark has the mark 0.
            only_marked: mark != 0 && !inverts,
            of_vrfs,
        })
    }
}

fn chooses_a_table(message: &Message<'_>) -> Result<bool, Malformed> {
    let rule = Rule::read(message)?;
    let usual = rule.action == TO_TABLE && USUAL_TABLES.contains(&rule.table);
    Ok(!(usual || rule.of_vrfs || rule.only_marked))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    use crate::netlink::message::Request;

    fn chooses(table: u8, action: u8, flags: u32, attributes: &[(u16, u32)]) -> bool {
        let mut fixed = [2, 0, 0, 0, table, 0, 0, action, 0, 0, 0, 0];
        fixed[8..].copy_from_slice(&flags.to_ne_bytes());
        let mut request = Request::new(libc::RTM_NEWRULE, 0, &fixed);
        for (kind, value) in attributes {
            request = request.attribute(*kind, &value.to_ne_bytes());
        }
        let payload = request.body().to_vec();
        let message = Message {
            kind: libc::RTM_NEWRULE,
            flags: 0,
            sequence: 1,
            payload: &payload,
        };
        chooses_a_table(&message).unwrap()
    }

    #[test]
    fn rules_of_the_kernel_of_vrfs_and_of_marks_choose_no_table() {
        assert!(!chooses(255, 1, 0, &[]) && !chooses(254, 1, 0, &[(PRIORITY, 32_766)]));
        assert!(!chooses(0, 1, 0, &[(VRF, 1)]));
        // Cilium's.
        assert!(!chooses(0, 1, 0, &[(MARK, 0x200), (TABLE, 2004)]));
        assert!(chooses(100, 1, 0, &[]) && chooses(0, 1, 0, &[(TABLE, 2004)]));
        // wg-quick's: all packets but the tunnel's own.
        assert!(chooses(0, 1, INVERT, &[(MARK, 0xca6c), (TABLE, 51_820)]));
        // `unreachable`.
        assert!(chooses(0, 7, 0, &[]));
    }

    /// Needs root and iproute2.
    #[test]
    fn a_family_is_usual_with_exactly_the_rules_of_the_kernel() {
        let others = |commands: &[&str]| {
            std::thread::scope(|scope| {
                let asks = || {
                    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
                    for command in commands {
                        let done = Command::new("ip").args(command.split(' ')).status().unwrap();
                        assert!(done.success(), "{command}");
                    }
                    families_with_other_rules(&mut Socket::open().unwrap()).unwrap()
                };
                scope.spawn(asks).join().unwrap()
            })
        };
        let ipv4 = BTreeSet::from([Family::Ipv4]);
        assert_eq!(others(&[]), BTreeSet::new());
        assert_eq!(others(&["rule add lookup 100"]), ipv4);
        assert_eq!(others(&["rule del pref 32766"]), ipv4);
        assert_eq!(
            others(&["-6 rule del pref 32766"]),
            BTreeSet::from([Family::Ipv6])
        );
        for rule in [
            "rule add pref 32766 lookup 100",
            "rule add from 10.0.0.0/8 pref 32766 lookup main",
            "rule add pref 32766 lookup main suppress_prefixlength 0",
            "rule add pref 32766 blackhole",
        ] {
            assert_eq!(others(&["rule del pref 32766", rule]), ipv4, "{rule}");
        }
        assert_eq!(
            others(&["rule del pref 32766", "rule add pref 32766 lookup main"]),
            BTreeSet::new()
        );
    }
}
