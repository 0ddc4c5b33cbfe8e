//! Masks of excerpts: in a file of another program only keys, and the values that netkeel reads, are shown.
//! The rest may be a password or a key, and messages go to terminals and logs.

use std::ops::Range;

/// The parts of a file that messages show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    /// All of it: a document of netkeel's own.
    #[default]
    All,
    /// These bytes, sorted; further the indentation and the key at the start of a line,
    /// and adjacent brackets.
    Only(Vec<Range<u32>>),
    /// All but these bytes.
    Except(Vec<Range<u32>>),
}

/// Ranges do not overlap, unless an alias refers to a part that is shown anyway.
const OVERLAPS: usize = 4;

impl Shown {
    /// Hides bytes that were shown.
    pub fn hide(&mut self, hidden: &[Range<u32>]) {
        match self {
            Shown::All if hidden.is_empty() => {}
            Shown::All => *self = Shown::Except(hidden.to_vec()),
            Shown::Except(before) => before.extend_from_slice(hidden),
            Shown::Only(ranges) => {
                for hidden in hidden {
                    let around = |range: &Range<u32>| {
                        let before = range.start..range.end.min(hidden.start);
                        let after = range.start.max(hidden.end)..range.end;
                        [before, after].into_iter().filter(|part| !part.is_empty())
                    };
                    *ranges = ranges.iter().flat_map(around).collect();
                }
                ranges.sort_by_key(|range| (range.start, range.end));
            }
        }
    }

    /// Whether a byte is shown, apart from the start of a line.
    fn has(&self, byte: usize) -> bool {
        let byte = u32::try_from(byte).unwrap_or(u32::MAX);
        let ranges = match self {
            Shown::All => return true,
            Shown::Except(hidden) => return !hidden.iter().any(|range| range.contains(&byte)),
            Shown::Only(ranges) => ranges,
        };
        let after = ranges.partition_point(|range| range.start <= byte);
        let before = ranges.get(..after).unwrap_or_default();
        before
            .iter()
            .rev()
            .take(OVERLAPS)
            .any(|range| range.contains(&byte))
    }

    /// A line with the rest masked. `start` is the byte of the file where the line starts.
    pub(crate) fn masked(&self, line: &str, start: usize) -> String {
        let key = match self {
            Shown::All => return line.to_owned(),
            Shown::Only(_) => key(line),
            Shown::Except(_) => 0,
        };
        let mut masked = String::with_capacity(line.len());
        // Brackets and commas are shown up to the first byte that is masked: behind it they may belong to the
        // same value.
        let mut marks: &[char] = &['{', '['];
        for (at, char) in line.char_indices() {
            let shown = at < key || self.has(start + at);
            if shown && !char.is_ascii_whitespace() {
                marks = &['{', '}', '[', ']', ',', ':', '"'];
            }
            if shown || char.is_ascii_whitespace() || marks.contains(&char) {
                masked.push(char);
            } else {
                marks = &[];
                // One for each byte: marks below the line count in bytes of the text.
                masked.extend(std::iter::repeat_n('*', char.len_utf8()));
            }
        }
        masked
    }
}

/// The length of a line's indentation, list marks and key with its colon.
fn key(line: &str) -> usize {
    let text = line.trim_start_matches([' ', '-']);
    let indented = line.len() - text.len();
    let is_of_key = |char: char| char.is_ascii_alphanumeric() || "_.:/-".contains(char);
    let word = text.find(|char| !is_of_key(char)).unwrap_or(text.len());
    // One colon ends a key. Hiera has `::` within keys; other colons separate fields, as in /etc/shadow.
    let is_key = |word: &str| {
        let name = word.strip_suffix(':').unwrap_or_default();
        !name.is_empty()
            && name
                .split("::")
                .all(|part| !part.is_empty() && !part.contains(':'))
    };
    match text.get(..word).is_some_and(is_key) {
        true => indented + word,
        false => indented,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_that_are_read_are_shown() {
        let nothing = Shown::Only(Vec::new());
        for (line, masked) in [
            ("  token: abc.def", "  token: *******"),
            ("- machine:", "- machine:"),
            ("    LS0tLS1CRUdJTi==", "    ****************"),
            ("- hunter2", "- *******"),
            ("a:hunter2", "*********"),
            (
                " root:$6$salt$hash:19000:0:99999:7:::",
                " root:*******************************",
            ),
            (" root:hash:19000:0:", " ******************"),
            ("netkeel::sysctl: x", "netkeel::sysctl: *"),
            ("{\"token\": \"abc\"}", "{******** ******"),
            ("token: \"a,b: {c}\", d", "token: \"**** ***** *"),
            ("net.ipv4.x: 1 # ä", "net.ipv4.x: * * **"),
        ] {
            assert_eq!(nothing.masked(line, 7), masked);
        }
        let some = Shown::Only(vec![10..11, 16..18]);
        assert_eq!(some.masked("a: 1, b: 22", 7), "a: 1, ** 22");
        assert_eq!(Shown::All.masked("a: b", 0), "a: b");
        let mut without = Shown::All;
        without.hide(&[10..11, 30..31]);
        assert_eq!(without.masked("a: 1, b: 22", 7), "a: *, b: 22");
        let mut part = Shown::Only(vec![7..8, 10..18]);
        part.hide(&[16..18, 40..41]);
        assert_eq!(part.masked("a: 1, b: 22", 7), "a: 1, b: **");
    }
}
