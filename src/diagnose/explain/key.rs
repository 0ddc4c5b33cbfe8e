//! Explains one sysctl key.

use serde::Serialize;

use crate::explain::combine::{Combined, Rule};
use crate::explain::declared::Declared;
use crate::explain::holder::{Held, held};
use crate::explain::inputs::{Inputs, Live, live};
use crate::explain::writer::Writer;
use crate::explain::{combine, inputs, writer};
use netkeel_core::fact::Fact;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sysctl::{PerInterface, Slot, SysctlKey};
use netkeel_host::sysctl_d::answer::{Answers, How, answer};
use netkeel_host::sysctl_d::mention::{Fate, Mention};
use netkeel_host::sysctl_form::stored::is_same;

/// The explanation of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyExplained {
    /// The key, in slash form.
    pub key: SysctlKey,
    /// Its current value.
    pub live: Live,
    /// The effective value on its interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub combined: Option<Combined>,
    /// For a key of `all` or `default`: how it combines with the interfaces' own values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// For `all.rp_filter`: the interfaces whose own value is smaller.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decides_on: Vec<LinkName>,
    /// For a key of an interface or of `default`: the live value of `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// The line of the document that wants it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared: Option<Declared>,
    /// Its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// The values that sysctl.d gives it.
    pub sysctl_d: Answers,
    /// Other programs that write it.
    pub writers: Vec<Writer>,
    /// Notes, a sentence each.
    pub notes: Vec<String>,
}

impl KeyExplained {
    /// A value with its name, as in `1 (strict)`.
    pub fn shown(&self, value: &str) -> String {
        combine::shown(&self.key, value)
    }

    /// Whether it is the key of `default`.
    pub fn is_of_default(&self) -> bool {
        let parts = self.key.per_interface();
        parts.is_some_and(|parts| parts.slot == Slot::Default)
    }

    /// Whether neither a file nor the kernel has the key.
    pub fn is_unheard_of(&self) -> bool {
        self.live == Live::Absent && self.sysctl_d.lines.is_empty()
    }
}

/// Explains a key.
pub fn key(host: &Inputs<'_>, key: &SysctlKey) -> KeyExplained {
    let live = live(host.snapshot, key);
    // No key below net/ that takes words has a number as its value, so an integer means that the key takes
    // integers.
    let integer = key.path().starts_with("net/") && live.number().is_some();
    let mut sysctl_d = answer(host.files, key, integer);
    let setting = key.as_setting();
    let of_slot = setting
        .per_interface()
        .filter(|parts| !matches!(parts.slot, Slot::Link(_)));
    let notes = notes(host, key, &live, &sysctl_d);
    if key.is_secret() || live.is_secret() {
        sysctl_d.hide();
    }
    let default = key
        .in_slot("default")
        .map(|default| inputs::live(host.snapshot, &default));
    let fact = Fact::sysctl(&host.snapshot.netns, key);
    KeyExplained {
        default: match default {
            Some(Live::Value { value }) if !value.is_secret() => Some(value.to_string()),
            Some(Live::Value { .. } | Live::Absent | Live::Unread { .. }) | None => None,
        },
        combined: combine::combined(host, key),
        rule: of_slot
            .and_then(|_| combine::rule(&setting))
            .map(|(rule, _)| rule),
        decides_on: combine::decided_by_all(host, key),
        declared: host.declaring.and_then(|documents| documents.of(&fact)),
        held: held(&host.kept, &fact),
        writers: writer::writers(key, host.evidence, host.snapshot),
        notes,
        key: key.clone(),
        live,
        sysctl_d,
    }
}

pub(crate) fn notes(host: &Inputs<'_>, key: &SysctlKey, live: &Live, answers: &Answers) -> Vec<String> {
    let mut notes = Vec::new();
    let parts = key.per_interface();
    let boot = &answers.systemd.boot;
    if host.initial == Some(false) && key.path().starts_with("net/") {
        notes.push(
            "this is not the host's own network namespace: neither boot nor udev applies sysctl.d here"
                .into(),
        );
    }
    if let Some(PerInterface {
        slot: Slot::Link(name),
        ..
    }) = parts
        && *live == Live::Absent
    {
        notes.push(match host.snapshot.links.contains_key(&name) {
            true => format!("{name} has no such setting now"),
            false => format!("there is no interface {name} now"),
        });
    }
    if let (Live::Absent, Some(load)) = (live, key.load_module()) {
        notes.push(load);
    }
    if answers.systemd.later.is_some() && !writer::udev_is_there(host.evidence) {
        notes.push(
            "udev's 99-systemd.rules is not on this host: a new interface keeps the value of default".into(),
        );
    }
    if let Some(PerInterface {
        family: "ipv4",
        table: "conf",
        slot: Slot::Link(_),
        leaf,
    }) = parts
        && boot.how == How::Unset
        && leaf != "forwarding"
    {
        notes.push(format!(
            "no file names it: writing {} changes it too, as long as nobody has written it and the interface never had an IPv4 address",
            in_default(key)
        ));
    }
    if let (Live::Value { value }, Some(wanted)) = (live, &boot.value)
        && host.initial != Some(false)
        && !is_same(key, wanted, value, host.snapshot.ticks)
    {
        notes.push(format!(
            "{key} is {value} now: it was changed after sysctl.d was applied, or sysctl.d was never applied"
        ));
    }
    if answers.lines.iter().any(names_another) {
        notes.push(
            "a line that looks like it means another key: where the first separator is a dot, every dot separates".into(),
        );
    }
    notes
}

fn names_another(mention: &Mention) -> bool {
    mention.systemd == Fate::AnotherKey
}

fn in_default(key: &SysctlKey) -> String {
    key.in_slot("default")
        .map_or_else(String::new, |default| default.to_string())
}
