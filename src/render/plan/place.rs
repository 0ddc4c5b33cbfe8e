//! The lines of a document that a change comes from.

use std::fmt;
use std::sync::Arc;

use netkeel_plan::plan::Drift;
use netkeel_plan::plan::groups::Group;
use netkeel_source::report::location::Locator;

/// One or more lines of a file, and whether other files have a part in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The file's name as the user gave it.
    pub(super) file: Arc<str>,
    /// The first and the last line, from 1.
    pub(super) lines: (usize, usize),
    /// Lines of other files belong to it too.
    pub(super) and_others: bool,
}

impl Place {
    /// The place of a change; `None` for a fact that no document declares.
    fn of(drift: &Drift, locator: &mut Locator<'_>) -> Option<Self> {
        if drift.origin.path.is_empty() {
            return None;
        }
        let location = locator.locate(drift.origin.span);
        Some(Place {
            file: location.file,
            lines: (location.line, location.line),
            and_others: false,
        })
    }

    /// The place of a change of all objects of a group, by its number. One rule changes the objects that a
    /// match found; each named object has its own line.
    pub(super) fn of_change(number: usize, group: &Group<'_>, locator: &mut Locator<'_>) -> Option<Self> {
        let members = if group.is_named { group.size() } else { 1 };
        let changes = group.members().take(members);
        let changes = changes.filter_map(|member| member.changes.get(number));
        let mut places = changes.filter_map(|drift| Place::of(drift, locator));
        let first = places.next()?;
        Some(places.fold(first, Place::with))
    }

    /// Both places.
    fn with(mut self, other: Place) -> Self {
        if self.file == other.file {
            self.lines = (self.lines.0.min(other.lines.0), self.lines.1.max(other.lines.1));
        } else {
            self.and_others = true;
        }
        self
    }

    /// The lines without the file: `:7`.
    pub(super) fn line(&self) -> String {
        match self.lines {
            (first, last) if first == last => format!(":{first}"),
            (first, last) => format!(":{first}-{last}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others = if self.and_others { " and others" } else { "" };
        write!(f, "{}{}{others}", self.file, self.line())
    }
}
