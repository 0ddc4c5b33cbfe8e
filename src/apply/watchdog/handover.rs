//! An apply hands over to its watchdog: its namespaces, its lock, its journal and the copies of its
//! journals. The watchdog opens them by /proc, since under systemd it is not a child of the apply.

use std::fmt;
use std::fs;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::str::FromStr;

use crate::watchdog::copies;
use crate::watchdog::copies::Copies;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_kernel::namespace::home::{Home, own_number};
use netkeel_kernel::process::Process;

/// Where the watchdog finds it all, as an argument: `PROCESS/DIRECTORY/JOURNAL/LIVE/FILES/HOME`.
#[derive(Clone, Debug)]
pub struct Handover {
    process: u32,
    /// The directory of the lock, the live journal, the copies of the live journal and of the one of files.
    descriptors: [RawFd; 4],
    home: Home,
}

impl fmt::Display for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [directory, journal, live, files] = self.descriptors;
        let (process, home) = (self.process, self.home);
        write!(f, "{process}/{directory}/{journal}/{live}/{files}/{home}")
    }
}

impl FromStr for Handover {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::new(ErrorKind::Input, format!("`{text}` is no handover"));
        let parts: Vec<&str> = text.split('/').collect();
        let &[process, directory, journal, live, files, home] = parts.as_slice() else {
            return Err(wrong());
        };
        let descriptor = |text: &str| text.parse::<RawFd>().map_err(|_| wrong());
        Ok(Handover {
            process: process.parse().map_err(|_| wrong())?,
            descriptors: [
                descriptor(directory)?,
                descriptor(journal)?,
                descriptor(live)?,
                descriptor(files)?,
            ],
            home: home.parse()?,
        })
    }
}

/// No descriptor.
const NONE: RawFd = -1;

/// The open files of an apply, as its watchdog holds them.
#[derive(Debug)]
pub(crate) struct Received {
    /// The apply; none on a kernel without pidfds.
    pub process: Option<Process>,
    pub directory: File,
    pub journal: File,
    pub live: File,
    pub files: File,
}

impl Handover {
    /// That of this process.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub(crate) fn new(directory: &File, journal: &File, copies: &Copies) -> Result<Self, Error> {
        Ok(Handover {
            process: own_number()?,
            descriptors: [directory, journal, &copies.live, &copies.files].map(AsRawFd::as_raw_fd),
            home: Home::here()?,
        })
    }

    /// That of a process which replaces a killed watchdog: only where it is.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub(crate) fn of_place() -> Result<Self, Error> {
        Ok(Handover {
            process: own_number()?,
            descriptors: [NONE; 4],
            home: Home::here()?,
        })
    }

    /// Goes to where the apply is. This process has one thread only.
    ///
    /// # Errors
    /// When it is elsewhere and cannot be reached.
    pub(crate) fn enter(&self) -> Result<(), Error> {
        self.home.enter(self.process)
    }

    /// Where the apply is.
    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// Whether this process may not look at the descriptors of the apply.
    pub(crate) fn is_hidden(&self) -> bool {
        self.descriptors.iter().any(|descriptor| {
            let path = format!("/proc/{}/fd/{descriptor}", self.process);
            fs::read_link(path).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
        })
    }

    /// Opens what the apply holds; none when the apply has ended since, or was not there any more.
    pub(crate) fn receive(&self, transaction: &str) -> Option<Received> {
        let process = Process::open(self.process).ok();
        let [directory, journal, live, files] = self.descriptors;
        let path = |descriptor: RawFd| format!("/proc/{}/fd/{descriptor}", self.process);
        let open = |descriptor: RawFd| OpenOptions::new().read(true).open(path(descriptor)).ok();
        let copy = |descriptor: RawFd, part: &str| {
            let target = fs::read_link(path(descriptor)).ok()?;
            let name = format!("memfd:{}", copies::name(part, transaction));
            let is = target.to_str()?.trim_start_matches('/').strip_prefix(&name);
            is.and_then(|_| open(descriptor))
        };
        Some(Received {
            live: copy(live, "live")?,
            files: copy(files, "files")?,
            directory: open(directory)?,
            journal: open(journal)?,
            process,
        })
    }
}

/// All that an open file has, wherever it was read before.
pub(crate) fn text(file: &File) -> io::Result<String> {
    let length = file.metadata()?.len() as usize;
    let mut bytes = vec![0; length];
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, read as u64)? {
            0 => break,
            more => read += more,
        }
    }
    bytes.truncate(read);
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Where an open file is found by its descriptor, to watch it.
pub(crate) fn by_descriptor(file: &File) -> String {
    Path::new("/proc/self/fd")
        .join(file.as_raw_fd().to_string())
        .display()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_kernel::files::read;
    use std::io::Write;

    #[test]
    fn what_is_handed_over_is_received() {
        let mut copies = Copies::new("t1").unwrap();
        let mut journal = tempfile::tempfile().unwrap();
        let directory = read::directory(Path::new("/tmp")).unwrap();
        let handover = Handover::new(&directory, &journal, &copies).unwrap();
        let again: Handover = handover.to_string().parse().unwrap();
        assert_eq!(again.to_string(), handover.to_string());
        copies.live.write_all(b"one\n").unwrap();
        journal.write_all(b"two\n").unwrap();
        let received = again.receive("t1").unwrap();
        assert_eq!(text(&received.live).unwrap(), "one\n");
        assert_eq!(text(&received.journal).unwrap(), "two\n");
        assert_eq!(text(&received.files).unwrap(), "");
        assert!(again.receive("t2").is_none(), "those of another apply");
        let place = Handover::of_place().unwrap().to_string();
        assert!(place.parse::<Handover>().unwrap().receive("t1").is_none());
        assert!("1/2/3".parse::<Handover>().is_err());
    }
}
