//! Quoting of words for a POSIX shell.

use std::borrow::Cow;
use std::fmt;

use crate::text::escape::{is_deceptive, printable};

/// A word, quoted for a shell if necessary. Characters that a terminal would act on are escaped in bash
/// syntax.
pub struct Quoted<T>(
    /// The word.
    pub T,
);

impl<T: AsRef<str>> fmt::Display for Quoted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.0.as_ref();
        let plain = |c: u8| {
            c.is_ascii_alphanumeric()
                || matches!(
                    c,
                    b'@' | b'%' | b'_' | b'+' | b'=' | b':' | b',' | b'.' | b'/' | b'-'
                )
        };
        if !word.is_empty() && word.bytes().all(plain) {
            f.write_str(word)
        } else if let Cow::Borrowed(_) = printable(word) {
            write!(f, "'{}'", word.replace('\'', r"'\''"))
        } else {
            in_bash(f, word.as_bytes())
        }
    }
}

/// Quotes any bytes as `$'...'`.
pub(crate) fn in_bash(f: &mut fmt::Formatter<'_>, word: &[u8]) -> fmt::Result {
    let by_number = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| {
        bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
    };
    f.write_str("$'")?;
    for chunk in word.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                '\'' | '\\' => write!(f, "\\{char}")?,
                char if is_deceptive(char) => by_number(f, char.encode_utf8(&mut [0; 4]).as_bytes())?,
                char => write!(f, "{char}")?,
            }
        }
        by_number(f, chunk.invalid())?;
    }
    f.write_str("'")
}

/// Text of several lines as one line, quoted for `printf %b` of any shell (POSIX).
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'")?;
        for char in self.0.chars() {
            match char {
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                '\\' => f.write_str(r"\\")?,
                '\'' => f.write_str(r"'\''")?,
                char if is_deceptive(char) => char
                    .encode_utf8(&mut [0; 4])
                    .bytes()
                    .try_for_each(|byte| write!(f, "\\0{byte:03o}"))?,
                char => write!(f, "{char}")?,
            }
        }
        f.write_str("'")
    }
}
