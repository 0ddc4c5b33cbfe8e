//! Colours for a terminal. Other output has no escape sequences.

use std::fmt::Display;

/// Whether to write escape sequences.
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

    /// Creations.
    pub(crate) fn green(self, text: impl Display) -> String {
        self.wrap("32", text)
    }

    /// Deletions and failures.
    pub fn red(self, text: impl Display) -> String {
        self.wrap("31", text)
    }

    /// Changes and warnings.
    pub(crate) fn yellow(self, text: impl Display) -> String {
        self.wrap("33", text)
    }

    /// Headings.
    pub(crate) fn bold(self, text: impl Display) -> String {
        self.wrap("1", text)
    }

    /// Details.
    pub(crate) fn dim(self, text: impl Display) -> String {
        self.wrap("2", text)
    }
}
