//! The expressions of a rule, as far as netkeel writes or understands them: all compute in the
//! first register. Counts are left out, so that equal rules compare equal.

use crate::nftables::protocol::*;

use crate::netlink::message::{Attribute, Attributes, Malformed, Request};
use crate::nftables::protocol::NFT_BITWISE_MASK_XOR;
use netkeel_core::nflog::entry_name::Rate;

/// One expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expression {
    /// Loads a property of the packet: NFT_META_*.
    Meta(u32),
    /// Loads bytes of the packet: from which header (NFT_PAYLOAD_*), at which offset, how many.
    Payload(u32, u32, u32),
    /// Leaves the bits of a mask.
    Mask(Vec<u8>),
    /// Goes on if what is loaded compares so.
    Compare(Comparison, Vec<u8>),
    /// Goes on while the loaded source keeps to its rate.
    SourceRate(String, Rate),
    /// Counts.
    Counter,
    /// Hands the packet to a group.
    Log(Log),
    /// An extension of iptables: whether it is a target, its name, revision and parameters.
    Extension(bool, String, u32, Vec<u8>),
    /// A verdict: what it ends, or may end.
    Verdict(Option<End>),
    /// Anything else.
    Unknown(String),
}

/// What a rule ends for a packet, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// Its way through the chain. Other chains of the hook see it still.
    Chain,
    /// Its way through the hook: it is dropped or handed elsewhere, or another chain decides about it.
    Packet,
}

/// How packets are handed to a group; 0 where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Log {
    pub group: u16,
    /// Bytes of a packet at most.
    pub snaplen: u32,
    /// Packets that are gathered.
    pub threshold: u16,
    /// Text that the reader receives with each packet.
    pub prefix: String,
}

/// How a comparison compares, by the kernel's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal = NFT_CMP_EQ as isize,
    NotEqual = NFT_CMP_NEQ as isize,
    AtMost = NFT_CMP_LTE as isize,
    AtLeast = NFT_CMP_GTE as isize,
}

impl Expression {
    /// Adds itself to the list that a rule is.
    pub fn write(&self, list: Request) -> Request {
        list.nest(NFTA_LIST_ELEM, |element| self.write_bare(element))
    }

    fn write_bare(&self, element: Request) -> Request {
        let name = match self {
            Expression::Meta(_) => "meta",
            Expression::Payload(..) => "payload",
            Expression::Mask(_) => "bitwise",
            Expression::Compare(..) => "cmp",
            Expression::SourceRate(..) => "dynset",
            Expression::Counter => "counter",
            Expression::Log(_) => "log",
            // netkeel writes none of them.
            Expression::Extension(..) | Expression::Verdict(_) | Expression::Unknown(_) => return element,
        };
        let element = element.text(NFTA_EXPR_NAME, name);
        element.nest(NFTA_EXPR_DATA, |data| match self {
            Expression::Meta(key) => data.be32(NFTA_META_DREG, NFT_REG_1).be32(NFTA_META_KEY, *key),
            Expression::Payload(base, offset, length) => data
                .be32(NFTA_PAYLOAD_DREG, NFT_REG_1)
                .be32(NFTA_PAYLOAD_BASE, *base)
                .be32(NFTA_PAYLOAD_OFFSET, *offset)
                .be32(NFTA_PAYLOAD_LEN, *length),
            Expression::Mask(mask) => data
                .be32(NFTA_BITWISE_SREG, NFT_REG_1)
                .be32(NFTA_BITWISE_DREG, NFT_REG_1)
                .be32(NFTA_BITWISE_LEN, mask.len() as u32)
                .nest(NFTA_BITWISE_MASK, |bits| bits.attribute(NFTA_DATA_VALUE, mask))
                .nest(NFTA_BITWISE_XOR, |bits| {
                    bits.attribute(NFTA_DATA_VALUE, &vec![0; mask.len()])
                }),
            Expression::Compare(comparison, bytes) => data
                .be32(NFTA_CMP_SREG, NFT_REG_1)
                .be32(NFTA_CMP_OP, *comparison as u32)
                .nest(NFTA_CMP_DATA, |value| value.attribute(NFTA_DATA_VALUE, bytes)),
            Expression::SourceRate(set, rate) => data
                .text(NFTA_DYNSET_SET_NAME, set)
                .be32(NFTA_DYNSET_OP, NFT_DYNSET_OP_UPDATE)
                .be32(NFTA_DYNSET_SREG_KEY, NFT_REG_1)
                .nest(NFTA_DYNSET_EXPR, |inner| {
                    limit(inner.text(NFTA_EXPR_NAME, "limit"), rate)
                }),
            Expression::Log(log) => data
                .attribute(NFTA_LOG_GROUP, &log.group.to_be_bytes())
                .be32(NFTA_LOG_SNAPLEN, log.snaplen)
                .attribute(NFTA_LOG_QTHRESHOLD, &log.threshold.to_be_bytes()),
            Expression::Counter
            | Expression::Extension(..)
            | Expression::Verdict(_)
            | Expression::Unknown(_) => data,
        })
    }

    /// Reads an element of the list. Every unknown attribute makes it [`Expression::Unknown`].
    pub fn read(element: &Attribute<'_>) -> Result<Expression, Malformed> {
        let mut name = String::new();
        let mut data = Attributes(&[]);
        for attribute in element.nested() {
            let attribute = attribute?;
            match attribute.kind {
                NFTA_EXPR_NAME => name = attribute.text(),
                NFTA_EXPR_DATA => data = attribute.nested(),
                _ => {}
            }
        }
        let fields = Fields::read(data)?;
        Ok(fields.expression(&name).unwrap_or(Expression::Unknown(name)))
    }

    /// What it ends for a message that a packet was too big, at most.
    pub(crate) fn end(&self) -> Option<End> {
        match self {
            Expression::Verdict(end) => *end,
            Expression::Extension(true, target, ..) => end_of_target(target),
            Expression::Unknown(name) => (!passes(name)).then_some(End::Packet),
            _ => None,
        }
    }

    /// Reads all of a list.
    pub fn read_all(list: Attributes<'_>) -> Result<Vec<Expression>, Malformed> {
        list.map(|element| Expression::read(&element?)).collect()
    }
}

/// What a target of iptables ends, at most.
pub(crate) fn end_of_target(name: &str) -> Option<End> {
    let goes_on = matches!(name, "CT" | "NOTRACK") || GOES_ON.contains(&name);
    (!goes_on).then_some(End::Packet)
}

/// Whether an expression of this name loads a value for another one.
pub(crate) fn loads(name: &str) -> bool {
    matches!(
        name,
        "meta"
            | "payload"
            | "exthdr"
            | "fib"
            | "rt"
            | "socket"
            | "osf"
            | "tunnel"
            | "xfrm"
            | "hash"
            | "numgen"
            | "bitwise"
            | "byteorder"
            | "inner"
    )
}

/// Whether an expression has no verdict, or none for ICMP: it loads, compares, sets or counts something, and a proxy
/// takes TCP and UDP only.
fn passes(name: &str) -> bool {
    let sets = matches!(name, "ct" | "immediate" | "dynset" | "notrack" | "objref");
    let asks = matches!(
        name,
        "cmp"
            | "range"
            | "lookup"
            | "match"
            | "limit"
            | "quota"
            | "connlimit"
            | "counter"
            | "last"
            | "log"
            | "dup"
    );
    loads(name) || sets || asks || matches!(name, "tproxy" | "synproxy")
}

/// The unit of a limit, in seconds.
const A_SECOND: u64 = 1;

fn limit(inner: Request, rate: &Rate) -> Request {
    inner.nest(NFTA_EXPR_DATA, |data| {
        data.attribute(NFTA_LIMIT_RATE, &u64::from(rate.per_second).to_be_bytes())
            .attribute(NFTA_LIMIT_UNIT, &A_SECOND.to_be_bytes())
            .be32(NFTA_LIMIT_BURST, rate.burst)
            .be32(NFTA_LIMIT_TYPE, NFT_LIMIT_PKTS)
            // Without NFT_LIMIT_F_INV it matches up to the rate.
            .be32(NFTA_LIMIT_FLAGS, 0)
    })
}

/// The attributes of an expression by number.
struct Fields<'a>(Vec<Attribute<'a>>);

impl<'a> Fields<'a> {
    fn read(attributes: Attributes<'a>) -> Result<Self, Malformed> {
        attributes.collect::<Result<_, _>>().map(Fields)
    }

    fn get(&self, kind: u16) -> Option<&Attribute<'a>> {
        self.0.iter().find(|attribute| attribute.kind == kind)
    }

    fn be32(&self, kind: u16) -> Option<u32> {
        self.get(kind)?.be32().ok()
    }

    /// The bytes of a value (NFTA_DATA_VALUE).
    fn value(&self, kind: u16) -> Option<Vec<u8>> {
        let mut inner = self.get(kind)?.nested();
        let value = inner.find_map(|inner| inner.ok().filter(|inner| inner.kind == NFTA_DATA_VALUE))?;
        Some(value.value.to_vec())
    }

    fn register(&self, kind: u16) -> Option<()> {
        (self.be32(kind)? == NFT_REG_1).then_some(())
    }

    /// The expression, when netkeel knows all that it says.
    fn expression(&self, name: &str) -> Option<Expression> {
        Some(match name {
            "meta" => {
                self.register(NFTA_META_DREG)?;
                Expression::Meta(self.be32(NFTA_META_KEY)?)
            }
            "payload" => {
                self.register(NFTA_PAYLOAD_DREG)?;
                Expression::Payload(
                    self.be32(NFTA_PAYLOAD_BASE)?,
                    self.be32(NFTA_PAYLOAD_OFFSET)?,
                    self.be32(NFTA_PAYLOAD_LEN)?,
                )
            }
            "bitwise" => {
                self.register(NFTA_BITWISE_SREG)?;
                self.register(NFTA_BITWISE_DREG)?;
                let (mask, xor) = (self.value(NFTA_BITWISE_MASK)?, self.value(NFTA_BITWISE_XOR)?);
                let operation = self.be32(NFTA_BITWISE_OP).unwrap_or(NFT_BITWISE_MASK_XOR);
                let other = operation != NFT_BITWISE_MASK_XOR || xor.iter().any(|byte| *byte != 0);
                (!other).then_some(Expression::Mask(mask))?
            }
            "cmp" => {
                self.register(NFTA_CMP_SREG)?;
                let comparison = match self.be32(NFTA_CMP_OP)? {
                    NFT_CMP_EQ => Comparison::Equal,
                    NFT_CMP_NEQ => Comparison::NotEqual,
                    NFT_CMP_LTE => Comparison::AtMost,
                    NFT_CMP_GTE => Comparison::AtLeast,
                    _ => return None,
                };
                Expression::Compare(comparison, self.value(NFTA_CMP_DATA)?)
            }
            "dynset" => return self.source_rate(),
            "counter" => Expression::Counter,
            // A map of verdicts decides.
            "lookup" if self.be32(NFTA_LOOKUP_DREG) == Some(NFT_REG_VERDICT) => {
                Expression::Verdict(Some(End::Packet))
            }
            "immediate" => Expression::Verdict(self.verdict()?),
            "log" => {
                let be16 = |kind: u16| self.get(kind)?.be16().ok();
                Expression::Log(Log {
                    group: be16(NFTA_LOG_GROUP)?,
                    snaplen: self.be32(NFTA_LOG_SNAPLEN).unwrap_or(0),
                    threshold: be16(NFTA_LOG_QTHRESHOLD).unwrap_or(0),
                    prefix: self.get(NFTA_LOG_PREFIX).map(Attribute::text).unwrap_or_default(),
                })
            }
            "match" | "target" => {
                let info = self.get(NFTA_MATCH_INFO)?.value.to_vec();
                let extension = self.get(NFTA_MATCH_NAME)?.text();
                Expression::Extension(name == "target", extension, self.be32(NFTA_MATCH_REV)?, info)
            }
            _ => return None,
        })
    }

    /// What a verdict ends; nothing is returned for another value. Where a jump leads to is not followed.
    fn verdict(&self) -> Option<Option<End>> {
        let mut parts = self.get(NFTA_IMMEDIATE_DATA)?.nested();
        let verdict = parts.find_map(|part| part.ok().filter(|part| part.kind == NFTA_DATA_VERDICT))?;
        let mut inner = verdict.nested();
        let code = inner.find_map(|one| one.ok().filter(|one| one.kind == NFTA_VERDICT_CODE));
        Some(match code.and_then(|code| code.be32().ok()) {
            Some(NFT_CONTINUE) => None,
            Some(NF_ACCEPT | NFT_RETURN) => Some(End::Chain),
            _ => Some(End::Packet),
        })
    }

    fn source_rate(&self) -> Option<Expression> {
        self.register(NFTA_DYNSET_SREG_KEY)?;
        let inverted = self.be32(NFTA_DYNSET_FLAGS).unwrap_or(0) & NFT_DYNSET_F_INV != 0;
        let updates = self.be32(NFTA_DYNSET_OP)? == NFT_DYNSET_OP_UPDATE;
        if !updates || inverted || self.get(NFTA_DYNSET_SREG_DATA).is_some() {
            return None;
        }
        let inner = Fields::read(self.get(NFTA_DYNSET_EXPR)?.nested()).ok()?;
        if inner.get(NFTA_EXPR_NAME)?.string() != b"limit" {
            return None;
        }
        let limit = Fields::read(inner.get(NFTA_EXPR_DATA)?.nested()).ok()?;
        let number = |kind: u16| limit.get(kind)?.be64().ok();
        let packets = limit.be32(NFTA_LIMIT_TYPE)? == NFT_LIMIT_PKTS;
        if number(NFTA_LIMIT_UNIT)? != A_SECOND || !packets || limit.be32(NFTA_LIMIT_FLAGS)? != 0 {
            return None;
        }
        let rate = Rate {
            per_second: number(NFTA_LIMIT_RATE)?.try_into().ok()?,
            burst: limit.be32(NFTA_LIMIT_BURST)?,
        };
        Some(Expression::SourceRate(
            self.get(NFTA_DYNSET_SET_NAME)?.text(),
            rate,
        ))
    }
}
