//! A document that is given as variables among those of others: which of them are netkeel's, and
//! which look as if they should be.

use super::text::quoted;
use super::{Entry, Node, Span};
use crate::document::suggestion::nearest;
use crate::error::{Diagnostic, Diagnostics};

/// The variables of a file that are sections of a document, under the sections' names. A name that
/// is nearly one of them is a slip; any other belongs to somebody else.
pub(super) fn sections(
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

/// Says that no file has anything for netkeel: the wrong files, more likely than nothing to do.
pub(super) fn refuse_nothing(span: Span, wanted: &str, diagnostics: &mut Diagnostics) {
    diagnostics
        .add(span, "", format!("nothing here is for netkeel: no {wanted}"))
        .hint("docs/sources.md says what is read");
}

/// Leaves out what was said about values that are not netkeel's: their owners read them
/// otherwise, with tags and merge keys of their own.
pub(super) fn leave_others(file: &Node, concerns: &dyn Fn(&str) -> bool, said: &mut Vec<Diagnostic>) {
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
        super::Data::Map(entries) => entries.iter().any(|entry| outside(&entry.value)),
        super::Data::List(items) => items.iter().any(outside),
        _ => false,
    }
}
