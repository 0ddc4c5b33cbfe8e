//! Documents that were rolled back because they cut something off: they are not applied again
//! without being told to.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::store::{Store, log};
use netkeel_core::error::{Error, ErrorKind};

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
            time: clock::now(),
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

    /// A last line that a crash tore does not count. A whole line that makes no sense may have rejected any
    /// document, so it is an error.
    fn rejections(&self) -> Result<Vec<Rejection>, Error> {
        let path = self.rejected_path();
        let text = log::read(&path)?.unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().map(|line| {
            serde_json::from_str(line).map_err(|error| {
                let message = format!("the list of rejected documents is damaged: {error}");
                Error::new(ErrorKind::Unreadable, message)
                    .context(path.display())
                    .hint("repair or remove the file; without it, a rejected document may be applied again")
            })
        });
        lines.collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_rejects_nothing_and_a_damaged_one_is_an_error() {
        let scratch = tempfile::tempdir().unwrap();
        let store = Store::at(scratch.path());
        store.make().unwrap();
        let reasons = |store: &Store| -> Vec<String> {
            let all = store.rejections().unwrap();
            all.into_iter().map(|rejection| rejection.reason).collect()
        };
        assert!(reasons(&store).is_empty());
        for (document, reason) in [("d1", "first"), ("d2", "second")] {
            let rejection = Rejection {
                document: document.into(),
                time: 1,
                reason: reason.into(),
            };
            log::append(&store.rejected_path(), &line(&rejection).unwrap(), false).unwrap();
        }
        log::append(&store.rejected_path(), "{\"docu", false).unwrap();
        assert_eq!(reasons(&store), ["first", "second"]);
        log::append(&store.rejected_path(), "{\"document\":\"d3\"}\n", false).unwrap();
        let error = store.rejection(Some("d1")).unwrap_err();
        assert!(error.message.contains("is damaged"), "{}", error.message);
    }
}
