//! Ansible's INI format: `[group]`, `[group:children]` and `[group:vars]`.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use crate::inventory::groups::{ALL, Inventory, UNGROUPED, Variable};
use netkeel_core::text::escape::quoted;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::span::{FileId, Span};

/// The section that a line belongs to.
enum Section {
    Hosts(String),
    Children(String),
    Variables(String),
    /// Of a header that was rejected.
    Unknown,
}

/// Reads all lines. Returns the places of the values of variables.
pub(super) fn read(
    file: FileId,
    text: &str,
    inventory: &mut Inventory<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<Range<u32>> {
    let mut section = Section::Hosts(UNGROUPED.to_owned());
    let (mut start, mut values) = (0, Vec::new());
    let mut defined = BTreeSet::from([ALL.to_owned(), UNGROUPED.to_owned()]);
    let mut used = Vec::new();
    for whole in text.split_inclusive('\n') {
        let begin = start + (whole.len() - whole.trim_start().len());
        start += whole.len();
        let line = whole.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let span = Span::new(file, begin, begin + line.len());
        let after = |at: usize| Span::new(file, begin + at, begin + line.len());
        if let Some(header) = header(line) {
            section = section_of(header, span, inventory, diagnostics);
            match &section {
                Section::Hosts(group) | Section::Children(group) => {
                    defined.insert(group.clone());
                }
                Section::Variables(group) => used.push((group.clone(), span, "given variables")),
                Section::Unknown => {}
            }
            continue;
        }
        match &section {
            Section::Hosts(group) => {
                let pattern = line.find(char::is_whitespace).unwrap_or(line.len());
                let is_variable = line.get(..pattern).is_some_and(|word| word.contains('='));
                values.push(after(if is_variable { 0 } else { pattern }));
                hosts(
                    group,
                    line,
                    Span::new(file, begin, begin + pattern),
                    inventory,
                    diagnostics,
                );
            }
            Section::Children(group) => {
                let child = before_comment(line);
                used.push((child.to_owned(), span, "a child of another group"));
                inventory.group(child);
                inventory.group(group).children.insert(child.to_owned(), span);
            }
            Section::Variables(group) => {
                let Some((name, value)) = line.split_once('=') else {
                    values.push(span);
                    diagnostics.add(span, group.as_str(), "expected NAME=VALUE");
                    continue;
                };
                values.push(after(name.len()));
                let variable = Variable {
                    name: name.trim(),
                    value: Some(Cow::Borrowed(unquoted(value.trim()))),
                    span: Span::new(file, begin, begin + name.len()),
                };
                inventory.group_variable(group, &variable, diagnostics);
            }
            Section::Unknown => {}
        }
    }
    for (group, span, how) in used {
        if !defined.contains(&group) {
            let message = format!("the group {} is {how}, and not defined", quoted(&group));
            diagnostics
                .add(span, group.as_str(), message)
                .hint(format!("define it: [{group}] or [{group}:children]"));
        }
    }
    values.into_iter().map(|span| span.start..span.end).collect()
}

/// The text of a header of a section: `web:vars`.
pub(super) fn header(line: &str) -> Option<&str> {
    before_comment(line).strip_prefix('[')?.strip_suffix(']')
}

fn section_of(
    header: &str,
    span: Span,
    inventory: &mut Inventory<'_>,
    diagnostics: &mut Diagnostics,
) -> Section {
    let (group, kind) = header.split_once(':').unwrap_or((header, "hosts"));
    let group = group.trim().to_owned();
    if group.is_empty() {
        diagnostics.add(span, "", "the section has no name");
        return Section::Unknown;
    }
    inventory.group(&group);
    match kind.trim() {
        "hosts" => Section::Hosts(group),
        "children" => Section::Children(group),
        "vars" => Section::Variables(group),
        other => {
            let message = format!(
                "a section has hosts, `:children` or `:vars`, not {}",
                quoted(other)
            );
            diagnostics
                .add(span, group.as_str(), message)
                .hint(format!("write [{group}:children] or [{group}:vars]"));
            Section::Unknown
        }
    }
}

/// A host or a range, and its variables. `span` is that of the host.
fn hosts(group: &str, line: &str, span: Span, inventory: &mut Inventory<'_>, diagnostics: &mut Diagnostics) {
    let Some(words) = words(line) else {
        diagnostics.add(span, group, "a quote in this line has no end");
        return;
    };
    let mut words = words.iter();
    let Some(pattern) = words.next() else { return };
    if pattern.starts_with('[') {
        diagnostics
            .add(
                span,
                group,
                "expected a host, or the header of a section with its `]`",
            )
            .hint("of a host with an IPv6 address give the name, and the address as ansible_host");
        return;
    }
    let names = inventory.add_hosts(group, pattern, span, diagnostics);
    for word in words {
        let Some((name, value)) = word.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            // It may be a part of a password: it is not shown.
            diagnostics.add(span, group, "a word after this host is not NAME=VALUE");
            continue;
        };
        let variable = Variable {
            name,
            value: Some(Cow::Borrowed(value)),
            span,
        };
        inventory.host_variable(&names, &variable, diagnostics);
    }
}

/// The words of a line, without quotes, up to a comment; `None` if a quote has no end.
fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut is_word) = (Vec::new(), String::new(), false);
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some('"') | None, '\\') => {
                word.extend(characters.next());
                is_word = true;
            }
            (Some(_), _) => word.push(character),
            (None, '"' | '\'') => (quote, is_word) = (Some(character), true),
            // As in Python's shlex, also within a word.
            (None, '#') => break,
            (None, _) if character.is_whitespace() => {
                if std::mem::take(&mut is_word) {
                    words.push(std::mem::take(&mut word));
                }
            }
            (None, _) => {
                word.push(character);
                is_word = true;
            }
        }
    }
    if is_word {
        words.push(word);
    }
    quote.is_none().then_some(words)
}

fn before_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim_end()
}

/// The value of a variable of a group. A comment may follow its quotes, as in Python, and no other value.
fn unquoted(value: &str) -> &str {
    let within = |quote: char| {
        let (inside, after) = value.strip_prefix(quote)?.split_once(quote)?;
        let after = after.trim_start();
        (after.is_empty() || after.starts_with('#')).then_some(inside)
    };
    within('"').or_else(|| within('\'')).unwrap_or(value)
}
