//! The numbers and the frame of nftables messages, and the numbers of IP and ICMP that rules match.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::netlink::message::{Attributes, Malformed, Message, Request};

/// Families of tables, and of the packets that a rule sees.
pub(crate) const NFPROTO_INET: u8 = libc::NFPROTO_INET as u8;

pub(crate) const NFPROTO_IPV4: u8 = libc::NFPROTO_IPV4 as u8;

pub(crate) const NFPROTO_IPV6: u8 = libc::NFPROTO_IPV6 as u8;

/// Defines message types of libc as numbers of the width that a message has for them.
macro_rules! messages {
    ($($name:ident)*) => { $(pub(super) const $name: u16 = libc::$name as u16;)* };
}

// The answer to a GET is a NEW.
messages! {
    NFNL_SUBSYS_NFTABLES NFNL_MSG_BATCH_BEGIN NFNL_MSG_BATCH_END NFNL_BATCH_GENID
    NFT_MSG_NEWTABLE NFT_MSG_GETTABLE NFT_MSG_DELTABLE
    NFT_MSG_NEWCHAIN NFT_MSG_GETCHAIN NFT_MSG_DELCHAIN
    NFT_MSG_NEWRULE NFT_MSG_GETRULE NFT_MSG_DELRULE
    NFT_MSG_NEWSET NFT_MSG_GETSET NFT_MSG_DELSET
    NFT_MSG_NEWSETELEM NFT_MSG_DELSETELEM
    NFT_MSG_NEWGEN NFT_MSG_GETGEN NFT_MSG_GETOBJ
}

pub(crate) const NFT_MSG_GETFLOWTABLE: u16 = 23;

/// Defines values of libc as the unsigned numbers that attributes hold.
macro_rules! values {
    ($($name:ident)*) => { $(pub(super) const $name: u32 = libc::$name as u32;)* };
}

values! {
    NF_ACCEPT NF_DROP NF_INET_PRE_ROUTING
    NFT_REG_1 NFT_REG_VERDICT
    NFT_META_IIFNAME NFT_META_NFPROTO NFT_META_L4PROTO
    NFT_PAYLOAD_NETWORK_HEADER NFT_PAYLOAD_TRANSPORT_HEADER
    NFT_CMP_EQ NFT_CMP_NEQ NFT_CMP_LTE NFT_CMP_GTE
    NFT_SET_TIMEOUT NFT_SET_EVAL
    NFT_DYNSET_OP_UPDATE NFT_DYNSET_F_INV NFT_LIMIT_PKTS
}

/// The Boolean operation of a bitwise expression: mask, then exclusive or.
pub(crate) const NFT_BITWISE_MASK_XOR: u32 = 0;

/// Verdicts that nftables adds: back to the calling chain, and on to the next rule
/// (include/uapi/linux/netfilter/nf_tables.h).
pub(crate) const NFT_RETURN: u32 = -5_i32 as u32;

pub(crate) const NFT_CONTINUE: u32 = -1_i32 as u32;

/// Numbers that nft gives the types of addresses, for its listings (libnftables, datatype.h).
pub(crate) const TYPE_IPADDR: u32 = 7;

pub(crate) const TYPE_IP6ADDR: u32 = 8;

/// Defines attributes, in groups of those that stand in one attribute or message.
macro_rules! attributes {
    ($($name:ident = $number:literal),* $(,)?) => { $(pub(super) const $name: u16 = $number;)* };
}

attributes! {
    // The table that a message is about has this number in all of them: NFTA_TABLE_NAME,
    // NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_SET_TABLE, NFTA_OBJ_TABLE, NFTA_FLOWTABLE_TABLE.
    OF_TABLE = 1,

    NFTA_GEN_ID = 1,

    NFTA_TABLE_NAME = 1, NFTA_TABLE_FLAGS = 2,

    NFTA_CHAIN_TABLE = 1, NFTA_CHAIN_NAME = 3, NFTA_CHAIN_HOOK = 4, NFTA_CHAIN_POLICY = 5, NFTA_CHAIN_TYPE = 7,
    NFTA_CHAIN_COUNTERS = 8,
    NFTA_HOOK_HOOKNUM = 1, NFTA_HOOK_PRIORITY = 2,

    NFTA_RULE_TABLE = 1, NFTA_RULE_CHAIN = 2, NFTA_RULE_HANDLE = 3, NFTA_RULE_EXPRESSIONS = 4,
    NFTA_RULE_COMPAT = 5, NFTA_RULE_POSITION = 6, NFTA_RULE_USERDATA = 7, NFTA_RULE_ID = 9,
    NFTA_RULE_POSITION_ID = 10,
    NFTA_RULE_COMPAT_PROTO = 1, NFTA_RULE_COMPAT_FLAGS = 2,

    NFTA_SET_TABLE = 1, NFTA_SET_NAME = 2, NFTA_SET_FLAGS = 3, NFTA_SET_KEY_TYPE = 4, NFTA_SET_KEY_LEN = 5,
    NFTA_SET_DESC = 9, NFTA_SET_ID = 10, NFTA_SET_TIMEOUT = 11,
    NFTA_SET_DESC_SIZE = 1,

    NFTA_LIST_ELEM = 1,
    NFTA_EXPR_NAME = 1, NFTA_EXPR_DATA = 2,
    NFTA_DATA_VALUE = 1, NFTA_DATA_VERDICT = 2, NFTA_VERDICT_CODE = 1,
    NFTA_VERDICT_CHAIN = 2,
    NFTA_COUNTER_PACKETS = 2, NFTA_IMMEDIATE_DATA = 2,

    NFTA_META_DREG = 1, NFTA_META_KEY = 2, NFTA_META_SREG = 3,
    NFTA_CT_DREG = 1, NFTA_CT_KEY = 2, NFTA_CT_SREG = 4, NFTA_LOOKUP_DREG = 3, NFTA_EXTHDR_SREG = 7, NFTA_OBJREF_TYPE = 1,
    NFTA_PAYLOAD_DREG = 1, NFTA_PAYLOAD_BASE = 2, NFTA_PAYLOAD_OFFSET = 3, NFTA_PAYLOAD_LEN = 4,
    NFTA_PAYLOAD_SREG = 5,
    NFTA_BITWISE_SREG = 1, NFTA_BITWISE_DREG = 2, NFTA_BITWISE_LEN = 3, NFTA_BITWISE_MASK = 4,
    NFTA_BITWISE_XOR = 5, NFTA_BITWISE_OP = 6,
    NFTA_CMP_SREG = 1, NFTA_CMP_OP = 2, NFTA_CMP_DATA = 3,
    NFTA_DYNSET_SET_NAME = 1, NFTA_DYNSET_OP = 3, NFTA_DYNSET_SREG_KEY = 4, NFTA_DYNSET_SREG_DATA = 5,
    NFTA_DYNSET_EXPR = 7, NFTA_DYNSET_FLAGS = 9,
    NFTA_LIMIT_RATE = 1, NFTA_LIMIT_UNIT = 2, NFTA_LIMIT_BURST = 3, NFTA_LIMIT_TYPE = 4, NFTA_LIMIT_FLAGS = 5,
    NFTA_LOG_GROUP = 1, NFTA_LOG_PREFIX = 2, NFTA_LOG_SNAPLEN = 3, NFTA_LOG_QTHRESHOLD = 4,
    // Those of a match and of a target are the same.
    NFTA_MATCH_NAME = 1, NFTA_MATCH_REV = 2, NFTA_MATCH_INFO = 3,
}

pub(crate) const ICMP: u8 = libc::IPPROTO_ICMP as u8;

pub(crate) const ICMPV6: u8 = libc::IPPROTO_ICMPV6 as u8;

/// Type and code of the message that a packet is too big.
pub(crate) const FRAGMENTATION_NEEDED: (u8, u8) = (3, 4);

pub(crate) const PACKET_TOO_BIG: (u8, u8) = (2, 0);

/// Targets of iptables after which the packet goes on.
pub(crate) const GOES_ON: &[&str] = &[
    "AUDIT",
    "CHECKSUM",
    "CLASSIFY",
    "CONNMARK",
    "CONNSECMARK",
    "DSCP",
    "HL",
    "HMARK",
    "IDLETIMER",
    "LED",
    "LOG",
    "MARK",
    "NFLOG",
    "RATEEST",
    "SECMARK",
    "SET",
    "TCPMSS",
    "TCPOPTSTRIP",
    "TEE",
    "TOS",
    "TRACE",
    "TTL",
    "ULOG",
];

/// Reads a source: the bytes that are compared, and the mask before that.
pub(crate) fn network(ipv6: bool, bytes: &[u8], mask: Option<&[u8]>) -> Option<IpNet> {
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

/// A request with its `struct nfgenmsg`.
pub(crate) fn request(verb: u16, family: u8, flags: libc::c_int) -> Request {
    let flags = (libc::NLM_F_REQUEST | flags) as u16;
    Request::new(NFNL_SUBSYS_NFTABLES << 8 | verb, flags, &[family, 0, 0, 0])
}

pub(super) fn message_family(message: &Message<'_>) -> u8 {
    message.payload.first().copied().unwrap_or_default()
}

/// The attributes after `struct nfgenmsg`.
pub(super) fn attributes<'a>(message: &Message<'a>) -> Result<Attributes<'a>, Malformed> {
    Attributes::after(message.payload, 4)
}

/// Name and flags; of an object or a flowtable the name of the table it is in.
pub(crate) fn table(message: &Message<'_>) -> Result<(String, u32), Malformed> {
    let (mut name, mut flags) = (String::new(), 0);
    for attribute in attributes(message)? {
        let attribute = attribute?;
        match attribute.kind {
            OF_TABLE => name = attribute.text(),
            NFTA_TABLE_FLAGS => flags = attribute.be32().unwrap_or_default(),
            _ => {}
        }
    }
    Ok((name, flags))
}
