//! Programs of XDP and places of tc filters on interfaces. Which programs those filters are is not read.

use std::collections::BTreeSet;

use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_packet_route::tc::TcMessage;
use nix::errno::Errno;

use crate::netlink::message::{Attributes, Malformed, Message, u32_at};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::Socket;
use crate::rtnetlink::forwarding::named::Named;
use crate::rtnetlink::link::FIXED;
use netkeel_core::name::link::LinkName;

/// Size of `struct tcmsg` (include/uapi/linux/rtnetlink.h).
pub(crate) const QDISC: usize = 20;

/// `IFLA_XDP_ATTACHED`, which is 0 without a program (include/uapi/linux/if_link.h).
const ATTACHED: u16 = 2;

/// `TCA_KIND` (include/uapi/linux/rtnetlink.h).
pub(crate) const KIND: u16 = 1;

/// Reads the interfaces with a program of XDP.
pub(super) fn xdp(socket: &mut Socket, named: Named<'_>) -> Result<BTreeSet<LinkName>, Refusal> {
    let mut links = LinkMessage::default();
    links.attributes = vec![LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])];
    let mut found = BTreeSet::new();
    socket.dump(libc::RTM_GETLINK, &links, |message| {
        if has_xdp(message)? {
            // An interface that is newer than the list of interfaces is not known.
            found.extend(u32_at(message.payload, 4).and_then(named));
        }
        Ok(())
    })?;
    Ok(found)
}

/// Reads the interfaces with a qdisc that only filters are attached to.
pub(super) fn tc(socket: &mut Socket, named: Named<'_>) -> Result<BTreeSet<LinkName>, Refusal> {
    let mut found = BTreeSet::new();
    let read = socket.dump(libc::RTM_GETQDISC, &TcMessage::default(), |message| {
        if takes_filters(message)? {
            found.extend(u32_at(message.payload, 4).and_then(named));
        }
        Ok(())
    });
    or_none(read.map(|()| found))
}

/// A kernel without qdiscs (CONFIG_NET_SCHED) has none on any interface.
fn or_none(read: Result<BTreeSet<LinkName>, Refusal>) -> Result<BTreeSet<LinkName>, Refusal> {
    match read {
        Err(refusal) if refusal.errno == Errno::EOPNOTSUPP => Ok(BTreeSet::new()),
        read => read,
    }
}

fn has_xdp(message: &Message<'_>) -> Result<bool, Malformed> {
    if message.kind != libc::RTM_NEWLINK {
        return Ok(false);
    }
    for attribute in Attributes::after(message.payload, FIXED)? {
        let attribute = attribute?;
        if attribute.kind != libc::IFLA_XDP {
            continue;
        }
        for inner in attribute.nested() {
            let inner = inner?;
            if inner.kind == ATTACHED && inner.value.first().is_some_and(|mode| *mode != 0) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether a message is of a qdisc that only filters are attached to.
pub(crate) fn takes_filters(message: &Message<'_>) -> Result<bool, Malformed> {
    if message.kind != libc::RTM_NEWQDISC {
        return Ok(false);
    }
    for attribute in Attributes::after(message.payload, QDISC)? {
        let attribute = attribute?;
        if attribute.kind == KIND {
            return Ok(matches!(attribute.string(), b"clsact" | b"ingress"));
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::Request;
    use proptest::prelude::*;

    fn message(kind: u16, payload: &[u8]) -> Message<'_> {
        Message {
            kind,
            flags: 0,
            sequence: 1,
            payload,
        }
    }

    #[test]
    fn a_program_is_attached_where_its_mode_is_not_0() {
        let with = |mode: u8| {
            let request = Request::new(0, 0, &[0; FIXED]);
            let request = request.nest(libc::IFLA_XDP, |xdp| xdp.attribute(ATTACHED, &[mode]));
            has_xdp(&message(libc::RTM_NEWLINK, request.body())).unwrap()
        };
        assert_eq!((with(0), with(1), with(4)), (false, true, true));
    }

    #[test]
    fn a_qdisc_for_filters_is_told_from_a_queue() {
        let of = |kind: &str| {
            let request = Request::new(0, 0, &[0; QDISC]).text(KIND, kind);
            takes_filters(&message(libc::RTM_NEWQDISC, request.body())).unwrap()
        };
        assert!(of("clsact") && of("ingress") && !of("fq_codel"));
    }

    #[test]
    fn a_kernel_without_qdiscs_has_no_places_for_filters() {
        let refused = |errno: Errno| or_none(Err(errno.into()));
        assert_eq!(refused(Errno::EOPNOTSUPP), Ok(BTreeSet::new()));
        assert!(refused(Errno::EPERM).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = has_xdp(&message(libc::RTM_NEWLINK, &bytes));
            let _ = takes_filters(&message(libc::RTM_NEWQDISC, &bytes));
        }
    }
}
