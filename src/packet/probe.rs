//! The packets of a probe: a "packet too big" about a packet that nobody sent, with a token at its end.

use std::net::IpAddr;

use crate::checksum::checksum;
use netkeel_core::replication::probe::Token;

/// The bytes before the token. Other messages end with them by no chance that matters.
const MARK: [u8; 8] = *b"\x01netkeel";

/// Bytes of the mark and the token.
const TRAILER: usize = 16;

/// Bytes of a TCP header without options.
const TCP_HEADER: usize = 20;

/// TTL or hop limit of the quoted packet.
const TTL: u8 = 64;

/// The packet that a probe quotes: a TCP segment that the served address did not send. No socket has this flow, so
/// that a kernel that gets the message changes no path MTU (`tcp_v4_err`, net/ipv4/tcp_ipv4.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeFlow {
    /// The served address.
    pub vip: IpAddr,
    /// The port of the service.
    pub vip_port: u16,
    /// An address of the host that probes.
    pub own: IpAddr,
    /// A port that no program of that host uses.
    pub own_port: u16,
    /// The sequence number of the segment. It distinguishes the packets of one probe.
    pub sequence: u32,
}

impl ProbeFlow {
    /// The ICMP or ICMPv6 message with this next-hop MTU, bytes. The checksum of ICMPv6 is zero: the kernel that
    /// sends it fills it in. `None` for addresses of two families.
    pub fn message(&self, mtu: u16, token: Token) -> Option<Vec<u8>> {
        let kind = match self.vip {
            IpAddr::V4(_) => [3, 4],
            IpAddr::V6(_) => [2, 0],
        };
        let [high, low] = mtu.to_be_bytes();
        let mut message = vec![kind[0], kind[1], 0, 0, 0, 0, high, low];
        message.extend(self.quoted_header()?);
        message.extend(self.vip_port.to_be_bytes());
        message.extend(self.own_port.to_be_bytes());
        message.extend(self.sequence.to_be_bytes());
        // No acknowledgement, a header of five words, the flag ACK, a window of 64 KiB less one.
        message.extend([0, 0, 0, 0, 5 << 4, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
        message.extend(MARK);
        message.extend(token.0.to_be_bytes());
        if let (IpAddr::V4(_), [high, low]) = (self.vip, checksum(&[&message]).to_be_bytes())
            && let Some(place) = message.get_mut(2..4)
        {
            place.copy_from_slice(&[high, low]);
        }
        Some(message)
    }

    /// The IP header of the segment.
    fn quoted_header(&self) -> Option<Vec<u8>> {
        const PROTOCOL_TCP: u8 = 6;
        let payload = (TCP_HEADER + TRAILER) as u16;
        match (self.vip, self.own) {
            (IpAddr::V4(vip), IpAddr::V4(own)) => {
                let [high, low] = (payload + 20).to_be_bytes();
                // DF: only such a packet can be too big.
                let mut header = vec![0x45, 0, high, low, 0, 0, 0x40, 0, TTL, PROTOCOL_TCP, 0, 0];
                header.extend(vip.octets());
                header.extend(own.octets());
                let sum = checksum(&[&header]).to_be_bytes();
                header.get_mut(10..12)?.copy_from_slice(&sum);
                Some(header)
            }
            (IpAddr::V6(vip), IpAddr::V6(own)) => {
                let [high, low] = payload.to_be_bytes();
                let mut header = vec![0x60, 0, 0, 0, high, low, PROTOCOL_TCP, TTL];
                header.extend(vip.octets());
                header.extend(own.octets());
                Some(header)
            }
            _ => None,
        }
    }
}

/// The token at the end of a packet, which is a valid message; `None` for one of no probe.
pub fn token(packet: &[u8]) -> Option<Token> {
    let at = packet.len().checked_sub(TRAILER)?;
    let number = packet.get(at..)?.strip_prefix(&MARK)?.first_chunk()?;
    Some(Token(u64::from_be_bytes(*number)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::sum;
    use crate::filter::{Filter, below_link};
    use crate::read::read;
    use crate::sample;
    use netkeel_core::replication::refusal::Refusal;

    const TOKEN: Token = Token(0x0123_4567_89ab_cdef);

    fn flow(vip: &str, own: &str) -> ProbeFlow {
        ProbeFlow {
            vip: vip.parse().unwrap(),
            vip_port: 443,
            own: own.parse().unwrap(),
            own_port: 40_000,
            sequence: 7,
        }
    }

    /// The packet that the kernel makes of the message.
    fn sent(flow: &ProbeFlow, mtu: u16) -> Vec<u8> {
        let mut message = flow.message(mtu, TOKEN).unwrap();
        match (flow.own, flow.vip) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                [sample::ipv4(from, to, 1, 64, message.len()), message].concat()
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let pseudo = [&(message.len() as u32).to_be_bytes()[..], &[0, 0, 0, 58]].concat();
                let all = [&from.octets()[..], &to.octets(), &pseudo, &message].concat();
                let sum = sample::checksum(&all).to_be_bytes();
                message[2..4].copy_from_slice(&sum);
                [sample::ipv6(from, to, 58, 64, message.len()), message].concat()
            }
            _ => unreachable!(),
        }
    }

    #[test]
    fn a_worker_accepts_it_and_finds_the_token() {
        for flow in [
            flow("192.0.2.10", "203.0.113.7"),
            flow("2001:db8:1::10", "2001:db8::7"),
        ] {
            let packet = sent(&flow, 1280);
            let found = read(&packet).unwrap();
            assert_eq!(found.mtu, 1280);
            assert_eq!(Filter::default().check(&found, false), Ok(()));
            assert_eq!(below_link(&found, Some(1500)), Ok(()));
            assert_eq!(below_link(&found, Some(1280)), Err(Refusal::NotBelowLink));
            assert_eq!(token(&packet[..found.length]), Some(TOKEN));
            // Its quote is a whole TCP segment to the host that probes.
            assert_eq!(IpAddr::from(found.quoted.destination), flow.own);
            assert_eq!((found.quoted.protocol, found.quoted.guess), (6, 7));
        }
    }

    #[test]
    fn the_quoted_header_is_valid() {
        let message = flow("192.0.2.10", "203.0.113.7").message(1280, TOKEN).unwrap();
        let header = &message[8..28];
        assert!(crate::checksum::holds(sum(header)));
        assert_eq!(
            usize::from(u16::from_be_bytes([header[2], header[3]])),
            message.len() - 8
        );
    }

    #[test]
    fn other_packets_have_no_token() {
        let packet = sent(&flow("192.0.2.10", "203.0.113.7"), 1280);
        assert_eq!(token(&sample::Sample::ipv4().bytes()), None);
        for length in 0..packet.len() {
            assert_eq!(token(&packet[..length]), None, "{length}");
        }
        assert_eq!(flow("192.0.2.10", "2001:db8::7").message(1280, TOKEN), None);
    }
}
