//! The files that netkeel keeps between runs: journals of unfinished applies, the ledger of what it wrote,
//! the history, and the documents that were rolled back.
//!
//! For the host the part that describes kernel state lives in /run/netkeel and dies with it; the
//! rest lives in /var/lib/netkeel. For any other namespace all of it is below
//! /run/netkeel/netns, so that nothing of it outlives the boot.

pub mod actor;
mod error;
pub mod history;
pub mod kept;
pub mod ledger;
pub mod lock;
mod log;
mod make;
pub mod pause;
pub mod pending;
pub mod rejected;
pub mod settled;
pub mod socket;
pub mod transaction;
pub mod values;
pub(crate) mod watchdog;

use std::path::{Path, PathBuf};

use crate::store::error::failed;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_kernel::files::read;
use netkeel_kernel::namespace::identity;
use netkeel_plan::ledger::Ledger;

/// Where state that dies with the boot lives.
const RUN: &str = "/run/netkeel";

/// Where state that survives a boot lives.
const STATE: &str = "/var/lib/netkeel";

/// The names of the files of watchdogs begin with this; the transaction follows.
const WATCHDOG: &str = "watchdog-";

/// The state of one namespace.
#[derive(Clone, Debug)]
pub struct Store {
    run: PathBuf,
    state: PathBuf,
    /// The id of this boot (/proc/sys/kernel/random/boot_id).
    pub boot: String,
}

impl Store {
    /// Finds the state of a namespace. Nothing is made.
    ///
    /// # Errors
    /// When the namespace is not there or /proc is not mounted.
    pub fn open(netns: &Netns) -> Result<Self, Error> {
        Self::of(identity::identify(netns)?)
    }

    /// The same for who only reads: on a kernel that cannot tell namespaces apart nothing was kept.
    ///
    /// # Errors
    /// When the namespace is not there or /proc is not mounted.
    pub fn open_to_read(netns: &Netns) -> Result<Self, Error> {
        match identity::identify(netns) {
            // No namespace has this number.
            Err(error) if error.kind == ErrorKind::Unsupported => Self::of(identity::Identity::Other(0)),
            identity => Self::of(identity?),
        }
    }

    fn of(identity: identity::Identity) -> Result<Self, Error> {
        const BOOT: &str = "/proc/sys/kernel/random/boot_id";
        let boot = read::system(BOOT).map_err(|cause| failed(&cause.into(), Path::new(BOOT)))?;
        let (run, state) = match identity {
            identity::Identity::Host => (PathBuf::from(RUN), PathBuf::from(STATE)),
            // By cookie: a namespace that is made again under the same name is another one.
            identity::Identity::Other(cookie) => {
                let own = Path::new(RUN).join("netns").join(cookie.to_string());
                (own.clone(), own)
            }
        };
        Ok(Store {
            run,
            state,
            boot: boot.trim().to_owned(),
        })
    }

    /// Whether this is the state of the host's own namespace, which the unit serves.
    pub fn is_of_the_host(&self) -> bool {
        self.run == Path::new(RUN)
    }

    /// The ledger: the owner of each fact.
    ///
    /// # Errors
    /// When the ledger is there and cannot be read.
    pub fn ledger(&self) -> Result<Ledger, Error> {
        let path = self.ledger_path();
        match log::read(&path)? {
            Some(text) => Ledger::read(&text).map_err(|error| error.context(path.display())),
            None => Ok(Ledger::default()),
        }
    }

    /// The ledger, as far as this user may read it: empty without privilege.
    ///
    /// # Errors
    /// When the ledger can be read and makes no sense.
    pub fn readable_ledger(&self) -> Result<Ledger, Error> {
        match self.ledger() {
            Err(error) if error.kind == ErrorKind::Permission => Ok(Ledger::default()),
            other => other,
        }
    }

    fn ledger_path(&self) -> PathBuf {
        self.state.join("ledger.json")
    }

    fn live_path(&self) -> PathBuf {
        self.run.join("journal")
    }

    /// Beside the live one where both lie in one directory.
    fn durable_path(&self) -> PathBuf {
        self.state.join("journal-files")
    }

    /// Where the holder of the lock is noted.
    fn holder_path(&self) -> PathBuf {
        self.run.join("lock")
    }

    /// Locked by the watchdog of an apply while it lives.
    fn watchdog_path(&self, transaction: &str) -> PathBuf {
        self.run.join(format!("{WATCHDOG}{transaction}"))
    }

    /// A store in a directory of a test's own: both parts are in `run` below it.
    #[cfg(test)]
    pub(crate) fn at(scratch: &Path) -> Self {
        let run = scratch.join("run");
        Store {
            state: run.clone(),
            run,
            boot: "b1".into(),
        }
    }
}
