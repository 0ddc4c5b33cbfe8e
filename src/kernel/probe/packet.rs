//! The bytes of probes, and what tells their answers from other packets.

use std::net::IpAddr;

use netkeel_mtu::probe::reply::Method;
use netkeel_packet::checksum::checksum;

/// ICMP echo request and reply (RFC 792), and ICMPv6's (RFC 4443).
const ECHO_REQUEST: u8 = 8;

const ECHO_REPLY: u8 = 0;

const ECHO_REQUEST_V6: u8 = 128;

const ECHO_REPLY_V6: u8 = 129;

/// Bytes of the header of ICMP echo and of UDP.
const SHORT_HEADER: usize = 8;

/// Bytes of TCP's header without options.
pub(super) const TCP_HEADER: usize = 20;

/// Flags of TCP (RFC 9293, 3.1).
pub(super) const SYN: u8 = 0x02;

pub(super) const RST: u8 = 0x04;

pub(super) const ACK: u8 = 0x10;

/// The two numbers in a probe by which its answer is known: one of this host, one of the target or of the echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The identifier of an echo, or the source port of TCP.
    pub own: u16,
    /// The sequence number of an echo, or the destination port of TCP.
    pub other: u16,
}

impl Mark {
    /// Whether quoted bytes, from the transport header on, are those of this probe.
    pub(super) fn is_quoted(self, method: Method, quoted: &[u8]) -> bool {
        let at = match method {
            Method::Icmp => quoted.get(4..8),
            Method::Tcp { .. } => quoted.get(..4),
            // The kernel found the socket by its ports.
            Method::Udp { .. } => return true,
        };
        at == Some(&self.bytes())
    }

    fn bytes(self) -> [u8; 4] {
        let ([a, b], [c, d]) = (self.own.to_be_bytes(), self.other.to_be_bytes());
        [a, b, c, d]
    }
}

/// Bytes of the IP header of a probe.
pub(super) fn ip_header(target: IpAddr) -> u32 {
    if target.is_ipv4() { 20 } else { 40 }
}

/// Bytes of the smallest probe: its headers, and some data, because a filter may treat a packet without
/// data otherwise.
pub(super) fn least(target: IpAddr) -> u32 {
    ip_header(target) + 48
}

/// The bytes to send for a packet of `size` bytes: all after the IP header, for UDP after its header too.
pub(super) fn build(method: Method, mark: Mark, size: u32, local: IpAddr, target: IpAddr) -> Vec<u8> {
    let length = size.saturating_sub(ip_header(target)) as usize;
    let mut bytes = vec![0; length.max(SHORT_HEADER)];
    match method {
        Method::Udp { .. } => bytes.truncate(length.saturating_sub(SHORT_HEADER)),
        Method::Icmp => {
            let kind = if target.is_ipv4() {
                ECHO_REQUEST
            } else {
                ECHO_REQUEST_V6
            };
            put(&mut bytes, 0, &[kind]);
            put(&mut bytes, 4, &mark.bytes());
            // The kernel fills in ICMPv6's checksum.
            if target.is_ipv4() {
                let sum = checksum(&[&bytes]);
                put(&mut bytes, 2, &sum.to_be_bytes());
            }
        }
        Method::Tcp { .. } => {
            bytes.resize(length.max(TCP_HEADER), 0);
            put(&mut bytes, 0, &mark.bytes());
            put(&mut bytes, 4, &mark.bytes());
            put(&mut bytes, 12, &[(TCP_HEADER as u8 / 4) << 4, SYN, 0x04, 0]);
            if let (IpAddr::V4(local), IpAddr::V4(target)) = (local, target) {
                let [high, low] = (bytes.len() as u16).to_be_bytes();
                let pseudo = [0, libc::IPPROTO_TCP as u8, high, low];
                let sum = checksum(&[&local.octets(), &target.octets(), &pseudo, &bytes]);
                put(&mut bytes, 16, &sum.to_be_bytes());
            }
        }
    }
    bytes
}

/// The bytes after the IP header of what a raw socket received. Only one of IPv4 gets the header too.
pub(super) fn payload(target: IpAddr, received: &[u8]) -> &[u8] {
    let header = match target {
        IpAddr::V4(_) => received.first().map_or(0, |first| usize::from(first & 0x0f) * 4),
        IpAddr::V6(_) => 0,
    };
    received.get(header..).unwrap_or_default()
}

/// Whether received bytes are the answer to a probe.
pub(super) fn is_answer(method: Method, mark: Mark, target: IpAddr, received: &[u8]) -> bool {
    let bytes = payload(target, received);
    match method {
        Method::Icmp => {
            let kind = if target.is_ipv4() {
                ECHO_REPLY
            } else {
                ECHO_REPLY_V6
            };
            bytes.get(..2) == Some(&[kind, 0]) && bytes.get(4..8) == Some(&mark.bytes())
        }
        Method::Tcp { .. } => {
            let ports = Mark {
                own: mark.other,
                other: mark.own,
            };
            let answers = |flags: u8| flags & RST != 0 || flags & (SYN | ACK) == SYN | ACK;
            bytes.get(..4) == Some(&ports.bytes()) && bytes.get(13).copied().is_some_and(answers)
        }
        // A program that answers on that port has received the datagram.
        Method::Udp { .. } => true,
    }
}

/// Writes bytes at a place, if they fit.
pub(super) fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    if let Some(part) = bytes.get_mut(at..at + what.len()) {
        part.copy_from_slice(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = Mark {
        own: 0x1234,
        other: 7,
    };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_probe_has_the_size_that_is_asked() {
        let (v4, v6) = (address("192.0.2.1"), address("2001:db8::1"));
        for size in [88, 89, 1280, 1500] {
            let length = |method, target| build(method, MARK, size, target, target).len() as u32;
            for method in [Method::Icmp, Method::Tcp { port: 80 }] {
                assert_eq!(length(method, v4), size - 20);
                assert_eq!(length(method, v6), size - 40);
            }
            let udp = Method::Udp { port: 33_434 };
            assert_eq!(length(udp, v4), size - 28);
            assert_eq!(length(udp, v6), size - 48);
        }
        assert!(least(v4) >= 68 && least(v6) >= 88);
    }

    #[test]
    fn an_answer_has_the_mark_and_a_quote_too() {
        let target = address("192.0.2.1");
        let sent = build(Method::Icmp, MARK, 100, target, target);
        let mut reply = [vec![0x45], vec![0; 19], sent.clone()].concat();
        assert!(!is_answer(Method::Icmp, MARK, target, &reply), "a request");
        reply[20] = ECHO_REPLY;
        assert!(is_answer(Method::Icmp, MARK, target, &reply));
        let other = Mark { other: 8, ..MARK };
        assert!(!is_answer(Method::Icmp, other, target, &reply));
        assert!(MARK.is_quoted(Method::Icmp, &sent) && !other.is_quoted(Method::Icmp, &sent));
        for cut in 0..28 {
            assert!(!is_answer(Method::Icmp, MARK, target, &reply[..cut]), "{cut}");
        }
    }

    #[test]
    fn a_port_answers_by_accepting_or_by_refusing() {
        let target = address("2001:db8::1");
        let tcp = Method::Tcp { port: 7 };
        let segment = |flags: u8| [&[0, 7, 0x12, 0x34][..], &[0; 9], &[flags], &[0; 6]].concat();
        assert!(is_answer(tcp, MARK, target, &segment(SYN | ACK)));
        assert!(is_answer(tcp, MARK, target, &segment(RST | ACK)));
        assert!(!is_answer(tcp, MARK, target, &segment(ACK)));
    }
}
