//! Diagnostics as text: place, source line, second place and hints, safe for a terminal.

use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::location::{Line, Locator};
use super::text::{is_deceptive, printable};
use super::{Sources, Span};
use crate::error::{Diagnostic, Diagnostics};

/// Of a line longer than this only a part is shown, and only that part costs anything.
const LONG: usize = 500;

/// How much of that part stands before what is marked.
const LEAD: usize = 40;

/// How much of it stands behind.
const REST: usize = 80;

/// Two places that are at most that many lines apart are shown in one piece.
const NEAR: usize = 4;

/// Renders all diagnostics, and a last line that counts them.
pub fn render(diagnostics: &Diagnostics, sources: &Sources, colour: bool) -> String {
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut locator = Locator::new(sources);
    let mut out = String::new();
    let mut list: Vec<&Diagnostic> = diagnostics.list.iter().collect();
    // Top to bottom: the order in which things were found tells nothing.
    list.sort_by_key(|diagnostic| diagnostic.span.map(|span| (span.file, span.start)));
    for diagnostic in list {
        out.push_str(&render_one(diagnostic, &mut locator, &renderer));
        out.push_str("\n\n");
    }
    out.push_str(&summary(diagnostics, sources));
    out
}

/// `3 errors in desired.yaml`.
fn summary(diagnostics: &Diagnostics, sources: &Sources) -> String {
    let mut files: Vec<&str> = Vec::new();
    for span in diagnostics.list.iter().filter_map(|diagnostic| diagnostic.span) {
        let name = sources.name(span.file);
        if !files.contains(&name) {
            files.push(name);
        }
    }
    let count = diagnostics.count();
    let mut out = format!("{count} error{}", if count == 1 { "" } else { "s" });
    if diagnostics.more > 0 {
        let _ = write!(out, " (the first {} are shown)", diagnostics.list.len());
    }
    match files.as_slice() {
        [] => {}
        [file] => {
            let _ = write!(out, " in {}", printable(file));
        }
        files => {
            let _ = write!(out, " in {} files", files.len());
        }
    }
    out.push('\n');
    out
}

fn render_one(diagnostic: &Diagnostic, locator: &mut Locator<'_>, renderer: &Renderer) -> String {
    let message = printable(&diagnostic.message);
    let mut group = Group::with_title(Level::ERROR.primary_title(message));
    let mut before = Vec::new();
    if let Some(span) = diagnostic.span {
        let primary = Place::new(span, &diagnostic.path, AnnotationKind::Primary, locator);
        let second = diagnostic.other.as_ref().map(|(span, label)| {
            let kind = AnnotationKind::Context;
            Place::new(*span, label, kind, locator)
        });
        let (together, apart) = match second {
            Some(second) if primary.is_near(&second) => (vec![primary, second], None),
            second => (vec![primary], second),
        };
        for places in [Some(together), apart.map(|place| vec![place])]
            .into_iter()
            .flatten()
        {
            let piece = Piece::new(&places, locator);
            if !piece.is_part {
                group = group.element(piece.snippet.path(piece.name));
                continue;
            }
            // The renderer would count the column in the part; so the place is told apart from it.
            let origin = Origin::path(piece.name)
                .line(piece.line)
                .char_column(piece.column);
            before.push(group.element(origin));
            group = Group::with_level(Level::ERROR).element(piece.snippet);
        }
    } else if !diagnostic.path.is_empty() {
        group = group.element(Level::NOTE.message(format!("in {}", printable(&diagnostic.path))));
    }
    for hint in &diagnostic.hints {
        group = group.element(Level::HELP.message(printable(hint).into_owned()));
    }
    before.push(group);
    renderer.render(&before)
}

/// A span with the line it starts in.
struct Place<'a> {
    span: Span,
    line: Line<'a>,
    /// The bytes of the line that are marked.
    marked: Range<usize>,
    kind: AnnotationKind,
    label: String,
}

impl<'a> Place<'a> {
    fn new(span: Span, label: &str, kind: AnnotationKind, locator: &mut Locator<'a>) -> Self {
        let line = locator.line(span.file, span.start as usize);
        let within = |at: u32| (at as usize).saturating_sub(line.start).min(line.text.len());
        Place {
            span,
            line,
            marked: within(span.start)..within(span.end),
            kind,
            label: printable(label).into_owned(),
        }
    }

    /// Whether both can be shown in one piece of the file.
    fn is_near(&self, other: &Place<'_>) -> bool {
        self.span.file == other.span.file
            && self.line.number.abs_diff(other.line.number) <= NEAR
            && (self.line.number != other.line.number
                || self.line.text.len() <= LONG
                || self.marked.start.abs_diff(other.marked.end) < LEAD)
    }
}

/// The lines from the first to the last of some places in a file.
struct Piece {
    /// The file, and where in it the first place is.
    name: String,
    line: usize,
    column: usize,
    snippet: Snippet<'static, Annotation<'static>>,
    /// Of a long line only a part is in the snippet.
    is_part: bool,
}

impl Piece {
    fn new(places: &[Place<'_>], locator: &mut Locator<'_>) -> Self {
        let span = places.first().map(|place| place.span).unwrap_or_default();
        let at = locator.locate(span);
        let first = places
            .iter()
            .map(|place| place.line.number)
            .min()
            .unwrap_or(at.line);
        let last = places
            .iter()
            .map(|place| place.line.number)
            .max()
            .unwrap_or(at.line);
        let mut text = String::new();
        let mut marks = Vec::new();
        let mut is_part = false;
        for number in first..=last {
            let line = locator.numbered(span.file, number);
            let here = || places.iter().filter(|place| place.line.number == number);
            let shown = part(line.text, here().next().map_or(0, |place| place.marked.start));
            is_part |= shown.len() < line.text.len() && here().next().is_some();
            text.push_str(if shown.start > 0 { "..." } else { "" });
            let base = text.len();
            for place in here() {
                let offset = |at: usize| {
                    let before = line.text.get(shown.start..at.clamp(shown.start, shown.end));
                    base + harmless(before.unwrap_or_default()).len()
                };
                let mark = place
                    .kind
                    .span(offset(place.marked.start)..offset(place.marked.end));
                let label = (!place.label.is_empty()).then(|| place.label.clone());
                marks.push(mark.label(label));
            }
            text.push_str(&harmless(line.text.get(shown.clone()).unwrap_or_default()));
            text.push_str(if shown.end < line.text.len() {
                "...\n"
            } else {
                "\n"
            });
        }
        Piece {
            name: printable(&at.file).into_owned(),
            line: at.line,
            column: at.column,
            snippet: Snippet::source(text)
                .line_start(first)
                .fold(false)
                .annotations(marks),
            is_part,
        }
    }
}

/// The part of a line to show: all of it, or some of it around a byte.
fn part(line: &str, at: usize) -> Range<usize> {
    if line.len() <= LONG {
        return 0..line.len();
    }
    let (before, behind) = line.split_at_checked(at).unwrap_or((line, ""));
    let start = before.char_indices().rev().nth(LEAD - 1).map_or(0, |(at, _)| at);
    let end = behind
        .char_indices()
        .nth(REST)
        .map_or(line.len(), |(more, _)| at + more);
    start..end
}

/// A source line that no terminal acts on: one character for one, so that columns stay right.
fn harmless(line: &str) -> String {
    let picture = |char: char| match char {
        '\t' => '\t',
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(char)).unwrap_or('\u{fffd}'),
        char if is_deceptive(char) => '\u{fffd}',
        char => char,
    };
    line.chars().map(picture).collect()
}
