//! One size of a probe: a socket of its own, so that no late answer is taken for that of another size.

use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv4Ttl, Ipv6RecvErr, Ipv6Ttl};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, bind,
    connect, getsockname, recvmsg, send, setsockopt, socket,
};

use crate::netlink::refusal::error;
use crate::probe::error_queue::{self, Fault};
use crate::probe::packet::{self, Mark};
use netkeel_core::error::Error;
use netkeel_mtu::probe::reply::Method;

/// The number of the next echo.
static NUMBER: AtomicU16 = AtomicU16::new(1);

/// Packets that are looked at before the clock is: a socket of ICMP gets those of other programs too.
const AT_ONCE: usize = 64;

/// The answer to one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The target answered, after this time; the answer came back in pieces of at most so many bytes.
    Answered { after: Duration, back: Option<u32> },
    /// A fault was reported.
    Fault(Fault),
    /// Nothing came in time.
    Nothing,
}

/// A socket that sends packets of one size to one target, never in fragments and whatever MTU the kernel
/// has learned for the path.
pub(super) struct ProbeSocket {
    socket: OwnedFd,
    /// Reserves the source port of TCP.
    _port: Option<OwnedFd>,
    method: Method,
    target: IpAddr,
    mark: Mark,
    size: u32,
    bytes: Vec<u8>,
}

impl ProbeSocket {
    /// # Errors
    /// Without CAP_NET_RAW for ICMP and TCP; when there is no route.
    pub(super) fn open(target: IpAddr, method: Method, size: u32, ttl: Option<u8>) -> Result<Self, Error> {
        let opened = open(target, method, ttl).map_err(|errno| {
            let failed = error(errno).context(format_args!("opening a socket for {method}"));
            match errno {
                Errno::EPERM | Errno::EACCES => failed.hint("ICMP and TCP need CAP_NET_RAW; UDP does not"),
                _ => failed,
            }
        })?;
        let local = local_address(&opened, target);
        let (port, own) = match method {
            Method::Tcp { .. } => {
                let (port, number) = reserved(local).map_err(error)?;
                only_to_port(&opened, target, number).map_err(error)?;
                (Some(port), number)
            }
            Method::Icmp | Method::Udp { .. } => (None, (std::process::id() & 0xffff) as u16),
        };
        let other = match method {
            Method::Tcp { port } | Method::Udp { port } => port,
            Method::Icmp => NUMBER.fetch_add(1, Ordering::Relaxed),
        };
        let mark = Mark { own, other };
        Ok(ProbeSocket {
            socket: opened,
            _port: port,
            method,
            target,
            mark,
            size,
            bytes: packet::build(method, mark, size, local, target),
        })
    }

    /// Sends one packet and waits for its answer.
    ///
    /// # Errors
    /// When this host does not let it out: a firewall, or no route.
    pub(super) fn ask(&self, patience: Duration) -> Result<Heard, Error> {
        let start = Instant::now();
        // The kernel reports an earlier answer as an error of this send, and sends nothing.
        for last in [false, true] {
            match send(self.socket.as_raw_fd(), &self.bytes, MsgFlags::empty()) {
                Ok(_) => break,
                Err(errno) => match self.take(start) {
                    Heard::Nothing => match errno {
                        Errno::EMSGSIZE => return Ok(Heard::Fault(Fault::TooBigHere(0))),
                        Errno::EPERM
                        | Errno::EACCES
                        | Errno::ENETUNREACH
                        | Errno::EHOSTUNREACH
                        | Errno::EINVAL => {
                            return Err(error(errno).context(format_args!("sending to {}", self.target)));
                        }
                        _ if last => return Ok(Heard::Nothing),
                        _ => {}
                    },
                    heard => return Ok(heard),
                },
            }
        }
        loop {
            match self.take(start) {
                Heard::Nothing => {}
                heard => return Ok(heard),
            }
            let left = patience.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(Heard::Nothing);
            }
            let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::ZERO);
            let _ = poll(
                &mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)],
                timeout,
            );
        }
    }

    /// Takes what came, without waiting. Other packets that the socket gets are skipped.
    fn take(&self, start: Instant) -> Heard {
        for (received, piece) in std::iter::from_fn(|| self.received()).take(AT_ONCE) {
            if packet::is_answer(self.method, self.mark, self.target, &received) {
                let back = match self.method {
                    Method::Icmp => Some(piece.unwrap_or(self.size).min(self.size)),
                    Method::Udp { .. } | Method::Tcp { .. } => None,
                };
                return Heard::Answered {
                    after: start.elapsed(),
                    back,
                };
            }
        }
        while let Some(entry) = error_queue::next(&self.socket) {
            match entry.fault {
                Fault::TooBigHere(_) => return Heard::Fault(entry.fault),
                _ if !self.mark.is_quoted(self.method, &entry.quoted) => {}
                // A packet that the target itself rejects has arrived.
                Fault::Undelivered(from, _) if from == self.target => {
                    return Heard::Answered {
                        after: start.elapsed(),
                        back: None,
                    };
                }
                Fault::TooBig(..) | Fault::Expired(_) | Fault::Undelivered(..) => {
                    return Heard::Fault(entry.fault);
                }
            }
        }
        Heard::Nothing
    }

    /// The start of the next packet, and the largest piece in which it came if it came in pieces.
    fn received(&self) -> Option<(Vec<u8>, Option<u32>)> {
        let mut bytes = [0; 128];
        let mut space = cmsg_space!(libc::c_int);
        let mut buffers = [IoSliceMut::new(&mut bytes)];
        let received = recvmsg::<SockaddrStorage>(
            self.socket.as_raw_fd(),
            &mut buffers,
            Some(&mut space),
            MsgFlags::MSG_DONTWAIT,
        )
        .ok()?;
        let piece = received.cmsgs().ok()?.find_map(|message| match message {
            ControlMessageOwned::Unknown(found) => {
                let number = found.data_bytes.first_chunk().copied().map(i32::from_ne_bytes)?;
                u32::try_from(number).ok().filter(|number| *number > 0)
            }
            _ => None,
        });
        let length = received.bytes;
        Some((bytes.get(..length).unwrap_or_default().to_vec(), piece))
    }
}

/// Opens and connects the socket.
fn open(target: IpAddr, method: Method, ttl: Option<u8>) -> nix::Result<OwnedFd> {
    let family = match target {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    let (kind, protocol, port) = match (method, target) {
        (Method::Icmp, IpAddr::V4(_)) => (SockType::Raw, SockProtocol::Icmp, 0),
        (Method::Icmp, IpAddr::V6(_)) => (SockType::Raw, SockProtocol::IcmpV6, 0),
        (Method::Tcp { .. }, _) => (SockType::Raw, SockProtocol::Tcp, 0),
        (Method::Udp { port }, _) => (SockType::Datagram, SockProtocol::Udp, port),
    };
    let opened = socket(
        family,
        kind,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        protocol,
    )?;
    let pieces = match target {
        IpAddr::V4(_) => {
            setsockopt(&opened, Ipv4RecvErr, &true)?;
            if let Some(ttl) = ttl {
                setsockopt(&opened, Ipv4Ttl, &ttl.into())?;
            }
            let level = libc::IPPROTO_IP;
            set_option(&opened, level, libc::IP_MTU_DISCOVER, &libc::IP_PMTUDISC_PROBE)?;
            (level, libc::IP_RECVFRAGSIZE)
        }
        IpAddr::V6(_) => {
            setsockopt(&opened, Ipv6RecvErr, &true)?;
            if let Some(ttl) = ttl {
                setsockopt(&opened, Ipv6Ttl, &ttl.into())?;
            }
            let level = libc::IPPROTO_IPV6;
            set_option(
                &opened,
                level,
                libc::IPV6_MTU_DISCOVER,
                &libc::IPV6_PMTUDISC_PROBE,
            )?;
            if matches!(method, Method::Tcp { .. }) {
                // The place of the checksum in the segment.
                set_option(&opened, level, libc::IPV6_CHECKSUM, &16)?;
            }
            (level, libc::IPV6_RECVFRAGSIZE)
        }
    };
    set_option(&opened, pieces.0, pieces.1, &1)?;
    connect(
        opened.as_raw_fd(),
        &SockaddrStorage::from(SocketAddr::new(target, port)),
    )?;
    Ok(opened)
}

/// The address from which a connected socket sends.
pub(super) fn local_address(socket: &OwnedFd, target: IpAddr) -> IpAddr {
    let unspecified: IpAddr = match target {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let Ok(address) = getsockname::<SockaddrStorage>(socket.as_raw_fd()) else {
        return unspecified;
    };
    let v4 = address.as_sockaddr_in().map(|found| found.ip().into());
    let v6 = address.as_sockaddr_in6().map(|found| found.ip().into());
    v4.or(v6).unwrap_or(unspecified)
}

/// A TCP port of this host that no other program gets while the socket lives. Nobody listens on it, so that
/// the kernel refuses what answers.
pub(super) fn reserved(local: IpAddr) -> nix::Result<(OwnedFd, u16)> {
    let family = match local {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    let holder = socket(
        family,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::Tcp,
    )?;
    bind(
        holder.as_raw_fd(),
        &SockaddrStorage::from(SocketAddr::new(local, 0)),
    )?;
    let address = getsockname::<SockaddrStorage>(holder.as_raw_fd())?;
    let v4 = address.as_sockaddr_in().map(|found| found.port());
    let v6 = address.as_sockaddr_in6().map(|found| found.port());
    Ok((holder, v4.or(v6).ok_or(Errno::EAFNOSUPPORT)?))
}

/// Keeps all segments from a TCP socket but those to one port: the target may send many to other programs.
pub(super) fn only_to_port(socket: &OwnedFd, target: IpAddr, port: u16) -> nix::Result<()> {
    let code = |code: u32| code as u16;
    let op = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    // A raw IPv4 socket's packets begin with the IP header, those of IPv6 with TCP's. The destination port
    // has offset 2.
    let mut load = match target {
        IpAddr::V4(_) => vec![
            op(code(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH), 0, 0, 0),
            op(code(libc::BPF_LD | libc::BPF_H | libc::BPF_IND), 0, 0, 2),
        ],
        IpAddr::V6(_) => vec![op(code(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS), 0, 0, 2)],
    };
    load.extend([
        op(
            code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K),
            0,
            1,
            port.into(),
        ),
        op(code(libc::BPF_RET | libc::BPF_K), 0, 0, u32::MAX),
        op(code(libc::BPF_RET | libc::BPF_K), 0, 0, 0),
    ]);
    let program = libc::sock_fprog {
        len: load.len() as u16,
        filter: load.as_mut_ptr(),
    };
    set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// Sets an option of a socket.
pub(super) fn set_option<T>(
    socket: &OwnedFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> nix::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    let value: *const T = value;
    #[expect(unsafe_code)]
    // SAFETY: `value` and what it points to outlive the call, and `length` is its size.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value.cast(), length) };
    Errno::result(result).map(drop)
}
