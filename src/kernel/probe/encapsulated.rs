//! Sends a TCP SYN inside an IP packet, as a load balancer does, and waits for the answer of the service.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockaddrStorage, bind, connect, recvfrom, sendto, setsockopt,
};

use crate::netlink::refusal::{Refusal, error};
use crate::probe::error_queue::{self, Fault};
use crate::probe::packet::payload;
use crate::probe::segment::{Segment, Syn};
use crate::probe::socket::{only_to_port, reserved, set_option};
use crate::probe::too_big::random;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_mtu::probe::encapsulated::{Answer, Encapsulated, Encapsulation};

/// Packets that are sent until one is answered.
const TRIES: usize = 3;

/// The wait for an answer after each packet, and so the pause before the next one. Linux sends one ICMP error a
/// second to a destination (`icmp_ratelimit`).
const PAUSE: Duration = Duration::from_secs(1);

/// Packets that are looked at before the clock is.
const AT_ONCE: usize = 64;

/// Completes a packet with the addresses of this host in the calling thread's namespace. The SYN comes from the address
/// from which this host reaches the host that decapsulates or, in another IP version, the service.
///
/// # Errors
/// [`ErrorKind::Input`] for IPv6 in IPv4, and for an outer source of another IP version; when there is no route.
pub fn packet(
    outer_dst: IpAddr,
    outer_src: Option<IpAddr>,
    inner_dst: IpAddr,
    port: u16,
) -> Result<Encapsulated, Error> {
    if Encapsulation::of(outer_dst, inner_dst).is_none() {
        return Err(Error::new(
            ErrorKind::Input,
            format!("{inner_dst} is IPv6 and {outer_dst} is IPv4: IPv6 in IPv4 is not supported"),
        )
        .hint("send to an IPv6 address of the host, which an ip6tnl device decapsulates"));
    }
    let other_version = |source: &IpAddr| source.is_ipv4() != outer_dst.is_ipv4();
    if let Some(source) = outer_src.filter(other_version) {
        return Err(Error::new(
            ErrorKind::Input,
            format!("the outer source {source} and destination {outer_dst} have different IP versions"),
        ));
    }
    let own = local(outer_dst)?;
    Ok(Encapsulated {
        outer_src: outer_src.unwrap_or(own),
        outer_dst,
        inner_src: if own.is_ipv4() == inner_dst.is_ipv4() {
            own
        } else {
            local(inner_dst)?
        },
        inner_dst,
        port,
    })
}

/// Sends the packet in the calling thread's namespace until it is answered, at most three times in three seconds.
///
/// # Errors
/// Without CAP_NET_RAW; when there is no route; when this host does not let the packet out.
pub fn ask(packet: &Encapsulated) -> Result<Answer, Error> {
    let asker = Asker::open(packet).map_err(|errno| {
        let failed = error(errno).context("opening the sockets for an encapsulated SYN");
        match errno {
            Errno::EPERM | Errno::EACCES => failed.hint("this probe needs CAP_NET_RAW"),
            _ => failed,
        }
    })?;
    let start = Instant::now();
    let bytes = asker.syn.build(packet);
    let to = SockaddrStorage::from(SocketAddr::new(packet.outer_dst, 0));
    for turn in 1..=TRIES {
        let sent = match sendto(asker.outer.as_raw_fd(), &bytes, &to, MsgFlags::empty()) {
            // A socket reports the ICMP error of an earlier packet once, and sends nothing.
            Err(_) if asker.take(start).is_none() => {
                sendto(asker.outer.as_raw_fd(), &bytes, &to, MsgFlags::empty())
            }
            sent => sent,
        };
        if let Some(answer) = asker.take(start) {
            return Ok(answer);
        }
        sent.map_err(|errno| error(errno).context(format_args!("sending to {}", packet.outer_dst)))?;
        let until = PAUSE.saturating_mul(turn as u32);
        loop {
            if let Some(answer) = asker.take(start) {
                return Ok(answer);
            }
            let left = until.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            asker.wait(left);
        }
    }
    Ok(Answer::Silent)
}

/// The sockets of one SYN.
struct Asker<'a> {
    packet: &'a Encapsulated,
    syn: Syn,
    /// Sends, and gets ICMP errors about the outer packet.
    outer: OwnedFd,
    /// Gets the answer, and ICMP errors about the SYN.
    inner: OwnedFd,
    /// Keeps other programs from the source port. Nobody listens on it, so the kernel resets what is accepted.
    _port: OwnedFd,
}

impl<'a> Asker<'a> {
    fn open(packet: &'a Encapsulated) -> nix::Result<Self> {
        let (port, from) = reserved(packet.inner_src)?;
        let protocol = match packet.inner_dst {
            IpAddr::V4(_) => libc::IPPROTO_IPIP,
            IpAddr::V6(_) => libc::IPPROTO_IPV6,
        };
        let outer = raw(packet.outer_dst, protocol)?;
        let (level, name) = match packet.outer_dst {
            IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_HDRINCL),
            IpAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_HDRINCL),
        };
        set_option(&outer, level, name, &1)?;
        let to = SockaddrStorage::from(SocketAddr::new(packet.outer_dst, 0));
        connect(outer.as_raw_fd(), &to)?;
        let inner = raw(packet.inner_dst, libc::IPPROTO_TCP)?;
        only_to_port(&inner, packet.inner_dst, from)?;
        let own = SockaddrStorage::from(SocketAddr::new(packet.inner_src, 0));
        bind(inner.as_raw_fd(), &own)?;
        Ok(Asker {
            packet,
            syn: Syn {
                from,
                to: packet.port,
                sequence: random() as u32,
            },
            outer,
            inner,
            _port: port,
        })
    }

    /// Takes what came, without waiting. Other packets that the sockets get are skipped.
    fn take(&self, start: Instant) -> Option<Answer> {
        for (from, segment) in std::iter::from_fn(|| self.received()).take(AT_ONCE) {
            if from != Some(self.packet.inner_dst) {
                continue;
            }
            match self.syn.answer(&segment) {
                Some(Segment::SynAck(mss)) => {
                    let after = start.elapsed();
                    return Some(Answer::SynAck { mss, after });
                }
                Some(Segment::Reset) => return Some(Answer::Reset),
                None => {}
            }
        }
        for entry in std::iter::from_fn(|| error_queue::next(&self.inner)).take(AT_ONCE) {
            if self.syn.is_quoted_inside(&entry.quoted)
                && let Some((from, reason)) = rejected(entry.fault)
            {
                return Some(Answer::InnerRejected { from, reason });
            }
        }
        for entry in std::iter::from_fn(|| error_queue::next(&self.outer)).take(AT_ONCE) {
            if self.syn.is_quoted(self.packet, &entry.quoted)
                && let Some((from, reason)) = rejected(entry.fault)
            {
                return Some(Answer::OuterRejected { from, reason });
            }
        }
        // Packets that the sender receives have no use here, and would wake the wait again and again.
        let mut bytes = [0; 1];
        for _ in 0..AT_ONCE {
            let got = recvfrom::<SockaddrStorage>(self.outer.as_raw_fd(), &mut bytes);
            if got.is_err() {
                break;
            }
        }
        None
    }

    /// The source and the start of the next TCP segment.
    fn received(&self) -> Option<(Option<IpAddr>, Vec<u8>)> {
        let mut bytes = [0; 256];
        let (length, from) = loop {
            match recvfrom::<SockaddrStorage>(self.inner.as_raw_fd(), &mut bytes) {
                Ok(received) => break received,
                Err(Errno::EINTR) => {}
                Err(_) => return None,
            }
        };
        let from = from.and_then(|from| {
            let v4 = from.as_sockaddr_in().map(|from| IpAddr::from(from.ip()));
            v4.or_else(|| from.as_sockaddr_in6().map(|from| IpAddr::from(from.ip())))
        });
        let received = bytes.get(..length)?;
        Some((from, payload(self.packet.inner_dst, received).to_vec()))
    }

    /// Waits until something comes, or the time is over.
    fn wait(&self, left: Duration) {
        let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::ZERO);
        let mut both = [
            PollFd::new(self.inner.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.outer.as_fd(), PollFlags::POLLIN),
        ];
        // An error ends the wait early; the caller looks at the clock.
        let _ = poll(&mut both, timeout);
    }
}

/// A raw socket that keeps the ICMP errors about its packets.
fn raw(to: IpAddr, protocol: libc::c_int) -> nix::Result<OwnedFd> {
    let family = match to {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // nix has no name for the protocols of tunnels.
    #[expect(unsafe_code)]
    // SAFETY: no pointer is passed, and the new descriptor has no other owner.
    let opened = unsafe {
        let number = Errno::result(libc::socket(family as libc::c_int, kind, protocol))?;
        OwnedFd::from_raw_fd(number)
    };
    match to {
        IpAddr::V4(_) => setsockopt(&opened, Ipv4RecvErr, &true)?,
        IpAddr::V6(_) => setsockopt(&opened, Ipv6RecvErr, &true)?,
    }
    Ok(opened)
}

/// The author and the reason of an error that ends the packet's way.
fn rejected(fault: Fault) -> Option<(IpAddr, &'static str)> {
    match fault {
        Fault::Undelivered(from, reason) => Some((from, reason)),
        Fault::Expired(from) => Some((from, "time to live exceeded: a routing loop")),
        Fault::TooBig(from, _) => Some((from, "packet too big")),
        Fault::TooBigHere(_) => None,
    }
}

/// The address from which this host reaches another one.
fn local(to: IpAddr) -> Result<IpAddr, Error> {
    let any: SocketAddr = match to {
        IpAddr::V4(_) => ([0; 4], 0).into(),
        IpAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    // Connecting sends nothing; any port will do.
    let found = UdpSocket::bind(any).and_then(|socket| {
        socket.connect((to, 9))?;
        socket.local_addr()
    });
    found
        .map(|address| address.ip())
        .map_err(|cause| Error::from(Refusal::from(cause)).context(format_args!("the route to {to}")))
}
