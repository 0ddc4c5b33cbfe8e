//! The expressions of a rule, as far as netkeel writes or understands them: all compute in the
//! first register. Counts are left out, so that equal rules compare equal.

use super::super::message::{Attribute, Attributes, Malformed, Request};
use crate::nflog::Rate;

/// What a meta expression loads (include/uapi/linux/netfilter/nf_tables.h).
pub(super) const IIFNAME: u32 = 6;
pub(super) const NFPROTO: u32 = 15;
pub(super) const L4PROTO: u32 = 16;

/// Where a payload expression counts from.
pub(super) const NETWORK: u32 = 1;
pub(super) const TRANSPORT: u32 = 2;

/// The register: NFT_REG_1, 16 bytes.
const REGISTER: u32 = 1;

/// One expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    /// Loads something of the packet's circumstances.
    Meta(u32),
    /// Loads bytes of the packet: from where, at which offset, how many.
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
    /// An extension of iptables: it is a target, its name, revision and what it was told.
    Extension(bool, String, u32, Vec<u8>),
    /// Anything else.
    Unknown(String),
}

/// How packets are handed to a group; 0 where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) group: u16,
    /// Bytes of a packet at most.
    pub(super) snaplen: u32,
    /// Packets that are gathered.
    pub(super) threshold: u16,
    /// What the reader is told with each packet.
    pub(super) prefix: String,
}

/// How a comparison compares, by the kernel's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal = 0,
    NotEqual = 1,
    AtMost = 3,
    AtLeast = 5,
}

impl Expression {
    /// Adds itself to the list that a rule is.
    pub(super) fn write(&self, list: Request) -> Request {
        const LIST_ELEM: u16 = 1;
        list.nest(LIST_ELEM, |element| self.write_bare(element))
    }

    fn write_bare(&self, element: Request) -> Request {
        const NAME: u16 = 1;
        const DATA: u16 = 2;
        // netkeel writes none of them.
        if matches!(self, Expression::Extension(..) | Expression::Unknown(_)) {
            return element;
        }
        let named = |name: &str| element.text(NAME, name);
        match self {
            Expression::Meta(key) => named("meta").nest(DATA, |data| data.be32(1, REGISTER).be32(2, *key)),
            Expression::Payload(base, offset, length) => named("payload").nest(DATA, |data| {
                let data = data.be32(1, REGISTER).be32(2, *base);
                data.be32(3, *offset).be32(4, *length)
            }),
            Expression::Mask(mask) => named("bitwise").nest(DATA, |data| {
                let data = data.be32(1, REGISTER).be32(2, REGISTER);
                let data = data.be32(3, mask.len() as u32);
                let data = data.nest(4, |value| value.attribute(1, mask));
                data.nest(5, |value| value.attribute(1, &vec![0; mask.len()]))
            }),
            Expression::Compare(comparison, bytes) => named("cmp").nest(DATA, |data| {
                let data = data.be32(1, REGISTER).be32(2, *comparison as u32);
                data.nest(3, |value| value.attribute(1, bytes))
            }),
            Expression::SourceRate(set, rate) => named("dynset").nest(DATA, |data| {
                const UPDATE: u32 = 1;
                let data = data.text(1, set).be32(3, UPDATE).be32(4, REGISTER);
                data.nest(7, |inner| limit(inner.text(NAME, "limit"), rate))
            }),
            Expression::Counter => named("counter").nest(DATA, |data| data),
            Expression::Log(log) => named("log").nest(DATA, |data| {
                let data = data.attribute(1, &log.group.to_be_bytes());
                let data = data.be32(3, log.snaplen);
                data.attribute(4, &log.threshold.to_be_bytes())
            }),
            Expression::Extension(_, name, ..) | Expression::Unknown(name) => named(name),
        }
    }

    /// Reads an element of the list. Every unknown attribute makes it [`Expression::Unknown`].
    pub(super) fn read(element: &Attribute<'_>) -> Result<Expression, Malformed> {
        let mut name = String::new();
        let mut data = Attributes(&[]);
        for attribute in element.nested() {
            let attribute = attribute?;
            match attribute.kind {
                1 => name = attribute.text(),
                2 => data = attribute.nested(),
                _ => {}
            }
        }
        let fields = Fields::read(data)?;
        Ok(fields.expression(&name).unwrap_or(Expression::Unknown(name)))
    }

    /// Reads all of a list.
    pub(super) fn read_all(list: Attributes<'_>) -> Result<Vec<Expression>, Malformed> {
        list.map(|element| Expression::read(&element?)).collect()
    }
}

fn limit(inner: Request, rate: &Rate) -> Request {
    const A_SECOND: u64 = 1;
    inner.nest(2, |data| {
        let data = data.attribute(1, &u64::from(rate.per_second).to_be_bytes());
        let data = data.attribute(2, &A_SECOND.to_be_bytes());
        // Packets, not bytes; up to the rate, not over it.
        data.be32(3, rate.burst).be32(4, 0).be32(5, 0)
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
        let value = inner.find_map(|inner| inner.ok().filter(|inner| inner.kind == 1))?;
        Some(value.value.to_vec())
    }

    fn register(&self, kind: u16) -> Option<()> {
        (self.be32(kind)? == REGISTER).then_some(())
    }

    /// The expression, when netkeel knows all that it says.
    fn expression(&self, name: &str) -> Option<Expression> {
        Some(match name {
            "meta" => {
                self.register(1)?;
                Expression::Meta(self.be32(2)?)
            }
            "payload" => {
                self.register(1)?;
                Expression::Payload(self.be32(2)?, self.be32(3)?, self.be32(4)?)
            }
            "bitwise" => {
                self.register(1)?;
                self.register(2)?;
                let (mask, xor) = (self.value(4)?, self.value(5)?);
                let other = self.be32(6).unwrap_or(0) != 0 || xor.iter().any(|byte| *byte != 0);
                (!other).then_some(Expression::Mask(mask))?
            }
            "cmp" => {
                self.register(1)?;
                let comparison = match self.be32(2)? {
                    0 => Comparison::Equal,
                    1 => Comparison::NotEqual,
                    3 => Comparison::AtMost,
                    5 => Comparison::AtLeast,
                    _ => return None,
                };
                Expression::Compare(comparison, self.value(3)?)
            }
            "dynset" => return self.source_rate(),
            "counter" => Expression::Counter,
            "log" => {
                let be16 = |kind: u16| self.get(kind)?.be16().ok();
                Expression::Log(Log {
                    group: be16(1)?,
                    snaplen: self.be32(3).unwrap_or(0),
                    threshold: be16(4).unwrap_or(0),
                    prefix: self.get(2).map(Attribute::text).unwrap_or_default(),
                })
            }
            "match" | "target" => {
                let info = self.get(3)?.value.to_vec();
                Expression::Extension(name == "target", self.get(1)?.text(), self.be32(2)?, info)
            }
            _ => return None,
        })
    }

    fn source_rate(&self) -> Option<Expression> {
        self.register(4)?;
        let flags_inverted = self.be32(9).unwrap_or(0) & 1 != 0;
        if self.be32(3)? != 1 || flags_inverted || self.get(5).is_some() {
            return None;
        }
        let inner = Fields::read(self.get(7)?.nested()).ok()?;
        if inner.get(1)?.string() != b"limit" {
            return None;
        }
        let limit = Fields::read(inner.get(2)?.nested()).ok()?;
        let number = |kind: u16| limit.get(kind)?.be64().ok();
        if number(2)? != 1 || limit.be32(4)? != 0 || limit.be32(5)? != 0 {
            return None;
        }
        let rate = Rate {
            per_second: number(1)?.try_into().ok()?,
            burst: limit.be32(3)?,
        };
        Some(Expression::SourceRate(self.get(1)?.text(), rate))
    }
}
