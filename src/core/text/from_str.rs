//! Deserialises values from text without copying the text.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::Deserializer;
use serde::de::{Error as DeserializeError, Visitor};

use crate::error::Error;

/// Reads a value from a string.
///
/// # Errors
/// When the input is not a string, or the type rejects it.
pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err = Error>,
    D: Deserializer<'de>,
{
    deserialize_by(deserializer, str::parse)
}

/// Reads a value from a string whose stored form differs from the form in documents.
///
/// # Errors
/// When the input is not a string, or `read` rejects it.
pub(crate) fn deserialize_by<'de, T, D>(
    deserializer: D,
    read: impl FnOnce(&str) -> Result<T, Error>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    deserializer.deserialize_str(Text(read, PhantomData))
}

/// Implements `JsonSchema` for a type that is written as text.
macro_rules! schema_as_text {
    ($type:ty, $name:literal) => {
        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string" })
            }
        }
    };
}

struct Text<F, T>(F, PhantomData<T>);

impl<F: FnOnce(&str) -> Result<T, Error>, T> Visitor<'_> for Text<F, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: DeserializeError>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

pub(crate) use schema_as_text;
