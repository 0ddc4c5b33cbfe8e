//! A group as lines of text.

use std::fmt::Write as _;

use crate::paint::Paint;
use crate::plan::diff::unified::unified;
use crate::plan::place::Place;
use crate::plan::words;
use crate::wording::file_text;
use crate::wording::wrap::wrap;
use netkeel_core::fact::Field;
use netkeel_plan::plan::cause::Cause;
use netkeel_plan::plan::count::Action;
use netkeel_plan::plan::groups::Group;
use netkeel_source::report::location::Locator;

/// The longest line, characters. Only what somebody may paste or must compare is longer: a name, a command, a
/// line of a file.
pub(crate) const WIDTH: usize = 80;

/// The indent of lines that belong to an entry.
const INDENT: usize = 6;

/// The longest title that other entries are aligned to.
const ALIGNED: usize = 30;

/// One change as text.
struct Change {
    label: String,
    text: String,
    place: Option<Place>,
    cause: Option<Cause>,
    derivation: Option<String>,
}

/// A group as text that is not yet in lines.
pub(super) struct Entry<'a> {
    group: &'a Group<'a>,
    title: String,
    changes: Vec<Change>,
    place: Option<Place>,
    /// The cause of all changes, if they share it.
    cause: Option<Cause>,
}

/// The end of an entry's first line.
enum Head {
    /// All changes come from these lines.
    Place(Place),
    /// All changes come from this file, on different lines.
    File(String),
    /// The changes come from several files, or from no document.
    None,
}

impl<'a> Entry<'a> {
    /// The text of a group.
    pub(super) fn new(group: &'a Group<'a>, locator: &mut Locator<'_>) -> Self {
        let mut changes = Vec::new();
        let mut place = None;
        for (number, drift) in group.first.changes.iter().enumerate() {
            let of_change = Place::of_change(number, group, locator);
            if drift.fact.field == Field::Content {
                place = of_change;
                continue;
            }
            changes.push(Change {
                label: words::label(number, group),
                text: words::change(number, group),
                place: of_change,
                cause: words::cause(number, group),
                derivation: drift.origin.derivation.as_deref().map(str::to_owned),
            });
        }
        let causes = changes.iter().map(|change| change.cause);
        let content = words::cause(0, group).filter(|_| changes.is_empty());
        Entry {
            group,
            title: words::title(group),
            cause: shared(causes).flatten().or(content),
            place,
            changes,
        }
    }

    /// The width of the title for an alignment of several entries; 0 for a long title.
    pub(super) fn width(&self) -> usize {
        Some(self.title.chars().count())
            .filter(|width| *width <= ALIGNED)
            .unwrap_or(0)
    }

    /// The entry in lines of at most [`WIDTH`] characters. The changes of short entries are aligned behind titles
    /// of `width` characters.
    pub(super) fn lines(&self, width: usize, paint: Paint) -> String {
        let mut out = match self.one_line(width, paint).or_else(|| self.one_line(0, paint)) {
            Some(line) => line,
            None => self.block(paint),
        };
        let mut more = Vec::new();
        more.extend(self.cause.map(words::cause_words));
        more.extend(self.group.differs.as_ref().and_then(words::difference));
        if !self.group.is_single() {
            let (names, all) = words::names(self.group);
            more.push(if all {
                names
            } else {
                format!("{names} (--full lists them)")
            });
        }
        for text in more {
            out.push_str(&paint.lines(&indented(&text, INDENT)));
        }
        out.push_str(&self.content(paint));
        out
    }

    /// The title and all changes on one line, if there is room.
    fn one_line(&self, width: usize, paint: Paint) -> Option<String> {
        if self.changes.is_empty() || self.changes.iter().any(|change| change.derivation.is_some()) {
            return None;
        }
        if self.cause.is_none() && self.changes.iter().any(|change| change.cause.is_some()) {
            return None;
        }
        let place = shared(self.changes.iter().map(|change| &change.place))?;
        let place = place.as_ref().map(ToString::to_string).unwrap_or_default();
        let changes: Vec<String> = self
            .changes
            .iter()
            .map(|change| words::joined(&change.label, &change.text))
            .collect();
        let changes = changes.join(", ");
        let title = self.title.chars().count();
        let used = 4 + title.max(width) + 2 + changes.chars().count();
        let room = WIDTH.checked_sub(used + place.chars().count())?;
        if room < 2 && !place.is_empty() {
            return None;
        }
        let gap = " ".repeat(width.saturating_sub(title) + 2);
        let mut line = format!("  {} {}{gap}{changes}", self.sign(paint), paint.bold(&self.title));
        if !place.is_empty() {
            let _ = write!(line, "{}{}", " ".repeat(room), paint.dim(place));
        }
        line.push('\n');
        Some(line)
    }

    /// The title on one line, and each change on a line of its own.
    fn block(&self, paint: Paint) -> String {
        let mut head = self.head();
        let mut at = match &head {
            Head::Place(place) => place.to_string(),
            Head::File(file) => file.clone(),
            Head::None => String::new(),
        };
        let mut out = format!("  {} {}", self.sign(paint), paint.bold(&self.title));
        let column = 4 + self.title.chars().count();
        // Without room behind the title, the places are behind the changes.
        if column + 2 + at.chars().count() > WIDTH && !self.changes.is_empty() {
            head = Head::None;
            at.clear();
        }
        out.push_str(&at_the_end(column, &at, paint));
        out.push('\n');
        let labels = self.changes.iter().map(|change| change.label.chars().count());
        let width = labels.max().unwrap_or(0);
        let mut shown = None;
        for change in &self.changes {
            let indent = match width {
                0 => INDENT,
                width => INDENT + width + 2,
            };
            let start = match width {
                0 => " ".repeat(INDENT),
                width => format!("{}{:width$}  ", " ".repeat(INDENT), change.label),
            };
            let text = wrap(&change.text, indent, indent, WIDTH);
            let last = text.lines().last().unwrap_or_default().chars().count();
            let column = if text.contains('\n') { last } else { indent + last };
            let at = match (&head, &change.place) {
                (Head::None, Some(place)) if shown == Some(place) => String::new(),
                (Head::None, Some(place)) => place.to_string(),
                (Head::File(_), Some(place)) => place.line(),
                (Head::Place(_), _) | (_, None) => String::new(),
            };
            shown = change.place.as_ref();
            let _ = writeln!(out, "{start}{text}{}", at_the_end(column, &at, paint));
            let own = change.cause.filter(|_| self.cause.is_none());
            for text in change
                .derivation
                .clone()
                .into_iter()
                .chain(own.map(words::cause_words))
            {
                out.push_str(&paint.lines(&indented(&text, indent)));
            }
        }
        out
    }

    /// The part of the places that belongs on the first line.
    fn head(&self) -> Head {
        let places = || {
            self.place
                .iter()
                .chain(self.changes.iter().filter_map(|change| change.place.as_ref()))
        };
        let all_have_one = self.changes.iter().all(|change| change.place.is_some());
        match shared(places()) {
            Some(place) if all_have_one => return Head::Place(place.clone()),
            _ => {}
        }
        match shared(places().map(|place| (&place.file, place.and_others))) {
            Some((file, false)) => Head::File(file.to_string()),
            _ => Head::None,
        }
    }

    fn sign(&self, paint: Paint) -> String {
        let action = self.group.first.action();
        match action {
            Action::Create => paint.green(action.sign()),
            Action::Change => paint.yellow(action.sign()),
            Action::Destroy => paint.red(action.sign()),
        }
    }

    /// The diff of a file's content.
    fn content(&self, paint: Paint) -> String {
        let mut out = String::new();
        let mut changes = self.group.first.changes.iter();
        let Some(drift) = changes.find(|drift| drift.fact.field == Field::Content) else {
            return out;
        };
        let (old, new) = (file_text(&drift.observed), file_text(&drift.desired));
        for line in unified(old, new, "now", "wanted").lines().skip(2) {
            let line = match line.as_bytes().first() {
                Some(b'+') => paint.green(line),
                Some(b'-') => paint.red(line),
                _ => paint.dim(line),
            };
            let _ = writeln!(out, "      {line}");
        }
        out
    }
}

impl Paint {
    /// Details on several lines.
    pub(crate) fn lines(self, text: &str) -> String {
        let lines = text.lines().map(|line| {
            let start = line.trim_start();
            let blanks = line.get(..line.len() - start.len()).unwrap_or_default();
            format!("{blanks}{}\n", self.dim(start))
        });
        lines.collect()
    }
}

/// A text in lines with an indent.
pub(crate) fn indented(text: &str, indent: usize) -> String {
    format!("{}{}", " ".repeat(indent), wrap(text, indent, indent, WIDTH))
}

/// A text at the end of a line that has `column` characters, or on a line of its own if there is no room.
pub(crate) fn at_the_end(column: usize, text: &str, paint: Paint) -> String {
    let length = text.chars().count();
    match WIDTH.checked_sub(column + length) {
        _ if text.is_empty() => String::new(),
        Some(room) if room >= 2 => format!("{}{}", " ".repeat(room), paint.dim(text)),
        _ => format!(
            "\n{}{}",
            " ".repeat(WIDTH.saturating_sub(length).max(INDENT)),
            paint.dim(text)
        ),
    }
}

/// The value that all share; `None` if two differ, and for an empty list.
fn shared<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}
