//! One CNI configuration as text: which plugins it names, and setting the `mtu` of one of them so
//! that every other byte stays.

use std::sync::Arc;

use super::{Configuration, Plugin, Reading};
use crate::error::{Diagnostics, Error, ErrorKind};
use crate::fact::Value;
use crate::source::{Data, Entry, FileId, Node, Span, canonical, json};

/// Longest file that a runtime loads, bytes (go-cni and libcni have no bound of their own;
/// containerd's is 2 MiB).
pub const MAX_BYTES: usize = 2 << 20;

/// Where a plugin's `mtu` stands.
struct Place<'a> {
    kind: &'a str,
    at: String,
    /// The map that holds it.
    holder: &'a Node,
}

/// What a runtime makes of a text.
pub fn read(text: &str) -> Configuration {
    let (network, reading) = match parse(text) {
        Ok(root) => (
            root.get("name").and_then(Node::text).map(str::to_owned),
            Reading::Plugins(places(&root).iter().map(|place| plugin(place, text)).collect()),
        ),
        Err(refusal) => match template(text) {
            Some(placeholder) => (None, Reading::Template(placeholder.to_owned())),
            None => (None, Reading::Invalid(refusal)),
        },
    };
    Configuration {
        sha256: canonical::digest(text),
        symlink: None,
        network,
        reading,
    }
}

/// The text with the `mtu` of all plugins of a type set or, with none, taken away.
///
/// # Errors
/// [`ErrorKind::Missing`] when no plugin of that type is there, [`ErrorKind::Unreadable`] when the
/// text is no configuration.
pub fn edit(text: &str, kind: &str, mtu: Option<&Value>) -> Result<String, Error> {
    let root = parse(text).map_err(|why| Error::new(ErrorKind::Unreadable, why))?;
    let mut places = places(&root);
    places.retain(|place| place.kind == kind);
    if places.is_empty() {
        return Err(Error::new(
            ErrorKind::Missing,
            format!("it has no plugin of the type {kind}"),
        ));
    }
    let mut edited = text.to_owned();
    // From the end, so that what was found before stays where it is.
    places.sort_by_key(|place| std::cmp::Reverse(place.holder.span.start));
    for place in places {
        let (range, new) = change(text, place.holder, mtu);
        if edited.get(range.clone()).is_some() {
            edited.replace_range(range, &new);
        }
    }
    Ok(edited)
}

/// Which bytes to replace, and by what.
fn change(text: &str, holder: &Node, mtu: Option<&Value>) -> (std::ops::Range<usize>, String) {
    let entries = holder.entries();
    let at = entries.iter().position(|entry| entry.key == "mtu");
    match (at, mtu) {
        (Some(at), Some(mtu)) => {
            let span = entries.get(at).map_or(holder.span, |entry| entry.value.span);
            (bytes(span), mtu.to_string())
        }
        (Some(at), None) => (removed(entries, at), String::new()),
        (None, Some(mtu)) => inserted(text, holder, mtu),
        (None, None) => (0..0, String::new()),
    }
}

/// A new member goes before `type`: a comma follows it there, so that one line is new and no other
/// line changes.
fn inserted(text: &str, holder: &Node, mtu: &Value) -> (std::ops::Range<usize>, String) {
    let entries = holder.entries();
    let anchor = entries
        .iter()
        .find(|entry| entry.key == "type")
        .or_else(|| entries.first());
    let Some(anchor) = anchor else {
        // `{}`, or blanks between the two.
        let at = holder.span.start as usize + 1;
        return (at..at, format!("\"mtu\": {mtu}"));
    };
    let at = anchor.key_span.start as usize;
    let before = text.get(..at).unwrap_or_default();
    let blanks = before.get(before.trim_end().len()..).unwrap_or_default();
    let colon = text
        .get(anchor.key_span.end as usize..anchor.value.span.start as usize)
        .unwrap_or(": ");
    (at..at, format!("\"mtu\"{colon}{mtu},{blanks}"))
}

/// A member goes with the comma that follows it or, of the last one, the comma before it.
fn removed(entries: &[Entry], at: usize) -> std::ops::Range<usize> {
    let Some(member) = entries.get(at) else {
        return 0..0;
    };
    let (start, end) = (member.key_span.start as usize, member.value.span.end as usize);
    let before = at.checked_sub(1).and_then(|before| entries.get(before));
    match (before, entries.get(at + 1)) {
        (_, Some(next)) => start..next.key_span.start as usize,
        (Some(before), None) => before.value.span.end as usize..end,
        (None, None) => start..end,
    }
}

fn bytes(span: Span) -> std::ops::Range<usize> {
    span.start as usize..span.end as usize
}

fn plugin(place: &Place<'_>, text: &str) -> Plugin {
    let mtu = place.holder.entries().iter().find(|entry| entry.key == "mtu");
    let mtu = mtu.map(|entry| {
        let raw = text.get(bytes(entry.value.span)).unwrap_or_default();
        match entry.value.data {
            Data::Integer(number) if number.to_string() == raw => Value::Number(number),
            _ => Value::Text(raw.into()),
        }
    });
    Plugin {
        kind: Arc::from(place.kind),
        at: format!(
            "{}mtu",
            if place.at.is_empty() {
                String::new()
            } else {
                format!("{}.", place.at)
            }
        ),
        mtu,
    }
}

/// The tree of a text that a runtime would load, or why it would not.
fn parse(text: &str) -> Result<Node, String> {
    if text.len() > MAX_BYTES {
        return Err(format!(
            "it has {} bytes; runtimes load at most {MAX_BYTES}",
            text.len()
        ));
    }
    if text.starts_with('\u{feff}') {
        return Err("it starts with a byte order mark, which is not JSON".to_owned());
    }
    if text.trim_ascii().is_empty() {
        return Err("it is empty".to_owned());
    }
    let mut diagnostics = Diagnostics::default();
    let root = json::parse(FileId(0), text, &mut diagnostics);
    if let Some(diagnostic) = diagnostics.list.first() {
        let line = diagnostic.span.map_or(1, |span| {
            1 + text
                .bytes()
                .take(span.start as usize)
                .filter(|byte| *byte == b'\n')
                .count()
        });
        return Err(format!("line {line}: {}", diagnostic.message));
    }
    let root = root.ok_or("it is empty")?;
    loadable(&root).map(|()| root)
}

/// What libcni demands: a list has plugins, and each has a type (libcni/conf.go).
fn loadable(root: &Node) -> Result<(), String> {
    if !matches!(root.data, Data::Map(_)) {
        return Err(format!("it is {}, not an object", root.describe()));
    }
    match root.get("plugins") {
        Some(plugins) => {
            if plugins.items().is_empty() {
                return Err("its list of plugins is empty".to_owned());
            }
            let typed = |plugin: &Node| plugin.get("type").and_then(Node::text).is_some();
            match plugins.items().iter().position(|plugin| !typed(plugin)) {
                Some(at) => Err(format!("plugins[{at}] has no type")),
                None => Ok(()),
            }
        }
        None if root.get("type").and_then(Node::text).is_some() => Ok(()),
        None => Err("it has neither plugins nor a type".to_owned()),
    }
}

/// All places of an `mtu`: of the plugins of a list, of a single one, and of what they delegate to.
fn places(root: &Node) -> Vec<Place<'_>> {
    let mut found = Vec::new();
    of_configuration(root, "", &mut found);
    found
}

fn of_configuration<'a>(node: &'a Node, at: &str, found: &mut Vec<Place<'a>>) {
    let below = |key: &str| {
        if at.is_empty() {
            key.to_owned()
        } else {
            format!("{at}.{key}")
        }
    };
    if let Some(plugins) = node.get("plugins") {
        for (index, plugin) in plugins.items().iter().enumerate() {
            of_configuration(plugin, &below(&format!("plugins[{index}]")), found);
        }
        return;
    }
    let kind = node.get("type").and_then(Node::text);
    let delegate = node.get("delegate");
    match (kind, delegate) {
        // flannel gives its delegate a type when it has none, and its own mtu is not read
        // (plugins/meta/flannel).
        (Some("flannel"), Some(delegate)) if delegate.get("type").is_none() => found.push(Place {
            kind: "flannel",
            at: below("delegate"),
            holder: delegate,
        }),
        (Some("flannel"), _) => {}
        (Some(kind), _) => found.push(Place {
            kind,
            at: at.to_owned(),
            holder: node,
        }),
        (None, _) => {}
    }
    if let Some(delegate) = delegate.filter(|delegate| delegate.get("type").is_some()) {
        of_configuration(delegate, &below("delegate"), found);
    }
    for (index, delegate) in node
        .get("delegates")
        .map(Node::items)
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        of_configuration(delegate, &below(&format!("delegates[{index}]")), found);
    }
}

/// The first `__NAME__` of a text, as install scripts leave for `sed`.
fn template(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(start) = rest.find("__") {
        let from = rest.get(start..)?;
        let name = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
        let length = from.bytes().take_while(name).count();
        let word = from.get(..length)?;
        if length > 4 && word.ends_with("__") {
            return Some(word);
        }
        rest = from.get(length.max(2)..)?;
    }
    None
}

#[cfg(test)]
mod tests;
