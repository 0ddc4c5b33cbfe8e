//! Copies of the journals in memory, which the watchdog reads: no full, read-only or cleared file system
//! takes them away.

use std::ffi::CString;
use std::fs::File;

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};

use netkeel_core::error::{Error, ErrorKind};

/// The copies of one apply.
#[derive(Debug)]
pub(crate) struct Copies {
    /// Of the live journal.
    pub live: File,
    /// Of the journal of files.
    pub files: File,
}

impl Copies {
    /// Empty ones.
    ///
    /// # Errors
    /// When there is no memory or no descriptor left.
    pub fn new(transaction: &str) -> Result<Self, Error> {
        let make = |part: &str| {
            let name = CString::new(name(part, transaction)).map_err(|_| Errno::EINVAL)?;
            memfd_create(&*name, MFdFlags::MFD_CLOEXEC).map(File::from)
        };
        let failed = |errno: Errno| {
            let message = format!("the copy of the journal for the watchdog cannot be made: {errno}");
            Error::new(ErrorKind::Refused, message)
        };
        Ok(Copies {
            live: make("live").map_err(failed)?,
            files: make("files").map_err(failed)?,
        })
    }
}

/// The name of a copy, which distinguishes it in /proc/PID/fd from another file with that number.
pub(crate) fn name(part: &str, transaction: &str) -> String {
    format!("netkeel-{part}-{transaction}")
}
