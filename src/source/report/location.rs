//! Converts bytes to lines and columns.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::report::mask::Shown;
use crate::sources::Sources;
use crate::span::{FileId, Span};

/// A place for display.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The file's name as the user gave it.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Finds lines and columns; counts the lines of a file only once.
#[derive(Debug)]
pub struct Locator<'a> {
    sources: &'a Sources,
    /// The first byte of each line, for files that were queried.
    starts: BTreeMap<FileId, Vec<u32>>,
    /// The last result: most queries come in the order of the file, and a line can be long.
    last: Option<LineIndex>,
}

/// A byte of a file whose column is known.
#[derive(Clone, Copy, Debug)]
pub struct LineIndex {
    file: FileId,
    byte: usize,
    column: usize,
}

/// A line of a file.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Its number, from 1.
    pub number: usize,
    /// The byte of the file where it starts.
    pub start: usize,
    /// Its text, without the line end.
    pub text: &'a str,
}

impl<'a> Locator<'a> {
    /// A locator for these sources.
    pub fn new(sources: &'a Sources) -> Self {
        Locator {
            sources,
            starts: BTreeMap::new(),
            last: None,
        }
    }

    /// The parts of a file that messages show.
    pub(crate) fn shown(&self, file: FileId) -> &'a Shown {
        self.sources.shown(file)
    }

    /// The start of a span.
    pub fn locate(&mut self, span: Span) -> Location {
        let line = self.line(span.file, span.start as usize);
        let byte = (span.start as usize).min(line.start + line.text.len());
        let known = self
            .last
            .filter(|last| last.file == span.file && last.byte >= line.start && last.byte <= byte);
        let known = known.unwrap_or(LineIndex {
            file: span.file,
            byte: line.start,
            column: 1,
        });
        let between = line
            .text
            .as_bytes()
            .get(known.byte - line.start..byte - line.start);
        // Count every byte except those that continue a character.
        let chars = between
            .unwrap_or_default()
            .iter()
            .filter(|byte| **byte & 0xc0 != 0x80)
            .count();
        let column = known.column + chars;
        self.last = Some(LineIndex {
            file: span.file,
            byte,
            column,
        });
        let file = self.sources.files.get(usize::from(span.file.0));
        Location {
            file: file.map_or_else(|| "".into(), |file| Arc::clone(&file.name)),
            line: line.number,
            column,
        }
    }

    /// The line of a byte; the last line for a byte past the end.
    pub fn line(&mut self, file: FileId, byte: usize) -> Line<'a> {
        let text = self.sources.text(file);
        let starts = self.starts.entry(file).or_insert_with(|| line_starts(text));
        let byte = u32::try_from(byte).unwrap_or(u32::MAX);
        let number = starts.partition_point(|start| *start <= byte).max(1);
        let start = starts.get(number - 1).map_or(0, |start| *start as usize);
        let end = starts.get(number).map_or(text.len(), |start| *start as usize);
        let line = text.get(start..end).unwrap_or_default();
        let line = line.strip_suffix('\n').unwrap_or(line);
        Line {
            number,
            start,
            text: line.strip_suffix('\r').unwrap_or(line),
        }
    }

    /// The line with that number, from 1; empty if it does not exist.
    pub fn numbered(&mut self, file: FileId, number: usize) -> Line<'a> {
        let text = self.sources.text(file);
        let starts = self.starts.entry(file).or_insert_with(|| line_starts(text));
        let start = starts
            .get(number.saturating_sub(1))
            .map_or(text.len(), |start| *start as usize);
        self.line(file, start)
    }
}

fn line_starts(text: &str) -> Vec<u32> {
    let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
    let starts = ends.filter_map(|(at, _)| u32::try_from(at + 1).ok());
    std::iter::once(0).chain(starts).collect()
}

impl Sources {
    /// The start of a span; for many spans use a [`Locator`].
    pub fn locate(&self, span: Span) -> Location {
        Locator::new(self).locate(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml", "\u{feff}ä: 1\r\n\tbü: 2\nc");
        let at = |start, end| sources.locate(Span::new(file, start, end)).to_string();
        assert_eq!(at(0, 1), "a.yaml:1:1");
        assert_eq!(at(2, 3), "a.yaml:1:2");
        assert_eq!(at(7, 8), "a.yaml:2:1");
        assert_eq!(at(8, 9), "a.yaml:2:2");
        assert_eq!(at(11, 12), "a.yaml:2:4");
        assert_eq!(at(15, 16), "a.yaml:3:1");
        assert_eq!(at(99, 99), "a.yaml:3:2");
        assert_eq!(at(4, 6), "a.yaml:1:4");
        assert_eq!(sources.locate(Span::new(FileId(7), 0, 0)).to_string(), ":1:1");
    }
}
