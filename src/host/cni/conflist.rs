//! The text of a CNI configuration: finds its plugins, and sets the `mtu` of one of them without
//! changing any other byte.

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use crate::cni::configuration::{Configuration, Contents, Plugin};
use crate::cni::go;
use crate::cni::plugin_type::reads_text;
use crate::cni::program::is_version;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Value;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::json::parse;
use netkeel_source::node::{Data, Entry, Node, canonical};
use netkeel_source::span::{FileId, Span};

/// Longest file that a runtime loads, bytes (go-cni and libcni have no bound of their own;
/// containerd's is 2 MiB).
pub const MAX_BYTES: usize = 2 << 20;

/// The place of a plugin's `mtu`.
pub(crate) struct Place<'a> {
    kind: &'a str,
    at: String,
    /// The map that holds it.
    holder: &'a Node,
}

/// The form of a file, by its name (libcni `ConfListFromFile` and `ConfFromFile`, as go-cni and
/// ocicni call them).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `.conflist`: a network with its plugins.
    List,
    /// `.conf` and `.json`: one plugin.
    Single,
}

impl Form {
    pub fn of(path: &Path) -> Self {
        match path.extension().is_some_and(|extension| extension == "conflist") {
            true => Form::List,
            false => Form::Single,
        }
    }
}

/// Parses a text, be it a list or a single plugin.
pub fn read(text: &str) -> Configuration {
    read_as(text, None)
}

/// Parses the text of a file as a runtime does.
pub fn read_file(path: &Path, text: &str) -> Configuration {
    read_as(text, Some(Form::of(path)))
}

fn read_as(text: &str, form: Option<Form>) -> Configuration {
    let ((network, cni_version), reading) = match parse(text) {
        Ok(root) => (
            (text_of(&root, "name"), text_of(&root, "cniVersion")),
            match form.map_or(Ok(()), |form| loads_under_its_name(&root, form)) {
                Ok(()) => Contents::Plugins(places(&root).iter().map(|place| plugin(place, text)).collect()),
                Err(refusal) => refusal,
            },
        ),
        Err(Contents::Invalid(why)) => match template(text) {
            Some(placeholder) => ((None, None), Contents::Template(placeholder.to_owned())),
            None => ((None, None), Contents::Invalid(why)),
        },
        Err(reading) => ((None, None), reading),
    };
    Configuration {
        sha256: canonical::digest(text),
        symlink: None,
        network,
        cni_version: cni_version.filter(|text| is_version(text)).map(Into::into),
        reading,
    }
}

fn text_of(root: &Node, key: &str) -> Option<String> {
    root.get(key).and_then(Node::text).map(str::to_owned)
}

/// Checks that a runtime loads the text under a file name of this form.
fn loads_under_its_name(root: &Node, form: Form) -> Result<(), Contents> {
    let has = |key: &str| root.get(key).is_some();
    let invalid = |why: &str| Err(Contents::Invalid(why.to_owned()));
    let named = root
        .get("name")
        .and_then(Node::text)
        .is_some_and(|name| !name.is_empty());
    match form {
        _ if !named => invalid("it has no name"),
        Form::List if !has("plugins") => {
            invalid("it is a single plugin, and a file that ends in .conflist needs a list, `plugins`")
        }
        Form::Single if !has("type") => {
            invalid("it is a list of plugins, which needs a file that ends in .conflist")
        }
        Form::Single if has("plugins") => Err(Contents::Unread(
            "it has both `type` and `plugins`, and netkeel does not read `plugins`".to_owned(),
        )),
        _ => Ok(()),
    }
}

/// Returns the text with the `mtu` of all plugins of a type set, or removed when `mtu` is `None`.
///
/// # Errors
/// [`ErrorKind::Missing`] when no plugin of that type has a place for an `mtu`,
/// [`ErrorKind::Unreadable`] when the text is not a configuration, [`ErrorKind::Unsupported`] when
/// the edited text would not be read back as that and nothing else.
pub fn edit(text: &str, kind: &str, mtu: Option<&Value>) -> Result<String, Error> {
    let root = parse(text).map_err(|reading| Error::new(ErrorKind::Unreadable, reading.refusal()))?;
    let all = places(&root);
    let expected: Vec<Plugin> = all
        .iter()
        .map(|place| {
            let mut plugin = plugin(place, text);
            if place.kind == kind {
                plugin.mtu = mtu.cloned();
            }
            plugin
        })
        .collect();
    let mut places = all;
    places.retain(|place| place.kind == kind);
    if places.is_empty() {
        return Err(Error::new(
            ErrorKind::Missing,
            format!("it has no plugin of the type {kind} that can hold an mtu"),
        ));
    }
    let mut edited = text.to_owned();
    // Edit from the end, so that earlier offsets stay valid.
    places.sort_by_key(|place| std::cmp::Reverse(place.holder.span.start));
    for place in places {
        let written = mtu.map(|mtu| written(place.kind, mtu));
        let (range, new) = change(text, place.holder, written.as_deref());
        if edited.get(range.clone()).is_some() {
            edited.replace_range(range, &new);
        }
    }
    // A runtime's configuration is never replaced by one that was not read back.
    match read(&edited).plugins() == expected {
        true => Ok(edited),
        false => Err(Error::new(
            ErrorKind::Unsupported,
            format!("netkeel cannot set the mtu of {kind} in it without another change"),
        )),
    }
}

/// The JSON of an `mtu` in the form that the plugin reads. Text is JSON already.
fn written(kind: &str, mtu: &Value) -> String {
    match mtu {
        Value::Number(number) if reads_text(kind) => format!("\"{number}\""),
        other => other.to_string(),
    }
}

/// The byte range to replace, and its replacement.
fn change(text: &str, holder: &Node, mtu: Option<&str>) -> (std::ops::Range<usize>, String) {
    let entries = holder.entries();
    let at = entries.iter().position(|entry| entry.key == "mtu");
    match (at, mtu) {
        (Some(at), Some(mtu)) => {
            let span = entries.get(at).map_or(holder.span, |entry| entry.value.span);
            (bytes(span), mtu.to_owned())
        }
        (Some(at), None) => (removed(entries, at), String::new()),
        (None, Some(mtu)) => inserted(text, holder, mtu),
        (None, None) => (0..0, String::new()),
    }
}

/// Inserts a new member before `type`, where a comma follows: one new line, and no other line
/// changes.
fn inserted(text: &str, holder: &Node, mtu: &str) -> (std::ops::Range<usize>, String) {
    let entries = holder.entries();
    let anchor = entries
        .iter()
        .find(|entry| entry.key == "type")
        .or_else(|| entries.first());
    let Some(anchor) = anchor else {
        // `{}`, or only blanks between the braces.
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

/// Removes a member with the comma after it; the last member goes with the comma before it.
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

pub(crate) fn plugin(place: &Place<'_>, text: &str) -> Plugin {
    let mtu = place.holder.entries().iter().find(|entry| entry.key == "mtu");
    let mtu = mtu.map(|entry| {
        let raw = text.get(bytes(entry.value.span)).unwrap_or_default();
        match &entry.value.data {
            Data::Integer(number) if number.to_string() == raw && !reads_text(place.kind) => {
                Value::Number(*number)
            }
            Data::Text { value, .. } if reads_text(place.kind) => match value.parse::<i64>() {
                Ok(number) if number.to_string() == **value => Value::Number(number),
                _ => Value::Text(raw.into()),
            },
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
        cluster_network: place
            .holder
            .get("clusterNetwork")
            .and_then(Node::text)
            .map(str::to_owned),
        ipam: ipam(place.holder),
    }
}

/// The plugin of IPAM that a plugin calls. It is the name of a file; other text is left out.
fn ipam(holder: &Node) -> Option<Arc<str>> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let kind = holder.get("ipam")?.get("type")?.text()?;
    (kind.len() <= LONGEST_TYPE && kind.bytes().all(is_plain)).then(|| kind.into())
}

/// Longest name of a file, bytes.
const LONGEST_TYPE: usize = 255;

/// The tree of a text that a runtime would load; otherwise the reason why not.
fn parse(text: &str) -> Result<Node, Contents> {
    let invalid = |why: String| Err(Contents::Invalid(why));
    if text.len() > MAX_BYTES {
        return invalid(format!(
            "it has {} bytes; runtimes load at most {MAX_BYTES}",
            text.len()
        ));
    }
    if text.starts_with('\u{feff}') {
        return invalid("it starts with a byte order mark, which is not JSON".to_owned());
    }
    if text.trim_ascii().is_empty() {
        return invalid("it is empty".to_owned());
    }
    let mut diagnostics = Diagnostics::default();
    let root = parse::parse(FileId(0), text, &mut diagnostics);
    let at_line = |at: usize, message: &str| {
        let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        format!("line {line}: {message}")
    };
    let refused = diagnostics.list.first().map(|diagnostic| {
        let at = diagnostic.span.map_or(0, |span| span.start as usize);
        at_line(at, &diagnostic.message)
    });
    match (refused, go::check(text), root) {
        (Some(why), Err(_), _) => invalid(why),
        (None, Err((at, why)), _) => invalid(at_line(at, why)),
        // A runtime takes the last of two equal keys; netkeel might edit the first.
        (Some(why), Ok(()), _) => Err(Contents::Unread(why)),
        (None, Ok(()), Some(root)) => match loadable(&root) {
            Ok(()) => Ok(root),
            Err(why) => invalid(why),
        },
        (None, Ok(()), None) => invalid("it is empty".to_owned()),
    }
}

/// The requirements of libcni: a list has plugins, and each plugin has a type (libcni/conf.go).
fn loadable(root: &Node) -> Result<(), String> {
    if !is_object(root) {
        // A value is not quoted: it may be a token.
        let what = match root.scalar().is_some() {
            true => "a single value".to_owned(),
            false => root.describe(),
        };
        return Err(format!("it is {what}, not an object"));
    }
    match root.get("plugins") {
        Some(plugins) => {
            if plugins.items().is_empty() {
                return Err("its list of plugins is empty".to_owned());
            }
            let typed = |plugin: &Node| {
                let kind = plugin.get("type").and_then(Node::text);
                kind.is_some_and(|kind| !kind.is_empty())
            };
            match plugins.items().iter().position(|plugin| !typed(plugin)) {
                Some(at) => Err(format!("plugins[{at}] has no type")),
                None => Ok(()),
            }
        }
        None if root.get("type").and_then(Node::text).is_some() => Ok(()),
        None => Err("it has neither plugins nor a type".to_owned()),
    }
}

/// All places of an `mtu`: in the plugins of a list, in a single plugin, and in delegates.
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
        // flannel gives a delegate without a type its own, and flannel's `mtu` is not read
        // (plugins/meta/flannel).
        (Some("flannel"), Some(delegate)) if is_object(delegate) && delegate.get("type").is_none() => {
            found.push(Place {
                kind: "flannel",
                at: below("delegate"),
                holder: delegate,
            });
        }
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

fn is_object(node: &Node) -> bool {
    matches!(node.data, Data::Map(_))
}

/// The first `__NAME__` of a text: a placeholder that install scripts replace with `sed`.
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
