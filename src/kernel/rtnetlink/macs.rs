//! The Ethernet addresses of interfaces. The dump of all interfaces leaves them out, since only
//! selectors need them.

use std::collections::BTreeMap;
use std::sync::Arc;

use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};

use crate::netlink::message::{Attributes, Malformed, Message, u32_at};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::Socket;
use crate::rtnetlink::link::{FIXED, Row};
use netkeel_core::name::mac::Mac;

/// The address that hardware was made with (include/uapi/linux/if_link.h; since Linux 5.6).
const IFLA_PERM_ADDRESS: u16 = 54;

/// The addresses of one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Macs {
    current: Option<Mac>,
    permanent: Option<Mac>,
}

/// Reads the addresses of all interfaces, by their index.
pub(crate) fn dump(socket: &mut Socket) -> Result<BTreeMap<u32, Macs>, Refusal> {
    let mut found = BTreeMap::new();
    let mut message = LinkMessage::default();
    message.attributes = vec![LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])];
    socket.dump(libc::RTM_GETLINK, &message, |message| read(message, &mut found))?;
    Ok(found)
}

fn read(message: &Message<'_>, found: &mut BTreeMap<u32, Macs>) -> Result<(), Malformed> {
    if message.kind != libc::RTM_NEWLINK {
        return Ok(());
    }
    let index = u32_at(message.payload, 4).ok_or(Malformed("interface"))?;
    let mut macs = Macs::default();
    for attribute in Attributes::after(message.payload, FIXED)? {
        let attribute = attribute?;
        match attribute.kind {
            libc::IFLA_ADDRESS => macs.current = Mac::new(attribute.value),
            IFLA_PERM_ADDRESS => macs.permanent = Mac::new(attribute.value),
            _ => {}
        }
    }
    found.insert(index, macs);
    Ok(())
}

/// Enters the addresses into the interfaces. An interface that appeared after their dump keeps `None`.
pub(crate) fn enter(macs: &BTreeMap<u32, Macs>, rows: &mut [Row]) {
    for (_, link) in rows {
        let found = macs.get(&link.index).copied().unwrap_or_default();
        let link = Arc::make_mut(link);
        link.mac = found.current;
        link.permanent_mac = found.permanent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::Request;
    use netkeel_host::snapshot::link::Link;

    #[test]
    fn reads_both_addresses() {
        let head = [0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let message = Request::new(libc::RTM_NEWLINK, 0, &head)
            .attribute(libc::IFLA_ADDRESS, &[2, 0, 0x5e, 0, 0, 1])
            .attribute(IFLA_PERM_ADDRESS, &[2, 0, 0x5e, 0, 0, 2])
            .finish(1)
            .to_vec();
        let message = Message {
            kind: libc::RTM_NEWLINK,
            flags: 0,
            sequence: 1,
            payload: &message[16..],
        };
        let mut found = BTreeMap::new();
        read(&message, &mut found).unwrap();
        let link = |index| {
            let name = "eth0".parse().unwrap();
            let link = Link {
                index,
                ..Link::default()
            };
            (name, Arc::new(link))
        };
        let mut rows = [link(7), link(8)];
        enter(&found, &mut rows);
        let texts = rows.map(|(_, link)| (link.mac, link.permanent_mac));
        let of = |text: &str| Some(text.parse().unwrap());
        assert_eq!(texts[0], (of("02:00:5e:00:00:01"), of("02:00:5e:00:00:02")));
        assert_eq!(texts[1], (None, None));
    }
}
