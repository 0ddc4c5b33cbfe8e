//! Facts: the fields of objects that netkeel reads and writes. Every kind of declaration becomes wanted
//! values of facts. Two different wanted values of one fact are a conflict.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::maybe_secret::MASK;
use crate::name::link::LinkName;
use crate::name::netns::Netns;
use crate::name::route::{Metric, RouteKey};
use crate::name::sysctl::{PerInterface, Slot, SysctlKey};
use crate::nflog::entry_name::EntryName;
use crate::rp_filter::RpFilter;
use crate::text::escape::printable;
pub use crate::value::Value;

/// A field of an object in a namespace. It can be read and, mostly, written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Fact {
    /// The namespace of the object.
    #[serde(default, skip_serializing_if = "crate::name::netns::Netns::is_current")]
    pub netns: Netns,
    /// The object.
    pub object: Object,
    /// The field of that object.
    pub field: Field,
}

/// An object that has fields.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Object {
    /// A file; it belongs to no namespace.
    File(Arc<Path>),
    /// The plugins of one type in a CNI configuration; they belong to no namespace.
    Plugin(Arc<Plugin>),
    /// A private copy of a WireGuard configuration; it belongs to no namespace.
    Wireguard(Arc<WireguardCopy>),
    /// A sysctl that is not a field of a link.
    Sysctl(SysctlKey),
    /// A network interface.
    Link(LinkName),
    /// netkeel's own rules for an `nflog` entry.
    Nflog(EntryName),
    /// The rules of other programs that log path MTU messages to an NFLOG group.
    LogGroup(u16),
}

/// The plugins of one type in a CNI configuration. [`Object`] holds it by pointer, so that the facts of
/// thousands of interfaces stay small.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Plugin {
    /// The configuration file.
    pub file: Arc<Path>,
    /// The `type` of the plugins.
    pub kind: Arc<str>,
}

/// A private copy of a WireGuard configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct WireguardCopy {
    /// The path of the copy.
    pub copy: Arc<Path>,
    /// The path of the original. The copy is recreated from it.
    pub source: Arc<Path>,
}

/// A field of an object. The kind of object decides which fields it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// Of a file: its bytes.
    Content,
    /// Of a sysctl: its value.
    Value,
    /// Of a link: that it exists, and as what (`ipip external`).
    Kind,
    /// Of a link: that it has this address.
    Address(#[schemars(with = "String")] IpNet),
    /// Of a link: `net.ipv4.conf.LINK.rp_filter`.
    RpFilter,
    /// Of a link: `net.ipv4.conf.LINK.forwarding`.
    Forwarding,
    /// Of a link: `net.ipv6.conf.LINK.forwarding`.
    Forwarding6,
    /// Of a link: `net.ipv6.conf.LINK.disable_ipv6`; 1 removes its IPv6 addresses.
    DisableIpv6,
    /// Of a link, a CNI plugin or a WireGuard configuration: MTU in bytes.
    Mtu,
    /// Of a veth whose other end is in another namespace: that end's MTU in bytes.
    PodMtu,
    /// Of such a veth: the MTU in bytes of a route through the pod's end. The route has its own MTU.
    PodRouteMtu(RouteKey),
    /// Of such a veth: that the pod's end has this IPv6 address. An MTU below 1280 removes it.
    PodAddress(#[schemars(with = "String")] IpNet),
    /// Of a link: a metric in bytes of a route over it.
    RouteMetric(RouteKey, Metric),
    /// Of a link: administratively up.
    Up,
    /// Of a link: transmit queue length in packets.
    TxQueueLength,
    /// Of a link: its alias, up to 255 bytes.
    Alias,
    /// Of an `nflog` entry, or of a group: its rules.
    Rules,
}

impl Fact {
    /// A fact of an interface.
    pub fn link(netns: &Netns, name: LinkName, field: Field) -> Self {
        Fact {
            netns: netns.clone(),
            object: Object::Link(name),
            field,
        }
    }

    /// The fact behind a sysctl key. Some facts have two names: an interface's `rp_filter` and
    /// `forwarding` are facts of the link, and other variables have two names
    /// ([`SysctlKey::of_variable`]).
    pub fn sysctl(netns: &Netns, key: &SysctlKey) -> Self {
        Fact::of_parts(netns, key, key.per_interface())
    }

    /// The fact behind a sysctl key whose parts are already known.
    pub fn of_parts(netns: &Netns, key: &SysctlKey, parts: Option<PerInterface<'_>>) -> Self {
        if let Some(PerInterface {
            family,
            table: "conf",
            slot,
            leaf,
        }) = parts
            && let (Slot::Link(name), Some(field)) = (slot, Field::of_sysctl(family, leaf))
        {
            return Fact::link(netns, name, field);
        }
        Fact {
            netns: netns.clone(),
            object: Object::Sysctl(key.of_variable()),
            field: Field::Value,
        }
    }

    /// netkeel's own rules for an `nflog` entry.
    pub fn nflog(netns: &Netns, name: &EntryName) -> Self {
        Fact {
            netns: netns.clone(),
            object: Object::Nflog(name.clone()),
            field: Field::Rules,
        }
    }

    /// The rules of other programs that log path MTU messages to a group.
    pub fn log_group(netns: &Netns, group: u16) -> Self {
        Fact {
            netns: netns.clone(),
            object: Object::LogGroup(group),
            field: Field::Rules,
        }
    }

    /// The content of a file.
    pub fn file(path: &Path) -> Self {
        Fact {
            netns: Netns::CURRENT,
            object: Object::File(path.into()),
            field: Field::Content,
        }
    }

    /// The `mtu` of the plugins of one type in a CNI configuration.
    pub fn plugin(file: &Path, kind: &str) -> Self {
        Fact {
            netns: Netns::CURRENT,
            object: Object::Plugin(Arc::new(Plugin {
                file: file.into(),
                kind: kind.into(),
            })),
            field: Field::Mtu,
        }
    }

    /// The `MTU` of a copy of a WireGuard configuration.
    pub fn wireguard(copy: &Path, source: &Path) -> Self {
        Fact {
            netns: Netns::CURRENT,
            object: Object::Wireguard(Arc::new(WireguardCopy {
                copy: copy.into(),
                source: source.into(),
            })),
            field: Field::Mtu,
        }
    }

    /// The interface of this fact.
    pub fn link_name(&self) -> Option<LinkName> {
        match &self.object {
            Object::Link(name) => Some(*name),
            Object::Sysctl(key) => key.link(),
            // Rules refer to interfaces by name. They can exist without the interface.
            Object::File(_)
            | Object::Plugin(_)
            | Object::Wireguard(_)
            | Object::Nflog(_)
            | Object::LogGroup(..) => None,
        }
    }

    /// Whether it is a switch of IPv6 forwarding at which the kernel removes default routes that routers announced:
    /// see [`SysctlKey::removes_announced_routes`].
    pub fn removes_announced_routes(&self) -> bool {
        match &self.object {
            Object::Sysctl(key) => key.removes_announced_routes(),
            Object::Link(_) => self.field == Field::Forwarding6,
            Object::File(_)
            | Object::Plugin(_)
            | Object::Wireguard(_)
            | Object::Nflog(_)
            | Object::LogGroup(_) => false,
        }
    }

    /// The value for display: `1 (strict)` for an rp_filter, any other value unchanged. Characters that
    /// a terminal would act on are escaped.
    pub fn show(&self, value: Option<&Value>) -> String {
        match value {
            // The route exists, and lacks the attribute.
            None if matches!(self.field, Field::RouteMetric(..)) => "none".into(),
            None => "absent".into(),
            Some(value) => match printable(&self.describe(value)) {
                Cow::Borrowed(words) => words.to_owned(),
                Cow::Owned(words) => words,
            },
        }
    }

    /// As [`Fact::show`], in one short line: a text of several lines is shown by its size.
    pub fn summary(&self, value: Option<&Value>) -> String {
        /// Longest value, characters.
        const LONGEST: usize = 300;
        let of_secret_key = matches!(&self.object, Object::Sysctl(key) if key.is_secret());
        if value.is_some_and(|value| of_secret_key || value.is_secret()) {
            return MASK.into();
        }
        if let Some(text) = value.and_then(Value::text)
            && text.trim_end().contains('\n')
        {
            return format!("{} lines", text.lines().count());
        }
        let shown = self.show(value);
        match shown.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}...", shown.get(..end).unwrap_or_default()),
            None => shown,
        }
    }

    /// The summaries of a value before and after. Two secrets and two long texts look alike, so the second says
    /// that it differs.
    pub fn summaries(&self, before: Option<&Value>, after: Option<&Value>) -> (String, String) {
        let (before, mut after) = (self.summary(before), self.summary(after));
        if before == after {
            after.push_str(", differs");
        }
        (before, after)
    }

    fn describe(&self, value: &Value) -> String {
        let rp_filter = match &self.object {
            Object::Link(_) => self.field == Field::RpFilter,
            Object::Sysctl(key) => matches!(
                key.per_interface(),
                Some(PerInterface {
                    family: "ipv4",
                    leaf: "rp_filter",
                    ..
                })
            ),
            Object::File(_)
            | Object::Plugin(_)
            | Object::Wireguard(_)
            | Object::Nflog(_)
            | Object::LogGroup(..) => false,
        };
        let plain = value.to_string();
        let is_empty = value.text().is_some_and(|text| text.is_empty());
        match self.field {
            Field::Up => match value.switch() {
                Some(up) => if up { "up" } else { "down" }.into(),
                None => plain,
            },
            Field::Address(_) | Field::PodAddress(_) => match value.switch() {
                Some(present) => if present { "present" } else { "absent" }.into(),
                None => plain,
            },
            Field::Alias if is_empty => "none".into(),
            Field::Value if is_empty => "empty".into(),
            Field::RpFilter | Field::Value if rp_filter => {
                match plain.parse().ok().and_then(RpFilter::from_number) {
                    Some(mode) => format!("{plain} ({mode})"),
                    None => plain,
                }
            }
            Field::Content
            | Field::Value
            | Field::Kind
            | Field::RpFilter
            | Field::Forwarding
            | Field::Forwarding6
            | Field::DisableIpv6
            | Field::Mtu
            | Field::PodMtu
            | Field::PodRouteMtu(_)
            | Field::RouteMetric(..)
            | Field::TxQueueLength
            | Field::Alias
            | Field::Rules => plain,
        }
    }
}

impl Field {
    /// The fields that are sysctls below `net/<family>/conf/LINK`. One dump of the interfaces carries
    /// them, so they are facts of the link.
    const SYSCTLS: &[(Field, &str, &str)] = &[
        (Field::RpFilter, "ipv4", "rp_filter"),
        (Field::Forwarding, "ipv4", "forwarding"),
        (Field::Forwarding6, "ipv6", "forwarding"),
        (Field::DisableIpv6, "ipv6", "disable_ipv6"),
    ];

    /// The field for `net/<family>/conf/LINK/<leaf>`.
    pub fn of_sysctl(family: &str, leaf: &str) -> Option<Field> {
        let mut fields = Field::SYSCTLS.iter();
        fields.find_map(|(field, of, name)| (*of == family && *name == leaf).then_some(*field))
    }

    /// The field for a key of an interface, of `all` or of `default`. Every dump of interfaces carries
    /// its value.
    pub fn of_key(key: &SysctlKey) -> Option<Field> {
        let parts = key.per_interface().filter(|parts| parts.table == "conf")?;
        Field::of_sysctl(parts.family, parts.leaf)
    }

    /// The sysctl for this field of an interface.
    pub fn sysctl_of(self, link: LinkName) -> Option<SysctlKey> {
        let (_, family, leaf) = Field::SYSCTLS.iter().find(|(field, _, _)| *field == self)?;
        Some(SysctlKey::conf(family, link, leaf))
    }
}

/// The path, escaped for a terminal.
fn shown(path: &Path) -> String {
    printable(&path.display().to_string()).into_owned()
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.object {
            Object::File(path) => write!(f, "file {}", shown(path)),
            Object::Sysctl(key) => write!(f, "sysctl {key}"),
            Object::Plugin(_) => write!(f, "{} {}", self.object, self.field),
            Object::Link(name) => write!(f, "link {name} {}", self.field),
            Object::Wireguard(_) | Object::Nflog(_) | Object::LogGroup(..) => {
                write!(f, "{} {}", self.object, self.field)
            }
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Object::File(path) => write!(f, "file {}", shown(path)),
            Object::Plugin(plugin) => write!(f, "cni {} {}", shown(&plugin.file), printable(&plugin.kind)),
            Object::Wireguard(wireguard) => write!(f, "wireguard {}", shown(&wireguard.copy)),
            Object::Sysctl(key) => write!(f, "sysctl {key}"),
            Object::Link(name) => write!(f, "link {name}"),
            Object::Nflog(name) => write!(f, "nflog {name}"),
            Object::LogGroup(group) => write!(f, "nflog group {group}"),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Content => f.write_str("content"),
            Field::Value => f.write_str("value"),
            Field::Kind => f.write_str("kind"),
            Field::Address(address) => write!(f, "address {address}"),
            Field::RpFilter => f.write_str("rp_filter"),
            Field::Forwarding => f.write_str("forwarding"),
            Field::Forwarding6 => f.write_str("ipv6 forwarding"),
            Field::DisableIpv6 => f.write_str("disable_ipv6"),
            Field::Mtu => f.write_str("mtu"),
            Field::PodMtu => f.write_str("pod mtu"),
            Field::PodRouteMtu(route) => write!(f, "pod route {route} mtu"),
            Field::PodAddress(address) => write!(f, "pod address {address}"),
            Field::RouteMetric(route, metric) => write!(f, "route {route} {metric}"),
            Field::Up => f.write_str("state"),
            Field::TxQueueLength => f.write_str("txqueuelen"),
            Field::Alias => f.write_str("alias"),
            Field::Rules => f.write_str("rules"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maybe_secret::{MASK, MaybeSecret};

    #[test]
    fn a_summary_is_a_short_line_without_secrets() {
        let text = |text: &str| Value::Text(MaybeSecret::from(text));
        let of = |key: &str| Fact::sysctl(&Netns::CURRENT, &key.parse().unwrap());
        let secret = of("net.ipv4.tcp_fastopen_key");
        assert_eq!(secret.summary(Some(&text("0123-4567"))), MASK);
        assert_eq!(secret.summary(None), "absent");
        let plain = of("net.core.rmem_max");
        assert_eq!(plain.summary(Some(&text("4096"))), "4096");
        assert_eq!(plain.summary(Some(&text("a\nb\nc\n"))), "3 lines");
        assert_eq!(plain.summary(Some(&text(&"x".repeat(400)))).len(), 303);
    }
}
