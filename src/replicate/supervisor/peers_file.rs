//! A file of peers that is read again when it has changed. It is looked at once a second rather than
//! watched: a ConfigMap changes by a symbolic link two directories up, which no watch on the file
//! shows.

use std::fs::{File, Metadata};
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::time::{Duration, Instant};
use std::{fs, io};

use crate::worker::peers_of::peers_of;

/// So often.
const EVERY: Duration = Duration::from_secs(1);

/// Longest file in bytes that is read.
const LONGEST: u64 = 4 << 20;

/// What tells one content from another without reading it: device and inode, size, and when it was
/// changed, in seconds and nanoseconds.
pub type Stamp = (u64, u64, u64, i64, i64);

/// The file.
#[derive(Debug)]
pub struct PeersFile {
    path: String,
    stamp: Option<Stamp>,
    looked: Option<Instant>,
    /// What was read last and made sense.
    peers: Vec<IpAddr>,
    /// It was empty when it was looked at last: whoever writes it may be at it.
    emptied: bool,
    /// Why what is there now cannot be used.
    trouble: Option<String>,
}

impl PeersFile {
    /// Names a file; it is read when it is looked at.
    pub fn new(path: &str) -> Self {
        PeersFile {
            path: path.to_owned(),
            stamp: None,
            looked: None,
            peers: Vec::new(),
            emptied: false,
            trouble: None,
        }
    }

    /// Its name.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The peers: what was good last, when the file is not.
    pub fn peers(&self) -> &[IpAddr] {
        &self.peers
    }

    /// Why the file cannot be used.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// When to look next.
    pub fn due(&self) -> Instant {
        self.looked.map_or_else(Instant::now, |looked| looked + EVERY)
    }

    /// Looks, when it is time, and says whether peers or trouble are others than before.
    pub fn look(&mut self, now: Instant) -> bool {
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
                self.read(&found)
            }
            Err(error) => {
                self.stamp = None;
                Err(error.to_string())
            }
        };
        // An empty one counts when it is still empty the next time.
        let empty = read.as_ref().is_ok_and(Vec::is_empty) && !self.peers.is_empty();
        if empty && !std::mem::replace(&mut self.emptied, empty) {
            self.stamp = None;
            return false;
        }
        self.emptied = false;
        let before = (self.peers.clone(), self.trouble.take());
        match read {
            Ok(peers) => self.peers = peers,
            Err(why) => self.trouble = Some(format!("{}: {why}", self.path)),
        }
        before != (self.peers.clone(), self.trouble.clone())
    }

    fn read(&self, found: &Metadata) -> Result<Vec<IpAddr>, String> {
        let told = |error: io::Error| error.to_string();
        let check = |found: &Metadata| match found.len() {
            // Whoever opens a pipe waits for its writer, and what a device gives has no end.
            _ if !found.is_file() => Err("it is no regular file".to_owned()),
            length if length > LONGEST => Err(format!("{length} bytes are too many for a list of peers")),
            _ => Ok(()),
        };
        check(found)?;
        let mut options = File::options();
        let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(&self.path);
        let file = file.map_err(told)?;
        // Something else may have taken its name meanwhile.
        check(&file.metadata().map_err(told)?)?;
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text).map_err(told)?;
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
        let mut look = |file: &mut PeersFile| {
            now += EVERY;
            (file.look(now), file.look(now))
        };
        assert_eq!(look(&mut file), (true, false));
        assert!(file.trouble().is_some_and(|why| why.contains("No such file")));
        fs::write(&path, "192.0.2.1\n").unwrap();
        assert_eq!(look(&mut file), (true, false));
        assert_eq!((file.peers().len(), file.trouble()), (1, None));
        assert_eq!(look(&mut file), (false, false));
        fs::write(&path, "192.0.2.1\nnode-2.example\n").unwrap();
        assert_eq!(look(&mut file), (true, false));
        assert_eq!(file.peers().len(), 1);
        assert!(
            file.trouble()
                .is_some_and(|why| why.ends_with("line 2 is not an address"))
        );
        // As a ConfigMap does it: another file takes the name.
        fs::write(place.path().join("new"), "192.0.2.1\n192.0.2.2\n").unwrap();
        fs::rename(place.path().join("new"), &path).unwrap();
        assert_eq!(look(&mut file), (true, false));
        assert_eq!((file.peers().len(), file.trouble()), (2, None));
        // Whoever writes it in place empties it first.
        fs::write(&path, "").unwrap();
        assert_eq!(look(&mut file), (false, false));
        fs::write(&path, "\u{feff}192.0.2.3\r\n").unwrap();
        assert_eq!(look(&mut file), (true, false));
        assert_eq!(file.peers(), ["192.0.2.3".parse::<IpAddr>().unwrap()]);
        fs::write(&path, "# nobody\n").unwrap();
        assert_eq!(look(&mut file), (false, false));
        assert_eq!(look(&mut file), (true, false));
        assert_eq!((file.peers().len(), file.trouble()), (0, None));
        // Nobody waits for a pipe.
        fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(look(&mut file), (true, false));
        assert!(
            file.trouble()
                .is_some_and(|why| why.ends_with("it is no regular file"))
        );
    }
}
