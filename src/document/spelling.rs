//! A sysctl has two spellings, with dots and with slashes. Layers merge by text, so a key in one
//! spelling must replace the same key of lower layers in the other spelling.

use std::collections::BTreeMap;

use netkeel_core::name::sysctl::SysctlKey;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::{Data, Entry, Node};

const SECTION: &str = "sysctl";

/// Removes from each layer the keys that a higher layer sets or withdraws in another spelling. A
/// layer that sets a key in one spelling and withdraws it in the other contradicts itself.
pub(crate) fn unite(layers: &mut [Node], diagnostics: &mut Diagnostics) {
    let mut above: BTreeMap<SysctlKey, String> = BTreeMap::new();
    for layer in layers.iter_mut().rev() {
        let Some(entries) = entries_of(layer) else {
            continue;
        };
        refuse_contradictions(entries, diagnostics);
        let key_of = |entry: &Entry| entry.key.parse::<SysctlKey>().ok();
        entries.retain(|entry| {
            let by = key_of(entry).and_then(|key| above.get(&key));
            by.is_none_or(|by| *by == entry.key)
        });
        for entry in entries.iter() {
            if let Some(key) = key_of(entry) {
                above.insert(key, entry.key.clone());
            }
        }
    }
}

fn entries_of(layer: &mut Node) -> Option<&mut Vec<Entry>> {
    let Data::Map(sections) = &mut layer.data else {
        return None;
    };
    let section = sections.iter_mut().find(|entry| entry.key == SECTION)?;
    match &mut section.value.data {
        Data::Map(entries) => Some(entries),
        _ => None,
    }
}

fn refuse_contradictions(entries: &[Entry], diagnostics: &mut Diagnostics) {
    let mut set: BTreeMap<SysctlKey, &Entry> = BTreeMap::new();
    let key_of = |entry: &Entry| entry.key.parse::<SysctlKey>().ok();
    for entry in entries.iter().filter(|entry| !entry.value.is_null()) {
        if let Some(key) = key_of(entry) {
            set.entry(key).or_insert(entry);
        }
    }
    for entry in entries.iter().filter(|entry| entry.value.is_null()) {
        let Some(other) = key_of(entry).and_then(|key| set.get(&key)) else {
            continue;
        };
        diagnostics
            .add(
                entry.key_span,
                KeyPath::of(&[SECTION, &entry.key]),
                format!(
                    "`{}` withdraws what `{}` sets: they are one key",
                    entry.key, other.key
                ),
            )
            .other(other.key_span, "it is set here")
            .hint("keep one of the two");
    }
}
