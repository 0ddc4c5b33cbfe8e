//! The namespaces and the root directory of a process. A process that acts for another one enters them
//! first: elsewhere the same path and the same interface name mean something else.

use std::fmt;
use std::fs;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::str::FromStr;

use nix::sched::{CloneFlags, setns};
use nix::unistd::{chroot, fchdir};

use crate::netlink::refusal::error;
use netkeel_core::error::{Error, ErrorKind};

/// Where a process is: its network and mount namespace and its root directory, by inode. Text form:
/// `NET:MNT:DEVICE:ROOT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    net: u64,
    mount: u64,
    root: (u64, u64),
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (device, inode) = self.root;
        write!(f, "{}:{}:{device}:{inode}", self.net, self.mount)
    }
}

impl FromStr for Home {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::new(ErrorKind::Input, format!("`{text}` is not NET:MNT:DEVICE:ROOT"));
        let numbers: Result<Vec<u64>, _> = text.split(':').map(str::parse).collect();
        match numbers.map_err(|_| wrong())?.as_slice() {
            &[net, mount, device, inode] => Ok(Home {
                net,
                mount,
                root: (device, inode),
            }),
            _ => Err(wrong()),
        }
    }
}

/// The number of this process in the instance of /proc that is mounted: another process namespace counts
/// otherwise than getpid(2).
///
/// # Errors
/// When /proc is not mounted.
pub fn own_number() -> Result<u32, Error> {
    let link = fs::read_link("/proc/self").map_err(|cause| error(cause).context("/proc/self"))?;
    let number = link.to_str().and_then(|name| name.parse().ok());
    number.ok_or_else(|| Error::new(ErrorKind::Unreadable, "/proc/self is not the number of a process"))
}

impl Home {
    /// Where this process is.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn here() -> Result<Self, Error> {
        Self::of("/proc/self")
    }

    fn of(process: &str) -> Result<Self, Error> {
        let found = |name: &str| {
            let path = format!("{process}/{name}");
            fs::metadata(&path).map_err(|cause| error(cause).context(path))
        };
        let root = found("root")?;
        Ok(Home {
            net: found("ns/net")?.ino(),
            mount: found("ns/mnt")?.ino(),
            root: (root.dev(), root.ino()),
        })
    }

    /// Goes through open descriptors, which must lead to this home. The caller has one thread only.
    ///
    /// # Errors
    /// [`ErrorKind::Permission`] without CAP_SYS_ADMIN and CAP_SYS_CHROOT.
    pub fn enter_by(&self, doors: &Doors) -> Result<(), Error> {
        let entering = |errno| error(errno).context("entering the namespaces of the apply");
        setns(&doors.net, CloneFlags::CLONE_NEWNET).map_err(entering)?;
        setns(&doors.mount, CloneFlags::CLONE_NEWNS).map_err(entering)?;
        fchdir(&doors.root).map_err(entering)?;
        chroot(".").map_err(entering)?;
        match Home::here()? == *self {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Refused,
                "the namespaces of the apply were left while they were entered",
            )),
        }
    }

    /// Goes to where process `number` is, which must be this home. The caller has one thread only.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] when the process is not there any more. [`ErrorKind::Permission`] without
    /// CAP_SYS_ADMIN and CAP_SYS_CHROOT.
    pub fn enter(&self, number: u32) -> Result<(), Error> {
        if Home::here()? == *self {
            return Ok(());
        }
        let process = format!("/proc/{number}");
        let doors = Doors::of(&process)?;
        // Checked after opening: the number may be another process's by now.
        if Home::of(&process)? != *self {
            let message = format!("process {number} is not where the apply was");
            return Err(Error::new(ErrorKind::Missing, message));
        }
        self.enter_by(&doors)
    }
}

/// Open descriptors of the namespaces and the root directory of a process. They keep the namespaces.
#[derive(Debug)]
pub struct Doors {
    /// The network namespace.
    pub net: File,
    /// The mount namespace.
    pub mount: File,
    /// The root directory, without permission to read it.
    pub root: File,
}

impl Doors {
    /// Those of this process.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn here() -> Result<Self, Error> {
        Self::of("/proc/self")
    }

    fn of(process: &str) -> Result<Self, Error> {
        let opened = |name: &str, flags: i32| {
            let path = format!("{process}/{name}");
            let file = OpenOptions::new().read(true).custom_flags(flags).open(&path);
            file.map_err(|cause| error(cause).context(path))
        };
        Ok(Doors {
            net: opened("ns/net", libc::O_CLOEXEC)?,
            mount: opened("ns/mnt", libc::O_CLOEXEC)?,
            root: opened("root", libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_read_back_and_this_one_needs_no_entering() {
        let here = Home::here().unwrap();
        assert_eq!(here.to_string().parse::<Home>().unwrap(), here);
        here.enter(own_number().unwrap()).unwrap();
        assert!("1:2:3".parse::<Home>().is_err());
        let elsewhere = Home { net: 0, ..here };
        assert_eq!(
            elsewhere.enter(own_number().unwrap()).unwrap_err().kind,
            ErrorKind::Missing
        );
    }
}
