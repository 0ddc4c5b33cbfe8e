//! Routing rules beside the kernel's own.

use std::collections::BTreeSet;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::rule::RuleMessage;

use crate::netlink::message::{Attributes, Malformed, Message};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::Socket;
use netkeel_host::snapshot::forwarding::Family;

/// `struct fib_rule_hdr`, bytes (include/uapi/linux/fib_rules.h).
const FIXED: usize = 12;

/// FRA_PRIORITY.
const PRIORITY: u16 = 6;

/// The priorities of the rules for the tables local, main and default (`fib_default_rules_init`,
/// net/ipv4/fib_rules.c).
const OF_THE_KERNEL: [u32; 3] = [0, 32_766, 32_767];

/// The families with rules that the kernel did not make by itself.
pub(super) fn families_with_other_rules(socket: &mut Socket) -> Result<BTreeSet<Family>, Refusal> {
    let mut found = BTreeSet::new();
    for (number, family) in [
        (AddressFamily::Inet, Family::Ipv4),
        (AddressFamily::Inet6, Family::Ipv6),
    ] {
        let mut message = RuleMessage::default();
        message.header.family = number;
        socket.dump(libc::RTM_GETRULE, &message, |message| {
            if is_other(message)? {
                found.insert(family);
            }
            Ok(())
        })?;
    }
    Ok(found)
}

fn is_other(message: &Message<'_>) -> Result<bool, Malformed> {
    if message.kind != libc::RTM_NEWRULE {
        return Ok(false);
    }
    // The kernel omits a priority of 0.
    let mut priority = 0;
    for attribute in Attributes::after(message.payload, FIXED)? {
        let attribute = attribute?;
        if attribute.kind == PRIORITY {
            priority = attribute.u32()?;
        }
    }
    Ok(!OF_THE_KERNEL.contains(&priority))
}
