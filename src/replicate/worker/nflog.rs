//! An NFLOG group: a bound netlink socket, and the packets in its messages.

use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use nix::sys::socket::{MsgFlags, recv};

use crate::worker::helper::{Bound, Helper};
use crate::worker::pace::Pace;
use netkeel_core::error::Error;
use netkeel_kernel::netlink::message::{Attributes, Malformed, Message, Messages, u16_at, u32_at};

/// The messages of NFLOG (include/uapi/linux/netfilter/nfnetlink_log.h).
const PACKET: u16 = (libc::NFNL_SUBSYS_ULOG << 8 | libc::NFULNL_MSG_PACKET) as u16;

/// Defines libc's attributes as numbers of the width that they have in messages.
macro_rules! attributes {
    ($($name:ident)*) => { $(const $name: u16 = libc::$name as u16;)* };
}

attributes! {
    NFULA_IFINDEX_INDEV NFULA_PAYLOAD NFULA_SEQ NFULA_HWTYPE NFULA_HWHEADER
}

/// `struct nfgenmsg`, bytes.
const FIXED: usize = 4;

/// Largest message in bytes: NFLOG's maximum for NLBUFSIZ, and one packet more.
pub(crate) const BUFFER: usize = 128 * 1024 + 4096;

/// A bound group. The helper has bound it, and keeps the socket for changes of the batch size.
pub(crate) struct Group {
    socket: OwnedFd,
    helper: Rc<Helper>,
    number: u16,
    kept: bool,
    /// The messages that the socket dropped before it came here. The service before has counted them.
    dropped_before: u64,
    pace: Pace,
}

impl Group {
    /// Binds a group. If it is bound already, by the service before or by this worker, packets that are queued there
    /// stay there.
    ///
    /// # Errors
    /// When another program has bound the group, and when the helper has ended.
    pub fn bind(number: u16, helper: &Rc<Helper>) -> Result<Self, Error> {
        let Bound { socket, kept } = helper.bind(number)?;
        Ok(Group {
            dropped_before: drops(&socket),
            socket,
            helper: Rc::clone(helper),
            number,
            kept,
            pace: Pace::default(),
        })
    }

    /// The number of the group.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Whether the service before has bound the group. Its port is then that of a process that has ended.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept
    }

    /// Receives messages without blocking.
    ///
    /// # Errors
    /// EAGAIN when the queue is empty, ENOBUFS when messages were lost.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> nix::Result<usize> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
        recv(self.socket.as_raw_fd(), buffer, flags)
    }

    /// The maximum number of packets that the kernel gathers into a batch.
    pub fn threshold(&self) -> u32 {
        self.pace.threshold()
    }

    /// Counts received packets, and asks for larger or smaller batches when the rate changes.
    pub fn count(&mut self, packets: u32, now: std::time::Instant) {
        if self.pace.count(packets, now) {
            self.helper.pace(self.pace.into());
        }
    }

    /// Messages dropped since this worker has the socket.
    pub(crate) fn dropped(&self) -> u64 {
        drops(&self.socket).saturating_sub(self.dropped_before)
    }
}

/// Messages dropped since a socket was opened (`sk_drops`).
fn drops(socket: &OwnedFd) -> u64 {
    crate::worker::system::socket_drops(socket).into()
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A packet in a received message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    /// The range of the IP packet in the buffer.
    pub payload: Range<usize>,
    /// Its sequence number in its group.
    pub(crate) sequence: Option<u32>,
    /// The index of the receiving interface.
    pub link: u32,
    /// Destination and source address of its Ethernet frame.
    pub(crate) stations: Option<([u8; 6], [u8; 6])>,
}

/// Finds the packets in received messages and appends them. Returns the number of malformed messages.
pub(crate) fn packets(received: &[u8], found: &mut Vec<Logged>) -> u64 {
    let mut malformed = 0;
    for message in Messages(received) {
        match message.and_then(|message| packet(received, &message)) {
            Ok(logged) => found.extend(logged),
            Err(Malformed(_)) => malformed += 1,
        }
    }
    malformed
}

fn packet(received: &[u8], message: &Message<'_>) -> Result<Option<Logged>, Malformed> {
    // An error answers a change of pace; NLMSG_DONE ends a batch.
    if message.kind != PACKET {
        return Ok(None);
    }
    let mut logged = Logged {
        payload: 0..0,
        sequence: None,
        link: 0,
        stations: None,
    };
    let (mut ethernet, mut header) = (false, None);
    for attribute in Attributes::after(message.payload, FIXED)? {
        let attribute = attribute?;
        let be32 = || u32_at(attribute.value, 0).map(u32::from_be);
        match attribute.kind {
            NFULA_IFINDEX_INDEV => logged.link = be32().unwrap_or(0),
            NFULA_SEQ => logged.sequence = be32(),
            NFULA_HWTYPE => {
                ethernet = u16_at(attribute.value, 0).map(u16::from_be) == Some(libc::ARPHRD_ETHER)
            }
            NFULA_HWHEADER => header = attribute.value.first_chunk::<12>(),
            NFULA_PAYLOAD => {
                let start = attribute.value.as_ptr() as usize - received.as_ptr() as usize;
                logged.payload = start..start + attribute.value.len();
            }
            _ => {}
        }
    }
    if let (true, Some(header)) = (ethernet, header)
        && let ([to, from], _) = header.as_chunks()
    {
        logged.stations = Some((*to, *from));
    }
    Ok(Some(logged))
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_kernel::netlink::message::Request;
    use proptest::prelude::*;

    fn message(payload: &[u8]) -> Vec<u8> {
        let frame = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        Request::new(PACKET, 0, &[2, 0, 0, 33])
            .attribute(NFULA_HWTYPE, &1u16.to_be_bytes())
            .attribute(NFULA_HWHEADER, &frame)
            .attribute(NFULA_IFINDEX_INDEV, &7u32.to_be_bytes())
            .attribute(NFULA_PAYLOAD, payload)
            .attribute(NFULA_SEQ, &9u32.to_be_bytes())
            .finish(0)
            .to_vec()
    }

    #[test]
    fn finds_the_packets_of_a_batch() {
        let mut batch = message(b"first");
        batch.extend(message(b"second one"));
        batch.extend(Request::new(libc::NLMSG_DONE as u16, 0, &[0; 4]).finish(0));
        let mut found = Vec::new();
        assert_eq!(packets(&batch, &mut found), 0);
        let payloads: Vec<&[u8]> = found
            .iter()
            .map(|logged| &batch[logged.payload.clone()])
            .collect();
        assert_eq!(payloads, [&b"first"[..], b"second one"]);
        assert_eq!((found[1].sequence, found[1].link), (Some(9), 7));
        assert_eq!(found[0].stations, Some(([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(at in 0usize..90, byte: u8, cut in 0usize..120) {
            let mut bytes = message(&[0x45; 28]);
            let place = at % bytes.len();
            bytes[place] = byte;
            bytes.truncate(cut);
            let mut found = Vec::new();
            packets(&bytes, &mut found);
            for logged in found {
                prop_assert!(bytes.get(logged.payload).is_some());
            }
        }
    }
}
