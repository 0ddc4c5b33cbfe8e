//! Errors: each has a kind, a message and hints. A diagnostic also has a place in a document.

use std::fmt;

/// The kind of failure. It decides exit codes and retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line or a document is wrong.
    Input,
    /// The kernel or the file system refused for lack of privilege.
    Permission,
    /// The object does not exist (any more).
    Missing,
    /// The kernel lacks a feature or a module.
    Unsupported,
    /// The kernel or the file system refused for another reason.
    Refused,
    /// The data was read, but netkeel cannot interpret it.
    Unreadable,
    /// Another netkeel holds the lock.
    Busy,
}

/// An error: the failure, and how to fix it. The caller adds context once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The kind of failure.
    pub kind: ErrorKind,
    /// One sentence without a full stop.
    pub message: String,
    /// Fixes, or places to look.
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

    /// Prefixes the message with the action that failed.
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
