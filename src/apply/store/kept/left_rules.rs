//! The rules that a service leaves in place when systemd restarts it, and removes at any other stop. The next run removes
//! those that its own document does not have.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::store::{Store, log};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Fact;

/// Rules that a restart left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftRules {
    /// The owner of the document that had them.
    pub owner: String,
    /// The facts.
    pub facts: BTreeSet<Fact>,
}

impl Store {
    /// Below the directory that a boot empties, as it does the rules.
    fn left_rules_path(&self) -> PathBuf {
        self.run.join("left-rules.json")
    }

    /// Keeps a list of rules.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_left_rules(&self, left: &LeftRules) -> Result<(), Error> {
        let text = serde_json::to_string(left)
            .map_err(|error| Error::new(ErrorKind::Unreadable, error.to_string()))?;
        self.make()?;
        log::replace(&self.left_rules_path(), &text)
    }

    /// The rules that the run before left; `None` if it left none.
    ///
    /// # Errors
    /// When the list is there and cannot be read.
    pub fn left_rules(&self) -> Result<Option<LeftRules>, Error> {
        let Some(text) = log::read(&self.left_rules_path())? else {
            return Ok(None);
        };
        let left = serde_json::from_str(&text).map_err(|error| {
            Error::new(
                ErrorKind::Unreadable,
                format!("{} cannot be read: {error}", self.left_rules_path().display()),
            )
        })?;
        Ok(Some(left))
    }

    /// Forgets the list.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn forget_left_rules(&self) -> Result<(), Error> {
        log::remove(&self.left_rules_path()).map(drop)
    }
}
