//! The audit trail: one line for each apply.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize, Serializer};

use super::{Store, log};
use crate::error::Error;
use crate::journal::Header;
use crate::ledger::Each;
use crate::op::Op;

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

/// A [`Done`] on its way to the history; its commands are written one by one.
#[derive(Serialize)]
struct Note<'a, C: Serialize> {
    time: u64,
    actor: &'a str,
    owner: &'a str,
    document: &'a str,
    commands: C,
    result: &'a str,
}

/// An op, written as the command.
struct Command<'a>(&'a Op);

impl Serialize for Command<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Not `collect_str`, which would escape each piece of the text by itself.
        serializer.serialize_str(&self.0.to_string())
    }
}

impl Store {
    /// Adds a line: what came of an apply, now.
    ///
    /// # Errors
    /// When the history cannot be written.
    pub fn note<'a>(
        &self,
        header: &Header,
        ops: impl Iterator<Item = &'a Op> + Clone,
        result: &str,
    ) -> Result<(), Error> {
        let Header {
            actor,
            owner,
            document,
            ..
        } = header;
        let note = Note {
            time: now(),
            actor,
            owner,
            document,
            commands: Each(ops.map(Command)),
            result,
        };
        let path = self.state.join("history");
        log::write_json(&mut log::append_to(&path)?, &note, false, &path)
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

    /// How many writes a limit of so many a minute leaves; none where there is no limit.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn writes_left(&self, a_minute: Option<usize>) -> Result<Option<usize>, Error> {
        let Some(limit) = a_minute else {
            return Ok(None);
        };
        let since = now().saturating_sub(60);
        let history = self.history()?;
        let lately = history.iter().filter(|done| done.time > since);
        let writes: usize = lately.map(|done| done.commands.len()).sum();
        Ok(Some(limit.saturating_sub(writes)))
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
