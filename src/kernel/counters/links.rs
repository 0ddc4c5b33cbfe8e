//! The interfaces and their counters by rtnetlink (IFLA_STATS64).

use std::collections::BTreeMap;

use netlink_packet_route::link::LinkMessage;

use crate::counters::not_read::NotRead;
use crate::netlink::message::{Attributes, Malformed, Message};
use crate::netlink::socket::Socket;
use crate::rtnetlink::link;
use crate::rtnetlink::link::{FIXED, Row, Words};
use netkeel_host::counters::counter::{Counter, LinkStat};
use netkeel_host::counters::reading::{LinkIdentity, Reading};

/// `IFLA_STATS64` (include/uapi/linux/if_link.h).
const STATS64: u16 = 23;

/// Adds the interfaces and their counters. A kernel that has fewer counters sends a shorter list.
pub(super) fn read(reading: &mut Reading) -> Result<(), NotRead> {
    let mut socket = Socket::open()?;
    let (mut words, mut problems) = (Words::default(), Vec::new());
    // By index: a dump that was torn has an interface twice.
    let mut found: BTreeMap<u32, (Row, Vec<u64>)> = BTreeMap::new();
    socket.dump(libc::RTM_GETLINK, &LinkMessage::default(), |message| {
        let mut rows = Vec::new();
        link::read(message, &mut words, &mut rows, &mut problems)?;
        if let Some(row) = rows.pop() {
            found.insert(row.1.index, (row, stats(message)?));
        }
        Ok(())
    })?;
    for ((name, link), stats) in found.into_values() {
        let stats = LinkStat::ALL.into_iter().zip(stats);
        // A host may have 10,000 interfaces.
        for (stat, value) in stats.filter(|(stat, value)| *value > 0 || !stat.is_detail()) {
            reading.counters.insert(Counter::Link(name, stat), value);
        }
        let identity = LinkIdentity {
            index: link.index,
            kind: link.kind.clone(),
            mtu: link.mtu,
            lower: link.lower,
            leads_elsewhere: link.peer_netns.is_some(),
            master: link.master,
        };
        reading.links.insert(name, identity);
    }
    match problems.first() {
        Some(problem) => Err(NotRead::failed(format!("{}: {}", problem.what, problem.why))),
        None => Ok(()),
    }
}

/// The numbers of `struct rtnl_link_stats64`, as many as the kernel sends.
fn stats(message: &Message<'_>) -> Result<Vec<u64>, Malformed> {
    for attribute in Attributes::after(message.payload, FIXED)? {
        let attribute = attribute?;
        if attribute.kind == STATS64 {
            let (numbers, _) = attribute.value.as_chunks();
            return Ok(numbers.iter().map(|bytes| u64::from_ne_bytes(*bytes)).collect());
        }
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::Request;

    #[test]
    fn a_kernel_with_fewer_counters_sends_a_shorter_list() {
        let numbers: Vec<u8> = (1..=24u64).flat_map(u64::to_ne_bytes).collect();
        let bytes = Request::new(libc::RTM_NEWLINK, 0, &[0; FIXED])
            .attribute(STATS64, &numbers)
            .finish(1)
            .to_vec();
        let message = Message {
            kind: libc::RTM_NEWLINK,
            flags: 0,
            sequence: 1,
            payload: &bytes[16..],
        };
        let found = stats(&message).unwrap();
        assert_eq!(found, (1..=24).collect::<Vec<u64>>());
        assert_eq!(LinkStat::ALL[24], LinkStat::RxOtherhostDropped);
    }
}
