//! System calls without a safe wrapper: sockets for sending only, many messages with one call, and a
//! socket's drop counter.

#![expect(unsafe_code, reason = "system calls without a safe wrapper")]

use std::ffi::c_void;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use netkeel_core::error::Error;
use netkeel_kernel::netlink::refusal::error;

/// Maximum messages per system call (UIO_MAXIOV).
const BATCH: usize = 1024;

/// Longest wait for room in a socket, in milliseconds. If a device does not send, dropping copies is
/// better than not reading packets.
const PATIENCE: i64 = 50;

/// A destination address in the kernel's layout: `sockaddr_ll`, `sockaddr_in` or `sockaddr_in6`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(crate) struct Name {
    bytes: [u8; 28],
    length: u32,
}

impl Name {
    fn new(parts: &[&[u8]]) -> Self {
        let mut bytes = [0; 28];
        let mut length = 0;
        for (place, byte) in bytes.iter_mut().zip(parts.iter().copied().flatten()) {
            *place = *byte;
            length += 1;
        }
        Name { bytes, length }
    }

    /// A link-layer address on an interface, and the protocol for the frame.
    pub fn station(link: u32, station: [u8; 6], protocol: u16) -> Self {
        let family = (libc::AF_PACKET as u16).to_ne_bytes();
        let (protocol, link) = (protocol.to_be_bytes(), link.to_ne_bytes());
        // Hardware type and packet type are for receiving; the length of the address is 6 of 8.
        Name::new(&[&family, &protocol, &link, &[0, 0, 0, 6], &station, &[0, 0]])
    }

    /// An IPv4 address.
    pub fn ipv4(address: Ipv4Addr) -> Self {
        let family = (libc::AF_INET as u16).to_ne_bytes();
        Name::new(&[&family, &[0, 0], &address.octets(), &[0; 8]])
    }

    /// An IPv6 address.
    pub fn ipv6(address: Ipv6Addr) -> Self {
        let family = (libc::AF_INET6 as u16).to_ne_bytes();
        Name::new(&[&family, &[0; 6], &address.octets(), &[0; 4]])
    }
}

fn open(family: i32, kind: i32, protocol: i32) -> Result<OwnedFd, Error> {
    // SAFETY: socket(2) takes numbers only.
    let raw = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
    let raw = Errno::result(raw).map_err(error)?;
    // SAFETY: the descriptor was opened just now and has no other owner.
    let socket = unsafe { OwnedFd::from_raw_fd(raw) };
    setsockopt(&socket, sockopt::SendTimeout, &TimeVal::milliseconds(PATIENCE)).map_err(error)?;
    Ok(socket)
}

/// A socket that only sends frames; the kernel writes their headers. Protocol 0 makes it receive
/// nothing.
pub(crate) fn packet_socket() -> Result<OwnedFd, Error> {
    open(libc::AF_PACKET, libc::SOCK_DGRAM, 0).map_err(|error| {
        error
            .context("opening a packet socket")
            .hint("this needs CAP_NET_RAW")
    })
}

/// A socket that encapsulates its packets in IP of a family.
pub(crate) fn tunnel_socket(family: i32, protocol: i32) -> Result<OwnedFd, Error> {
    let socket = open(family, libc::SOCK_RAW, protocol).map_err(|error| {
        error
            .context("opening a raw socket")
            .hint("this needs CAP_NET_RAW")
    })?;
    // A raw socket would get a copy of all encapsulated packets; this filter drops them.
    let nothing = [libc::sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k: 0,
    }];
    let program = libc::sock_fprog {
        len: 1,
        filter: nothing.as_ptr().cast_mut(),
    };
    // SAFETY: the program and its one instruction live until the call returns, and the kernel only
    // reads them.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of_val(&program) as libc::socklen_t,
        )
    };
    Errno::result(done).map_err(error)?;
    Ok(socket)
}

/// Messages dropped since the socket was opened: `sk_drops`, the last of SK_MEMINFO_VARS
/// (include/uapi/linux/sock_diag.h). 0 where the kernel does not report it.
pub(crate) fn socket_drops(socket: &impl AsRawFd) -> u32 {
    let mut values = [0u32; 9];
    let mut length = size_of_val(&values) as libc::socklen_t;
    // SAFETY: `values` has as many bytes as `length` says.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            values.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    let [.., drops] = values;
    if done == 0 { drops } else { 0 }
}

/// A message of one buffer to one address: the kernel's `struct mmsghdr`. A C library's struct may
/// differ; its function then has to send one by one, as musl's does with one system call per message.
#[repr(C)]
pub(crate) struct Message {
    header: Header,
    /// The kernel writes the sent length here.
    taken: u32,
}

/// `struct user_msghdr` (include/linux/socket.h).
#[repr(C)]
pub(crate) struct Header {
    name: *const u8,
    name_length: u32,
    pieces: *const libc::iovec,
    pieces_number: usize,
    control: *const c_void,
    control_length: usize,
    flags: u32,
}

impl Message {
    fn new(name: &Name, piece: *const libc::iovec) -> Self {
        Message {
            header: Header {
                name: name.bytes.as_ptr(),
                name_length: name.length,
                pieces: piece,
                pieces_number: 1,
                control: ptr::null(),
                control_length: 0,
                flags: 0,
            },
            taken: 0,
        }
    }
}

/// Messages for the kernel, in memory that is reused.
#[derive(Default)]
pub(crate) struct SendBatch {
    messages: Vec<Message>,
    pieces: Vec<libc::iovec>,
    owners: Vec<usize>,
}

impl SendBatch {
    /// Sends each buffer to each address. `count` is called for each message, with its peer's number
    /// and whether the kernel accepted it.
    pub fn send<'a>(
        &mut self,
        socket: BorrowedFd<'_>,
        pieces: impl Iterator<Item = &'a [u8]>,
        names: &[(Name, usize)],
        count: &mut impl FnMut(usize, bool),
    ) {
        if names.is_empty() {
            return;
        }
        // Messages point at buffers that must not move while messages exist, so memory for the maximum
        // is reserved.
        self.messages.reserve(BATCH);
        self.pieces.reserve(BATCH);
        for piece in pieces {
            for names in names.chunks(BATCH) {
                if self.messages.len() + names.len() > BATCH {
                    self.flush(socket, count);
                }
                self.pieces.push(libc::iovec {
                    iov_base: piece.as_ptr().cast_mut().cast(),
                    iov_len: piece.len(),
                });
                let Some(iov) = self.pieces.last().map(ptr::from_ref) else {
                    continue;
                };
                for (name, owner) in names {
                    self.messages.push(Message::new(name, iov));
                    self.owners.push(*owner);
                }
            }
        }
        self.flush(socket, count);
    }

    /// Sends the pending messages; afterwards no pointer to a buffer remains.
    fn flush(&mut self, socket: BorrowedFd<'_>, count: &mut impl FnMut(usize, bool)) {
        let mut at = 0;
        while let Some(rest) = self.messages.get_mut(at..).filter(|rest| !rest.is_empty()) {
            // SAFETY: each message points at a name and a piece, which `send` borrows until it has
            // called this function; the kernel only reads them, and writes a length into each
            // message.
            let sent = unsafe {
                libc::syscall(
                    libc::SYS_sendmmsg,
                    socket.as_raw_fd(),
                    rest.as_mut_ptr(),
                    rest.len(),
                    0,
                )
            };
            let (taken, lost) = match Errno::result(sent) {
                Ok(sent) => (sent as usize, 0),
                Err(Errno::EINTR) => (0, 0),
                // The socket had no room for the longest wait: each further message would wait as
                // long.
                Err(Errno::EAGAIN) => (0, rest.len()),
                Err(_) => (0, 1),
            };
            let owners = self.owners.get(at..).unwrap_or_default();
            owners.iter().take(taken).for_each(|owner| count(*owner, true));
            owners.iter().take(lost).for_each(|owner| count(*owner, false));
            at += taken + lost;
        }
        self.messages.clear();
        self.pieces.clear();
        self.owners.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    #[test]
    fn names_are_laid_out_as_the_kernel_has_them() {
        let name = Name::station(7, [1, 2, 3, 4, 5, 6], 0x0800);
        assert_eq!(name.length as usize, size_of::<libc::sockaddr_ll>());
        // SAFETY: a `sockaddr_ll` has 20 bytes without padding, and any bytes are one.
        let address: libc::sockaddr_ll = unsafe { std::ptr::read(name.bytes.as_ptr().cast()) };
        assert_eq!(address.sll_family, libc::AF_PACKET as u16);
        assert_eq!(u16::from_be(address.sll_protocol), 0x0800);
        assert_eq!((address.sll_ifindex, address.sll_halen), (7, 6));
        assert_eq!(address.sll_addr, [1, 2, 3, 4, 5, 6, 0, 0]);
        let length = |name: Name| name.length as usize;
        assert_eq!(
            length(Name::ipv4(Ipv4Addr::LOCALHOST)),
            size_of::<libc::sockaddr_in>()
        );
        assert_eq!(
            length(Name::ipv6(Ipv6Addr::LOCALHOST)),
            size_of::<libc::sockaddr_in6>()
        );
    }

    #[test]
    fn messages_are_laid_out_as_the_kernel_has_them() {
        // The C library's structs have the same sizes everywhere, and the same fields with this
        // target.
        assert_eq!(size_of::<Message>(), size_of::<libc::mmsghdr>());
        assert_eq!(offset_of!(Message, taken), offset_of!(libc::mmsghdr, msg_len));
        let one = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = UdpSocket::bind("127.0.0.1:0").unwrap();
        let family = (libc::AF_INET as u16).to_ne_bytes();
        let port = to.local_addr().unwrap().port().to_be_bytes();
        let name = Name::new(&[&family, &port, &[127, 0, 0, 1], &[0; 8]]);
        let nowhere = Name::new(&[&(libc::AF_INET6 as u16).to_ne_bytes(), &[0; 26]]);
        let pieces: [&[u8]; 2] = [b"first", b"second one"];
        let mut counted = Vec::new();
        SendBatch::default().send(
            one.as_fd(),
            pieces.into_iter(),
            &[(name, 7), (nowhere, 8), (name, 9)],
            &mut |owner, sent| counted.push((owner, sent)),
        );
        let each = [(7, true), (8, false), (9, true)];
        assert_eq!(counted, [each, each].concat());
        to.set_nonblocking(true).unwrap();
        let mut buffer = [0; 64];
        for piece in [pieces[0], pieces[0], pieces[1], pieces[1]] {
            let length = to.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], piece);
        }
        assert!(to.recv(&mut buffer).is_err());
    }
}
