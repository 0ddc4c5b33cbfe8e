//! The audit trail: one line for each apply.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{Store, log};
use crate::error::{Error, ErrorKind};
use crate::journal::Header;

/// What an apply was and came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Seconds since 1970.
    pub time: u64,
    /// Who, with pid and command.
    pub actor: String,
    /// The owner of the document.
    pub owner: String,
    /// The document, by hash.
    pub document: String,
    /// The commands an operator would have typed.
    pub commands: Vec<String>,
    /// `applied`, `rolled back: why`, `confirmed`.
    pub result: String,
}

impl Done {
    /// What came of an apply, now.
    pub fn new(header: &Header, commands: Vec<String>, result: &str) -> Self {
        let Header {
            actor,
            owner,
            document,
            ..
        } = header.clone();
        Done {
            time: now(),
            actor,
            owner,
            document,
            commands,
            result: result.to_owned(),
        }
    }
}

impl Store {
    /// Adds a line.
    ///
    /// # Errors
    /// When the history cannot be written.
    pub fn note(&self, done: &Done) -> Result<(), Error> {
        let mut line = serde_json::to_string(done).map_err(|error| {
            Error::new(
                ErrorKind::Unreadable,
                format!("the history cannot be written: {error}"),
            )
        })?;
        line.push('\n');
        log::append(&self.state.join("history"), &line, false)
    }

    /// All lines, oldest first.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn history(&self) -> Result<Vec<Done>, Error> {
        let text = log::read(&self.state.join("history"))?.unwrap_or_default();
        // A line that does not make sense is one that a crash tore, or a newer netkeel's.
        Ok(text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
