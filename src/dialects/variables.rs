//! Documents given as variables among those of other programs: finds netkeel's variables, near
//! misses of their names, and encrypted values.

use netkeel_core::text::escape::quoted;
use netkeel_core::text::suggest::nearest;
use netkeel_source::diagnostic::{Diagnostic, Diagnostics};
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::{Data, Entry, Node};
use netkeel_source::span::Span;
use netkeel_source::text::secret;

/// The variables of a file that are sections of a document, by section name. A name close to one is
/// reported as a typo; any other is ignored.
pub(crate) fn sections(
    file: &Node,
    prefix: &str,
    keys: &[&str],
    diagnostics: &mut Diagnostics,
) -> Vec<Entry> {
    let mut sections = Vec::new();
    for entry in file.entries() {
        let Some(name) = entry.key.strip_prefix(prefix) else {
            continue;
        };
        if keys.contains(&name) {
            sections.push(Entry {
                key: name.to_owned(),
                ..entry.clone()
            });
        } else if let Some(near) = nearest(name, keys.iter().copied()) {
            diagnostics
                .add(
                    entry.key_span,
                    entry.key.as_str(),
                    format!("{} is not a key that netkeel reads", quoted(&entry.key)),
                )
                .hint(format!("did you mean {}?", quoted(&format!("{prefix}{near}"))));
        }
    }
    sections
}

/// Whether a variable is a section of a document, or resembles one.
pub(crate) fn is_section(key: &str, prefix: &str, keys: &[&str]) -> bool {
    let section = key.strip_prefix(prefix);
    section.is_some_and(|name| keys.contains(&name) || nearest(name, keys.iter().copied()).is_some())
}

/// Reports a file that holds no variables, since its content would be silently ignored.
pub(crate) fn refuse_no_map(file: &Node, what: &str, hint: &str, diagnostics: &mut Diagnostics) {
    if matches!(file.data, Data::Map(_)) {
        return;
    }
    diagnostics.lost = true;
    if file.text().is_some_and(secret::of_vault) {
        diagnostics
            .add(file.span, "", "this file is encrypted by Ansible's vault")
            .hint(
                "leave it out when nothing in it is for netkeel; else use the output of `ansible-vault view`",
            );
        return;
    }
    diagnostics
        .add(file.span, "", format!("expected {what}, found {}", file.kind()))
        .hint(hint);
}

/// Reports the texts for which `why` returns a reason and a hint, each at its position.
pub(crate) fn refuse_texts(
    node: &mut Node,
    path: &KeyPath<'_>,
    why: &dyn Fn(&str) -> Option<(String, &'static str)>,
    diagnostics: &mut Diagnostics,
) {
    match &mut node.data {
        Data::Text { value, .. } => {
            let Some((message, hint)) = why(value) else {
                return;
            };
            // Its tag may have been reported already.
            if !diagnostics.list.iter().any(|said| said.span == Some(node.span)) {
                diagnostics.add(node.span, path, message).hint(hint);
            }
            node.data = Data::Null;
        }
        Data::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                refuse_texts(item, &path.index(index), why, diagnostics);
            }
        }
        Data::Map(entries) => {
            for entry in entries {
                refuse_texts(&mut entry.value, &path.key(&entry.key), why, diagnostics);
            }
        }
        _ => {}
    }
}

/// Why an encrypted text is not a usable value.
pub(crate) fn encrypted(text: &str) -> Option<(String, &'static str)> {
    let cipher = secret::cipher(text)?;
    Some((format!("a value that is encrypted by {cipher}"), secret::HINT))
}

/// Reports that no file has anything for netkeel: the files are probably the wrong ones.
pub(crate) fn refuse_nothing(span: Span, wanted: &str, diagnostics: &mut Diagnostics) {
    diagnostics
        .add(span, "", format!("nothing here is for netkeel: no {wanted}"))
        .hint("docs/reference/sources.md lists what is read");
}

/// Drops diagnostics about values that do not belong to netkeel: their owners parse them
/// differently, with tags and merge keys of their own.
pub(crate) fn leave_others(file: &Node, concerns: &dyn Fn(&str) -> bool, said: &mut Vec<Diagnostic>) {
    let ours: Vec<&Entry> = file
        .entries()
        .iter()
        .filter(|entry| concerns(&entry.key))
        .collect();
    // The target of an alias is elsewhere, among other programs' values.
    if ours.iter().any(|entry| reaches_outside(&entry.value)) {
        return;
    }
    said.retain(|diagnostic| {
        let Some(at) = diagnostic.span else { return true };
        let inside = |entry: &&Entry| at.start >= entry.key_span.start && at.start <= entry.value.span.end;
        // A diagnostic about the file's own keys cannot be attributed, so it stays.
        diagnostic.path.is_empty() || ours.iter().any(inside)
    });
}

fn reaches_outside(node: &Node) -> bool {
    let outside = |child: &Node| {
        child.span.start < node.span.start || child.span.end > node.span.end || reaches_outside(child)
    };
    match &node.data {
        Data::Map(entries) => entries.iter().any(|entry| outside(&entry.value)),
        Data::List(items) => items.iter().any(outside),
        _ => false,
    }
}
