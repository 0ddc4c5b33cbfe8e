//! A page of limited length that counts the texts without room.

use std::collections::BTreeMap;

use crate::plan::words::{Noun, number_of};
use crate::wording::count_thousands;

/// The longest page, bytes. GitHub's limit for a comment is 65,536 characters.
pub(crate) const LIMIT: usize = 60 * 1024;

/// Bytes for the list of what was left out.
const RESERVED: usize = 2048;

/// Bytes for findings and problems, so that there is room for the groups after them.
const NOTES: usize = 24 * 1024;

/// A kind of text that the page has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Left {
    /// Lines about new drift.
    Lines,
    /// Steps that lose state.
    Losses,
    /// Objects of a kind.
    Objects(Noun),
    /// Parts of the host that could not be read.
    Problems,
    /// Findings.
    Findings,
    /// Diffs of objects of a kind.
    Diffs(Noun),
}

/// A page.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
    notes: usize,
    left: BTreeMap<Left, usize>,
}

impl Page {
    /// Whether so many bytes fit.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.text.len() + bytes + RESERVED <= LIMIT
    }

    /// Adds a text if it fits, and returns whether it does.
    pub(super) fn add(&mut self, text: &str) -> bool {
        let fits = self.has_room(text.len());
        if fits {
            self.text.push_str(text);
        }
        fits
    }

    /// As [`Page::add`], for findings and problems, which have a part of the page only.
    pub(super) fn add_notes(&mut self, text: &str) -> bool {
        let fits = self.notes + text.len() <= NOTES && self.add(text);
        if fits {
            self.notes += text.len();
        }
        fits
    }

    /// Notes what does not fit.
    pub(super) fn leave(&mut self, what: Left, number: usize) {
        *self.left.entry(what).or_default() += number;
    }

    /// The page with the list of what was left out.
    pub(super) fn end(mut self) -> String {
        let left = self.left.iter().map(|(what, number)| what.words(*number));
        let left: Vec<String> = left.collect();
        if !left.is_empty() {
            let left = left.join(", ");
            self.text.push_str(&format!(
                "\nLeft out, because a comment has a limited length: {left}. `netkeel plan --full` shows everything.\n"
            ));
        }
        self.text
    }
}

impl Left {
    fn words(self, number: usize) -> String {
        let count = |noun| count_thousands(number, noun);
        match self {
            Left::Lines => format!("new drift of {}", count("fact")),
            Left::Losses => count("lossy step"),
            Left::Objects(noun) => number_of(number, noun),
            Left::Problems => count("problem"),
            Left::Findings => count("finding"),
            Left::Diffs(noun) => format!("the diff of {}", number_of(number, noun)),
        }
    }
}
