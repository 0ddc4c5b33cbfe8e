//! A rule as conditions and a verdict. A part that netkeel does not know stays in it as unknown: it is neither true
//! nor false.

mod extension;

use std::sync::Arc;

use crate::netlink::message::{Attribute, Attributes, Malformed, u16_at};
use crate::nftables::expression::{Comparison, Expression, loads};
use crate::nftables::foreign::printable;
use crate::nftables::protocol::*;
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::firewall::{Condition, ConnectionState, Rule, Test, Then};
use netkeel_host::snapshot::forwarding::Family;

/// The bits of a verdict without the error that goes with it (NF_VERDICT_MASK).
const VERDICT_MASK: u32 = 0xff;

/// The codes of verdicts that nftables adds (include/uapi/linux/netfilter/nf_tables.h).
const NFT_JUMP: u32 = -3_i32 as u32;
const NFT_GOTO: u32 = -4_i32 as u32;

/// NFT_META_* that [`Expression::Meta`] can have here: index of the interfaces, and the name of the one out.
const META_PROTOCOL: u32 = 1;
const META_IIF: u32 = 4;
const META_OIF: u32 = 5;
const META_OIFNAME: u32 = 7;

/// NFT_CT_STATE.
const CT_STATE: u32 = 0;

/// The packets whose destination rules may change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Translation {
    #[default]
    None,
    /// Those of another protocol than IP in IP.
    OfPorts,
    /// Those of all protocols.
    OfAll,
}

/// Reads the rules of a table's family.
pub(crate) struct Reader<'a> {
    family: Option<Family>,
    name: &'a dyn Fn(u32) -> Option<LinkName>,
}

/// A value that a later comparison looks at.
enum Loaded {
    Known(Expression),
    State,
    Unknown(Arc<str>),
}

/// The rule so far.
#[derive(Default)]
struct Draft {
    conditions: Vec<Condition>,
    loaded: Option<Loaded>,
    mask: Option<Vec<u8>>,
    /// The IP version that a condition asks for.
    family: Option<Family>,
}

/// The effect of an expression.
enum Effect {
    /// The next expression follows.
    Next,
    /// The connection is not tracked, and the next expression follows.
    Untracks,
    /// The rule ends so.
    Ends(Then),
    /// The rule ends, and the destination of the packet is another one.
    Translates,
    /// A program of this host may take the packet. The next expression follows if it does
    /// (`nft_tproxy_eval_v4`, net/netfilter/nft_tproxy.c).
    Diverts,
    /// A program of this host may take the packet, and this part decides.
    EndsDiverted(Then),
}

impl<'a> Reader<'a> {
    /// Reads rules of tables of a family; `name` is the name of an interface with an index.
    pub(crate) fn of(family: u8, name: &'a dyn Fn(u32) -> Option<LinkName>) -> Self {
        let family = match family {
            NFPROTO_IPV4 => Some(Family::Ipv4),
            NFPROTO_IPV6 => Some(Family::Ipv6),
            _ => None,
        };
        Reader { family, name }
    }

    /// Reads a rule that ends the way of a packet or sends it elsewhere, and says whose destination it
    /// may change. One that also switches tracking off comes as two.
    pub(crate) fn rule(
        &self,
        handle: u64,
        list: Attributes<'_>,
    ) -> Result<(Vec<Rule>, Translation), Malformed> {
        let (mut found, mut translates) = (Vec::new(), Translation::None);
        let mut draft = Draft {
            family: self.family,
            ..Draft::default()
        };
        for element in list {
            let effect = self.expression(&element?, &mut draft)?;
            let (then, ends) = match effect {
                Effect::Next => continue,
                Effect::Untracks => (Then::Untrack, false),
                Effect::Ends(then) => (then, true),
                Effect::Translates => return Ok((found, draft.translation())),
                Effect::Diverts => {
                    translates = Translation::OfPorts;
                    draft.unknown("tproxy".into());
                    continue;
                }
                Effect::EndsDiverted(then) => {
                    translates = Translation::OfPorts;
                    (then, true)
                }
            };
            let conditions = draft.conditions.clone();
            found.push(Rule {
                handle,
                conditions,
                then,
            });
            if ends {
                break;
            }
        }
        Ok((found, translates))
    }

    fn expression(&self, element: &Attribute<'_>, draft: &mut Draft) -> Result<Effect, Malformed> {
        let (mut name, mut data) = (String::new(), Attributes(&[]));
        for attribute in element.nested() {
            let attribute = attribute?;
            match attribute.kind {
                NFTA_EXPR_NAME => name = attribute.text(),
                NFTA_EXPR_DATA => data = attribute.nested(),
                _ => {}
            }
        }
        let fields: Vec<Attribute<'_>> = data.collect::<Result<_, _>>()?;
        let get = |kind: u16| fields.iter().find(|field| field.kind == kind);
        let number = |kind: u16| get(kind).and_then(|field| field.be32().ok());
        let ends = |then| Ok(Effect::Ends(then));
        let unknown = || Arc::from(printable(&name));
        match name.as_str() {
            "counter" | "log" | "last" | "dup" | "flow_offload" => {}
            // A named counter, and what is attached to a connection.
            "objref" if matches!(number(NFTA_OBJREF_TYPE), Some(1 | 3 | 6..=9)) => {}
            // They set something of the packet or of its connection.
            "meta" if get(NFTA_META_SREG).is_some() => {}
            "ct" if get(NFTA_CT_SREG).is_some() => {}
            "payload" if get(NFTA_PAYLOAD_SREG).is_some() => {}
            "exthdr" if get(NFTA_EXTHDR_SREG).is_some() => {}
            "notrack" => return Ok(Effect::Untracks),
            "reject" => return ends(Then::Reject),
            "tproxy" => return Ok(Effect::Diverts),
            // Rules of prerouting change the destination only, those of postrouting the source only.
            "redir" | "nat" => return Ok(Effect::Translates),
            "masq" => return ends(Then::Accept),
            "immediate" => {
                return Ok(
                    verdict(get(NFTA_IMMEDIATE_DATA))?.map_or(Effect::Next, |found| match found {
                        // The rule does nothing.
                        None => Effect::Next,
                        Some(then) => Effect::Ends(then),
                    }),
                );
            }
            // A map of verdicts decides.
            "lookup" if number(NFTA_LOOKUP_DREG) == Some(NFT_REG_VERDICT) => {
                return ends(Then::Unknown(unknown()));
            }
            // A map gives another value, or the rule does not match.
            "lookup" if get(NFTA_LOOKUP_DREG).is_some() => {
                draft.unknown(unknown());
                draft.load(Loaded::Unknown(unknown()));
            }
            "queue" | "synproxy" => return ends(Then::Unknown(unknown())),
            "target" => {
                let target = get(NFTA_MATCH_NAME).map(Attribute::text).unwrap_or_default();
                return Ok(self.target(&target, get(NFTA_MATCH_INFO)));
            }
            "match" => {
                let info = get(NFTA_MATCH_INFO).map_or(&[][..], |info| info.value);
                let extension = get(NFTA_MATCH_NAME).map(Attribute::text).unwrap_or_default();
                draft.extension(&extension, number(NFTA_MATCH_REV), info);
            }
            "ct" => {
                let is_state =
                    number(NFTA_CT_KEY) == Some(CT_STATE) && number(NFTA_CT_DREG) == Some(NFT_REG_1);
                draft.load(if is_state {
                    Loaded::State
                } else {
                    Loaded::Unknown(unknown())
                });
            }
            _ => match Expression::read(element)? {
                known @ (Expression::Meta(_) | Expression::Payload(..)) => draft.load(Loaded::Known(known)),
                Expression::Mask(mask) if draft.mask.is_none() && draft.loaded.is_some() => {
                    draft.mask = Some(mask)
                }
                Expression::Compare(how, bytes) => draft.compare(how, &bytes, self.name),
                // A comparison that is not known, a set, a limit: nobody knows whether it holds.
                Expression::Unknown(name) if matches!(name.as_str(), "cmp" | "range") => {
                    draft.unknown(unknown());
                }
                Expression::Unknown(name) if loads(&name) => draft.load(Loaded::Unknown(unknown())),
                _ => draft.unknown(unknown()),
            },
        }
        Ok(Effect::Next)
    }

    fn target(&self, name: &str, info: Option<&Attribute<'_>>) -> Effect {
        match name {
            "REJECT" => Effect::Ends(Then::Reject),
            "NOTRACK" => Effect::Untracks,
            // `struct xt_ct_target_info`: its flags begin with XT_CT_NOTRACK.
            "CT" => match info.and_then(|info| u16_at(info.value, 0)) {
                Some(flags) if flags & 1 != 0 => Effect::Untracks,
                _ => Effect::Next,
            },
            "DNAT" | "REDIRECT" | "NETMAP" => Effect::Translates,
            // It drops what no socket takes (`tproxy_tg4`, net/netfilter/xt_TPROXY.c).
            "TPROXY" => Effect::EndsDiverted(Then::Unknown(name.into())),
            "SNAT" | "MASQUERADE" => Effect::Ends(Then::Accept),
            _ if GOES_ON.contains(&name) => Effect::Next,
            _ => Effect::Ends(Then::Unknown(printable(name).into())),
        }
    }
}

/// The verdict of an `immediate`: the outer `None` is for another value, the inner one for "go on".
fn verdict(data: Option<&Attribute<'_>>) -> Result<Option<Option<Then>>, Malformed> {
    let Some(data) = data else { return Ok(None) };
    for inner in data.nested() {
        let inner = inner?;
        if inner.kind != NFTA_DATA_VERDICT {
            continue;
        }
        let (mut code, mut chain) = (None, String::new());
        for part in inner.nested() {
            let part = part?;
            match part.kind {
                NFTA_VERDICT_CODE => code = Some(part.be32()?),
                NFTA_VERDICT_CHAIN => chain = printable(&part.text()),
                _ => {}
            }
        }
        return Ok(code.map(|code| {
            Some(match code {
                NFT_JUMP => Then::Jump(chain.into()),
                NFT_GOTO => Then::Goto(chain.into()),
                NFT_RETURN => Then::Return,
                code if code & VERDICT_MASK == NF_DROP => Then::Drop,
                NF_ACCEPT => Then::Accept,
                NFT_CONTINUE => return None,
                _ => Then::Unknown("verdict".into()),
            })
        }));
    }
    Ok(None)
}

impl Draft {
    /// The packets that come to a translation after these conditions.
    fn translation(&self) -> Translation {
        const IP_IN_IP: [u8; 2] = [4, 41];
        let is_other = |one: &Condition| match one.test {
            Test::Protocol(protocol) => !one.not && !IP_IN_IP.contains(&protocol),
            _ => false,
        };
        match self.conditions.iter().any(is_other) {
            true => Translation::OfPorts,
            false => Translation::OfAll,
        }
    }

    fn load(&mut self, loaded: Loaded) {
        (self.loaded, self.mask) = (Some(loaded), None);
    }

    fn add(&mut self, test: Test, not: bool) {
        self.conditions.push(Condition { test, not });
    }

    fn unknown(&mut self, name: Arc<str>) {
        self.add(Test::Unknown(name), false);
    }

    fn compare(&mut self, how: Comparison, bytes: &[u8], name: &dyn Fn(u32) -> Option<LinkName>) {
        let tested = match (&self.loaded, &self.mask) {
            (Some(Loaded::Unknown(name)), _) => return self.unknown(name.clone()),
            (Some(Loaded::State), mask) => state(how, bytes, mask.as_deref()),
            (Some(Loaded::Known(known)), mask) => self.known(known, how, bytes, mask.as_deref(), name),
            (None, _) => None,
        };
        match tested {
            Some((test, not)) => {
                if let (Test::Family(family), false) = (&test, not) {
                    self.family = Some(*family);
                }
                self.add(test, not);
            }
            None => {
                let name = match &self.loaded {
                    Some(Loaded::Known(Expression::Meta(_))) => "meta",
                    Some(Loaded::Known(_)) => "payload",
                    Some(Loaded::State) => "ct",
                    Some(Loaded::Unknown(_)) | None => "cmp",
                };
                self.unknown(name.into());
            }
        }
    }

    fn known(
        &self,
        loaded: &Expression,
        how: Comparison,
        bytes: &[u8],
        mask: Option<&[u8]>,
        name: &dyn Fn(u32) -> Option<LinkName>,
    ) -> Option<(Test, bool)> {
        let not = match how {
            Comparison::Equal => false,
            Comparison::NotEqual => true,
            Comparison::AtMost | Comparison::AtLeast => return bound(loaded, how, bytes, mask),
        };
        let byte = || bytes.first().copied().filter(|_| bytes.len() == 1);
        let indexed = || name(u32::from_ne_bytes(bytes.try_into().ok()?)).map(|name| name.to_string().into());
        let test = match (loaded, mask) {
            (Expression::Meta(NFT_META_IIFNAME), None) => Test::In(pattern(bytes)),
            (Expression::Meta(META_OIFNAME), None) => Test::Out(pattern(bytes)),
            (Expression::Meta(META_IIF), None) => Test::In(indexed()?),
            (Expression::Meta(META_OIF), None) => Test::Out(indexed()?),
            (Expression::Meta(NFT_META_NFPROTO), None) => Test::Family(match byte()? {
                NFPROTO_IPV4 => Family::Ipv4,
                NFPROTO_IPV6 => Family::Ipv6,
                _ => return None,
            }),
            (Expression::Meta(META_PROTOCOL), None) => Test::Family(match *bytes {
                [0x08, 0x00] => Family::Ipv4,
                [0x86, 0xdd] => Family::Ipv6,
                _ => return None,
            }),
            (Expression::Meta(NFT_META_L4PROTO), None) => Test::Protocol(byte()?),
            (Expression::Payload(NFT_PAYLOAD_NETWORK_HEADER, at, 1), None) if *at == self.at(9, 6)? => {
                Test::Protocol(byte()?)
            }
            (Expression::Payload(NFT_PAYLOAD_NETWORK_HEADER, at, _), _) => {
                let net = network(self.family? == Family::Ipv6, bytes, mask)?;
                match *at {
                    at if at == self.at(12, 8)? => Test::Source(net),
                    at if at == self.at(16, 24)? => Test::Destination(net),
                    _ => return None,
                }
            }
            (Expression::Payload(NFT_PAYLOAD_TRANSPORT_HEADER, at @ (0 | 2), 2), None) => {
                let port = port(bytes)?;
                extension::ports(*at, [port, port])
            }
            (Expression::Payload(NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1), Some(mask)) => Test::TcpFlags {
                mask: *mask.first()?,
                value: byte()?,
            },
            _ => return None,
        };
        Some((test, not))
    }

    /// An offset in the header of IPv4 or IPv6.
    fn at(&self, ipv4: u32, ipv6: u32) -> Option<u32> {
        Some(match self.family? {
            Family::Ipv4 => ipv4,
            Family::Ipv6 => ipv6,
        })
    }

    fn extension(&mut self, name: &str, revision: Option<u32>, info: &[u8]) {
        match extension::conditions(name, revision, info) {
            Some(found) => self.conditions.extend(found),
            None => self.unknown(printable(name).into()),
        }
    }
}

/// `ct state new`: the state under a mask is not 0.
fn state(how: Comparison, bytes: &[u8], mask: Option<&[u8]>) -> Option<(Test, bool)> {
    let bits = |bytes: &[u8]| Some(u32::from_ne_bytes(bytes.try_into().ok()?));
    let value = bits(bytes)?;
    match (how, mask) {
        (Comparison::NotEqual | Comparison::Equal, Some(mask)) if value == 0 => {
            let states = ConnectionState::of_bits(bits(mask)?);
            Some((Test::State(states), how == Comparison::Equal))
        }
        (Comparison::NotEqual | Comparison::Equal, None) => {
            let states = ConnectionState::of_bits(value);
            Some((Test::State(states), how == Comparison::NotEqual))
        }
        _ => None,
    }
}

/// A port that is at most or at least some number.
fn bound(loaded: &Expression, how: Comparison, bytes: &[u8], mask: Option<&[u8]>) -> Option<(Test, bool)> {
    let (Expression::Payload(NFT_PAYLOAD_TRANSPORT_HEADER, at @ (0 | 2), 2), None) = (loaded, mask) else {
        return None;
    };
    let range = match how {
        Comparison::AtMost => [0, port(bytes)?],
        Comparison::AtLeast => [port(bytes)?, u16::MAX],
        Comparison::Equal | Comparison::NotEqual => return None,
    };
    Some((extension::ports(*at, range), false))
}

fn port(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

/// The name of an interface, or the beginning of one.
fn pattern(bytes: &[u8]) -> Arc<str> {
    let end = bytes.iter().position(|byte| *byte == 0);
    let name = String::from_utf8_lossy(bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default());
    match end {
        Some(_) => name.into(),
        None => format!("{name}*").into(),
    }
}

#[cfg(test)]
mod tests;
