//! The key of a sysctl: a path below /proc/sys, parsed as procps does. The type also knows the key's
//! interface.

mod long_name;
mod module;
mod relations;

pub use relations::{ALLOWED_CONGESTION_CONTROL, CONGESTION_CONTROL, variable};

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, ErrorKind};
use crate::name::link::{LinkName, is_long};
use crate::text::escape::printable;
use crate::text::from_str;

/// A path below /proc/sys with `/` between its components: `net/ipv4/conf/eth0.100/rp_filter`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SysctlKey(Arc<str>);

/// The third component of a key below `net/<family>/conf` or `net/<family>/neigh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// `all`: combined with each interface's own value, or copied to it.
    All,
    /// `default`: the initial value of a new interface.
    Default,
    /// The interface's own value.
    Link(LinkName),
}

/// The parts of a key `net/<family>/<table>/<slot>/<leaf>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerInterface<'a> {
    /// `ipv4` or `ipv6`.
    pub family: &'a str,
    /// `conf` or `neigh`.
    pub table: &'a str,
    /// `all`, `default` or an interface.
    pub slot: Slot,
    /// The setting: `rp_filter`.
    pub leaf: &'a str,
}

/// Settings below net/ whose files only root can read: two keys (Documentation/networking/ip-sysctl.rst), and
/// the hardening of the BPF compiler (net/core/sysctl_net_core.c), all with mode 0600 in Linux 6.12.
pub const SECRETS: [&str; 5] = [
    "bpf_jit_harden",
    "bpf_jit_kallsyms",
    "bpf_jit_limit",
    "stable_secret",
    "tcp_fastopen_key",
];

/// Files that can be written and not read (mode 0200 in Linux 6.12). A write is a command to the kernel.
const COMMANDS: [&str; 4] = [
    "net/ipv4/route/flush",
    "net/ipv6/route/flush",
    "vm/compact_memory",
    "vm/drop_caches",
];

impl SysctlKey {
    /// Whether a write is a command to the kernel, and there is no value that could be kept.
    pub fn is_command(&self) -> bool {
        COMMANDS.contains(&self.path())
    }

    /// Whether its value is a secret, which no file that everybody reads and no log may contain.
    pub fn is_secret(&self) -> bool {
        let leaf = self.path().rsplit('/').next().unwrap_or_default();
        SECRETS.contains(&leaf)
    }

    /// The key of an interface's own setting, as `net/ipv4/conf/eth0/rp_filter`.
    pub fn conf(family: &str, link: LinkName, leaf: &str) -> Self {
        match family {
            "ipv4" => SysctlKey::below("net/ipv4/conf/", link, leaf),
            "ipv6" => SysctlKey::below("net/ipv6/conf/", link, leaf),
            other => SysctlKey::of_interface(other, "conf", link, leaf),
        }
    }

    /// The key of an interface in a table, `conf` or `neigh`.
    pub fn of_interface(family: &str, table: &str, link: LinkName, leaf: &str) -> Self {
        SysctlKey::below(&["net/", family, "/", table, "/"].concat(), link, leaf)
    }

    /// Every interface's rp_filter passes here several times, and `format!` takes five times as long.
    fn below(directory: &str, link: LinkName, leaf: &str) -> Self {
        SysctlKey([directory, &component(&link), "/", leaf].concat().into())
    }

    /// The same setting in another slot, `all` or `default`; `None` for a key without a slot.
    pub fn in_slot(&self, slot: &'static str) -> Option<Self> {
        let PerInterface {
            family, table, leaf, ..
        } = self.per_interface()?;
        Some(SysctlKey(format!("net/{family}/{table}/{slot}/{leaf}").into()))
    }

    /// The same setting of another interface; `None` for a key that is not of an interface.
    pub fn of_link(&self, link: LinkName) -> Option<Self> {
        let parts = self.per_interface()?;
        let of_link = matches!(parts.slot, Slot::Link(_));
        of_link.then(|| SysctlKey::of_interface(parts.family, parts.table, link, parts.leaf))
    }

    /// A key that netkeel itself uses; `path` is in slash form.
    pub fn known(path: &'static str) -> Self {
        SysctlKey(path.into())
    }

    /// The path below /proc/sys.
    pub fn path(&self) -> &str {
        &self.0
    }

    /// The path below /proc/sys as the kernel has it, where the name of an interface need not be text.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match self.per_interface() {
            Some(PerInterface {
                family,
                table,
                slot: Slot::Link(name),
                leaf,
            }) if self.0.contains(':') => {
                let parts: [&[u8]; 8] = [
                    b"net/",
                    family.as_bytes(),
                    b"/",
                    table.as_bytes(),
                    b"/",
                    name.as_bytes(),
                    b"/",
                    leaf.as_bytes(),
                ];
                Cow::Owned(parts.concat())
            }
            _ => Cow::Borrowed(self.0.as_bytes()),
        }
    }

    /// The dotted form, unless a component holds a dot.
    pub fn dotted(&self) -> Cow<'_, str> {
        if self.0.contains('.') {
            Cow::Borrowed(&self.0)
        } else {
            Cow::Owned(self.0.replace('/', "."))
        }
    }

    /// The parts of a per-interface key.
    pub fn per_interface(&self) -> Option<PerInterface<'_>> {
        let rest = self.0.strip_prefix("net/ipv")?;
        let (family, rest) = match rest.as_bytes().first() {
            Some(b'4') => ("ipv4", rest.strip_prefix("4/")?),
            _ => ("ipv6", rest.strip_prefix("6/")?),
        };
        let (table, rest) = match rest.strip_prefix("conf/") {
            Some(rest) => ("conf", rest),
            None => ("neigh", rest.strip_prefix("neigh/")?),
        };
        // Byte by byte: for so few bytes, a search made for long texts takes three times as long.
        let (slot, leaf) = rest.split_at_checked(rest.bytes().position(|byte| byte == b'/')?)?;
        let leaf = leaf.strip_prefix('/')?;
        if leaf.bytes().any(|byte| byte == b'/') {
            return None;
        }
        let slot = match slot {
            "all" => Slot::All,
            "default" => Slot::Default,
            name => Slot::Link(named(name).ok()?),
        };
        Some(PerInterface {
            family,
            table,
            slot,
            leaf,
        })
    }

    /// The interface, if the key is its own setting.
    pub fn link(&self) -> Option<LinkName> {
        match self.per_interface()?.slot {
            Slot::Link(name) => Some(name),
            Slot::All | Slot::Default => None,
        }
    }
}

/// The order and equality of keys are those of their paths.
impl Borrow<str> for SysctlKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for SysctlKey {
    type Err = Error;

    /// Reads dotted and slash form. Where the first separator is a dot, dots separate and a slash means
    /// a dot (sysctl.d(5), procps' `sysctl(8)`).
    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |why: String| Error::new(ErrorKind::Input, why);
        let path: Cow<str> = match text.find(['.', '/']) {
            Some(at) if text.as_bytes()[at] == b'.' => text
                .chars()
                .map(|c| match c {
                    '.' => '/',
                    '/' => '.',
                    other => other,
                })
                .collect::<String>()
                .into(),
            Some(_) => text.into(),
            None => {
                return Err(refuse(format!("`{text}` is not a sysctl key"))
                    .hint("a key has components, as net.core.rmem_max"));
            }
        };
        if let Some(part) = path.split('/').find(|part| matches!(*part, "" | "." | "..")) {
            let why = match part {
                "" => "has an empty component".to_owned(),
                dots => format!("has a component `{dots}`, which names no setting"),
            };
            let error = refuse(format!("the key `{text}` {why}"));
            let below = text.strip_prefix("/proc/sys/").or(text.strip_prefix('/'));
            return Err(match below {
                Some(below) => error.hint(format!("a key begins below /proc/sys: {below}")),
                None => error,
            });
        }
        if let Some(bad) = path.chars().find(|c| c.is_control() || c.is_whitespace()) {
            return Err(refuse(format!(
                "the key `{}` holds `{}`",
                text.escape_debug(),
                bad.escape_debug()
            )));
        }
        if path.contains(['*', '?']) {
            let error = refuse(format!(
                "the key `{text}` holds a pattern, and a sysctl is named exactly"
            ));
            return Err(
                if path.starts_with("net/ipv4/conf/") && path.ends_with("/rp_filter") {
                    error.hint("for several interfaces: link: { NAME: { match: { name: \"cali*\" }, rp_filter: strict } }")
                } else {
                    error.hint("write one line for each key")
                },
            );
        }
        let parts: Vec<&str> = path.split('/').collect();
        if let [
            "net",
            family @ ("ipv4" | "ipv6"),
            table @ ("conf" | "neigh"),
            name @ ..,
            leaf,
        ] = parts.as_slice()
            && name.len() > 1
        {
            let name = name.join(".");
            return Err(
                refuse(format!("`{text}` has too many components for one interface")).hint(format!(
                    "for the interface {name} write net/{family}/{table}/{name}/{leaf}"
                )),
            );
        }
        let key = SysctlKey(path.as_ref().into());
        match parts.as_slice() {
            ["net", "ipv4" | "ipv6", "conf" | "neigh", name, _]
                if !matches!(*name, "all" | "default") && !is_long(name) =>
            {
                named(name)?;
            }
            _ => {}
        }
        Ok(key)
    }
}

/// The name of an interface as a component of a key: a byte that is not UTF-8 is `:ff`. No name holds a `:`.
fn component(link: &LinkName) -> Cow<'_, str> {
    match link.stored() {
        Cow::Borrowed(name) => name.into(),
        Cow::Owned(name) => name.replace('/', ":").into(),
    }
}

/// Reads what [`component`] gives.
fn named(text: &str) -> Result<LinkName, Error> {
    match text.contains(':') {
        true => LinkName::from_stored(&text.replace(':', "/")),
        false => text.parse(),
    }
}

impl fmt::Display for SysctlKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.dotted();
        match self.bytes() {
            Cow::Borrowed(_) => f.write_str(&printable(&shown)),
            Cow::Owned(_) => f.write_str(&printable(&shown).replace(':', "\\x")),
        }
    }
}

impl fmt::Debug for SysctlKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for SysctlKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

from_str::schema_as_text!(SysctlKey, "SysctlKey");

impl<'de> Deserialize<'de> for SysctlKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Control characters are rejected in user input only: the name of an interface may hold them.
        from_str::deserialize_by(deserializer, |text| match text.contains(char::is_control) {
            true => {
                text.replace(char::is_control, "_").parse::<SysctlKey>()?;
                Ok(SysctlKey(text.into()))
            }
            false => text.parse(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> String {
        match text.parse::<SysctlKey>() {
            Ok(key) => key.path().to_owned(),
            Err(error) => format!("{error}; {}", error.hints.join("; ")),
        }
    }

    #[test]
    fn a_name_that_is_no_text_is_one_name() {
        let name = LinkName::new(b"a\xffb\xfe").unwrap();
        let key = SysctlKey::conf("ipv4", name, "rp_filter");
        assert_eq!(key.link(), Some(name));
        assert_eq!(&*key.bytes(), b"net/ipv4/conf/a\xffb\xfe/rp_filter");
        assert_eq!(key.to_string(), r"net.ipv4.conf.a\xffb\xfe.rp_filter");
        let read: SysctlKey = serde_json::from_str(&serde_json::to_string(&key).unwrap()).unwrap();
        assert_eq!(read, key);
        // One whose name is spelled like that is another one.
        let spelled = LinkName::new(br"a\xffb\xfe").unwrap();
        let other = SysctlKey::conf("ipv4", spelled, "rp_filter");
        assert_eq!((other.link(), other == key), (Some(spelled), false));
    }

    #[test]
    fn the_first_separator_decides() {
        assert_eq!(
            path("net.ipv4.conf.eth0/100.rp_filter"),
            "net/ipv4/conf/eth0.100/rp_filter"
        );
        assert_eq!(
            path("net/ipv4/conf/eth0.100/rp_filter"),
            "net/ipv4/conf/eth0.100/rp_filter"
        );
        assert_eq!(path("net.core.rmem_max"), "net/core/rmem_max");
    }

    #[test]
    fn refuses_what_names_no_setting() {
        let messages: Vec<String> = [
            "rmem_max",
            "net..core",
            "net/../kernel/panic",
            "net.ipv4.conf.*.rp_filter",
            "net.core.*",
            "net.ipv4.conf.eth0.100.rp_filter",
            "net/ipv4/conf/an-interface-too-löng/rp_filter",
            "net.core.rmem max",
        ]
        .iter()
        .map(|text| path(text))
        .collect();
        insta::assert_snapshot!(messages.join("\n"), @r#"
        `rmem_max` is not a sysctl key; a key has components, as net.core.rmem_max
        the key `net..core` has an empty component; 
        the key `net/../kernel/panic` has a component `..`, which names no setting; 
        the key `net.ipv4.conf.*.rp_filter` holds a pattern, and a sysctl is named exactly; for several interfaces: link: { NAME: { match: { name: "cali*" }, rp_filter: strict } }
        the key `net.core.*` holds a pattern, and a sysctl is named exactly; write one line for each key
        `net.ipv4.conf.eth0.100.rp_filter` has too many components for one interface; for the interface eth0.100 write net/ipv4/conf/eth0.100/rp_filter
        `an-interface-too-löng` has 22 bytes; an interface name has at most 15; 
        the key `net.core.rmem max` holds ` `;
        "#);
    }
}
