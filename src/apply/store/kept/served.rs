//! The owner that the service served last: started with a document that cannot be read, it goes on with the last
//! accepted one of that owner.

use std::path::PathBuf;

use crate::store::{Store, log};
use netkeel_core::error::Error;

impl Store {
    fn served_path(&self) -> PathBuf {
        self.state.join("served-owner")
    }

    /// The owner; `None` if no service has enforced a document.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn served_owner(&self) -> Result<Option<String>, Error> {
        log::read(&self.served_path())
    }

    /// Keeps the document that a service enforced as the accepted one of its owner, and the owner.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_served(&self, owner: &str, canonical: &str) -> Result<(), Error> {
        self.keep_accepted(owner, canonical)?;
        self.keep(&self.served_path(), owner)
    }
}
