//! The name of an interface, stored inline: ten thousand names need no allocation.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, ErrorKind};
use crate::text::escape::printable;
use crate::text::from_str;

/// Longest name in bytes: `IFNAMSIZ` (16, include/uapi/linux/if.h) less the terminating zero.
pub const MAX: usize = 15;

/// Whether a text is too long for the name of an interface, but can be a further name of one (`ALTIFNAMSIZ`,
/// 128 bytes with the terminating zero) or an alias.
pub fn is_long(text: &str) -> bool {
    const LONGEST: usize = 127;
    let plain = |c: char| c.is_ascii_graphic() && c != '/';
    (MAX + 1..=LONGEST).contains(&text.len()) && text.chars().all(plain)
}

/// An interface name as the kernel accepts it (`dev_valid_name`, net/core/dev.c): 1 to 15 bytes, not
/// `.` or `..`, without `/`, `:` and white space. `all` and `default` are rejected too, because they
/// have a different meaning below `net.ipv4.conf`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkName(
    /// The name, zeros, and the length in the last byte. No name holds a zero byte, so arrays sort as
    /// names do.
    [u8; MAX + 1],
);

impl LinkName {
    /// `lo`, which every network namespace has.
    pub const LOOPBACK: LinkName = LinkName([b'l', b'o', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);

    /// Checks the bytes of a name.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when the kernel would reject the name.
    pub fn new(name: &[u8]) -> Result<Self, Error> {
        let refuse = |why: String| Err(Error::new(ErrorKind::Input, why));
        let shown = || String::from_utf8_lossy(name).escape_debug().to_string();
        if name.is_empty() {
            return refuse("an interface name cannot be empty".into());
        }
        if name.len() > MAX {
            return refuse(format!(
                "`{}` has {} bytes; an interface name has at most {MAX}",
                shown(),
                name.len()
            ));
        }
        if matches!(name, b"." | b".." | b"all" | b"default") {
            return refuse(format!("`{}` is not an interface name", shown()));
        }
        let mut bytes = [0; MAX + 1];
        for (place, byte) in bytes.iter_mut().zip(name) {
            if is_refused(*byte) {
                let bad = byte.escape_ascii();
                return refuse(format!(
                    "`{}` holds `{bad}`, which an interface name cannot",
                    shown()
                ));
            }
            *place = *byte;
        }
        bytes[MAX] = name.len() as u8;
        Ok(LinkName(bytes))
    }

    /// The bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0[..usize::from(self.0[MAX])]
    }

    /// The name as text, with bytes that are not UTF-8 escaped. Do not print it to a terminal:
    /// `Display` also escapes the characters that a terminal would act on.
    pub fn as_text(&self) -> Cow<'_, str> {
        match std::str::from_utf8(self.as_bytes()) {
            Ok(name) => name.into(),
            Err(_) => self.as_bytes().escape_ascii().to_string().into(),
        }
    }

    /// The name as it is stored: text unchanged, and a byte that is not UTF-8 as `/ff`. No name holds a
    /// `/`, so reading gives the same name.
    pub fn stored(&self) -> Cow<'_, str> {
        if let Ok(name) = std::str::from_utf8(self.as_bytes()) {
            return name.into();
        }
        let mut out = String::new();
        for chunk in self.as_bytes().utf8_chunks() {
            out.push_str(chunk.valid());
            for byte in chunk.invalid() {
                out.push_str(&format!("/{byte:02x}"));
            }
        }
        out.into()
    }

    /// Reads the output of [`LinkName::stored`].
    pub(crate) fn from_stored(text: &str) -> Result<Self, Error> {
        match text.parse() {
            // No valid name holds a `/`.
            Err(_) if text.contains('/') => {}
            read => return read,
        }
        let mut pieces = text.split('/');
        let mut name = pieces.next().unwrap_or_default().as_bytes().to_vec();
        for piece in pieces {
            let byte = piece
                .get(..2)
                .and_then(|digits| u8::from_str_radix(digits, 16).ok());
            let (Some(byte), Some(rest)) = (byte, piece.get(2..)) else {
                // The error quotes the whole text.
                return LinkName::new(text.as_bytes());
            };
            name.push(byte);
            name.extend_from_slice(rest.as_bytes());
        }
        LinkName::new(&name)
    }
}

/// Whether a byte is invalid in a name: two signs, and the kernel's `isspace` (lib/ctype.c), which
/// includes 0xa0, the hard blank of Latin-1.
fn is_refused(byte: u8) -> bool {
    matches!(byte, 0 | b'/' | b':' | b' ' | b'\t'..=b'\r' | 0xa0)
}

impl FromStr for LinkName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        LinkName::new(name.as_bytes())
    }
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_text() {
            Cow::Borrowed(name) => f.pad(&printable(name)),
            Cow::Owned(escaped) => f.pad(&escaped),
        }
    }
}

impl fmt::Debug for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for LinkName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.stored())
    }
}

from_str::schema_as_text!(LinkName, "LinkName");

impl<'de> Deserialize<'de> for LinkName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_str::deserialize_by(deserializer, LinkName::from_stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepts_what_the_kernel_accepts() {
        for name in ["eth0", "eth0.100", "e[0]", "cali0123456789a", "*", "ü"] {
            assert_eq!(name.parse::<LinkName>().unwrap().to_string(), name);
        }
    }

    proptest! {
        #[test]
        fn a_stored_name_is_read_back_as_the_same(bytes in proptest::collection::vec(any::<u8>(), 1..=MAX)) {
            if let Ok(name) = LinkName::new(&bytes) {
                let stored = serde_json::to_string(&name).unwrap();
                prop_assert_eq!(serde_json::from_str::<LinkName>(&stored).unwrap(), name);
                prop_assert!(name.to_string().chars().all(|char| !char.is_control()));
                if let Ok(text) = std::str::from_utf8(&bytes) {
                    prop_assert_eq!(&*name.stored(), text);
                }
            }
        }
    }

    #[test]
    fn a_name_that_is_no_text_is_no_other_name() {
        let (bytes, text) = (
            LinkName::new(b"\xff\xfe").unwrap(),
            r"\xff\xfe".parse::<LinkName>().unwrap(),
        );
        assert_eq!((&*bytes.stored(), &*text.stored()), ("/ff/fe", r"\xff\xfe"));
        for stored in [
            "\"/f\"",
            "\"eth/zz\"",
            "\"/41bcdefghijklmnop\"",
            "\"/2f\"",
            "\"eth/\u{fc}\"",
        ] {
            assert!(serde_json::from_str::<LinkName>(stored).is_err(), "{stored}");
        }
    }

    #[test]
    fn names_sort_by_their_bytes() {
        let names = ["a", "a!", "a1", "b", "cali0123456789a", "cali1", "\u{fc}"];
        let parsed: Vec<LinkName> = names.iter().map(|name| name.parse().unwrap()).collect();
        assert!(parsed.is_sorted());
    }

    #[test]
    fn says_what_is_wrong_with_a_name() {
        let messages: Vec<String> = [
            "",
            "cali0123456789ab",
            "all",
            "default",
            "..",
            "a/b",
            "a:b",
            "a b",
            "a\u{b}",
        ]
        .iter()
        .map(|name| name.parse::<LinkName>().unwrap_err().message)
        .collect();
        insta::assert_snapshot!(messages.join("\n"), @r"
        an interface name cannot be empty
        `cali0123456789ab` has 16 bytes; an interface name has at most 15
        `all` is not an interface name
        `default` is not an interface name
        `..` is not an interface name
        `a/b` holds `/`, which an interface name cannot
        `a:b` holds `:`, which an interface name cannot
        `a b` holds ` `, which an interface name cannot
        `a\u{b}` holds `\x0b`, which an interface name cannot
        ");
    }
}
