//! Whether a host answers: by TCP where a port is given, else by an ICMP echo.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recv, sendto, setsockopt,
    socket,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::probe::packet::payload;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_packet::checksum::checksum;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// A target that must stay reachable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As it was given.
    pub text: String,
    address: IpAddr,
    port: Option<u16>,
}

impl Target {
    /// Reads `HOST`, `HOST:PORT`, `[IPv6]:PORT` or an address; a name is looked up now.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when it is neither, or the name is not known.
    pub fn resolve(text: &str) -> Result<Self, Error> {
        let target = |address, port| Target {
            text: text.to_owned(),
            address,
            port,
        };
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(target(address, None));
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(target(address.ip(), Some(address.port())));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => match port.parse::<u16>() {
                Ok(port) => (host, Some(port)),
                Err(_) => {
                    return Err(Error::new(
                        ErrorKind::Input,
                        format!("`{text}` is not HOST or HOST:PORT"),
                    ));
                }
            },
            None => (text, None),
        };
        let found = (host, 0)
            .to_socket_addrs()
            .ok()
            .and_then(|mut found| found.next());
        match found {
            Some(address) => Ok(target(address.ip(), port)),
            None => Err(
                Error::new(ErrorKind::Input, format!("the host `{host}` is not known"))
                    .hint("give an address where names cannot be looked up"),
            ),
        }
    }

    /// Whether it answers within a second. A refused connection is an answer.
    pub fn answers(&self) -> bool {
        match self.port {
            Some(port) => match TcpStream::connect_timeout(&SocketAddr::new(self.address, port), PATIENCE) {
                Ok(_) => true,
                Err(error) => error.kind() == io::ErrorKind::ConnectionRefused,
            },
            None => echo(self.address).unwrap_or(false),
        }
    }
}

/// ICMP echo request, and the types of its reply (RFC 792, RFC 4443).
fn echo(to: IpAddr) -> nix::Result<bool> {
    let (family, protocol, request, reply) = match to {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp, 8, 0),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6, 128, 129),
    };
    let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::milliseconds(200))?;
    let id = (std::process::id() & 0xffff) as u16;
    let [high, low] = id.to_be_bytes();
    let mut packet = [request, 0, 0, 0, high, low, 0, 1];
    let sum = checksum(&[&packet]).to_be_bytes();
    packet[2..4].copy_from_slice(&sum);
    sendto(
        socket.as_raw_fd(),
        &packet,
        &SockaddrStorage::from(SocketAddr::new(to, 0)),
        MsgFlags::empty(),
    )?;
    let start = Instant::now();
    let mut buffer = [0; 1500];
    while start.elapsed() < PATIENCE {
        let Ok(length) = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) else {
            continue;
        };
        let received = buffer.get(..length).unwrap_or_default();
        if let [kind, 0, _, _, a, b, ..] = payload(to, received)
            && *kind == reply
            && [*a, *b] == [high, low]
        {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_host_with_or_without_a_port() {
        let read = |text: &str| Target::resolve(text).map(|target| (target.address.to_string(), target.port));
        assert_eq!(read("192.0.2.1").unwrap(), ("192.0.2.1".into(), None));
        assert_eq!(read("192.0.2.1:22").unwrap(), ("192.0.2.1".into(), Some(22)));
        assert_eq!(
            read("[2001:db8::1]:22").unwrap(),
            ("2001:db8::1".into(), Some(22))
        );
        assert_eq!(read("2001:db8::1").unwrap(), ("2001:db8::1".into(), None));
        assert!(read("192.0.2.1:http").is_err());
    }

    #[test]
    fn a_port_that_refuses_is_reachable() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(Target::resolve(&address.to_string()).unwrap().answers());
        drop(listener);
        assert!(Target::resolve(&address.to_string()).unwrap().answers());
    }
}
