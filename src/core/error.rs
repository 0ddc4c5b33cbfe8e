//! What can go wrong and how it is told: an error has a kind, a message and hints; a diagnostic
//! has also a place in a document.

use std::fmt;

/// What kind of thing went wrong; exit codes and retries are decided by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line or a document is wrong.
    Input,
    /// The kernel or the file system refused for lack of privilege.
    Permission,
    /// The object is not there (any more).
    Missing,
    /// The kernel lacks a feature or a module.
    Unsupported,
    /// The kernel or the file system refused for another reason.
    Refused,
    /// Something that netkeel read does not make sense to it.
    Unreadable,
}

/// An error: what happened, and what to do about it. Context is added once, by the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The kind.
    pub kind: ErrorKind,
    /// One sentence without a full stop.
    pub message: String,
    /// What would be right, or where to look.
    pub hints: Vec<String>,
}

impl Error {
    /// An error without hints.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error {
            kind,
            message: message.into(),
            hints: Vec::new(),
        }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Puts what was being done before the message.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
