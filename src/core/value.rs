//! The values of facts.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as DeserializeError, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::maybe_secret::MaybeSecret;
use crate::name::tunnel::TunnelKind;
use crate::nflog::entry_rules::EntryRules;
use crate::nflog::foreign::ForeignRule;
use crate::wireguard::CopyState;

/// A value in the kernel's own words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// The kind of an interface.
    Device(DeviceKind),
    /// The rules of an entry of `nflog`.
    Nflog(EntryRules),
    /// Rules of others, in the order in which they stand.
    ForeignRules(Arc<[ForeignRule]>),
    /// A copy of a WireGuard configuration that names no MTU, or that is not as netkeel makes one.
    Copy(CopyState),
    /// Yes or no: up, an address being there.
    #[serde(untagged)]
    Switch(bool),
    /// A number: an MTU, an `rp_filter` (which the kernel lets be negative).
    #[serde(untagged)]
    Number(i64),
    /// Text: a sysctl's value with single blanks, an alias, a file.
    #[serde(untagged)]
    Text(MaybeSecret),
}

/// The kind of an interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct DeviceKind {
    /// The rtnetlink kind; `physical` where rtnetlink reports no kind.
    pub kind: Arc<str>,
    /// The tunnel is in collect-metadata mode.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
}

impl DeviceKind {
    /// The external tunnel that netkeel makes in a mode.
    pub fn tunnel(mode: TunnelKind) -> Self {
        DeviceKind {
            kind: mode.kind().into(),
            external: true,
        }
    }

    /// The mode of a tunnel that netkeel can make; none for any other device.
    pub fn tunnel_mode(&self) -> Option<TunnelKind> {
        let mode = TunnelKind::from_word(&self.kind);
        mode.filter(|_| self.external)
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        f.write_str(if self.external { " external" } else { "" })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

/// Takes a value by what it is. Derived, `untagged` would not say in its error what a value can be.
struct ValueVisitor;

/// The values that are JSON objects: one key, which names the variant.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Structured {
    Device(DeviceKind),
    Nflog(EntryRules),
    ForeignRules(Arc<[ForeignRule]>),
    Copy(CopyState),
    Secret(Arc<str>),
}

impl From<Structured> for Value {
    fn from(value: Structured) -> Self {
        match value {
            Structured::Device(kind) => Value::Device(kind),
            Structured::Nflog(rules) => Value::Nflog(rules),
            Structured::ForeignRules(rules) => Value::ForeignRules(rules),
            Structured::Copy(state) => Value::Copy(state),
            Structured::Secret(text) => Value::Text(MaybeSecret::from(text).secret_if(true)),
        }
    }
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false, a whole number, a string or an object")
    }

    fn visit_bool<E>(self, on: bool) -> Result<Value, E> {
        Ok(Value::Switch(on))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_u64<E: DeserializeError>(self, number: u64) -> Result<Value, E> {
        let number = i64::try_from(number);
        number
            .map(Value::Number)
            .map_err(|_| E::custom("the number is too large"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        Structured::deserialize(MapAccessDeserializer::new(map)).map(Value::from)
    }
}

impl Value {
    /// The number; none where it is no number.
    pub fn number(&self) -> Option<i64> {
        match self {
            Value::Number(number) => Some(*number),
            Value::Device(_)
            | Value::Nflog(_)
            | Value::ForeignRules(_)
            | Value::Copy(_)
            | Value::Switch(_)
            | Value::Text(_) => None,
        }
    }

    /// Yes or no; none where it is neither.
    pub fn switch(&self) -> Option<bool> {
        match self {
            Value::Switch(on) => Some(*on),
            Value::Device(_)
            | Value::Nflog(_)
            | Value::ForeignRules(_)
            | Value::Copy(_)
            | Value::Number(_)
            | Value::Text(_) => None,
        }
    }

    /// The text; none where it is no text.
    pub fn text(&self) -> Option<&MaybeSecret> {
        match self {
            Value::Text(text) => Some(text),
            Value::Device(_)
            | Value::Nflog(_)
            | Value::ForeignRules(_)
            | Value::Copy(_)
            | Value::Switch(_)
            | Value::Number(_) => None,
        }
    }

    /// The kind of an interface; none where it is something else.
    pub fn device(&self) -> Option<&DeviceKind> {
        match self {
            Value::Device(kind) => Some(kind),
            Value::Nflog(_)
            | Value::ForeignRules(_)
            | Value::Copy(_)
            | Value::Switch(_)
            | Value::Number(_)
            | Value::Text(_) => None,
        }
    }

    /// Whether it is text that no message may contain.
    pub fn is_secret(&self) -> bool {
        self.text().is_some_and(MaybeSecret::is_secret)
    }

    /// It says that there are no rules.
    pub fn is_no_rules(&self) -> bool {
        match self {
            Value::Nflog(rules) => *rules == EntryRules::None,
            Value::ForeignRules(rules) => rules.is_empty(),
            Value::Device(_) | Value::Copy(_) | Value::Switch(_) | Value::Number(_) | Value::Text(_) => false,
        }
    }

    /// The value as it is written to a sysctl or a file.
    pub fn to_text(&self) -> MaybeSecret {
        match self {
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string().into(),
            Value::Switch(on) => on.to_string().into(),
            Value::Device(_) | Value::Nflog(_) | Value::ForeignRules(_) | Value::Copy(_) => {
                self.to_string().into()
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Switch(on) => write!(f, "{on}"),
            Value::Number(number) => write!(f, "{number}"),
            Value::Text(text) => text.fmt(f),
            Value::Device(kind) => kind.fmt(f),
            Value::Nflog(rules) => rules.fmt(f),
            Value::ForeignRules(rules) if rules.is_empty() => f.write_str("none"),
            Value::ForeignRules(rules) => {
                for (place, rule) in rules.iter().enumerate() {
                    f.write_str(if place > 0 { "; " } else { "" })?;
                    rule.fmt(f)?;
                }
                Ok(())
            }
            Value::Copy(state) => state.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nflog::rules::Rules;

    #[test]
    fn a_value_comes_back_from_its_json_as_what_it_was() {
        let rules = Rules {
            group: 33,
            snaplen: 1500,
            queue_threshold: 64,
            rate: None,
            ipv4: None,
            ipv6: None,
        };
        let values = [
            (Value::Switch(true), "true"),
            (Value::Number(-1), "-1"),
            (Value::Text("ipip external".into()), r#""ipip external""#),
            (
                Value::Device(DeviceKind::tunnel(TunnelKind::Ipip)),
                r#"{"device":{"kind":"ipip","external":true}}"#,
            ),
            (Value::Nflog(EntryRules::None), r#"{"nflog":"none"}"#),
            (Value::Nflog(EntryRules::Changed), r#"{"nflog":"changed"}"#),
            (
                Value::Nflog(EntryRules::Rules(Arc::new(rules))),
                r#"{"nflog":{"rules":{"group":33,"snaplen":1500,"queue_threshold":64}}}"#,
            ),
            (Value::ForeignRules([].into()), r#"{"foreign-rules":[]}"#),
            (Value::Copy(CopyState::WithoutMtu), r#"{"copy":"without-mtu"}"#),
            (
                Value::Copy(CopyState::Exposed {
                    mtu: Some(1370),
                    mode: 0o644,
                }),
                r#"{"copy":{"exposed":{"mtu":1370,"mode":420}}}"#,
            ),
        ];
        for (value, json) in values {
            assert_eq!(serde_json::to_string(&value).unwrap(), json);
            assert_eq!(serde_json::from_str::<Value>(json).unwrap(), value);
        }
        for wrong in [
            "null",
            "[]",
            "{}",
            r#"{"devise":{"kind":"ipip"}}"#,
            "18446744073709551615",
        ] {
            assert!(serde_json::from_str::<Value>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_an_external_tunnel_of_a_known_mode_is_one_that_netkeel_makes() {
        for mode in TunnelKind::ALL {
            let mut kind = DeviceKind::tunnel(*mode);
            assert_eq!(kind.tunnel_mode(), Some(*mode));
            assert_eq!(kind.to_string(), format!("{mode} external"));
            kind.external = false;
            assert_eq!(kind.tunnel_mode(), None);
        }
        let vxlan = DeviceKind {
            kind: "vxlan".into(),
            external: true,
        };
        assert_eq!(vxlan.tunnel_mode(), None);
    }
}
