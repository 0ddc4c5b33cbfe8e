//! Escaping of untrusted text for a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a terminal would act on the character or display it in a misleading position.
pub fn is_deceptive(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text in a form that is safe to print: characters that a terminal would act on are escaped.
pub fn printable(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| matches!(byte, b' '..=b'~');
    if text.bytes().all(plain) || !text.chars().any(is_deceptive) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if is_deceptive(char) {
            out.extend(char.escape_default());
        } else {
            out.push(char);
        }
    }
    Cow::Owned(out)
}

/// A text for a place that has one line: the first line, escaped, with the number of the others.
pub fn one_line(text: &str) -> String {
    printable(&first_line(text)).into_owned()
}

/// The first line of a text and the number of the others, not escaped: for a writer that escapes by itself.
pub fn first_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default().to_owned();
    match lines.count() {
        0 => first,
        1 => format!("{first} [1 more line]"),
        more => format!("{first} [{more} more lines]"),
    }
}

/// User input for a message: between backticks, on one line, shortened when it is long.
pub fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut out = String::from("`");
    for (index, char) in text.chars().enumerate() {
        if index == LONGEST {
            out.push_str("...");
            break;
        }
        if is_deceptive(char) {
            let _ = write!(out, "{}", char.escape_default());
        } else {
            out.push(char);
        }
    }
    out.push('`');
    out
}
