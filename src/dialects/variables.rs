//! A document that is given as variables among those of others: which of them are netkeel's, which
//! look as if they should be, and what nobody but their owners can read.

use netkeel_core::text::escape::quoted;
use netkeel_core::text::suggest::nearest;
use netkeel_source::diagnostic::{Diagnostic, Diagnostics};
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::{Data, Entry, Node};
use netkeel_source::span::Span;
use netkeel_source::text::secret;

/// The variables of a file that are sections of a document, under the sections' names. A name that
/// is nearly one of them is a slip; any other belongs to somebody else.
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
                    format!("{} is nothing that netkeel reads", quoted(&entry.key)),
                )
                .hint(format!("did you mean {}?", quoted(&format!("{prefix}{near}"))));
        }
    }
    sections
}

/// Whether a file holds variables at all. What else there is in it would go unseen.
pub(crate) fn refuse_no_map(file: &Node, what: &str, hint: &str, diagnostics: &mut Diagnostics) {
    if matches!(file.data, Data::Map(_)) {
        return;
    }
    diagnostics.lost = true;
    if file.text().is_some_and(secret::of_vault) {
        diagnostics
            .add(file.span, "", "this file is encrypted by Ansible's vault")
            .hint("leave it out when nothing in it is for netkeel; else give what `ansible-vault view` makes of it");
        return;
    }
    diagnostics
        .add(
            file.span,
            "",
            format!("expected {what}, found {}", file.describe()),
        )
        .hint(hint);
}

/// Refuses the texts of which `why` has a reason and a hint, each in its place.
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
            // Its tag may have been refused already.
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

/// Why a text that is encrypted is no value.
pub(crate) fn encrypted(text: &str) -> Option<(String, &'static str)> {
    let cipher = secret::cipher(text)?;
    Some((format!("a value that is encrypted by {cipher}"), secret::HINT))
}

/// Says that no file has anything for netkeel: the wrong files, more likely than nothing to do.
pub(crate) fn refuse_nothing(span: Span, wanted: &str, diagnostics: &mut Diagnostics) {
    diagnostics
        .add(span, "", format!("nothing here is for netkeel: no {wanted}"))
        .hint("docs/reference/sources.md lists what is read");
}

/// Leaves out what was said about values that are not netkeel's: their owners read them
/// otherwise, with tags and merge keys of their own.
pub(crate) fn leave_others(file: &Node, concerns: &dyn Fn(&str) -> bool, said: &mut Vec<Diagnostic>) {
    let ours: Vec<&Entry> = file
        .entries()
        .iter()
        .filter(|entry| concerns(&entry.key))
        .collect();
    // What an alias names stands elsewhere, among the values of others.
    if ours.iter().any(|entry| reaches_outside(&entry.value)) {
        return;
    }
    said.retain(|diagnostic| {
        let Some(at) = diagnostic.span else { return true };
        let inside = |entry: &&Entry| at.start >= entry.key_span.start && at.start <= entry.value.span.end;
        // Of the file's own keys nobody knows whose they would have been.
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
