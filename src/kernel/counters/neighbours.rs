//! Neighbours that did not answer, or have not answered yet, by rtnetlink.

use netlink_packet_route::neighbour::NeighbourMessage;

use crate::counters::not_read::NotRead;
use crate::netlink::message::{Attributes, Malformed, Message, u32_at};
use crate::netlink::socket::Socket;
use crate::rtnetlink::forwarding::neighbours::{FIXED, one};
use netkeel_host::counters::reading::{Reading, SilentNeighbour};
use netkeel_host::snapshot::forwarding::NeighbourState;

/// NDA_CACHEINFO (include/uapi/linux/neighbour.h).
const CACHE_INFO: u16 = 3;

/// Milliseconds of a tick of the clock that the kernel shows to programs (USER_HZ is 100).
const TICK_MS: u64 = 10;

/// Adds those of interfaces that were read.
pub(super) fn read(reading: &mut Reading) -> Result<(), NotRead> {
    let mut found = Vec::new();
    let named = |index| reading.by_index(index).map(|(name, _)| name);
    Socket::open()?.dump(libc::RTM_GETNEIGH, &NeighbourMessage::default(), |message| {
        if let Some(neighbour) = one(message, &named)?
            && matches!(neighbour.state, NeighbourState::Failed | NeighbourState::Waiting)
        {
            found.push(SilentNeighbour {
                link: neighbour.link,
                address: neighbour.address,
                state: neighbour.state,
                idle_ms: idle_ms(message)?,
            });
        }
        Ok(())
    })?;
    reading.neighbours.extend(found);
    Ok(())
}

/// The shorter of the times since the last use and since the last change (`struct nda_cacheinfo`).
fn idle_ms(message: &Message<'_>) -> Result<u64, Malformed> {
    const WHAT: Malformed = Malformed("neighbour");
    for attribute in Attributes::after(message.payload, FIXED)? {
        let attribute = attribute?;
        if attribute.kind == CACHE_INFO {
            let used = u32_at(attribute.value, 4).ok_or(WHAT)?;
            let updated = u32_at(attribute.value, 8).ok_or(WHAT)?;
            return Ok(u64::from(used.min(updated)).saturating_mul(TICK_MS));
        }
    }
    Err(WHAT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::Request;

    #[test]
    fn the_last_use_or_the_last_change_counts() {
        let idle = |numbers: &[u32]| {
            let info: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
            let bytes = Request::new(libc::RTM_NEWNEIGH, 0, &[0; FIXED])
                .attribute(CACHE_INFO, &info)
                .finish(1)
                .to_vec();
            idle_ms(&Message {
                kind: libc::RTM_NEWNEIGH,
                flags: 0,
                sequence: 1,
                payload: &bytes[16..],
            })
        };
        assert_eq!(idle(&[900, 7, 30, 1]), Ok(70));
        assert_eq!(idle(&[900, 50, 30, 1]), Ok(300));
        assert!(idle(&[900, 50]).is_err());
    }
}
