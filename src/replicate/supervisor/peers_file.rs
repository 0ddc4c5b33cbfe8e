//! The peers file, which is read again after a change. It is polled once a second, not watched: a
//! ConfigMap changes through a symbolic link two directories up, and a watch on the file does not
//! report that.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::worker::peers_of::peers_of;
use netkeel_kernel::files::read;
use netkeel_kernel::files::read::Symlinks;

/// The polling interval.
const EVERY: Duration = Duration::from_secs(1);

/// The maximum size of the file in bytes.
const LONGEST: u64 = 4 << 20;

/// Identifies a version of the file without reading it: device and inode, size, and time of change in
/// seconds and nanoseconds.
pub type Stamp = (u64, u64, u64, i64, i64);

/// The peers file and its last valid content.
#[derive(Debug)]
pub struct PeersFile {
    path: String,
    stamp: Option<Stamp>,
    looked: Option<Instant>,
    /// The peers of the last valid version.
    peers: Vec<IpAddr>,
    /// Whether the file was empty at the last poll: a writer may have truncated it just now.
    emptied: bool,
    /// Why the current version cannot be used.
    error: Option<String>,
}

impl PeersFile {
    /// A file by its path. The first poll reads it.
    pub fn new(path: &str) -> Self {
        PeersFile {
            path: path.to_owned(),
            stamp: None,
            looked: None,
            peers: Vec::new(),
            emptied: false,
            error: None,
        }
    }

    /// The path of the file.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The peers of the last valid version.
    pub fn peers(&self) -> &[IpAddr] {
        &self.peers
    }

    /// Why the current version cannot be used.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// The time of the next poll.
    pub fn due(&self) -> Instant {
        self.looked.map_or_else(Instant::now, |looked| looked + EVERY)
    }

    /// Polls the file when it is due. Returns whether the peers or the error changed.
    pub fn poll(&mut self, now: Instant) -> bool {
        if self
            .looked
            .is_some_and(|looked| now.saturating_duration_since(looked) < EVERY)
        {
            return false;
        }
        self.looked = Some(now);
        let read = match fs::metadata(&self.path) {
            Ok(found) => {
                let changed = (found.mtime(), found.mtime_nsec());
                let stamp = (found.dev(), found.ino(), found.size(), changed.0, changed.1);
                if self.stamp == Some(stamp) {
                    return false;
                }
                self.stamp = Some(stamp);
                self.read()
            }
            Err(error) => {
                self.stamp = None;
                Err(error.to_string())
            }
        };
        // An empty file counts when it is still empty at the next poll.
        let empty = read.as_ref().is_ok_and(Vec::is_empty) && !self.peers.is_empty();
        if empty && !std::mem::replace(&mut self.emptied, empty) {
            self.stamp = None;
            return false;
        }
        self.emptied = false;
        let before = (self.peers.clone(), self.error.take());
        match read {
            Ok(peers) => self.peers = peers,
            Err(why) => self.error = Some(format!("{}: {why}", self.path)),
        }
        before != (self.peers.clone(), self.error.clone())
    }

    fn read(&self) -> Result<Vec<IpAddr>, String> {
        let text =
            read::text(Path::new(&self.path), Symlinks::Follow, LONGEST).map_err(|why| why.to_string())?;
        peers_of(&text).map_err(|line| format!("line {line} is not an address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_good_stays_until_something_better_comes() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("peers");
        let mut file = PeersFile::new(path.to_str().unwrap());
        let mut now = Instant::now();
        let mut poll = |file: &mut PeersFile| {
            now += EVERY;
            (file.poll(now), file.poll(now))
        };
        assert_eq!(poll(&mut file), (true, false));
        assert!(file.error().is_some_and(|why| why.contains("No such file")));
        fs::write(&path, "192.0.2.1\n").unwrap();
        assert_eq!(poll(&mut file), (true, false));
        assert_eq!((file.peers().len(), file.error()), (1, None));
        assert_eq!(poll(&mut file), (false, false));
        fs::write(&path, "192.0.2.1\nnode-2.example\n").unwrap();
        assert_eq!(poll(&mut file), (true, false));
        assert_eq!(file.peers().len(), 1);
        assert!(
            file.error()
                .is_some_and(|why| why.ends_with("line 2 is not an address"))
        );
        // A ConfigMap replaces the file.
        fs::write(place.path().join("new"), "192.0.2.1\n192.0.2.2\n").unwrap();
        fs::rename(place.path().join("new"), &path).unwrap();
        assert_eq!(poll(&mut file), (true, false));
        assert_eq!((file.peers().len(), file.error()), (2, None));
        // An in-place writer truncates the file first.
        fs::write(&path, "").unwrap();
        assert_eq!(poll(&mut file), (false, false));
        fs::write(&path, "\u{feff}192.0.2.3\r\n").unwrap();
        assert_eq!(poll(&mut file), (true, false));
        assert_eq!(file.peers(), ["192.0.2.3".parse::<IpAddr>().unwrap()]);
        fs::write(&path, "# nobody\n").unwrap();
        assert_eq!(poll(&mut file), (false, false));
        assert_eq!(poll(&mut file), (true, false));
        assert_eq!((file.peers().len(), file.error()), (0, None));
        // A pipe does not block.
        fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(poll(&mut file), (true, false));
        assert!(
            file.error()
                .is_some_and(|why| why.ends_with("it is not a regular file"))
        );
    }
}
