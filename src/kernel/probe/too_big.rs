//! Sends ICMP "packet too big" about a flow of this host's own, as a router on the path would.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, connect, send, socket,
};

use crate::netlink::refusal::error;
use crate::probe::socket::{local_address, reserved};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::replication::probe::Token;
use netkeel_packet::probe::ProbeFlow;

/// A number that nobody else knows: std keys its hashes with the kernel's random numbers.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A flow between a served address and this host, whose port no other program gets while this lives.
pub struct TooBigSender {
    socket: OwnedFd,
    vip: IpAddr,
    vip_port: u16,
    own: IpAddr,
    own_port: u16,
    _port: OwnedFd,
}

impl TooBigSender {
    /// Opens the socket in the calling thread's namespace.
    ///
    /// # Errors
    /// Without CAP_NET_RAW; when there is no route; for an address of this host, which no router is asked about.
    pub fn open(vip: IpAddr, vip_port: u16) -> Result<Self, Error> {
        let opened = open(vip).map_err(|errno| {
            let failed = error(errno).context(format_args!("opening a socket for ICMP to {vip}"));
            match errno {
                Errno::EPERM | Errno::EACCES => failed.hint("this probe needs CAP_NET_RAW"),
                _ => failed,
            }
        })?;
        let own = local_address(&opened, vip);
        if own == vip {
            return Err(Error::new(
                ErrorKind::Input,
                format!("{vip} is an address of this host: its packets do not leave this host"),
            )
            .hint("probe from a host that reaches the nodes as clients do"));
        }
        let (port, own_port) = reserved(own).map_err(error)?;
        Ok(TooBigSender {
            socket: opened,
            vip,
            vip_port,
            own,
            own_port,
            _port: port,
        })
    }

    /// The address of this host from which the messages come.
    pub fn own(&self) -> IpAddr {
        self.own
    }

    /// Sends one message with a next-hop MTU, bytes, and a new token, which is returned.
    ///
    /// # Errors
    /// When this host does not let it out: a firewall, or no route.
    pub fn send(&self, mtu: u16) -> Result<Token, Error> {
        let token = Token(random());
        let flow = ProbeFlow {
            vip: self.vip,
            vip_port: self.vip_port,
            own: self.own,
            own_port: self.own_port,
            sequence: random() as u32,
        };
        let message = flow
            .message(mtu, token)
            .ok_or_else(|| error(Errno::EAFNOSUPPORT))?;
        let send = || send(self.socket.as_raw_fd(), &message, MsgFlags::empty());
        // A socket reports an ICMP error about an earlier packet once, and sends nothing.
        let sent = send().or_else(|_| send());
        sent.map_err(|errno| error(errno).context(format_args!("sending to {}", self.vip)))?;
        Ok(token)
    }
}

/// Opens and connects the socket. The kernel fills in the IP header, and ICMPv6's checksum.
fn open(vip: IpAddr) -> nix::Result<OwnedFd> {
    let (family, protocol) = match vip {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    let opened = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
    let to = SockaddrStorage::from(SocketAddr::new(vip, 0));
    connect(opened.as_raw_fd(), &to)?;
    Ok(opened)
}
