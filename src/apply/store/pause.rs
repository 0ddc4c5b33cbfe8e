//! A pause of the service: kept where it survives a restart of the service and of the host. Its end is a
//! time since boot, so that steps of the wall clock neither end nor prolong it.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::store::{Store, log};
use netkeel_core::error::{Error, ErrorKind};

/// The version of the format.
const FORMAT: u32 = 1;

/// A pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    format: u32,
    /// When it ends by the wall clock, seconds since 1970; for people, and after a reboot.
    pub until: u64,
    /// When it began by the wall clock, seconds since 1970.
    pub since: u64,
    /// The user who asked for it.
    pub by: String,
    /// Why, as the user gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The boot of which `ends` is a time.
    boot: String,
    /// When it ends, seconds since the boot, rounded up.
    ends: u64,
}

/// A moment by both clocks.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// Seconds since 1970.
    wall: u64,
    since_boot: Duration,
}

impl Moment {
    fn now() -> Self {
        Moment {
            wall: clock::now(),
            since_boot: clock::since_boot(),
        }
    }
}

impl Store {
    fn pause_path(&self) -> PathBuf {
        self.state.join("pause")
    }

    /// Pauses the service from now on, and returns the pause.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn pause(&self, lasts: Duration, by: &str, reason: Option<&str>) -> Result<Pause, Error> {
        self.make()?;
        let now = Moment::now();
        let pause = Pause {
            format: FORMAT,
            // Rounded up, so that it is not shorter than promised.
            until: now.wall + seconds(lasts),
            since: now.wall,
            by: by.to_owned(),
            reason: reason.map(str::to_owned),
            boot: self.boot.clone(),
            ends: seconds(now.since_boot + lasts),
        };
        self.keep_pause(&pause)?;
        Ok(pause)
    }

    fn keep_pause(&self, pause: &Pause) -> Result<(), Error> {
        let text = serde_json::to_string(pause).map_err(|error| unreadable(&error))?;
        log::replace(&self.pause_path(), &(text + "\n"))
    }

    /// Ends a pause, also for a power cut; whether there was one.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn resume_service(&self) -> Result<bool, Error> {
        log::remove(&self.pause_path())
    }

    /// The pause that lasts now, and how long it still lasts.
    ///
    /// # Errors
    /// When it is there and cannot be read: nobody knows whether something may be written then.
    pub fn paused(&self) -> Result<Option<(Pause, Duration)>, Error> {
        self.paused_at(Moment::now())
    }

    fn paused_at(&self, now: Moment) -> Result<Option<(Pause, Duration)>, Error> {
        let Some(text) = log::read(&self.pause_path())? else {
            return Ok(None);
        };
        let mut pause: Pause = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
        if pause.format > FORMAT {
            return Err(unreadable(&"its format is newer"));
        }
        if pause.boot != self.boot {
            // Only the wall clock goes on while the host is off. One that is behind does not prolong a pause.
            let whole = pause.until.saturating_sub(pause.since);
            let left = Duration::from_secs(pause.until.saturating_sub(now.wall).min(whole));
            pause.boot.clone_from(&self.boot);
            pause.ends = seconds(now.since_boot + left);
            // From here on it is a time of this boot. One that cannot be written is computed again.
            let _ = self.keep_pause(&pause);
        }
        let left = Duration::from_secs(pause.ends).saturating_sub(now.since_boot);
        Ok(Some((pause, left)).filter(|(_, left)| !left.is_zero()))
    }
}

/// Whole seconds, rounded up.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn unreadable(why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unreadable, format!("the pause cannot be read: {why}"))
        .hint("netkeel pause --end removes it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(scratch: &tempfile::TempDir, boot: &str) -> Store {
        Store {
            run: scratch.path().into(),
            state: scratch.path().into(),
            boot: boot.into(),
        }
    }

    fn left(store: &Store, wall: u64, since_boot: Duration) -> Option<Duration> {
        let now = Moment { wall, since_boot };
        store.paused_at(now).unwrap().map(|(_, left)| left)
    }

    #[test]
    fn a_pause_ends_by_itself_or_when_told() {
        let scratch = tempfile::tempdir().unwrap();
        let store = store(&scratch, "1");
        assert_eq!(store.paused().unwrap(), None);
        let pause = store
            .pause(Duration::from_millis(99_500), "me", Some("upgrade"))
            .unwrap();
        assert_eq!(pause.until - pause.since, 100);
        let (found, left) = store.paused().unwrap().unwrap();
        assert_eq!(found, pause);
        assert!(
            left > Duration::from_secs(30) && left <= Duration::from_secs(101),
            "{left:?}"
        );
        assert!(store.resume_service().unwrap());
        assert!(!store.resume_service().unwrap());
        log::replace(&store.pause_path(), "{").unwrap();
        assert!(store.paused().is_err());
    }

    #[test]
    fn a_step_of_the_wall_clock_changes_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        let store = store(&scratch, "1");
        let pause = store.pause(Duration::from_secs(100), "me", None).unwrap();
        let begun = Duration::from_secs(pause.ends - 100);
        let after = |seconds: u64| begun + Duration::from_secs(seconds);
        for wall in [0, pause.since - 7200, pause.since, pause.until + 7200] {
            assert_eq!(
                left(&store, wall, after(99)),
                Some(Duration::from_secs(1)),
                "{wall}"
            );
            assert_eq!(left(&store, wall, after(100)), None, "{wall}");
        }
    }

    #[test]
    fn after_a_reboot_the_rest_is_left() {
        let scratch = tempfile::tempdir().unwrap();
        let pause = store(&scratch, "1")
            .pause(Duration::from_secs(100), "me", None)
            .unwrap();
        let next = store(&scratch, "2");
        let at = Duration::from_secs;
        assert_eq!(left(&next, pause.since + 30, at(5)), Some(at(70)));
        // From then on it is counted from this boot.
        assert_eq!(left(&next, pause.until + 7200, at(10)), Some(at(65)));
        assert_eq!(left(&next, 0, at(75)), None);
        // A clock that is behind does not prolong it.
        let third = store(&scratch, "3");
        assert_eq!(left(&third, 0, at(5)), Some(at(100)));
    }
}
