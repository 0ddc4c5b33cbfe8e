//! A pause of the service: kept where it survives a restart of it and of the host, with the moment
//! at which it ends by itself.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::store::{Store, log};
use netkeel_core::error::{Error, ErrorKind};

/// The version of the format.
const FORMAT: u32 = 1;

/// A pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    format: u32,
    /// When it ends, seconds since 1970.
    pub until: u64,
    /// When it began, seconds since 1970.
    pub since: u64,
    /// Who asked for it.
    pub by: String,
}

impl Pause {
    /// A pause that cannot be read: until somebody ends it, or for a day.
    pub fn unknown(now: u64, by: String) -> Self {
        Pause {
            format: FORMAT,
            until: now + 86_400,
            since: now,
            by,
        }
    }
}

impl Store {
    fn pause_path(&self) -> PathBuf {
        self.state.join("pause")
    }

    /// Pauses the service until a moment in seconds since 1970.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn pause(&self, since: u64, until: u64, by: &str) -> Result<(), Error> {
        self.make()?;
        let pause = Pause {
            format: FORMAT,
            until,
            since,
            by: by.to_owned(),
        };
        let text = serde_json::to_string(&pause).map_err(|error| unreadable(&error))?;
        log::replace(&self.pause_path(), &(text + "\n"))
    }

    /// Ends a pause; whether there was one.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn resume_service(&self) -> Result<bool, Error> {
        log::unlink(&self.pause_path())
    }

    /// The pause that lasts at a moment in seconds since 1970.
    ///
    /// # Errors
    /// When it is there and cannot be read: nobody knows whether something may be written then.
    pub fn paused(&self, now: u64) -> Result<Option<Pause>, Error> {
        let Some(text) = log::read(&self.pause_path())? else {
            return Ok(None);
        };
        let pause: Pause = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
        if pause.format > FORMAT {
            return Err(unreadable(&"its format is newer"));
        }
        Ok(Some(pause).filter(|pause| pause.until > now))
    }
}

fn unreadable(why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unreadable, format!("the pause cannot be read: {why}"))
        .hint("netkeel pause --end removes it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_by_itself_or_when_told() {
        let scratch = tempfile::tempdir().unwrap();
        let store = Store::at(scratch.path());
        store.make().unwrap();
        assert_eq!(store.paused(100).unwrap(), None);
        store.pause(100, 200, "me").unwrap();
        assert_eq!(store.paused(199).unwrap().unwrap().until, 200);
        assert_eq!(store.paused(200).unwrap(), None);
        assert!(store.resume_service().unwrap());
        assert!(!store.resume_service().unwrap());
        log::replace(&store.pause_path(), "{").unwrap();
        assert!(store.paused(100).is_err());
    }
}
