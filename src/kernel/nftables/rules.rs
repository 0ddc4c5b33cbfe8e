//! An entry's rules as expressions, and back: what is read is netkeel's only if writing it again
//! gives the same expressions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::conditions::Conditions;
use super::expression::{Comparison, Expression, Log};
use super::protocol::*;
use crate::link_name::LinkName;
use crate::nflog::{EntryName, Part, Rules};

pub(super) const ICMP: u8 = libc::IPPROTO_ICMP as u8;
pub(super) const ICMPV6: u8 = libc::IPPROTO_ICMPV6 as u8;

/// Type and code of the message that a packet is too big.
pub(super) const FRAGMENTATION_NEEDED: (u8, u8) = (3, 4);
pub(super) const PACKET_TOO_BIG: (u8, u8) = (2, 0);

/// The rules, each as its expressions.
pub(super) fn write(rules: &Rules, name: &EntryName) -> Vec<Vec<Expression>> {
    let mut all = Vec::new();
    for (ipv6, part) in rules.parts() {
        for interface in &part.interfaces {
            all.push(one(rules, name, ipv6, part, *interface));
        }
    }
    all
}

fn one(rules: &Rules, name: &EntryName, ipv6: bool, part: &Part, interface: LinkName) -> Vec<Expression> {
    let equal = |bytes: &[u8]| Expression::Compare(Comparison::Equal, bytes.to_vec());
    let (family, protocol, (kind, code)) = match ipv6 {
        false => (NFPROTO_IPV4, ICMP, FRAGMENTATION_NEEDED),
        true => (NFPROTO_IPV6, ICMPV6, PACKET_TOO_BIG),
    };
    let mut rule = vec![
        Expression::Meta(NFT_META_IIFNAME),
        equal(&padded(interface)),
        Expression::Meta(NFT_META_NFPROTO),
        equal(&[family]),
    ];
    for net in &part.ignore_sources {
        rule.extend(not_from(net));
    }
    rule.extend([
        Expression::Meta(NFT_META_L4PROTO),
        equal(&[protocol]),
        Expression::Payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2),
        equal(&[kind, code]),
    ]);
    if part.min_mtu.is_some() || part.max_mtu.is_some() {
        rule.push(next_hop_mtu(ipv6));
        for (comparison, mtu) in [
            (Comparison::AtLeast, part.min_mtu),
            (Comparison::AtMost, part.max_mtu),
        ] {
            rule.extend(mtu.map(|mtu| Expression::Compare(comparison, mtu_bytes(ipv6, mtu))));
        }
    }
    if let Some(rate) = rules.rate {
        let (offset, length) = if ipv6 { (8, 16) } else { (12, 4) };
        rule.push(Expression::Payload(NFT_PAYLOAD_NETWORK_HEADER, offset, length));
        rule.push(Expression::SourceRate(name.set(ipv6), rate));
    }
    rule.push(Expression::Counter);
    rule.push(Expression::Log(Log {
        group: rules.group,
        snaplen: rules.snaplen,
        threshold: rules.queue_threshold,
        prefix: String::new(),
    }));
    rule
}

fn padded(interface: LinkName) -> Vec<u8> {
    let mut bytes = interface.as_bytes().to_vec();
    bytes.resize(libc::IFNAMSIZ, 0);
    bytes
}

/// A source is loaded as nft loads it: only the bytes of the prefix, where it ends with a byte.
fn not_from(net: &IpNet) -> Vec<Expression> {
    let (offset, mut bytes, mut mask) = match net {
        IpNet::V4(net) => (
            12,
            net.network().octets().to_vec(),
            net.netmask().octets().to_vec(),
        ),
        IpNet::V6(net) => (
            8,
            net.network().octets().to_vec(),
            net.netmask().octets().to_vec(),
        ),
    };
    let whole_bytes = usize::from(net.prefix_len() / 8);
    let mut rule = Vec::new();
    if net.prefix_len().is_multiple_of(8) {
        bytes.truncate(whole_bytes);
        mask.clear();
    }
    rule.push(Expression::Payload(
        NFT_PAYLOAD_NETWORK_HEADER,
        offset,
        bytes.len() as u32,
    ));
    if !mask.is_empty() {
        rule.push(Expression::Mask(mask));
    }
    rule.push(Expression::Compare(Comparison::NotEqual, bytes));
    rule
}

/// Where the message says the MTU: 16 bits of ICMP, 32 of ICMPv6.
fn next_hop_mtu(ipv6: bool) -> Expression {
    match ipv6 {
        false => Expression::Payload(NFT_PAYLOAD_TRANSPORT_HEADER, 6, 2),
        true => Expression::Payload(NFT_PAYLOAD_TRANSPORT_HEADER, 4, 4),
    }
}

fn mtu_bytes(ipv6: bool, mtu: u32) -> Vec<u8> {
    let bytes = mtu.to_be_bytes();
    // A document takes no MTU above 65535.
    bytes.get(if ipv6 { 0 } else { 2 }..).unwrap_or_default().to_vec()
}

/// Reads a source: the bytes that are compared, and the mask before that.
pub(super) fn network(ipv6: bool, bytes: &[u8], mask: Option<&[u8]>) -> Option<IpNet> {
    let width = if ipv6 { 16 } else { 4 };
    let prefix = match mask {
        None if bytes.len() <= width => bytes.len() * 8,
        Some(mask) if mask.len() == width && bytes.len() == width => {
            let ones: u32 = mask.iter().map(|byte| byte.leading_ones()).sum();
            let set: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
            // The ones of a prefix come first.
            let leading = mask
                .iter()
                .position(|byte| *byte != 0xff)
                .is_none_or(|at| mask[at + 1..].iter().all(|byte| *byte == 0));
            (ones == set && leading).then_some(ones as usize)?
        }
        _ => return None,
    };
    let mut whole = [0; 16];
    whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
    let address: IpAddr = match ipv6 {
        true => Ipv6Addr::from(whole).into(),
        false => Ipv4Addr::from(*whole.first_chunk()?).into(),
    };
    IpNet::new(address, prefix.try_into().ok()?).ok()
}

/// The rules of an entry, when these expressions are what netkeel writes for them.
pub(super) fn read(name: &EntryName, found: &[Vec<Expression>]) -> Option<Rules> {
    let mut rules: Option<Rules> = None;
    for expressions in found {
        let one = Conditions::of(expressions, None);
        let log = one.log.as_ref()?;
        let this = Rules {
            group: log.group,
            snaplen: log.snaplen,
            queue_threshold: log.threshold,
            rate: one.rate,
            ipv4: None,
            ipv6: None,
        };
        let rules = rules.get_or_insert(this);
        let part = match one.family? {
            NFPROTO_IPV4 => rules.ipv4.get_or_insert_default(),
            NFPROTO_IPV6 => rules.ipv6.get_or_insert_default(),
            _ => return None,
        };
        part.interfaces.insert(one.interface()?);
        part.ignore_sources = one.ignored.iter().copied().collect();
        (part.min_mtu, part.max_mtu) = (one.min_mtu, one.max_mtu);
    }
    // Whatever was overlooked shows here.
    rules.filter(|rules| write(rules, name) == found)
}
