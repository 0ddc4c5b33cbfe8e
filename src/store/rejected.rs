//! Documents that were rolled back because they cut something off: they are not applied again
//! without being told to.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Store, history, log};
use crate::error::{Error, ErrorKind};

/// A document that was rolled back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The document, by hash.
    pub document: String,
    /// Seconds since 1970.
    pub time: u64,
    /// Why.
    pub reason: String,
}

impl Store {
    fn rejected_path(&self) -> PathBuf {
        self.state.join("rejected")
    }

    /// Remembers a document as rolled back.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn reject(&self, document: &str, reason: &str) -> Result<(), Error> {
        self.make()?;
        let rejection = Rejection {
            document: document.to_owned(),
            time: history::now(),
            reason: reason.to_owned(),
        };
        log::append(&self.rejected_path(), &line(&rejection)?, true)
    }

    /// The last rejection of a document, or of any.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn rejection(&self, document: Option<&str>) -> Result<Option<Rejection>, Error> {
        let all = self.rejections()?;
        Ok(all
            .into_iter()
            .rfind(|rejection| document.is_none_or(|document| rejection.document == document)))
    }

    /// Forgets that a document was rolled back: it holds now.
    ///
    /// # Errors
    /// When the list cannot be written.
    pub fn accept(&self, document: &str) -> Result<(), Error> {
        let all = self.rejections()?;
        let kept: Vec<&Rejection> = all
            .iter()
            .filter(|rejection| rejection.document != document)
            .collect();
        if kept.len() == all.len() {
            return Ok(());
        }
        let text = kept.into_iter().map(line).collect::<Result<String, Error>>()?;
        log::replace(&self.rejected_path(), &text)
    }

    fn rejections(&self) -> Result<Vec<Rejection>, Error> {
        let text = log::read(&self.rejected_path())?.unwrap_or_default();
        Ok(text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }
}

fn line(rejection: &Rejection) -> Result<String, Error> {
    let mut line = serde_json::to_string(rejection).map_err(|error| {
        Error::new(
            ErrorKind::Unreadable,
            format!("a rejection cannot be written: {error}"),
        )
    })?;
    line.push('\n');
    Ok(line)
}
