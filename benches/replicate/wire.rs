//! System calls of the generator and of the floor: many frames with one call.
#![expect(unsafe_code, reason = "sendmmsg has no safe wrapper that reuses its memory")]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A packet socket that sends, of the calling thread's namespace.
pub fn packet_socket() -> OwnedFd {
    // SAFETY: socket(2) takes numbers, and the descriptor is nobody else's.
    unsafe {
        let raw = libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        assert!(raw >= 0, "{}", std::io::Error::last_os_error());
        OwnedFd::from_raw_fd(raw)
    }
}

/// A station on a link, for IPv4.
pub fn name(link: i32, station: [u8; 6]) -> libc::sockaddr_ll {
    let [a, b, c, d, e, f] = station;
    libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: 0x0800u16.to_be(),
        sll_ifindex: link,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [a, b, c, d, e, f, 0, 0],
    }
}

/// Messages in memory that is used again.
#[derive(Default)]
pub struct Batch {
    messages: Vec<libc::mmsghdr>,
    pieces: Vec<libc::iovec>,
}

/// Most messages of a call.
const MOST: usize = 1024;

impl Batch {
    /// Sends each packet to each name, and returns how many the kernel took.
    pub fn send<'a>(
        &mut self,
        socket: &OwnedFd,
        packets: impl Iterator<Item = &'a [u8]>,
        names: &[libc::sockaddr_ll],
    ) -> usize {
        self.messages.reserve(MOST);
        self.pieces.reserve(MOST);
        let mut taken = 0;
        for packet in packets {
            if self.messages.len() + names.len() > MOST {
                taken += self.flush(socket);
            }
            self.pieces.push(libc::iovec {
                iov_base: packet.as_ptr().cast_mut().cast(),
                iov_len: packet.len(),
            });
            let piece = self.pieces.last_mut().map(std::ptr::from_mut).unwrap();
            for name in names {
                // SAFETY: zeroes are a message without anything.
                let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
                message.msg_hdr.msg_name = std::ptr::from_ref(name).cast_mut().cast();
                message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_ll>() as u32;
                message.msg_hdr.msg_iov = piece;
                message.msg_hdr.msg_iovlen = 1;
                self.messages.push(message);
            }
        }
        taken + self.flush(socket)
    }

    fn flush(&mut self, socket: &OwnedFd) -> usize {
        let mut at = 0;
        while at < self.messages.len() {
            let rest = &mut self.messages[at..];
            // SAFETY: names and pieces are borrowed by `send`, which calls this before it returns.
            let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, 0) };
            if sent < 0 {
                break;
            }
            at += sent as usize;
        }
        self.messages.clear();
        self.pieces.clear();
        at
    }
}
