//! Checks whether Go's encoding/json accepts a text, since runtimes read configurations with it. Go
//! accepts some texts that netkeel does not edit: duplicate keys, and unpaired surrogates.

/// Deepest nesting that Go accepts (`maxNestingDepth`, encoding/json/scanner.go).
const DEEPEST: usize = 10_000;

/// The tokens that may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    CommaOrEnd,
}

/// A byte offset, and the syntax error there.
pub(crate) type Wrong = (usize, &'static str);

/// Checks a text.
///
/// # Errors
/// The byte offset of the first syntax error, and the error.
pub(crate) fn check(text: &str) -> Result<(), Wrong> {
    let mut reader = Reader {
        bytes: text.as_bytes(),
        at: 0,
    };
    let mut open: Vec<u8> = Vec::new();
    let mut next = Next::Value;
    loop {
        reader.blanks();
        let start = reader.at;
        if next == Next::CommaOrEnd && open.is_empty() {
            return match reader.peek() {
                None => Ok(()),
                Some(_) => Err((start, "something after the end")),
            };
        }
        let byte = reader.take().ok_or((start, "the text ends too early"))?;
        next = match (next, byte, open.last()) {
            (Next::Value | Next::ValueOrEnd, b'{' | b'[', _) => {
                open.push(byte);
                if open.len() > DEEPEST {
                    return Err((start, "nested too deep"));
                }
                if byte == b'{' {
                    Next::KeyOrEnd
                } else {
                    Next::ValueOrEnd
                }
            }
            (Next::ValueOrEnd | Next::CommaOrEnd, b']', Some(b'['))
            | (Next::KeyOrEnd | Next::CommaOrEnd, b'}', Some(b'{')) => {
                open.pop();
                Next::CommaOrEnd
            }
            (Next::Value | Next::ValueOrEnd, _, _) => {
                reader.scalar(byte, start)?;
                Next::CommaOrEnd
            }
            (Next::Key | Next::KeyOrEnd, b'"', _) => {
                reader.quoted()?;
                reader.blanks();
                reader.expect(b':', "a key without a colon")?;
                Next::Value
            }
            (Next::CommaOrEnd, b',', Some(b'{')) => Next::Key,
            (Next::CommaOrEnd, b',', Some(_)) => Next::Value,
            (Next::Key | Next::KeyOrEnd, ..) => return Err((start, "a key without quotes")),
            (Next::CommaOrEnd, ..) => return Err((start, "neither a comma nor an end after a value")),
        };
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8, wrong: &'static str) -> Result<(), Wrong> {
        let start = self.at;
        match self.take() {
            Some(found) if found == byte => Ok(()),
            _ => Err((start, wrong)),
        }
    }

    /// Reads the rest of a scalar that begins with `first`.
    fn scalar(&mut self, first: u8, start: usize) -> Result<(), Wrong> {
        let word = match first {
            b'"' => return self.quoted(),
            b'-' | b'0'..=b'9' => return self.number(first, start),
            b't' => "rue",
            b'f' => "alse",
            b'n' => "ull",
            _ => return Err((start, "no value")),
        };
        word.bytes().try_for_each(|byte| self.expect(byte, "no value"))
    }

    /// Reads a string after its opening quote. Go replaces an unpaired surrogate with U+FFFD.
    fn quoted(&mut self) -> Result<(), Wrong> {
        loop {
            let start = self.at;
            match self.take().ok_or((start, "a string without a closing quote"))? {
                b'"' => return Ok(()),
                b'\\' => match self.take() {
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {}
                    Some(b'u') => {
                        for _ in 0..4 {
                            if !self.take().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                                return Err((start, "an escape that JSON does not have"));
                            }
                        }
                    }
                    _ => return Err((start, "an escape that JSON does not have")),
                },
                0..=0x1f => return Err((start, "a control character in quotes")),
                _ => {}
            }
        }
    }

    fn number(&mut self, first: u8, start: usize) -> Result<(), Wrong> {
        const WRONG: &str = "not a JSON number";
        let first = match first {
            b'-' => self.take().ok_or((start, WRONG))?,
            digit => digit,
        };
        match first {
            b'0' => {}
            b'1'..=b'9' => _ = self.digits(),
            _ => return Err((start, WRONG)),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits().then_some(()).ok_or((start, WRONG))?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits().then_some(()).ok_or((start, WRONG))?;
        }
        Ok(())
    }

    /// Reads digits; false if there is no digit.
    fn digits(&mut self) -> bool {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at > start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_go_takes_is_taken() {
        let deep = format!("{}{}", "[".repeat(DEEPEST), "]".repeat(DEEPEST));
        for text in [
            "{}",
            " [ ] ",
            "-0",
            "1.5e-3",
            "\"\\ud800\"",
            "{\"a\": 1, \"a\": [true, false, null]}",
            "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9 é\"",
            &deep,
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{,}",
            "[,]",
            "{a: 1}",
            "{\"a\" 1}",
            "01",
            "+1",
            "1.",
            ".5",
            "1e",
            "-",
            "'a'",
            "\"a\tb\"",
            "\"\\x41\"",
            "\"\\u12g4\"",
            "nul",
            "1 2",
            "]",
            "[}",
            "{]",
            "\u{feff}{}",
            "\u{a0}1",
            "// a\n1",
            &deep.replace("[]", "[[]]"),
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }

    proptest! {
        /// serde_json is as strict, except for depth and surrogates (see the module).
        #[test]
        fn it_takes_what_another_strict_reader_takes(text in r#"([\[\]{}:,]|"[a\\nu"]{0,3}"|[-0-9.eE+]{1,4}|true|null| |\t){0,12}"#) {
            let other = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(check(&text).is_ok(), other, "{}", text);
        }
    }
}
