//! The kind `sysctl`: any key below /proc/sys, set live and, through a drop-in, at boot.

mod bounds;
mod names;

use crate::kinds::kind::{Context, Section};
use crate::not_the_host::NotTheHost;
use crate::section_name::SectionName;
use crate::shape::{Field, Shape};
use crate::want::wants::Wants;
use crate::want::{Origin, Want};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::{Fact, Field as FactField, Object, Value};
use netkeel_core::finding::Code;
use netkeel_core::maybe_secret::{MASK, MaybeSecret};
use netkeel_core::mtu::IPV6_MIN_MTU;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_core::name::sysctl::{CONGESTION_CONTROL, PerInterface, Slot, SysctlKey};
use netkeel_core::rp_filter;
use netkeel_core::text::escape::quoted;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::lookup::Lookup;
use netkeel_host::snapshot::scope::{Scope, on_host};
use netkeel_host::sysctl_form::handler::Handler;
use netkeel_host::sysctl_form::stored::stored;
use netkeel_host::sysctl_form::{mask, range};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::Node;
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::read::boolean_word;
use netkeel_source::span::Span;

pub(crate) struct Kind;

const FIELD: Field = Field {
    name: "sysctl",
    shape: Shape::Table {
        key,
        key_doc: "A key below /proc/sys, dotted (net.core.rmem_max) or with slashes (net/ipv4/conf/eth0.100/rp_filter).",
        value: &Shape::Vector,
    },
    required: false,
    doc: "Sysctls and their values; a list for a vector. Kept live and, unless `persist` is false, by a drop-in in /etc/sysctl.d.",
};

pub(crate) fn key(text: &str) -> Result<(), Error> {
    text.parse::<SysctlKey>().map(|_| ())
}

#[derive(Debug)]
struct Sysctls {
    netns: Netns,
    entries: Vec<Entry>,
    withheld: Option<NotTheHost>,
}

#[derive(Clone, Debug)]
struct Entry {
    key: SysctlKey,
    /// The key as written in the document.
    written: String,
    value: String,
    key_span: Span,
    span: Span,
}

impl crate::kinds::kind::Kind for Kind {
    fn field(&self) -> Field {
        FIELD
    }

    fn read(&self, entries: &Node, context: &mut Context<'_>) -> Box<dyn Section> {
        let mut sysctls = Sysctls {
            netns: context.netns.clone(),
            entries: Vec::new(),
            withheld: None,
        };
        for entry in entries.entries() {
            let Ok(key) = entry.key.parse::<SysctlKey>() else {
                continue;
            };
            let Some(value) = value(&key, &entry.value) else {
                continue;
            };
            let path = KeyPath::of(&["sysctl", &entry.key]);
            if !context.any_sysctl && !key.path().starts_with("net/") {
                context
                    .diagnostics
                    .add(
                        entry.key_span,
                        path,
                        format!("{key} is not a setting of the network"),
                    )
                    .hint("allow_any_sysctl: true lets a document name it");
                continue;
            }
            if key.is_command() {
                let message =
                    format!("{key} has no value to keep: it can only be written, as a command to the kernel");
                context
                    .diagnostics
                    .add(entry.key_span, path, message)
                    .hint("remove the key, and write it by hand when it is needed");
                continue;
            }
            if let (Some(netns), false) = (context.netns.name(), key.path().starts_with("net/")) {
                context
                    .diagnostics
                    .add(
                        entry.key_span,
                        path,
                        format!(
                            "{key} is not one of the network namespace {netns}: it is the whole machine's"
                        ),
                    )
                    .hint("declare it for the host, without --netns");
                continue;
            }
            if is_rp_filter(&key)
                && !rp_filter::WORDS
                    .iter()
                    .any(|(_, number)| number.to_string() == value)
            {
                context
                    .diagnostics
                    .add(
                        entry.value.span,
                        path,
                        format!("{} is not a value of rp_filter", quoted(&value)),
                    )
                    .hint("it is off, strict or loose, or as a number 0, 1 or 2");
                continue;
            }
            sysctls.entries.push(Entry {
                key,
                written: entry.key.clone(),
                value,
                key_span: entry.key_span,
                span: entry.value.span,
            });
        }
        sysctls
            .entries
            .sort_by(|a, b| (a.key.rank(), &a.key).cmp(&(b.key.rank(), &b.key)));
        Box::new(sysctls)
    }
}

/// The value for the kernel: words of a setting become numbers, and so do booleans.
pub fn value(key: &SysctlKey, node: &Node) -> Option<String> {
    if is_rp_filter(key)
        && let Some(mode) = node.choice(rp_filter::WORDS)
    {
        return Some(mode.to_string());
    }
    let value = node.vector()?;
    if Handler::of(key).takes_commas() {
        return Some(value.replace(' ', ",").replace(",,", ","));
    }
    // No network setting accepts these words as values; another sysctl does
    // (kernel.printk_devkmsg).
    match boolean_word(&value).filter(|_| key.path().starts_with("net/")) {
        Some(switch) => Some(i64::from(switch).to_string()),
        None => Some(value),
    }
}

fn is_rp_filter(key: &SysctlKey) -> bool {
    let any = key.of_own_name(LinkName::LOOPBACK);
    let key = any.as_ref().unwrap_or(key);
    matches!(
        key.per_interface(),
        Some(PerInterface {
            family: "ipv4",
            table: "conf",
            leaf: "rp_filter",
            ..
        })
    )
}

/// Adds the facts that show what `all` or `default` has effect on.
fn scope_of_effect(key: &SysctlKey, scope: &mut Scope) {
    let Some(PerInterface {
        table: "conf",
        slot: slot @ (Slot::All | Slot::Default),
        leaf,
        ..
    }) = key.per_interface()
    else {
        return;
    };
    // The file of a secret that nobody set cannot be read, and no effect of one is judged.
    if key.is_secret() {
        return;
    }
    let slots = ["all", "default"].into_iter();
    let slots = slots.filter_map(|slot| key.in_slot(slot));
    scope.sysctls.extend(slots.map(|key| key.of_variable()));
    if leaf == "accept_redirects" {
        let forwarding = SysctlKey::known("net/ipv4/conf/default/forwarding");
        scope.sysctls.insert(forwarding);
    }
    if slot == Slot::All && FactField::of_key(key).is_none() {
        scope.of_every_link.extend(key.in_slot("default"));
    }
}

impl Sysctls {
    /// The value of a key.
    fn declared(&self, key: &SysctlKey) -> Option<&str> {
        let entry = self.entries.iter().find(|entry| entry.key == *key)?;
        Some(&entry.value)
    }

    /// Rejects two keys of which one write changes the other's value: only one of them could hold.
    fn coupled(&self, wants: &mut Wants) {
        for (at, entry) in self.entries.iter().enumerate() {
            let Some(other) = entry.key.coupled_with() else {
                continue;
            };
            let Some(first) = self.entries.iter().take(at).find(|first| first.key == other) else {
                continue;
            };
            let path = KeyPath::of(&["sysctl", &entry.written]);
            let message = format!("{} and {other} are one variable of the kernel", entry.key);
            let diagnostic = wants.diagnostics.add(entry.key_span, path, message);
            diagnostic
                .other(first.key_span, format!("{other} is declared here"))
                .hint("keep one of the two");
        }
    }
}

impl Section for Sysctls {
    fn scope(&self, scope: &mut Scope) {
        for entry in &self.entries {
            // The interface of a long name is not known yet: a key of any interface asks for the same other facts.
            let any = entry.key.of_own_name(LinkName::LOOPBACK);
            let any = any.map(|key| Entry { key, ..entry.clone() });
            if any.is_some() {
                scope.sysctls.insert(entry.key.clone());
            }
            let entry = any.as_ref().unwrap_or(entry);
            if let Object::Sysctl(key) = Fact::sysctl(&self.netns, &entry.key).object {
                scope.sysctls.insert(key);
            }
            scope.of_copies(&entry.key);
            names::scope(&entry.key, &entry.value, scope);
            bounds::scope(&entry.key, scope);
            scope_of_effect(&entry.key, scope);
            let setting = entry.key.as_setting();
            match setting.per_interface() {
                Some(PerInterface {
                    family,
                    table: "conf",
                    slot: Slot::Link(_),
                    leaf,
                }) => {
                    // The value that the interface starts with when it is created.
                    scope.sysctls.extend(entry.key.in_slot("default"));
                    match (family, leaf) {
                        ("ipv4", "rp_filter") => {
                            scope.sysctls.extend(entry.key.in_slot("all"));
                            scope.families.ipv4 = true;
                        }
                        ("ipv6", "disable_ipv6") => scope.families.ipv6 = true,
                        _ => {}
                    }
                }
                Some(PerInterface {
                    family: "ipv4",
                    table: "conf",
                    slot: Slot::All | Slot::Default,
                    leaf: "rp_filter",
                }) => {
                    // `all` decides together with the key on interfaces that the document does not
                    // name.
                    scope.sysctls.extend(entry.key.in_slot("all"));
                    scope.families.ipv4 = true;
                }
                Some(
                    PerInterface {
                        family: "ipv4",
                        slot: Slot::Default,
                        ..
                    }
                    // A bridge with an address routes for its containers.
                    | PerInterface {
                        family: "ipv4",
                        leaf: "forwarding",
                        ..
                    },
                ) => scope.families.ipv4 = true,
                Some(PerInterface {
                    family: "ipv6",
                    table: "neigh",
                    slot: Slot::Default,
                    ..
                }) => scope.families.ipv6 = true,
                Some(PerInterface {
                    family: "ipv6",
                    leaf: "disable_ipv6",
                    ..
                }) => scope.families.ipv6 = true,
                _ => {}
            }
        }
    }

    /// IPv6 forwarding of one interface removes routes of the others.
    fn has_budgets(&self) -> bool {
        (self.entries.iter()).any(|entry| entry.key.forwards_ipv6_of_one() && entry.value != "0")
    }

    fn wants(&self, host: &Snapshot, wants: &mut Wants) {
        self.coupled(wants);
        let control = self
            .entries
            .iter()
            .find(|entry| entry.key.path() == CONGESTION_CONTROL);
        let control = control.map(|entry| entry.value.as_str());
        for entry in &self.entries {
            let named = on_host(&entry.key, &host.links).map(|key| Entry { key, ..entry.clone() });
            if let (Some(name), None) = (entry.key.long_name(), &named) {
                wants.long_name_absent(name, &KeyPath::of(&["sysctl", &entry.written]));
                continue;
            }
            let entry = named.as_ref().unwrap_or(entry);
            let fact = Fact::sysctl(&self.netns, &entry.key);
            let path = KeyPath::of(&["sysctl", &entry.written]);
            if let (Some(why), false) = (self.withheld, entry.key.path().starts_with("net/")) {
                wants.findings.add(
                    Code::NK028,
                    &entry.key,
                    format!(
                        "it is not written, since it is the whole machine's: {}",
                        why.sentence()
                    ),
                    why.remedy(),
                );
                wants.withheld.insert(fact);
                continue;
            }
            let live = host.get(&fact).value().map(|found| found.to_text());
            let secret = entry.key.is_secret() || live.as_ref().is_some_and(MaybeSecret::is_secret);
            let stored = stored(&entry.key, &entry.value, live.as_deref(), host.ticks);
            // The reason quotes the value: that of a secret is asked for with the mask in its place.
            let why = |why| match (secret, self::stored(&entry.key, MASK, None, host.ticks)) {
                (true, Err(why)) => why,
                (true, Ok(_)) => "cannot have this value".to_owned(),
                (false, _) => why,
            };
            let stored = stored.map_err(|cause| Error::new(ErrorKind::Input, why(cause)));
            let within = stored.and_then(|text| {
                let range = range::refusal(&entry.key, &text, &host.kernel, host.ticks);
                let range = range.or_else(|| mask::refusal(&entry.key, &text, host.cpus));
                let range = range.or_else(|| range::stays_on(&entry.key, &text, live.as_deref()));
                let refusal = range.or_else(|| {
                    bounds::refusal(&entry.key, &text, |key| self.declared(key), host, &self.netns)
                });
                match refusal {
                    Some(why) => Err(Error::new(ErrorKind::Input, why)),
                    None => Ok(text),
                }
            });
            let text = match within.and_then(|text| names::known(&entry.key, text, control, host)) {
                Ok(text) => text,
                Err(error) => {
                    let message = format!("{} {}", entry.key, error.message);
                    let diagnostic = wants.diagnostics.add(entry.span, path, message);
                    diagnostic.concerns(&fact).hints = error.hints;
                    if let Some(live) = live.filter(|live| !live.is_empty()) {
                        diagnostic.hint(format!("the current value is {live}"));
                    }
                    continue;
                }
            };
            let value = match (&fact.object, text.parse()) {
                (Object::Link(_), Ok(number)) => Value::Number(number),
                _ => Value::Text(MaybeSecret::from(text).secret_if(secret)),
            };
            let writable = host.can_be_written(&entry.key.of_variable());
            match host.get(&fact) {
                Lookup::Value(found) if found != value && !writable => {
                    let message = format!(
                        "{} is read-only here, where it is {found}",
                        entry.key
                    );
                    wants
                        .diagnostics
                        .add(entry.span, path, message)
                        .concerns(&fact)
                        .hint("where /proc/sys is mounted read-only, run netkeel outside of that container")
                        .hint("where the value is the host's, declare it for the host, without --netns");
                    continue;
                }
                Lookup::Value(_) if !writable => wants.findings.add(
                    Code::NK026,
                    &entry.key,
                    "it is as wanted, and read-only in this namespace: if it changes, netkeel cannot restore it",
                    "the value is the host's: declare it for the host, without --netns",
                ),
                Lookup::Absent => match entry.key.link().map(|name| (name, host.links.get(&name))) {
                    // Not an error: a tunnel of the same document may create the interface.
                    Some((name, None)) => wants.when_absent(name, &path),
                    // Not an error: the document may raise the MTU.
                    Some((_, Some(link))) if link.mtu < IPV6_MIN_MTU => {}
                    _ => {
                        let message = format!("this kernel has no sysctl {}", entry.key);
                        let hint = entry.key.load_module().unwrap_or_else(|| {
                            "look for a misspelt name, or for the module that brings it; some keys exist in the host's namespace only".to_owned()
                        });
                        let diagnostic = wants.diagnostics.add(entry.key_span, path, message);
                        diagnostic.concerns(&fact).hint(hint);
                        continue;
                    }
                },
                Lookup::Value(_) | Lookup::Unread => {}
            }
            wants.add(
                fact,
                Want::new(value, Origin::named(entry.span, SectionName::Sysctl, path)),
            );
        }
    }

    fn is_not_the_hosts(&self, why: NotTheHost, diagnostics: &mut Diagnostics) {
        for entry in self
            .entries
            .iter()
            .filter(|entry| !entry.key.path().starts_with("net/"))
        {
            let message = format!("{} is the whole machine's, and {}", entry.key, why.sentence());
            diagnostics
                .add(entry.key_span, KeyPath::of(&["sysctl", &entry.written]), message)
                .hint(why.remedy());
        }
    }

    fn withhold(&mut self, why: NotTheHost) {
        self.withheld = Some(why);
    }

    fn persistent(&self) -> Vec<(SysctlKey, String)> {
        self.entries
            .iter()
            .map(|entry| (entry.key.clone(), entry.value.clone()))
            .collect()
    }
}
