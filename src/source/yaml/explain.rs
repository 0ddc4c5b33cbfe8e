//! Explains the parser's errors, and moves each to the place of its cause. Most errors have one of a
//! few causes.

/// An error of the parser, explained.
pub(crate) struct Trouble {
    /// The byte to mark.
    pub at: usize,
    pub message: String,
    pub hint: Option<&'static str>,
}

/// Explains an error of the parser at a byte of a text.
pub(crate) fn explain(info: &str, text: &str, at: usize) -> Trouble {
    if let Some(tab) = indenting_tab(info, text, at) {
        return Trouble {
            at: tab,
            message: "a tab where YAML requires blanks".to_owned(),
            hint: Some("YAML indents with blanks only"),
        };
    }
    let at = if text.get(at..).is_some_and(|rest| !rest.trim_start().is_empty()) {
        at
    } else {
        last_line(text)
    };
    match CAUSES.iter().find(|(part, ..)| info.contains(part)) {
        Some((_, message, hint)) => Trouble {
            at,
            message: (*message).to_owned(),
            hint: (!hint.is_empty()).then_some(*hint),
        },
        None => Trouble {
            at,
            message: format!("not valid YAML: {info}"),
            hint: None,
        },
    }
}

/// Substrings of the parser's messages, their causes, and hints.
const CAUSES: &[(&str, &str, &str)] = &[
    (
        "unknown anchor",
        "an alias (`*name`) without its anchor (`&name`)",
        "text that begins with `*`, such as a glob, needs quotes",
    ),
    (
        "scanning an anchor or alias",
        "`*` and `&` begin an alias and an anchor, which need a name",
        "text that begins with them, such as a glob, needs quotes",
    ),
    (
        "mapping values are not allowed",
        "a `:` where no value can follow",
        "check the indentation; text that contains `: ` needs quotes",
    ),
    (
        "illegal placement of ':'",
        "a `:` where no value can follow",
        "a bracket above may lack its closing one",
    ),
    (
        "unexpected end of stream",
        "a quoted value without its closing quote",
        "",
    ),
    (
        "unexpected document indicator",
        "a quoted value without its closing quote",
        "",
    ),
    (
        "unknown escape character",
        "an escape that YAML does not have",
        "in single quotes a `\\` is an ordinary character",
    ),
    ("trailing content after", "text after a closing quote", ""),
    (
        "misplaced bracket",
        "a closing bracket without its opening one",
        "",
    ),
    (
        "simple key expect",
        "a key without a colon",
        "write `key: value`, with a blank after the colon",
    ),
    (
        "did not find expected ',' or '}'",
        "expected `,` or `}` in a map in braces",
        "",
    ),
    (
        "expected ',' or ']'",
        "expected `,` or `]` in a list in brackets",
        "",
    ),
    (
        "did not find expected key",
        "this does not continue the map above it",
        "the keys of one map begin in the same column",
    ),
    (
        "did not find expected '-'",
        "this does not continue the list above it",
        "the items of one list begin in the same column",
    ),
    (
        "unexpected character",
        "text cannot begin with this character",
        "put the text into quotes",
    ),
    ("recursion limit", "nested more than 64 levels deep", ""),
];

/// The tab that an error is about; it may follow the place that the parser reports.
fn indenting_tab(info: &str, text: &str, at: usize) -> Option<usize> {
    let from = text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
    let mut start = from;
    for (number, line) in text.get(from..)?.split_inclusive('\n').enumerate() {
        let blanks = line.trim_start_matches([' ', '\t']);
        let indent = line.get(..line.len() - blanks.len())?;
        if let Some(tab) = indent.find('\t').filter(|_| !blanks.trim().is_empty()) {
            return Some(start + tab);
        }
        if number > 0 || !info.contains("tab") {
            break;
        }
        start += line.len();
    }
    info.contains("tab").then(|| {
        let line = text
            .get(from..)
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default();
        line.find('\t').map_or(at, |tab| from + tab)
    })
}

/// The start of the last line that is not blank: the end of the text shows nothing.
fn last_line(text: &str) -> usize {
    let text = text.trim_end();
    let start = text.rfind('\n').map_or(0, |end| end + 1);
    let line = text.get(start..).unwrap_or_default();
    start + (line.len() - line.trim_start().len())
}
