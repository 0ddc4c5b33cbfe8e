//! The bytes of a TCP SYN inside an IP packet, and what tells its answers from other packets.

use std::net::IpAddr;

use crate::probe::packet::{ACK, RST, SYN, TCP_HEADER, ip_header, put};
use netkeel_mtu::probe::encapsulated::Encapsulated;
use netkeel_packet::checksum::checksum;

/// Hop limit of both headers: Linux's own default.
const TTL: u8 = 64;

/// TCP's option that announces an MSS (RFC 9293, 3.2), and its length.
const MSS_OPTION: u8 = 2;

const MSS_LENGTH: u8 = 4;

/// The numbers of the SYN by which its answer is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Syn {
    /// The source port.
    pub from: u16,
    /// The destination port.
    pub to: u16,
    /// The sequence number. Its upper half marks the inner IP header too.
    pub sequence: u32,
}

/// An answer to the SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// A SYN-ACK, with the MSS that it announces, bytes.
    SynAck(Option<u16>),
    /// A reset.
    Reset,
}

impl Syn {
    /// The packet with both IP headers.
    pub(super) fn build(self, packet: &Encapsulated) -> Vec<u8> {
        let inner = self.inner(packet);
        let protocol = if packet.inner_dst.is_ipv4() {
            libc::IPPROTO_IPIP
        } else {
            libc::IPPROTO_IPV6
        };
        let mut bytes = ip(packet.outer_src, packet.outer_dst, protocol as u8, inner.len(), 0);
        bytes.extend(inner);
        bytes
    }

    /// Whether bytes that an ICMP error quotes from the outer header on are those of this packet.
    pub(super) fn is_quoted(self, packet: &Encapsulated, quoted: &[u8]) -> bool {
        let header = ip_header(packet.outer_dst) as usize;
        let inner = self.inner(packet);
        // Routers quote at least eight bytes after the header (RFC 792).
        inner
            .get(..8)
            .is_some_and(|begin| quoted.get(header..header + 8) == Some(begin))
    }

    /// Whether bytes that an ICMP error quotes from TCP's header on are those of this SYN.
    pub(super) fn is_quoted_inside(self, quoted: &[u8]) -> bool {
        quoted.get(..4) == Some(&self.ports(false))
    }

    /// The answer in a TCP segment, `None` if it answers something else.
    pub(super) fn answer(self, segment: &[u8]) -> Option<Segment> {
        let acknowledged = self.sequence.wrapping_add(1).to_be_bytes();
        if segment.get(..4) != Some(&self.ports(true)) || segment.get(8..12) != Some(&acknowledged) {
            return None;
        }
        let flags = *segment.get(13)?;
        match flags {
            _ if flags & ACK == 0 => None,
            _ if flags & RST != 0 => Some(Segment::Reset),
            _ if flags & SYN != 0 => Some(Segment::SynAck(mss(segment))),
            _ => None,
        }
    }

    fn ports(self, answer: bool) -> [u8; 4] {
        let (from, to) = if answer {
            (self.to, self.from)
        } else {
            (self.from, self.to)
        };
        let ([a, b], [c, d]) = (from.to_be_bytes(), to.to_be_bytes());
        [a, b, c, d]
    }

    /// The inner packet.
    fn inner(self, packet: &Encapsulated) -> Vec<u8> {
        let own: u16 = if packet.inner_dst.is_ipv4() { 1460 } else { 1440 };
        let [high, low] = own.to_be_bytes();
        let mut tcp = Vec::with_capacity(TCP_HEADER + usize::from(MSS_LENGTH));
        tcp.extend(self.ports(false));
        tcp.extend(self.sequence.to_be_bytes());
        tcp.extend([0; 4]);
        // The header has six words with the option. The window is 64 KiB less one.
        tcp.extend([6 << 4, SYN, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend([MSS_OPTION, MSS_LENGTH, high, low]);
        let length = tcp.len() as u8;
        let pseudo = [0, libc::IPPROTO_TCP as u8, 0, length];
        let sum = match (packet.inner_src, packet.inner_dst) {
            (IpAddr::V4(from), IpAddr::V4(to)) => checksum(&[&from.octets(), &to.octets(), &pseudo, &tcp]),
            (from, to) => checksum(&[&octets(from), &octets(to), &pseudo, &tcp]),
        };
        put(&mut tcp, 16, &sum.to_be_bytes());
        let mark = (self.sequence >> 16) as u16;
        let protocol = libc::IPPROTO_TCP as u8;
        let mut bytes = ip(packet.inner_src, packet.inner_dst, protocol, tcp.len(), mark);
        bytes.extend(tcp);
        bytes
    }
}

/// An IP header without options. `mark` is the identification (IPv4) or the flow label (IPv6).
fn ip(from: IpAddr, to: IpAddr, protocol: u8, payload: usize, mark: u16) -> Vec<u8> {
    let [mark_high, mark_low] = mark.to_be_bytes();
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let [high, low] = ((payload + 20) as u16).to_be_bytes();
            let mut bytes = vec![0x45, 0, high, low, mark_high, mark_low, 0, 0, TTL, protocol, 0, 0];
            bytes.extend(from.octets());
            bytes.extend(to.octets());
            let sum = checksum(&[&bytes]);
            put(&mut bytes, 10, &sum.to_be_bytes());
            bytes
        }
        (from, to) => {
            let [high, low] = (payload as u16).to_be_bytes();
            let mut bytes = vec![0x60, 0, mark_high, mark_low, high, low, protocol, TTL];
            bytes.extend(octets(from));
            bytes.extend(octets(to));
            bytes
        }
    }
}

/// The sixteen bytes of an IPv6 address.
fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// The MSS in the options of a segment.
fn mss(segment: &[u8]) -> Option<u16> {
    let header = usize::from(*segment.get(12)? >> 4) * 4;
    let mut options = segment.get(TCP_HEADER..header.min(segment.len()))?;
    loop {
        options = match options {
            [MSS_OPTION, MSS_LENGTH, high, low, ..] => return Some(u16::from_be_bytes([*high, *low])),
            // Padding.
            [1, rest @ ..] => rest,
            [0, ..] | [] | [_] => return None,
            [_, length, ..] => options.get(usize::from((*length).max(2))..)?,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYN_SENT: Syn = Syn {
        from: 0x1234,
        to: 443,
        sequence: 0xfedc_ffff,
    };

    fn packet(outer: [&str; 2], inner: [&str; 2]) -> Encapsulated {
        let address = |text: &str| text.parse().unwrap();
        Encapsulated {
            outer_src: address(outer[0]),
            outer_dst: address(outer[1]),
            inner_src: address(inner[0]),
            inner_dst: address(inner[1]),
            port: 443,
        }
    }

    fn segment(flags: u8, ack: u32, options: &[u8]) -> Vec<u8> {
        let mut bytes = [443u16.to_be_bytes(), 0x1234u16.to_be_bytes()].concat();
        bytes.extend([0; 4]);
        bytes.extend(ack.to_be_bytes());
        bytes.extend([((20 + options.len()) as u8 / 4) << 4, flags, 0, 0, 0, 0, 0, 0]);
        bytes.extend(options);
        bytes
    }

    #[test]
    fn the_headers_nest_and_their_sums_hold() {
        let v4 = ["192.0.2.1", "192.0.2.2"];
        let v6 = ["2001:db8::1", "2001:db8::2"];
        for (outer, inner, length, protocol) in [(v4, v4, 64, 4), (v6, v6, 104, 41), (v6, v4, 84, 4)] {
            let packet = packet(outer, inner);
            let bytes = SYN_SENT.build(&packet);
            assert_eq!(bytes.len(), length);
            let (header, next) = if outer == v4 { (20, 9) } else { (40, 6) };
            assert_eq!(bytes[next], protocol);
            if outer == v4 {
                // The sum over a header with its own sum is zero.
                assert_eq!((checksum(&[&bytes[..20]]), checksum(&[&bytes[20..40]])), (0, 0));
            }
            let tcp = &bytes[bytes.len() - 24..];
            let pseudo = [0, 6, 0, 24];
            let (from, to) = match inner == v4 {
                true => (
                    bytes[header + 12..header + 16].to_vec(),
                    bytes[header + 16..header + 20].to_vec(),
                ),
                false => (
                    bytes[header + 8..header + 24].to_vec(),
                    bytes[header + 24..header + 40].to_vec(),
                ),
            };
            assert_eq!(checksum(&[&from, &to, &pseudo, tcp]), 0);
            assert!(SYN_SENT.is_quoted(&packet, &bytes[..header + 8]));
            assert!(!SYN_SENT.is_quoted(&packet, &bytes[..header + 7]));
            let other = Syn {
                sequence: 5,
                ..SYN_SENT
            };
            assert!(!other.is_quoted(&packet, &bytes));
            assert!(SYN_SENT.is_quoted_inside(tcp));
        }
    }

    #[test]
    fn an_answer_has_the_ports_and_acknowledges_the_syn() {
        let next = 0xfedd_0000;
        let options = [1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 2, 4, 5, 160];
        let syn_ack = segment(SYN | ACK, next, &options);
        assert_eq!(SYN_SENT.answer(&syn_ack), Some(Segment::SynAck(Some(1440))));
        assert_eq!(
            SYN_SENT.answer(&segment(SYN | ACK, next, &[])),
            Some(Segment::SynAck(None))
        );
        assert_eq!(
            SYN_SENT.answer(&segment(RST | ACK, next, &[])),
            Some(Segment::Reset)
        );
        assert_eq!(SYN_SENT.answer(&segment(ACK, next, &[])), None);
        assert_eq!(
            SYN_SENT.answer(&segment(RST, next, &[])),
            None,
            "nothing is acknowledged"
        );
        assert_eq!(SYN_SENT.answer(&segment(SYN | ACK, next + 1, &[])), None);
        let other = Syn { from: 1, ..SYN_SENT };
        assert_eq!(other.answer(&syn_ack), None);
        for cut in 0..syn_ack.len() {
            // Cut options announce nothing, and a cut header is no answer.
            let answer = SYN_SENT.answer(&syn_ack[..cut]);
            assert!(
                matches!(answer, None | Some(Segment::SynAck(None))),
                "{cut}: {answer:?}"
            );
        }
    }

    #[test]
    fn options_that_lie_about_their_length_end() {
        for options in [[8, 0, 8, 0], [8, 255, 0, 0], [2, 3, 0, 0], [0, 2, 4, 5]] {
            assert_eq!(mss(&segment(SYN | ACK, 0, &options)), None, "{options:?}");
        }
    }
}
