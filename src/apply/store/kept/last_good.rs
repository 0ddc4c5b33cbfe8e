//! The last document that a service enforced, so that it can go on with it when it is started with
//! one that is wrong.

use std::path::PathBuf;

use crate::store::{Store, log};
use netkeel_core::error::Error;

impl Store {
    fn last_good_path(&self) -> PathBuf {
        self.state.join("document.json")
    }

    /// The document in its canonical spelling.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn last_good(&self) -> Result<Option<String>, Error> {
        log::read(&self.last_good_path())
    }

    /// Keeps a document in its canonical spelling.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_good(&self, canonical: &str) -> Result<(), Error> {
        if self.last_good()?.as_deref() == Some(canonical) {
            return Ok(());
        }
        self.make()?;
        log::replace(&self.last_good_path(), canonical)
    }
}
