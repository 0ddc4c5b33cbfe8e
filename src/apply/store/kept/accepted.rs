//! The last document of each owner that was applied and neither rolled back nor released, for a boot, and a start of
//! the service, at which its document is rejected.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::journal::Header;
use crate::store::{Store, log};
use netkeel_core::error::{Error, ErrorKind};

/// A document that is applied and not confirmed yet.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Waiting {
    owner: String,
    /// Its hash, as the journal has it.
    document: String,
    canonical: String,
}

impl Store {
    fn accepted_path(&self, owner: &str) -> PathBuf {
        self.state.join(format!("accepted-{owner}.json"))
    }

    /// A boot ends the wait.
    fn waiting_path(&self) -> PathBuf {
        self.run.join("waiting.json")
    }

    /// The last accepted document of an owner, in its canonical spelling.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn accepted(&self, owner: &str) -> Result<Option<String>, Error> {
        log::read(&self.accepted_path(owner))
    }

    /// Keeps a document in its canonical spelling.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_accepted(&self, owner: &str, canonical: &str) -> Result<(), Error> {
        self.keep(&self.accepted_path(owner), canonical)
    }

    /// Forgets the document of an owner: the host is no longer as it says.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn forget_accepted(&self, owner: &str) -> Result<(), Error> {
        log::remove(&self.accepted_path(owner)).map(drop)
    }

    /// Forgets it before a commit: killed between the two, no process leaves a document of what was given back. A document
    /// that cannot be removed is no reason not to commit: who gives back tries it again, and reports that.
    pub(crate) fn forget_accepted_and(
        &self,
        owner: &str,
        commit: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let kept = self.accepted(owner).ok().flatten();
        let _ = self.forget_accepted(owner);
        commit().inspect_err(|_| {
            let _ = kept.map(|canonical| self.keep_accepted(owner, &canonical));
        })
    }

    /// Keeps a document until it is confirmed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_waiting(&self, owner: &str, document: &str, canonical: &str) -> Result<(), Error> {
        self.make()?;
        let waiting = Waiting {
            owner: owner.to_owned(),
            document: document.to_owned(),
            canonical: canonical.to_owned(),
        };
        let text = serde_json::to_string(&waiting).map_err(|error| unreadable(&error))?;
        log::replace(&self.waiting_path(), &text)
    }

    /// Keeps the document of an apply that is confirmed.
    pub(crate) fn accept_waiting(&self, header: &Header) -> Result<(), Error> {
        let path = self.waiting_path();
        let waiting = match log::read(&path)? {
            Some(text) => serde_json::from_str::<Waiting>(&text).map_err(|error| unreadable(&error))?,
            // It was made by an older version.
            None => return self.forget_accepted(&header.owner),
        };
        match (&waiting.owner, &waiting.document) == (&header.owner, &header.document) {
            true => self.keep_accepted(&header.owner, &waiting.canonical)?,
            false => self.forget_accepted(&header.owner)?,
        }
        log::remove(&path).map(drop)
    }
}

fn unreadable(why: &dyn std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Unreadable,
        format!("the document that waits to be confirmed cannot be read: {why}"),
    )
}
