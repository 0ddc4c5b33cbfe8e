//! The link-layer address of an Ethernet interface.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, ErrorKind};
use crate::text::from_str;

/// An address of six bytes. Other link layers (IP tunnels, InfiniBand) have other lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mac([u8; 6]);

impl Mac {
    /// The address that the kernel reports; `None` for another link layer and for the address of `lo`,
    /// which is all zeros.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; 6] = bytes.try_into().ok()?;
        (bytes != [0; 6]).then_some(Mac(bytes))
    }
}

impl fmt::Display for Mac {
    /// As `ip link` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, last] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{last:02x}")
    }
}

impl FromStr for Mac {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = || Error::new(ErrorKind::Input, format!("`{text}` is not an Ethernet address"));
        let mut bytes = Vec::new();
        for word in text.split(':') {
            let hexadecimal = word.len() == 2 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            let byte = u8::from_str_radix(word, 16).ok().filter(|_| hexadecimal);
            bytes.push(byte.ok_or_else(refuse)?);
        }
        Mac::new(&bytes).ok_or_else(|| refuse().hint("as 02:00:5e:12:34:56"))
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_str::deserialize(deserializer)
    }
}

from_str::schema_as_text!(Mac, "Mac");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_prints() {
        let mac: Mac = "02:00:5E:12:34:56".parse().unwrap();
        assert_eq!(mac.to_string(), "02:00:5e:12:34:56");
        for text in [
            "",
            "02:00:5e:12:34",
            "02:00:5e:12:34:+6",
            "02:00:5e:12:34:567",
            "00:00:00:00:00:00",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
        assert_eq!(Mac::new(&[127, 0, 0, 1]), None);
    }
}
