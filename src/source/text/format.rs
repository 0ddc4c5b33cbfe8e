//! Detects a document's format from its name, or else from its content.

/// The format of a document's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2 core schema, one document a file.
    Yaml,
    /// Strict JSON: no comments, no trailing commas.
    Json,
    /// TOML.
    Toml,
}

/// The format of a file: by a known extension, else by what the text looks like.
pub(crate) fn detect(name: &str, text: &str) -> Format {
    by_extension(name).unwrap_or_else(|| by_content(text))
}

/// Whether a file's name indicates YAML or JSON.
pub fn is_yaml_or_json(name: &str) -> bool {
    matches!(by_extension(name), Some(Format::Yaml | Format::Json))
}

/// The format that a file's name indicates.
pub fn by_extension(name: &str) -> Option<Format> {
    let file = name.rsplit('/').next()?;
    let (_, extension) = file.rsplit_once('.')?;
    match extension.to_ascii_lowercase().as_str() {
        "yaml" | "yml" => Some(Format::Yaml),
        "json" => Some(Format::Json),
        "toml" => Some(Format::Toml),
        _ => None,
    }
}

/// The first line with content decides.
fn by_content(text: &str) -> Format {
    let text = crate::text::decode::without_mark(text);
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let Some(first) = lines.next() else {
        return Format::Yaml;
    };
    if first.starts_with("//") || first.starts_with("/*") {
        return Format::Json;
    }
    if let Some(inside) = first.strip_prefix('{') {
        // A YAML flow map also starts this way, but rarely with a quoted key.
        let inside = inside.trim_start();
        let next = if inside.is_empty() {
            lines.next().unwrap_or_default()
        } else {
            inside
        };
        let json = next.is_empty() || next.starts_with(['"', '}', '/', '\'']);
        return if json { Format::Json } else { Format::Yaml };
    }
    if first.starts_with('[') {
        return if is_toml_header(first) {
            Format::Toml
        } else {
            Format::Json
        };
    }
    if is_toml_assignment(first) {
        Format::Toml
    } else {
        Format::Yaml
    }
}

/// `[link.eth0]`, `[[peer]]`; a comment may follow.
fn is_toml_header(line: &str) -> bool {
    let line = line.split('#').next().unwrap_or_default().trim_end();
    let inner = line.strip_prefix('[').and_then(|line| line.strip_suffix(']'));
    let Some(inner) = inner else { return false };
    let inner = inner
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
        .unwrap_or(inner);
    is_toml_key(inner)
}

/// `version = 1`, without an earlier `: `.
fn is_toml_assignment(line: &str) -> bool {
    line.split_once('=').is_some_and(|(key, _)| is_toml_key(key))
}

/// Whether it is a dotted or quoted key; the text before the first `=` of a YAML line is not.
fn is_toml_key(key: &str) -> bool {
    let bare = |char: char| char.is_ascii_alphanumeric() || "-_. \t\"'/".contains(char);
    let key = key.trim();
    let quoted = (key.starts_with('"') || key.starts_with('\'')) && key.len() > 1;
    !key.is_empty() && (quoted && !key.contains("\":") || key.chars().all(bare))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_extension_decides() {
        assert_eq!(detect("/etc/x/a.YML", "{"), Format::Yaml);
        assert_eq!(detect("a.json", "a: 1"), Format::Json);
        assert_eq!(detect("a.d/b.toml", "a: 1"), Format::Toml);
        assert_eq!(detect("a.json/b", "a: 1"), Format::Yaml);
    }

    #[test]
    fn else_the_first_line_that_says_something() {
        for (text, format) in [
            ("", Format::Yaml),
            ("# comment\n", Format::Yaml),
            ("version: 1", Format::Yaml),
            ("---\nversion: 1", Format::Yaml),
            ("a: b = c", Format::Yaml),
            ("{version: 1}", Format::Yaml),
            ("{\n  version: 1}", Format::Yaml),
            ("\u{feff}{\n\n  \"version\": 1}", Format::Json),
            ("{}", Format::Json),
            ("// comment\n{}", Format::Json),
            ("[1, 2]", Format::Json),
            ("# comment\n\nversion = 1", Format::Toml),
            ("\"a:b\" = 1", Format::Toml),
            ("net.core.rmem_max = 1", Format::Toml),
            ("[link.eth0] # comment", Format::Toml),
            ("[[peer]]", Format::Toml),
            ("\"a\": \"b=c\"", Format::Yaml),
        ] {
            assert_eq!(detect("<stdin>", text), format, "{text}");
        }
    }
}
