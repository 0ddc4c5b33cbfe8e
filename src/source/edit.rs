//! Changes one value of a document and keeps every other byte: comments, layout and the order of keys.

use std::collections::BTreeSet;

use crate::diagnostic::Diagnostics;
use crate::node::read::boolean_word;
use crate::node::{Data, Entry, Node};
use crate::parse::parse;
use crate::span::FileId;
use crate::text::decode::without_mark;
use crate::text::format::{Format, detect};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::text::suggest::nearest;

/// One change: the path of a value, and its new value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// The path, as `link.pods.mtu` or `tunnel.ipip0.addresses[1]`. A key with dots may stand in quotes.
    pub path: String,
    /// The value, as one line of YAML.
    pub value: String,
}

impl std::str::FromStr for Set {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once('=') {
            Some((path, value)) if !path.trim().is_empty() && !value.trim().is_empty() => Ok(Set {
                path: path.trim().to_owned(),
                value: value.trim().to_owned(),
            }),
            _ => Err(Error::new(
                ErrorKind::Input,
                "expected PATH=VALUE, as link.pods.mtu=1440",
            )),
        }
    }
}

/// The text of a file with one value changed. `None` if the file has no value at that path.
///
/// # Errors
/// When the file cannot be parsed, the value cannot be written in its format, or the text with the new value would
/// mean something else than this one change.
pub fn edited(name: &str, text: &str, set: &Set) -> Result<Option<String>, Error> {
    let format = detect(name, text);
    let whole = text;
    let text = without_mark(whole);
    let mark = whole.strip_suffix(text).unwrap_or_default();
    let Some(before) = node(text, format) else {
        return Err(input(format!("{name} cannot be parsed")).hint("`netkeel validate` shows its errors"));
    };
    let Ok(place) = find(&before, &set.path) else {
        return Ok(None);
    };
    let wanted = match (wanted(&set.value)?, &place.data) {
        // A file of JSON or TOML has no `yes`.
        (Data::Text { value, plain: true }, Data::Bool(_)) if boolean_word(&value).is_some() => {
            Data::Bool(boolean_word(&value).unwrap_or_default())
        }
        (wanted, _) => wanted,
    };
    let spelled = match (format, &wanted) {
        (Format::Yaml, Data::Bool(value)) => value.to_string(),
        (Format::Yaml, _) => set.value.clone(),
        (Format::Json, wanted) => json(wanted),
        (Format::Toml, wanted) => toml(wanted)?,
    };
    let (start, end) = (place.span.start as usize, place.span.end as usize);
    let end = start + text.get(start..end).map_or(0, extent);
    let refused = |why: &str| {
        Err(input(format!("{name}: `{}` cannot be changed: {why}", set.path))
            .hint("change it with an editor"))
    };
    let (Some(head), Some(old), Some(tail)) = (text.get(..start), text.get(start..end), text.get(end..))
    else {
        return refused("its place in the file is unknown");
    };
    if old.is_empty() {
        return refused("it has no value");
    }
    let is_block = matches!(place.data, Data::Map(_) | Data::List(_)) && !old.starts_with(['{', '[']);
    if is_block || old.contains('\n') {
        return refused("its value takes several lines");
    }
    let changed = format!("{head}{spelled}{tail}");
    let after = node(&changed, format);
    // An alias is the same value in two places, and a comma ends a value between braces.
    if !after.is_some_and(|after| is_the_change(&before, &after, place, &wanted)) {
        return refused("the new value would change another one too, or is read as another value");
    }
    Ok(Some(format!("{mark}{changed}")))
}

/// The bytes of a value at the start of its place. The place of a value in quotes or brackets has the blanks and the
/// comment behind it.
fn extent(place: &str) -> usize {
    if !place.starts_with(['"', '\'', '[', '{']) {
        return place.trim_end().len();
    }
    let (mut depth, mut quote, mut before) = (0_usize, None, ' ');
    let mut chars = place.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        match (quote, char) {
            (Some('"'), '\\') => {
                chars.next();
            }
            // Two of them are one within the text.
            (Some('\''), '\'') if chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                chars.next();
            }
            (Some(open), char) if char == open => quote = None,
            (Some(_), _) => continue,
            // A quote within a word is a letter of it.
            (None, '"' | '\'') if " \t\n[{,:".contains(before) => quote = Some(char),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
        if depth == 0 && quote.is_none() {
            return at + char.len_utf8();
        }
        before = char;
    }
    place.trim_end().len()
}

/// The error for a path that no file has.
///
/// `files` are the names and the texts of the files.
pub fn missing(files: &[(&str, &str)], set: &Set) -> Error {
    let error = Error::new(ErrorKind::Missing, format!("no value at `{}`", set.path));
    let trees = files
        .iter()
        .filter_map(|(name, text)| node(text, detect(name, text)));
    let mut keys = BTreeSet::new();
    let mut word = String::new();
    for tree in trees {
        if let Err(missing) = find(&tree, &set.path) {
            keys.extend(missing.keys);
            word = missing.word;
        }
    }
    let error = match nearest(&word, keys.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}` instead of `{word}`?")),
        None if keys.is_empty() => error,
        None => error.hint(format!(
            "the keys there are {}",
            keys.into_iter().collect::<Vec<_>>().join(", ")
        )),
    };
    error.hint("edit changes values that are there; add new ones with an editor")
}

fn input(message: String) -> Error {
    Error::new(ErrorKind::Input, message)
}

fn node(text: &str, format: Format) -> Option<Node> {
    let mut diagnostics = Diagnostics::default();
    let node = parse(FileId(0), text, format, &mut diagnostics)?;
    diagnostics.is_empty().then_some(node)
}

/// The end of a path that leads nowhere.
struct Missing {
    keys: Vec<String>,
    word: String,
}

/// The value at a path.
fn find<'a>(node: &'a Node, path: &str) -> Result<&'a Node, Missing> {
    if path.is_empty() {
        return Ok(node);
    }
    if let Some((number, rest)) = path.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let item = number.parse::<usize>().ok().and_then(|at| node.items().get(at));
        return match item {
            Some(item) => find(item, rest.strip_prefix('.').unwrap_or(rest)),
            None => Err(Missing {
                keys: Vec::new(),
                word: String::new(),
            }),
        };
    }
    // Of `net` and `net.ipv4.ip_forward`, the longer key is meant.
    let mut entries: Vec<&Entry> = node.entries().iter().collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.key.len()));
    let mut deeper = None;
    for entry in entries {
        let quoted = format!("\"{}\"", entry.key);
        let rest = path
            .strip_prefix(&quoted)
            .or_else(|| path.strip_prefix(&entry.key));
        let below = match rest {
            Some("") => "",
            Some(rest) if rest.starts_with('[') => rest,
            Some(rest) => match rest.strip_prefix('.') {
                Some(below) if !below.is_empty() => below,
                _ => continue,
            },
            None => continue,
        };
        match find(&entry.value, below) {
            Ok(found) => return Ok(found),
            Err(missing) => deeper = deeper.or(Some(missing)),
        }
    }
    Err(deeper.unwrap_or_else(|| Missing {
        keys: node.entries().iter().map(|entry| entry.key.clone()).collect(),
        word: path.split(['.', '[']).next().unwrap_or_default().to_owned(),
    }))
}

/// The meaning of the new value.
fn wanted(value: &str) -> Result<Data, Error> {
    let refused = || input(format!("`{value}` is no value in one line of YAML"));
    if value.contains(['\n', '#']) {
        return Err(refused());
    }
    let tree = node(&format!("value: {value}\n"), Format::Yaml).ok_or_else(refused)?;
    match tree.entries() {
        [only] => Ok(only.value.data.clone()),
        _ => Err(refused()),
    }
}

fn json(data: &Data) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    match data {
        Data::Null => "null".to_owned(),
        Data::Bool(value) => value.to_string(),
        Data::Integer(value) => value.to_string(),
        Data::Text { value, .. } => text(value),
        Data::List(items) => {
            let items: Vec<String> = items.iter().map(|item| json(&item.data)).collect();
            format!("[{}]", items.join(", "))
        }
        Data::Map(entries) => {
            let entries = entries.iter();
            let entries = entries.map(|entry| format!("{}: {}", text(&entry.key), json(&entry.value.data)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// As JSON, whose strings are basic strings of TOML too; TOML has no null.
fn toml(data: &Data) -> Result<String, Error> {
    Ok(match data {
        Data::Null => {
            return Err(input(
                "TOML has no null: remove the key with an editor".to_owned(),
            ));
        }
        Data::List(items) => {
            let items = items.iter().map(|item| toml(&item.data));
            format!("[{}]", items.collect::<Result<Vec<_>, _>>()?.join(", "))
        }
        Data::Map(entries) => {
            let entries = entries.iter().map(|entry| {
                let key = json(&Data::Text {
                    value: entry.key.clone(),
                    plain: false,
                });
                Ok::<_, Error>(format!("{key} = {}", toml(&entry.value.data)?))
            });
            format!("{{ {} }}", entries.collect::<Result<Vec<_>, _>>()?.join(", "))
        }
        Data::Bool(_) | Data::Integer(_) | Data::Text { .. } => json(data),
    })
}

/// Whether two trees are the same but for one node, which has the wanted value.
fn is_the_change(before: &Node, after: &Node, place: &Node, wanted: &Data) -> bool {
    if std::ptr::eq(before, place) {
        return means(&after.data, wanted);
    }
    match (&before.data, &after.data) {
        (Data::List(before), Data::List(after)) => {
            let mut pairs = before.iter().zip(after);
            before.len() == after.len() && pairs.all(|(one, other)| is_the_change(one, other, place, wanted))
        }
        (Data::Map(before), Data::Map(after)) => {
            let mut pairs = before.iter().zip(after);
            before.len() == after.len()
                && pairs.all(|(one, other)| {
                    one.key == other.key && is_the_change(&one.value, &other.value, place, wanted)
                })
        }
        (before, after) => means(before, after),
    }
}

/// Whether two values are the same wherever they are, in whichever quotes.
fn means(one: &Data, other: &Data) -> bool {
    match (one, other) {
        (Data::Null, Data::Null) => true,
        (Data::Bool(one), Data::Bool(other)) => one == other,
        (Data::Integer(one), Data::Integer(other)) => one == other,
        (Data::Text { value: one, .. }, Data::Text { value: other, .. }) => one == other,
        (Data::List(one), Data::List(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| means(&one.data, &other.data))
        }
        (Data::Map(one), Data::Map(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| one.key == other.key && means(&one.value.data, &other.value.data))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "# pods\nversion: 1\nlink:\n  pods: { match: { name: \"cali*\" }, mtu: 1460 } # all\n  eth0:\n    up: yes\nsysctl:\n  net.ipv4.tcp_mtu_probing: 1\n  net.ipv4.tcp_rmem: [4096, 87380, 6291456]\n";
    const JSON: &str = "{\n  \"version\": 1,\n  \"link\": { \"eth0\": { \"mtu\": 1500, \"up\": true } }\n}\n";
    const TOML: &str = "version = 1 # one\n\n[link.\"eth0.5\"]\nmtu  =  1500\nalias = 'a'\n";

    fn edit(name: &str, text: &str, set: &str) -> Result<Option<String>, Error> {
        edited(name, text, &set.parse().unwrap())
    }

    #[test]
    fn only_the_value_changes() {
        for (name, text, set, from, to) in [
            ("a.yaml", YAML, "link.pods.mtu=1440", "1460", "1440"),
            ("a.yaml", YAML, "link.pods.match.name=veth*", "\"cali*\"", "veth*"),
            ("a.yaml", YAML, "link.eth0.up=no", "up: yes", "up: no"),
            (
                "a.yaml",
                YAML,
                "sysctl.net.ipv4.tcp_mtu_probing=2",
                "probing: 1",
                "probing: 2",
            ),
            ("a.yaml", YAML, "sysctl.\"net.ipv4.tcp_rmem\"[1]=9", "87380", "9"),
            (
                "a.yaml",
                YAML,
                "sysctl.net.ipv4.tcp_rmem=[1, 2, 3]",
                "[4096, 87380, 6291456]",
                "[1, 2, 3]",
            ),
            ("a.json", JSON, "link.eth0.mtu=9000", "1500", "9000"),
            ("a.json", JSON, "link.eth0.up=no", "true", "false"),
            ("a.toml", TOML, "link.eth0.5.mtu=9000", "1500", "9000"),
            (
                "a.toml",
                TOML,
                "link.eth0.5.alias=uplink \"1\"",
                "'a'",
                "\"uplink \\\"1\\\"\"",
            ),
        ] {
            let edited = edit(name, text, set).unwrap_or_else(|error| panic!("{set}: {error}"));
            assert_eq!(edited, Some(text.replacen(from, to, 1)), "{set}");
        }
    }

    #[test]
    fn a_comment_behind_a_value_stays() {
        let text =
            "a: \"x\"  # \"1\"\nb: 'it''s'\t# 'y'\nc: [1, 2]   # [3]\nd: { e: \"\\\"\" }  # }\nf: 1 # 2\n";
        for (set, from, to) in [
            ("a=z", "\"x\"", "z"),
            ("b=z", "'it''s'", "z"),
            ("c=[4]", "[1, 2]", "[4]"),
            ("c[1]=4", "2]", "4]"),
            ("d={ e: 1 }", "{ e: \"\\\"\" }", "{ e: 1 }"),
            ("d.e=1", "\"\\\"\"", "1"),
            ("f=3", "f: 1", "f: 3"),
        ] {
            let edited = edit("a.yaml", text, set).unwrap_or_else(|error| panic!("{set}: {error}"));
            assert_eq!(edited, Some(text.replacen(from, to, 1)), "{set}");
        }
    }

    #[test]
    fn a_change_that_means_more_is_refused() {
        let alias = "a: &x { mtu: 1 }\nb: *x\n";
        for (name, text, set) in [
            ("a.yaml", alias, "b.mtu=2"),
            ("a.yaml", alias, "a.mtu=2"),
            ("a.yaml", YAML, "link.pods.mtu=1, up: yes"),
            ("a.yaml", YAML, "link.pods.mtu=1 # all"),
            ("a.yaml", YAML, "link.eth0=x"),
            ("a.yaml", "a:\nb: 1\n", "a=1"),
            ("a.toml", TOML, "version=null"),
            ("a.json", "{", "a=1"),
        ] {
            assert!(
                edit(name, text, set).is_err(),
                "{set}: {:?}",
                edit(name, text, set)
            );
        }
    }

    #[test]
    fn a_path_that_is_not_there_names_the_nearest_key() {
        assert_eq!(edit("a.yaml", YAML, "link.pods.mtuu=1").unwrap(), None);
        let of = |set: &str| missing(&[("a.yaml", YAML)], &set.parse().unwrap()).hints;
        assert_eq!(of("link.pods.mtuu=1")[0], "did you mean `mtu` instead of `mtuu`?");
        assert_eq!(of("link.eth0.zzzzzzzz=1")[0], "the keys there are up");
        assert!("link.pods.mtu".parse::<Set>().is_err());
    }
}
