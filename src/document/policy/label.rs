//! Names of objects of a cluster, and the keys and values of their labels.

use crate::shape::wrong;
use netkeel_core::error::Error;

/// The longest name of an object, in bytes (a DNS subdomain, RFC 1123).
const LONGEST: usize = 253;

/// The longest value of a label, and the longest name in its key, in bytes.
const LONGEST_LABEL: usize = 63;

/// Whether a text is the name of an object.
pub(crate) fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    (1..=LONGEST).contains(&bytes.len())
        && bytes
            .iter()
            .all(|byte| inner(*byte) || matches!(byte, b'-' | b'.'))
        && bytes.first().is_some_and(|byte| inner(*byte))
        && bytes.last().is_some_and(|byte| inner(*byte))
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= LONGEST_LABEL
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && bytes.first().is_none_or(u8::is_ascii_alphanumeric)
        && bytes.last().is_none_or(u8::is_ascii_alphanumeric)
}

/// Checks the key of a label.
pub(crate) fn label_key(text: &str) -> Result<(), Error> {
    let (prefix, name) = text.rsplit_once('/').unwrap_or(("x", text));
    match is_name(prefix) && !name.is_empty() && is_label(name) {
        true => Ok(()),
        false => Err(wrong(text, "the key of a label").hint("as kubernetes.io/os")),
    }
}

/// Checks the value of a label.
pub(crate) fn label_value(text: &str) -> Result<(), Error> {
    match is_label(text) {
        true => Ok(()),
        false => Err(wrong(text, "the value of a label")
            .hint("at most 63 letters, digits, `-`, `_` and `.`; a letter or digit at both ends")),
    }
}
