//! The counters of root qdiscs and of the filters of tc over rtnetlink.

use std::collections::BTreeMap;

use netlink_packet_route::tc::TcMessage;

use crate::counters::not_read::NotRead;
use crate::netlink::message::{Attributes, Malformed, Message, u32_at};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::Socket;
use crate::rtnetlink::forwarding::programs::{KIND, QDISC, takes_filters};
use netkeel_host::counters::counter::{Counter, FilterStat, QdiscStat};
use netkeel_host::counters::reading::Reading;

/// The parent of a root qdisc (`TC_H_ROOT`).
const ROOT: u32 = 0xffff_ffff;

/// `TCA_STATS2` (include/uapi/linux/rtnetlink.h).
const STATS2: u16 = 7;

/// `TCA_STATS_BASIC` and `TCA_STATS_QUEUE` (include/uapi/linux/gen_stats.h).
const BASIC: u16 = 1;
const QUEUE: u16 = 3;

/// A qdisc of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Qdisc {
    /// Its kind: `fq_codel`.
    kind: String,
    /// Packets that were sent; 32 bits.
    packets: Option<u32>,
    /// Packets that were dropped; 32 bits.
    drops: Option<u32>,
    /// Times that a packet waited for its turn; 32 bits.
    overlimits: Option<u32>,
}

/// The place of a qdisc at its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Packets that are sent wait in it.
    Root,
    /// It has no queue: only filters are attached to it.
    Filters,
}

/// Adds the counters of the root qdiscs and of the filters of interfaces that were read.
pub(super) fn read(reading: &mut Reading) -> Result<(), NotRead> {
    for ((index, place), qdisc) in dump(&mut Socket::open()?)? {
        let Some((link, _)) = reading.by_index(index) else {
            continue;
        };
        if place == Place::Filters {
            for (stat, value) in [
                (FilterStat::Packets, qdisc.packets),
                (FilterStat::Drops, qdisc.drops),
            ] {
                if let Some(value) = value {
                    reading
                        .counters
                        .insert(Counter::Filters(link, stat), value.into());
                }
            }
            continue;
        }
        // It has no queue and counts nothing.
        if qdisc.kind == "noqueue" {
            continue;
        }
        let counters = [
            (QdiscStat::Packets, qdisc.packets),
            (QdiscStat::Drops, qdisc.drops),
            (QdiscStat::Overlimits, qdisc.overlimits),
        ];
        for (stat, value) in counters {
            if let Some(value) = value {
                reading.counters.insert(Counter::Qdisc(link, stat), value.into());
            }
        }
        reading.qdiscs.insert(link, qdisc.kind.into());
    }
    Ok(())
}

/// The qdiscs of interfaces, by the index of the interface and by their place.
type Found = BTreeMap<(u32, Place), Qdisc>;

/// Reads the qdiscs of the socket's namespace that are roots or take filters.
fn dump(socket: &mut Socket) -> Result<Found, Refusal> {
    let mut found = BTreeMap::new();
    let message = TcMessage::default();
    socket.dump(libc::RTM_GETQDISC, &message, |message| one(message, &mut found))?;
    Ok(found)
}

fn one(message: &Message<'_>, found: &mut Found) -> Result<(), Malformed> {
    if message.kind != libc::RTM_NEWQDISC {
        return Ok(());
    }
    let place = match u32_at(message.payload, 12) == Some(ROOT) {
        true => Place::Root,
        false if takes_filters(message)? => Place::Filters,
        false => return Ok(()),
    };
    let index = u32_at(message.payload, 4).ok_or(Malformed("interface"))?;
    let mut qdisc = Qdisc::default();
    for attribute in Attributes::after(message.payload, QDISC)? {
        let attribute = attribute?;
        match attribute.kind {
            KIND => qdisc.kind = attribute.text(),
            STATS2 => {
                for stats in attribute.nested() {
                    let stats = stats?;
                    match stats.kind {
                        BASIC => qdisc.packets = u32_at(stats.value, 8),
                        QUEUE => {
                            qdisc.drops = u32_at(stats.value, 8);
                            qdisc.overlimits = u32_at(stats.value, 16);
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    found.insert((index, place), qdisc);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::Request;

    #[test]
    fn reads_the_root_and_what_takes_filters_and_no_other() {
        let read_with = |parent: u32, kind: &str| {
            let mut head = [0; QDISC];
            head[4] = 7;
            head[12..16].copy_from_slice(&parent.to_ne_bytes());
            let mut basic = [0; 16];
            basic[8] = 5;
            let mut queue = [0; 20];
            (queue[8], queue[16]) = (3, 4);
            let message = Request::new(libc::RTM_NEWQDISC, 0, &head)
                .text(KIND, kind)
                .nest(STATS2, |stats| {
                    stats.attribute(BASIC, &basic).attribute(QUEUE, &queue)
                })
                .finish(1)
                .to_vec();
            let message = Message {
                kind: libc::RTM_NEWQDISC,
                flags: 0,
                sequence: 1,
                payload: &message[16..],
            };
            let mut found = BTreeMap::new();
            one(&message, &mut found).unwrap();
            found
        };
        let qdisc = |kind: &str| Qdisc {
            kind: kind.to_owned(),
            packets: Some(5),
            drops: Some(3),
            overlimits: Some(4),
        };
        let root = BTreeMap::from([((7, Place::Root), qdisc("fq"))]);
        assert_eq!(read_with(ROOT, "fq"), root);
        assert!(read_with(1, "fq").is_empty());
        // TC_H_CLSACT, which is TC_H_INGRESS too.
        let filters = BTreeMap::from([((7, Place::Filters), qdisc("clsact"))]);
        assert_eq!(read_with(0xffff_fff1, "clsact"), filters);
    }
}
