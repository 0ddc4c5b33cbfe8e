//! An entry's rules as expressions, and back: what is read is netkeel's only if writing it again
//! gives the same expressions.

use crate::nftables::protocol::*;

use ipnet::IpNet;

use crate::nftables::conditions::Conditions;
use crate::nftables::expression::{Comparison, Expression, Log};
use crate::nftables::protocol::{
    FRAGMENTATION_NEEDED, ICMP, ICMPV6, NFPROTO_IPV4, NFPROTO_IPV6, PACKET_TOO_BIG,
};
use netkeel_core::name::link::LinkName;
use netkeel_core::nflog::entry_name::EntryName;
use netkeel_core::nflog::rules::{Part, Rules};

/// The rules, each as its expressions.
pub(crate) fn write(rules: &Rules, name: &EntryName) -> Vec<Vec<Expression>> {
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
    // A receiver of ICMPv6 ignores the code (RFC 4443, 3.2).
    let message: &[u8] = if ipv6 { &[kind] } else { &[kind, code] };
    rule.extend([
        Expression::Meta(NFT_META_L4PROTO),
        equal(&[protocol]),
        Expression::Payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, message.len() as u32),
        equal(message),
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

/// The rules of an entry, when these expressions are what netkeel writes for them.
pub(crate) fn read(name: &EntryName, found: &[Vec<Expression>]) -> Option<Rules> {
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
    // A detail that was overlooked makes a difference here.
    rules.filter(|rules| write(rules, name) == found)
}
