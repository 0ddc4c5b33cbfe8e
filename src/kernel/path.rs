//! The MTU of the path to a host, measured with datagrams that may not be fragmented: as large as the
//! interface sends them, and then as large as routers on the way say that they take.

use std::io;
use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt};

use crate::netlink::refusal::error;
use netkeel_core::error::Error;

/// Where datagrams go: traceroute's first port, at which nobody listens. A host that answers says that
/// the port is closed, and so that the datagram came.
const PORT: u16 = 33_434;

/// Longest wait for an answer to a datagram, and how often one is sent: routers limit what they say.
const PATIENCE: Duration = Duration::from_millis(500);

const TRIES: usize = 2;

/// Routers on the way that each take less than the one before.
const NARROWER: usize = 8;

/// Bytes of a datagram's headers: IPv4 or IPv6, and UDP.
const HEADERS_IPV4: u32 = 20 + 8;

const HEADERS_IPV6: u32 = 40 + 8;

/// The least and the most that is believed, bytes.
const LEAST: u32 = 68;

const MOST: u32 = 65_535;

/// Origin of an error that this host found by itself (include/uapi/linux/errqueue.h).
const LOCAL: u8 = 1;

/// The answer to a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProbeReply {
    /// It is larger than somebody takes, who takes so many bytes.
    TooLarge(u32),
    /// It came.
    Came,
    /// Nothing, or what says neither.
    Nothing,
}

/// Measures the path, in the calling thread's namespace. Where nobody answers, what nobody objects to is
/// taken to fit, and no more than the kernel has learned of the path before (`ip route get`).
///
/// # Errors
/// When there is no way to the host, or no socket to be had.
pub fn measure(target: IpAddr) -> Result<u32, Error> {
    let local: IpAddr = match target {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((local, 0)).map_err(error)?;
    socket.connect(SocketAddr::new(target, PORT)).map_err(error)?;
    socket.set_nonblocking(true).map_err(error)?;
    let (headers, level, discover, mtu) = match target {
        IpAddr::V4(_) => {
            setsockopt(&socket, Ipv4RecvErr, &true).map_err(error)?;
            (
                HEADERS_IPV4,
                libc::IPPROTO_IP,
                libc::IP_MTU_DISCOVER,
                libc::IP_MTU,
            )
        }
        IpAddr::V6(_) => {
            setsockopt(&socket, Ipv6RecvErr, &true).map_err(error)?;
            (
                HEADERS_IPV6,
                libc::IPPROTO_IPV6,
                libc::IPV6_MTU_DISCOVER,
                libc::IPV6_MTU,
            )
        }
    };
    // Not to be fragmented, whatever was learned before.
    option(&socket, level, discover, Some(libc::IP_PMTUDISC_PROBE)).map_err(error)?;
    let mut size = MOST;
    let zeros = vec![0; MOST as usize];
    for _ in 0..NARROWER {
        let payload = zeros.get(..size.saturating_sub(headers) as usize);
        match ask(&socket, payload.unwrap_or(&zeros), size).map_err(error)? {
            ProbeReply::TooLarge(next) => size = next,
            ProbeReply::Came => return Ok(size),
            ProbeReply::Nothing => break,
        }
    }
    let learned = option(&socket, level, mtu, None).map_err(error)?;
    let learned = u32::try_from(learned).unwrap_or(MOST);
    Ok(size.min(learned.max(LEAST)))
}

/// Sends a datagram and listens for what becomes of it.
fn ask(socket: &UdpSocket, datagram: &[u8], size: u32) -> io::Result<ProbeReply> {
    for _ in 0..TRIES {
        // The kernel reports an answer to the previous datagram as an error of this send, and sends nothing.
        if socket.send(datagram).is_err() {
            match heard(socket, size) {
                ProbeReply::Nothing => may_be(socket.send(datagram))?,
                told => return Ok(told),
            }
        }
        let start = Instant::now();
        loop {
            match heard(socket, size) {
                ProbeReply::Nothing => {}
                told => return Ok(told),
            }
            let left = PATIENCE.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::ZERO);
            let _ = poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], timeout);
        }
    }
    Ok(ProbeReply::Nothing)
}

/// Ignores a send that is not permitted (`IPAddressDeny=` of systemd) or has no route: it says nothing of the path.
fn may_be(sent: io::Result<usize>) -> io::Result<()> {
    match sent {
        Err(cause)
            if matches!(
                cause.raw_os_error(),
                Some(libc::EPERM | libc::EACCES | libc::ENETUNREACH | libc::EHOSTUNREACH)
            ) =>
        {
            Err(cause)
        }
        _ => Ok(()),
    }
}

/// Takes the answer, without waiting. An answer to a larger datagram is late and ignored.
fn heard(socket: &UdpSocket, size: u32) -> ProbeReply {
    let mut told = ProbeReply::Nothing;
    let mut byte = [0; 64];
    // A program that answers on that port has received the datagram.
    if socket.recv(&mut byte).is_ok() {
        return ProbeReply::Came;
    }
    loop {
        let mut buffers = [IoSliceMut::new(&mut byte)];
        let mut space = cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let received = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut buffers, Some(&mut space), flags);
        let Ok(messages) = received.and_then(|received| Ok(received.cmsgs()?.collect::<Vec<_>>())) else {
            return told;
        };
        for message in messages {
            let (ControlMessageOwned::Ipv4RecvErr(of, _) | ControlMessageOwned::Ipv6RecvErr(of, _)) = message
            else {
                continue;
            };
            match Errno::from_raw(of.ee_errno.cast_signed()) {
                Errno::EMSGSIZE if (LEAST..size).contains(&of.ee_info) => {
                    told = match told {
                        ProbeReply::TooLarge(less) => ProbeReply::TooLarge(less.min(of.ee_info)),
                        _ => ProbeReply::TooLarge(of.ee_info),
                    };
                }
                Errno::ECONNREFUSED if of.ee_origin != LOCAL && told == ProbeReply::Nothing => {
                    told = ProbeReply::Came
                }
                _ => {}
            }
        }
    }
}

/// Sets a number of a socket, or asks for it.
fn option(
    socket: &UdpSocket,
    level: libc::c_int,
    name: libc::c_int,
    set: Option<libc::c_int>,
) -> Result<libc::c_int, Errno> {
    let mut value = set.unwrap_or_default();
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    let (fd, place) = (socket.as_raw_fd(), (&raw mut value).cast());
    #[expect(unsafe_code)]
    // SAFETY: `value` and `length` outlive the call, and `length` is the size of `value`.
    let result = unsafe {
        match set {
            Some(_) => libc::setsockopt(fd, level, name, place, length),
            None => libc::getsockopt(fd, level, name, place, &raw mut length),
        }
    };
    Errno::result(result)?;
    Ok(value)
}
