//! Decodes bytes and checks the text of a document: UTF-8 without control characters.

use crate::diagnostic::Diagnostics;
use crate::span::{FileId, Span};
use crate::text::limits::MAX_BYTES;
use netkeel_core::error::{Error, ErrorKind};

/// The maximum number of unprintable characters per file that are reported one by one.
const MAX_REPORTED: usize = 20;

const MARK: &str = "\u{feff}";

/// Decodes a file's bytes, without a byte order mark. Only UTF-8 is valid; the error names the line and
/// byte of the first invalid sequence.
pub(crate) fn decode(mut bytes: Vec<u8>) -> Result<String, Error> {
    if bytes.len() > MAX_BYTES + MARK.len() {
        return Err(too_large());
    }
    if let Some(encoding) = foreign_encoding(&bytes) {
        return Err(
            Error::new(ErrorKind::Input, format!("the file is {encoding}, not UTF-8"))
                .hint("convert it: `iconv -f UTF-16 -t UTF-8`".replace("UTF-16", encoding)),
        );
    }
    if bytes.starts_with(MARK.as_bytes()) {
        bytes.drain(..MARK.len());
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let line = 1 + bytes.iter().take(at).filter(|byte| **byte == b'\n').count();
        let byte = bytes.get(at).copied().unwrap_or_default();
        Error::new(
            ErrorKind::Input,
            format!("not UTF-8: byte 0x{byte:02x} at offset {at}, in line {line}"),
        )
        .hint("convert it, for instance from Latin-1: `iconv -f LATIN1 -t UTF-8`")
    })
}

/// Recognises UTF-16 and UTF-32 by their byte order mark, or by the zero bytes of ASCII text in them.
fn foreign_encoding(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] => Some("UTF-32LE"),
        [0, 0, 0xfe, 0xff, ..] => Some("UTF-32BE"),
        [0xff, 0xfe, ..] => Some("UTF-16LE"),
        [0xfe, 0xff, ..] => Some("UTF-16BE"),
        [first, 0, second, 0, ..] if *first != 0 && *second != 0 => Some("UTF-16LE"),
        [0, first, 0, second, ..] if *first != 0 && *second != 0 => Some("UTF-16BE"),
        _ => None,
    }
}

/// The size is unknown: reading stops at the limit.
fn too_large() -> Error {
    Error::new(
        ErrorKind::Input,
        format!(
            "the file has more than {} MiB, the maximum for a document",
            MAX_BYTES >> 20
        ),
    )
    .hint("split it: several files are layered, in the order given")
}

/// The text after a byte order mark, if there is one.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix(MARK).unwrap_or(text)
}

/// Whether a parser should see this text: it is not too large, and has no unprintable characters.
pub(crate) fn readable(file: FileId, text: &str, diagnostics: &mut Diagnostics) -> bool {
    if text.len() > MAX_BYTES {
        let error = too_large();
        diagnostics.add(Span::new(file, 0, 0), "", error.message).hints = error.hints;
        return false;
    }
    // Bytes first: nearly every file has no candidate.
    let suspicious = |byte: u8| matches!(byte, 0..=8 | 11..=31 | 0x7f | 0xc2 | 0xef);
    if !text.bytes().any(suspicious) {
        return true;
    }
    let mut found = 0_usize;
    let mut chars = text.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        let line_end = char == '\r' && chars.peek().is_some_and(|(_, next)| *next == '\n');
        if line_end || !unprintable(char) {
            continue;
        }
        found += 1;
        if found > MAX_REPORTED {
            continue;
        }
        let span = Span::new(file, at, at + char.len_utf8());
        let message = match char {
            '\0' => "a NUL byte in the text".to_owned(),
            '\r' => "a carriage return without a line feed".to_owned(),
            '\u{feff}' => "a byte order mark inside the text".to_owned(),
            _ => format!("a control character in the text: U+{:04X}", u32::from(char)),
        };
        diagnostics.add(span, "", message);
    }
    if found > MAX_REPORTED {
        let message = format!("{} more unprintable characters", found - MAX_REPORTED);
        diagnostics.add(Span::new(file, 0, 0), "", message);
    }
    found == 0
}

fn unprintable(char: char) -> bool {
    match char {
        '\t' | '\n' | '\u{85}' => false,
        '\u{feff}' | '\u{fffe}' | '\u{ffff}' => true,
        _ => char.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::text::escape::{printable, quoted};

    #[test]
    fn utf8_only() {
        assert_eq!(decode(b"\xef\xbb\xbfa: 1\n".to_vec()).unwrap(), "a: 1\n");
        let error = |bytes: &[u8]| decode(bytes.to_vec()).unwrap_err().message;
        assert_eq!(
            error(b"a: 1\nb: M\xfcnchen\n"),
            "not UTF-8: byte 0xfc at offset 9, in line 2"
        );
        assert_eq!(error(b"\xff\xfea\0"), "the file is UTF-16LE, not UTF-8");
        assert_eq!(error(b"a\0:\0 \x001\0"), "the file is UTF-16LE, not UTF-8");
        assert_eq!(error(b"\0\0\xfe\xff"), "the file is UTF-32BE, not UTF-8");
        assert_eq!(
            decode(vec![b' '; MAX_BYTES + 4]).unwrap_err().message,
            "the file has more than 16 MiB, the maximum for a document"
        );
    }

    #[test]
    fn control_characters_are_refused_each_in_its_place() {
        let mut diagnostics = Diagnostics::default();
        assert!(!readable(
            FileId(0),
            "a: \x1b[31m\0\r\n\rü\u{9b}",
            &mut diagnostics
        ));
        let told: Vec<_> = diagnostics
            .list
            .iter()
            .map(|d| (d.span.unwrap().start, d.message.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (3, "a control character in the text: U+001B"),
                (8, "a NUL byte in the text"),
                (11, "a carriage return without a line feed"),
                (14, "a control character in the text: U+009B"),
            ]
        );
        assert!(readable(FileId(0), "a: 1\r\nÀ: ﷲ\n", &mut Diagnostics::default()));
        let mut many = Diagnostics::default();
        readable(FileId(0), &"\0".repeat(100), &mut many);
        assert_eq!(many.list.len(), MAX_REPORTED + 1);
    }

    #[test]
    fn what_a_terminal_acts_on_is_spelled_out() {
        assert_eq!(printable("a\x1b[31m\u{202e}b"), "a\\u{1b}[31m\\u{202e}b");
        assert_eq!(quoted("a\nb"), "`a\\nb`");
        assert_eq!(quoted(&"x".repeat(100)).len(), 65);
    }
}
