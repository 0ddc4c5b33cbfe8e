//! Measures the MTU of the path to a host with UDP datagrams that may not be fragmented. A size counts as
//! passing only if the host answers it: silence is never a measurement.

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
use netkeel_core::error::{Error, ErrorKind};

/// The destination port: traceroute's first, on which usually nobody listens. The host then answers that the
/// port is unreachable, which proves that the datagram arrived.
const PORT: u16 = 33_434;

/// Longest wait for an answer to one datagram.
const PATIENCE: Duration = Duration::from_millis(500);

/// Datagrams of one size. Linux limits unreachable messages to one a second (`icmp_ratelimit`), so the tries
/// together last longer than that.
const TRIES: usize = 3;

/// Most sizes that one measurement tries. A search over all sizes takes 17.
const SIZES: usize = 32;

/// Bytes of a datagram's headers: IPv4 or IPv6, and UDP.
const HEADERS_IPV4: u32 = 20 + 8;

const HEADERS_IPV6: u32 = 40 + 8;

/// The smallest and the largest size that is tried and believed, bytes.
const LEAST: u32 = 68;

const MOST: u32 = 65_535;

/// Origin of an error that this host found by itself (include/uapi/linux/errqueue.h).
const LOCAL: u8 = 1;

/// The answer to a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProbeReply {
    /// A router, or this host's interface, takes at most this many bytes.
    TooLarge(u32),
    /// The target answered.
    Came,
    /// No answer, or an answer that proves neither.
    Nothing,
}

/// Measures the path in the calling thread's namespace: asks with a small datagram first, then with the largest
/// that the interface and each router on the way accept, and searches below a size that gets no answer.
///
/// # Errors
/// When the target does not answer the small datagram, so that nothing can be measured; when there is no route,
/// or no socket.
pub fn measure(target: IpAddr) -> Result<u32, Error> {
    if ask(target, LEAST)? != ProbeReply::Came {
        return Err(Error::new(
            ErrorKind::Missing,
            format!("{target} does not answer UDP port {PORT}, so nothing was measured"),
        )
        .hint("use a target that is not behind a firewall, or a number in place of `probe`"));
    }
    search(|size| ask(target, size))
}

/// Finds the largest size that is answered. `LEAST` bytes were answered.
fn search(mut ask: impl FnMut(u32) -> Result<ProbeReply, Error>) -> Result<u32, Error> {
    // The largest size that was answered, and the largest that was not refused.
    let (mut fits, mut most) = (LEAST, MOST);
    let mut size = most;
    for _ in 0..SIZES {
        let reply = ask(size)?;
        match reply {
            ProbeReply::Came => fits = size,
            ProbeReply::TooLarge(next) => most = next.max(fits),
            ProbeReply::Nothing => most = size - 1,
        }
        if fits >= most {
            return Ok(fits);
        }
        size = match reply {
            ProbeReply::TooLarge(_) => most,
            ProbeReply::Came | ProbeReply::Nothing => fits + (most - fits).div_ceil(2),
        };
    }
    Err(Error::new(
        ErrorKind::Missing,
        "the answers contradict each other: the path changes, or a router reports a wrong MTU",
    ))
}

/// Sends datagrams of a size until one is answered. A late answer cannot be taken for that of another size,
/// because each call has a port of its own.
fn ask(target: IpAddr, size: u32) -> Result<ProbeReply, Error> {
    let local: IpAddr = match target {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((local, 0)).map_err(error)?;
    socket.connect(SocketAddr::new(target, PORT)).map_err(error)?;
    socket.set_nonblocking(true).map_err(error)?;
    let (headers, level, discover) = match target {
        IpAddr::V4(_) => {
            setsockopt(&socket, Ipv4RecvErr, &true).map_err(error)?;
            (HEADERS_IPV4, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER)
        }
        IpAddr::V6(_) => {
            setsockopt(&socket, Ipv6RecvErr, &true).map_err(error)?;
            (HEADERS_IPV6, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER)
        }
    };
    // Never fragment, whatever MTU the kernel has learned for this path.
    set_option(&socket, level, discover, libc::IP_PMTUDISC_PROBE).map_err(error)?;
    let datagram = vec![0; size.saturating_sub(headers) as usize];
    for _ in 0..TRIES {
        // The kernel reports an answer to the previous datagram as an error of this send, and sends nothing.
        if socket.send(&datagram).is_err() {
            match heard(&socket, size) {
                ProbeReply::Nothing => may_be(socket.send(&datagram)).map_err(error)?,
                reply => return Ok(reply),
            }
        }
        let start = Instant::now();
        loop {
            match heard(&socket, size) {
                ProbeReply::Nothing => {}
                reply => return Ok(reply),
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

/// Sets a number of a socket.
fn set_option(
    socket: &UdpSocket,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> Result<(), Errno> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    #[expect(unsafe_code)]
    // SAFETY: `value` outlives the call, and `length` is its size.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), length) };
    Errno::result(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path that carries `mtu` bytes; `router` is the size that is reported for larger datagrams.
    fn path(mtu: u32, router: Option<u32>) -> impl FnMut(u32) -> Result<ProbeReply, Error> {
        move |size| {
            Ok(match router {
                _ if size > 1500 => ProbeReply::TooLarge(1500),
                _ if size <= mtu => ProbeReply::Came,
                Some(router) if router < size => ProbeReply::TooLarge(router),
                _ => ProbeReply::Nothing,
            })
        }
    }

    #[test]
    fn the_largest_answered_size_is_found_with_and_without_routers_that_answer() {
        for mtu in [68, 69, 576, 1280, 1399, 1400, 1499, 1500] {
            assert_eq!(search(path(mtu, Some(mtu))).unwrap(), mtu, "the router answers");
            assert_eq!(search(path(mtu, None)).unwrap(), mtu, "a black hole");
        }
        for mtu in [68, 1280, 1400, 1460] {
            let found = search(path(mtu, Some(1460))).unwrap();
            assert_eq!(found, mtu, "a router before a black hole");
        }
    }

    #[test]
    fn answers_that_contradict_each_other_are_no_measurement() {
        let mut turn = 0;
        let restless = |size: u32| {
            turn += 1;
            Ok(ProbeReply::TooLarge(size - 1))
        };
        assert!(search(restless).is_err());
        assert_eq!(turn, SIZES);
    }
}
