//! The conditions that a rule has for a packet, as far as they concern path MTU messages.

use crate::nftables::protocol::*;

use ipnet::IpNet;

use crate::nftables::expression::{Comparison, Expression, Log};
use crate::nftables::protocol;
use crate::nftables::protocol::{
    FRAGMENTATION_NEEDED, ICMP, ICMPV6, NFPROTO_IPV4, NFPROTO_IPV6, PACKET_TOO_BIG,
};
use netkeel_core::name::link::LinkName;
use netkeel_core::nflog::entry_name::Rate;
use netkeel_core::nflog::foreign::Interfaces;

/// The conditions of a rule. A condition that it does not have is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// The interface's name, with a zero at its end unless it is the beginning of one.
    pub interface: Option<Vec<u8>>,
    /// Not the interface with this name.
    pub not_interface: Option<LinkName>,
    /// NFPROTO of the packet.
    pub family: Option<u8>,
    /// IPPROTO.
    pub protocol: Option<u8>,
    /// From none of these.
    pub ignored: Vec<IpNet>,
    /// From one of these.
    pub from: Vec<IpNet>,
    /// Type of the ICMP message.
    pub kind: Option<u8>,
    /// Code of the ICMP message.
    pub code: Option<u8>,
    /// Next-hop MTU.
    pub min_mtu: Option<u32>,
    /// Next-hop MTU.
    pub max_mtu: Option<u32>,
    /// For each source.
    pub rate: Option<Rate>,
    /// Its comment, in an extension of iptables.
    pub comment: Option<String>,
    /// Extensions that it names for ICMP.
    pub extension: bool,
    /// Something else.
    pub unknown: bool,
    /// How it logs the packet.
    pub log: Option<Log>,
}

impl Conditions {
    /// Walks the expressions up to the first that logs; `family` is that of the table, if it is of
    /// one.
    pub fn of(expressions: &[Expression], family: Option<u8>) -> Self {
        let mut found = Conditions {
            family,
            ..Conditions::default()
        };
        let mut loaded: Option<&Expression> = None;
        let mut mask: Option<&[u8]> = None;
        for expression in expressions {
            match expression {
                Expression::Meta(_) | Expression::Payload(..) => (loaded, mask) = (Some(expression), None),
                Expression::Mask(bits) if mask.is_none() => mask = Some(bits),
                Expression::Compare(comparison, bytes) => {
                    let known = loaded.and_then(|loaded| found.compare(loaded, mask, *comparison, bytes));
                    found.unknown |= known.is_none();
                }
                Expression::SourceRate(_, rate) => found.rate = Some(*rate),
                Expression::Counter => {}
                Expression::Log(log) => {
                    found.log = Some(log.clone());
                    return found;
                }
                Expression::Extension(target, name, revision, info) => {
                    let known = found.extension(*target, name, *revision, info);
                    found.unknown |= known.is_none();
                    if found.log.is_some() {
                        return found;
                    }
                }
                // It may load something else than what was loaded.
                Expression::Mask(_) | Expression::Verdict(_) | Expression::Unknown(_) => {
                    (found.unknown, loaded) = (true, None);
                }
            }
        }
        found
    }

    fn compare(
        &mut self,
        loaded: &Expression,
        mask: Option<&[u8]>,
        comparison: Comparison,
        bytes: &[u8],
    ) -> Option<()> {
        use Comparison::AtLeast;
        use Comparison::AtMost;
        use Comparison::Equal;
        use Comparison::NotEqual;
        let byte = || bytes.first().copied();
        match (loaded, comparison, mask) {
            (Expression::Meta(NFT_META_IIFNAME), Equal, None) => self.interface = Some(bytes.to_vec()),
            (Expression::Meta(NFT_META_IIFNAME), NotEqual, None) => self.not(bytes)?,
            (Expression::Meta(NFT_META_NFPROTO), Equal, None) => self.family = byte(),
            (Expression::Meta(NFT_META_L4PROTO), Equal, None) => self.protocol = byte(),
            (Expression::Payload(NFT_PAYLOAD_NETWORK_HEADER, 9, 1), Equal, None)
                if self.family != Some(NFPROTO_IPV6) =>
            {
                self.protocol = byte();
            }
            (Expression::Payload(NFT_PAYLOAD_NETWORK_HEADER, 12, _), Equal | NotEqual, _)
                if self.family != Some(NFPROTO_IPV6) =>
            {
                self.source(false, bytes, mask, comparison)?;
            }
            (Expression::Payload(NFT_PAYLOAD_NETWORK_HEADER, 8, _), Equal | NotEqual, _)
                if self.family != Some(NFPROTO_IPV4) =>
            {
                self.source(true, bytes, mask, comparison)?;
            }
            (Expression::Payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1), Equal, None) => self.kind = byte(),
            (Expression::Payload(NFT_PAYLOAD_TRANSPORT_HEADER, 1, 1), Equal, None) => self.code = byte(),
            (Expression::Payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2), Equal, None) => {
                (self.kind, self.code) = (byte(), bytes.get(1).copied());
            }
            (
                Expression::Payload(NFT_PAYLOAD_TRANSPORT_HEADER, 6, 2)
                | Expression::Payload(NFT_PAYLOAD_TRANSPORT_HEADER, 4, 4),
                AtLeast,
                None,
            ) => {
                self.min_mtu = Some(number(bytes)?);
            }
            (
                Expression::Payload(NFT_PAYLOAD_TRANSPORT_HEADER, 6, 2)
                | Expression::Payload(NFT_PAYLOAD_TRANSPORT_HEADER, 4, 4),
                AtMost,
                None,
            ) => {
                self.max_mtu = Some(number(bytes)?);
            }
            _ => return None,
        }
        Some(())
    }

    /// Leaves out the interface with a name. The beginning of names, and a second name, are not understood.
    pub(crate) fn not(&mut self, bytes: &[u8]) -> Option<()> {
        let end = bytes.iter().position(|byte| *byte == 0)?;
        let name = LinkName::new(bytes.get(..end)?).ok()?;
        self.not_interface
            .is_none()
            .then(|| self.not_interface = Some(name))
    }

    fn source(&mut self, ipv6: bool, bytes: &[u8], mask: Option<&[u8]>, how: Comparison) -> Option<()> {
        let net = protocol::network(ipv6, bytes, mask)?;
        match how {
            Comparison::NotEqual => self.ignored.push(net),
            _ => self.from.push(net),
        }
        Some(())
    }

    /// Extensions of iptables: `struct ipt_icmp`, `struct ip6t_icmp`, `struct xt_comment_info` and
    /// `struct xt_nflog_info` (include/uapi/linux/netfilter).
    pub fn extension(&mut self, target: bool, name: &str, revision: u32, info: &[u8]) -> Option<()> {
        match (target, name, revision) {
            (false, "icmp" | "icmp6", 0) => {
                let [kind, from, to, inverted] = *info.first_chunk()?;
                if inverted != 0 || kind == 0xff {
                    return None;
                }
                self.kind = Some(kind);
                self.code = match (from, to) {
                    (0, 0xff) => None,
                    _ if from == to => Some(from),
                    _ => return None,
                };
                self.extension = true;
            }
            (false, "comment", 0) => self.comment = Some(text(info)),
            (true, "NFLOG", 0) => {
                let word = |at: usize| crate::netlink::message::u16_at(info, at);
                let snaplen = crate::netlink::message::u32_at(info, 0)?;
                // The length counts only where this flag is set.
                const XT_NFLOG_F_COPY_LEN: u16 = 1;
                let counts = word(8)? & XT_NFLOG_F_COPY_LEN != 0;
                self.log = Some(Log {
                    group: word(4)?,
                    snaplen: if counts { snaplen } else { 0 },
                    threshold: word(6)?,
                    prefix: text(info.get(12..)?),
                });
            }
            _ => return None,
        }
        Some(())
    }

    /// The interface, when it is one.
    pub fn interface(&self) -> Option<LinkName> {
        match self.interfaces() {
            Interfaces::Named(name) => Some(name),
            _ => None,
        }
    }

    /// Which interfaces it is for.
    pub fn interfaces(&self) -> Interfaces {
        let Some(bytes) = &self.interface else {
            return self.not_interface.map_or(Interfaces::All, Interfaces::Except);
        };
        let end = bytes.iter().position(|byte| *byte == 0);
        let name = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
        match (end, LinkName::new(name)) {
            (Some(_), Ok(name)) => Interfaces::Named(name),
            _ if name.is_empty() => Interfaces::All,
            _ => Interfaces::Prefix(String::from_utf8_lossy(name).into()),
        }
    }

    /// It takes the message of a family that a packet was too big.
    pub fn takes(&self, ipv6: bool) -> bool {
        let (family, protocol, (kind, code)) = match ipv6 {
            false => (NFPROTO_IPV4, ICMP, FRAGMENTATION_NEEDED),
            true => (NFPROTO_IPV6, ICMPV6, PACKET_TOO_BIG),
        };
        let is = |asked: Option<u8>, value: u8| asked.is_none_or(|asked| asked == value);
        let of_family =
            |nets: &[IpNet]| nets.is_empty() || nets.iter().any(|net| matches!(net, IpNet::V6(_)) == ipv6);
        is(self.family, family)
            && is(self.protocol, protocol)
            && is(self.kind, kind)
            && is(self.code, code)
            && of_family(&self.from)
            && of_family(&self.ignored)
    }

    /// It takes all of them, but for those of sources that it leaves out.
    pub(crate) fn takes_all(&self) -> bool {
        // A rule with both conditions has no form of its own.
        !(self.unknown || self.interface.is_some() && self.not_interface.is_some())
            && self.from.is_empty()
            && self.min_mtu.is_none()
            && self.max_mtu.is_none()
            && self.rate.is_none()
    }
}

fn number(bytes: &[u8]) -> Option<u32> {
    match *bytes {
        [a, b] => Some(u16::from_be_bytes([a, b]).into()),
        [a, b, c, d] => Some(u32::from_be_bytes([a, b, c, d])),
        _ => None,
    }
}

/// Up to the terminating zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default()).into_owned()
}
