//! A probe of replication: the token in its packets, and what a worker records of them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, ErrorKind};
use crate::replication::refusal::Refusal;
use crate::text::from_str;

/// The number by which the packets of one probe are known. The sender chooses it by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(pub u64);

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Token {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let hexadecimal = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u64::from_str_radix(text, 16)
            .ok()
            .filter(|_| hexadecimal)
            .map(Token)
            .ok_or_else(|| Error::new(ErrorKind::Input, "a token has 16 hexadecimal digits"))
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_str::deserialize(deserializer)
    }
}

from_str::schema_as_text!(Token, "Token");

/// The packets with one token that a worker has judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeRecord {
    /// The token.
    pub token: Token,
    /// Packets that were copied, or would have been with `dry_run`.
    pub replicated: u32,
    /// Copies of one packet: the number of peers that get one.
    pub copies: u32,
    /// Packets that were not copied, by reason. [`Refusal::Replica`] counts the copies that arrived.
    pub refused: BTreeMap<Refusal, u32>,
}

impl ProbeRecord {
    /// A record without any packet.
    pub fn new(token: Token) -> Self {
        ProbeRecord {
            token,
            replicated: 0,
            copies: 0,
            refused: BTreeMap::new(),
        }
    }

    /// The number of copies of peers that arrived.
    pub fn arrived_copies(&self) -> u32 {
        self.refused.get(&Refusal::Replica).copied().unwrap_or(0)
    }

    /// The reason against a packet that was no copy.
    pub fn refusal(&self) -> Option<Refusal> {
        self.refused.keys().copied().find(|one| *one != Refusal::Replica)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sixteen_digits() {
        let token = Token(0x2f);
        assert_eq!(token.to_string(), "000000000000002f");
        assert_eq!(token.to_string().parse::<Token>().unwrap(), token);
        for text in [
            "",
            "2f",
            "+00000000000002f",
            "000000000000002g",
            "00000000000000002f",
        ] {
            assert!(text.parse::<Token>().is_err(), "{text}");
        }
    }
}
