//! The key path to a node, as a linked list on the stack: it costs nothing until it is printed.

use std::fmt;

/// A position in a document.
#[derive(Clone, Copy, Debug)]
pub struct KeyPath<'a> {
    parent: Option<&'a KeyPath<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl<'a> KeyPath<'a> {
    /// The document itself.
    pub const ROOT: KeyPath<'static> = KeyPath {
        parent: None,
        step: Step::Root,
    };

    /// The path to the value of a key.
    #[must_use]
    pub fn key(&'a self, key: &'a str) -> KeyPath<'a> {
        KeyPath {
            parent: Some(self),
            step: Step::Key(key),
        }
    }

    /// The path of nested keys as text.
    pub fn of(keys: &[&str]) -> String {
        fn below(path: &KeyPath<'_>, keys: &[&str]) -> String {
            match keys {
                [] => path.to_string(),
                [key, rest @ ..] => below(&path.key(key), rest),
            }
        }
        below(&KeyPath::ROOT, keys)
    }

    /// The path to an item of a list, from 0.
    #[must_use]
    pub fn index(&'a self, index: usize) -> KeyPath<'a> {
        KeyPath {
            parent: Some(self),
            step: Step::Index(index),
        }
    }
}

/// `sysctl."net.ipv4.ip_forward"`, `tunnel.ipip0.addresses[1]`; nothing for the root.
impl fmt::Display for KeyPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        let first = self.parent.is_none_or(|parent| matches!(parent.step, Step::Root));
        match self.step {
            Step::Root => Ok(()),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => {
                f.write_str(if first { "" } else { "." })?;
                write_key(f, key)
            }
        }
    }
}

impl From<KeyPath<'_>> for String {
    fn from(path: KeyPath<'_>) -> String {
        path.to_string()
    }
}

impl From<&KeyPath<'_>> for String {
    fn from(path: &KeyPath<'_>) -> String {
        path.to_string()
    }
}

/// Writes a key, in quotes if it would be ambiguous.
fn write_key(f: &mut fmt::Formatter<'_>, key: &str) -> fmt::Result {
    let plain = |char: char| char.is_alphanumeric() || "_-@/*".contains(char);
    if !key.is_empty() && key.chars().all(plain) {
        f.write_str(key)
    } else {
        write!(f, "{key:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_keys_and_indices() {
        let root = KeyPath::ROOT;
        assert_eq!(root.to_string(), "");
        let tunnel = root.key("tunnel");
        let device = tunnel.key("ipip0");
        let addresses = device.key("addresses");
        assert_eq!(addresses.index(1).to_string(), "tunnel.ipip0.addresses[1]");
        assert_eq!(
            root.key("sysctl").key("a.b\"\n").to_string(),
            r#"sysctl."a.b\"\n""#
        );
        assert_eq!(
            KeyPath::of(&["link", "eth0.100", "mtu"]),
            r#"link."eth0.100".mtu"#
        );
        assert_eq!(root.index(0).key("").to_string(), r#"[0]."""#);
    }
}
