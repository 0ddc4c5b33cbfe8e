//! Colours for a terminal, and nothing at all elsewhere.

use std::fmt::Display;

/// Writes escape sequences, or does not.
#[derive(Clone, Copy, Debug)]
pub struct Paint(pub bool);

impl Paint {
    fn wrap(self, code: &str, text: impl Display) -> String {
        if self.0 {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_string()
        }
    }

    /// What comes.
    pub(crate) fn green(self, text: impl Display) -> String {
        self.wrap("32", text)
    }

    /// What goes, and what failed.
    pub fn red(self, text: impl Display) -> String {
        self.wrap("31", text)
    }

    /// What changes, and warnings.
    pub(crate) fn yellow(self, text: impl Display) -> String {
        self.wrap("33", text)
    }

    /// Headings.
    pub(crate) fn bold(self, text: impl Display) -> String {
        self.wrap("1", text)
    }

    /// What matters less.
    pub(crate) fn dim(self, text: impl Display) -> String {
        self.wrap("2", text)
    }
}
