//! Lines of a file with marks below them. A line can be a whole file of JSON, so only the part around a
//! mark is processed and shown.

use std::fmt::Write as _;
use std::ops::Range;

use unicode_width::UnicodeWidthChar as _;

use crate::report::location::{Line, Location, Locator};
use crate::report::mask::Shown;
use crate::report::paint::Paint;
use crate::span::{FileId, Span};
use netkeel_core::text::escape::{is_deceptive, printable};

/// Only a part of a longer line is shown.
const LONG: usize = 160;

/// The characters of that part before the mark.
const LEAD: usize = 40;

/// The characters of that part from the mark on.
const REST: usize = 80;

/// The maximum distance in lines between two marked lines whose lines between are shown.
const NEAR: usize = 3;

/// Some lines of a file.
pub(crate) struct Excerpt<'a> {
    file: FileId,
    at: Location,
    shown: &'a Shown,
    rows: Vec<Row<'a>>,
}

/// A line, or a part of it, with its marks.
pub(crate) struct Row<'a> {
    line: Line<'a>,
    shown: Range<usize>,
    marks: Vec<Mark>,
}

/// A mark below a line: its columns, its character and its label.
pub(crate) struct Mark {
    bytes: Range<usize>,
    sign: char,
    label: String,
}

impl<'a> Excerpt<'a> {
    /// An excerpt around the beginning of a span.
    pub fn new(span: Span, locator: &mut Locator<'a>) -> Self {
        Excerpt {
            file: span.file,
            at: locator.locate(span),
            shown: locator.shown(span.file),
            rows: Vec::new(),
        }
    }

    /// The number of the last line.
    pub(crate) fn last_line(&self) -> usize {
        self.rows.last().map_or(0, |row| row.line.number)
    }

    /// Marks a span of the same file, within its first line.
    pub fn mark(&mut self, span: Span, sign: char, label: &str, locator: &mut Locator<'a>) {
        let line = locator.line(span.file, span.start as usize);
        let within = |byte: u32| (byte as usize).saturating_sub(line.start).min(line.text.len());
        let bytes = within(span.start)..within(span.end);
        let mark = Mark {
            sign,
            label: printable(label).into_owned(),
            bytes: bytes.clone(),
        };
        let holds = |row: &&mut Row<'_>| {
            row.line.number == line.number && row.shown.start <= bytes.start && bytes.end <= row.shown.end
        };
        match self.rows.iter_mut().find(holds) {
            Some(row) => row.marks.push(mark),
            None => self.rows.push(Row {
                line,
                shown: part(line.text, bytes.start),
                marks: vec![mark],
            }),
        }
        self.rows.sort_by_key(|row| (row.line.number, row.shown.start));
    }

    /// Adds the lines between two marked lines that are near each other.
    pub fn fill(&mut self, locator: &mut Locator<'a>) {
        let first = self.rows.first().map_or(0, |row| row.line.number);
        let between = (first + 1)..self.last_line();
        if between.len() <= NEAR {
            let rows = between.map(|number| {
                let line = locator.numbered(self.file, number);
                Row {
                    line,
                    shown: part(line.text, 0),
                    marks: Vec::new(),
                }
            });
            self.rows.extend(rows.collect::<Vec<_>>());
            self.rows.sort_by_key(|row| (row.line.number, row.shown.start));
        }
    }

    /// Renders the excerpt below its place.
    pub fn render(&self, gutter: &Gutter<'_>, is_first: bool, out: &mut String) {
        let arrow = gutter.paint.frame(if is_first { "-->" } else { ":::" });
        let name = printable(&self.at.file);
        let blanks = gutter.width;
        // The text of the file was not kept, or the line is empty: there is nothing to mark.
        if self.rows.iter().all(|row| row.line.text.is_empty()) {
            let place = match (self.at.line, self.at.column) {
                (1, 1) => String::new(),
                (line, column) => format!(":{line}:{column}"),
            };
            let _ = writeln!(out, "{:blanks$}{arrow} {name}{place}", "");
            return;
        }
        let _ = writeln!(
            out,
            "{:blanks$}{arrow} {name}:{}:{}",
            "", self.at.line, self.at.column
        );
        gutter.empty(out);
        let mut last: Option<usize> = None;
        for row in &self.rows {
            if last.is_some_and(|last| last + 1 < row.line.number) {
                let _ = writeln!(out, "{}", gutter.paint.frame("..."));
            }
            last = Some(row.line.number);
            row.render(self.shown, gutter, out);
        }
    }
}

impl Row<'_> {
    fn render(&self, shown: &Shown, gutter: &Gutter<'_>, out: &mut String) {
        let line = shown.masked(self.line.text, self.line.start);
        let before = if self.shown.start > 0 { "..." } else { "" };
        let behind = if self.shown.end < self.line.text.len() {
            "..."
        } else {
            ""
        };
        let text = line.get(self.shown.clone()).unwrap_or_default();
        let source = format!("{before}{}{behind}", harmless(text));
        gutter.line(&self.line.number.to_string(), source.trim_end(), out);
        for mark in &self.marks {
            let width = |range: Range<usize>| line.get(range).map_or(0, width);
            let start = mark.bytes.start.clamp(self.shown.start, self.shown.end);
            let end = mark.bytes.end.clamp(start, self.shown.end);
            let blanks = before.len() + width(self.shown.start..start);
            let signs = mark.sign.to_string().repeat(width(start..end).max(1));
            let signs = if mark.sign == '^' {
                gutter.paint.error(&signs)
            } else {
                gutter.paint.frame(&signs)
            };
            let marked = format!("{:blanks$}{signs} {}", "", mark.label);
            gutter.line("", marked.trim_end(), out);
        }
    }
}

/// The line numbers and the bar after them.
pub(crate) struct Gutter<'p> {
    width: usize,
    paint: &'p Paint,
}

impl<'p> Gutter<'p> {
    /// A gutter with room for this line number.
    pub fn new(last_line: usize, paint: &'p Paint) -> Self {
        Gutter {
            width: last_line.to_string().len(),
            paint,
        }
    }

    /// Writes an empty line.
    pub fn empty(&self, out: &mut String) {
        self.line("", "", out);
    }

    fn line(&self, number: &str, text: &str, out: &mut String) {
        let head = format!("{number:>width$} |", width = self.width);
        let blank = if text.is_empty() { "" } else { " " };
        let _ = writeln!(out, "{}{blank}{text}", self.paint.frame(&head));
    }

    /// Writes a note below the excerpts.
    pub fn note(&self, what: &str, text: &str, out: &mut String) {
        let head = format!("{:width$} =", "", width = self.width);
        let _ = writeln!(
            out,
            "{} {} {text}",
            self.paint.frame(&head),
            self.paint.help(what)
        );
    }
}

/// The part of a line to show: all of it, or a part around a byte.
pub(crate) fn part(line: &str, at: usize) -> Range<usize> {
    if line.len() <= LONG {
        return 0..line.len();
    }
    let (before, behind) = line.split_at_checked(at).unwrap_or((line, ""));
    let start = before.char_indices().rev().nth(LEAD - 1).map_or(0, |(at, _)| at);
    let end = behind.char_indices().nth(REST);
    start..end.map_or(line.len(), |(more, _)| before.len() + more)
}

/// A source line, escaped for a terminal. A tab always takes four columns.
fn harmless(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for char in line.chars() {
        match char {
            '\t' => out.push_str("    "),
            '\0'..='\x1f' => out.push(char::from_u32(0x2400 + u32::from(char)).unwrap_or('\u{fffd}')),
            char if is_deceptive(char) => out.push('\u{fffd}'),
            char => out.push(char),
        }
    }
    out
}

/// The width of a part of a line, as [`harmless`] shows it.
pub(crate) fn width(part: &str) -> usize {
    let columns = |char: char| match char {
        '\t' => 4,
        char if is_deceptive(char) => 1,
        char => char.width().unwrap_or(1),
    };
    part.chars().map(columns).sum()
}
