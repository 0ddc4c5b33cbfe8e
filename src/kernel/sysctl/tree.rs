//! Sysctls through /proc/sys. The files below net/ are those of the calling thread's namespace, at
//! the moment of each opening (`proc_sys_lookup`, fs/proc/proc_sysctl.c).

use std::fs::File;
use std::io;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::Mode;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::sys::statvfs::{FsFlags, fstatvfs};

use crate::netlink::refusal::error;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::maybe_secret::MaybeSecret;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_host::snapshot::reading::SysctlReading;

/// Where sysctls are.
const ROOT: &str = "/proc/sys";

/// Where each interface has its IPv4 settings.
const CONF: &str = "net/ipv4/conf";

/// Longest value that is read, bytes; `ip_local_reserved_ports` can have 64 KiB.
const LONGEST: usize = 1024 * 1024;

/// /proc/sys, held open.
pub struct Tree {
    root: OwnedFd,
    /// [`CONF`], held open once a key below it was asked for: of ten thousand interfaces each has
    /// one, and the way there is most of what opening one costs. It stays that of the namespace in
    /// which it was opened, which the thread does not leave.
    conf: Option<OwnedFd>,
    buffer: Vec<u8>,
}

impl Tree {
    /// Opens /proc/sys and makes sure that it is the kernel's.
    pub fn open() -> Result<Self, Error> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let root = open(ROOT, flags, Mode::empty()).map_err(|errno| error(errno).context(ROOT))?;
        let file_system = fstatfs(&root).map_err(|errno| error(errno).context(ROOT))?;
        if file_system.filesystem_type() != PROC_SUPER_MAGIC {
            let message = format!("{ROOT} is not the kernel's: something else is mounted there");
            return Err(Error::new(ErrorKind::Unreadable, message));
        }
        Ok(Tree {
            root,
            conf: None,
            buffer: vec![0; 4096],
        })
    }

    /// Reads a sysctl.
    pub fn read(&mut self, key: &SysctlKey) -> Result<SysctlReading, Error> {
        let file = match self.file(key, OFlag::O_RDONLY) {
            Ok(file) => file,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(SysctlReading::Absent),
            Err(Errno::EACCES) if self.is_write_only(key) => {
                let message = "it can be written and not read: it is a command to the kernel and no setting, so that nothing could be kept";
                return Err(Error::new(ErrorKind::Unreadable, message));
            }
            Err(errno) => return Err(error(errno)),
        };
        let metadata = file.metadata().map_err(error)?;
        if metadata.is_dir() {
            return Ok(SysctlReading::Absent);
        }
        let value = match self.value(&file) {
            Ok(value) => value,
            // The interface was deleted between the two calls.
            Err(cause) if cause.raw_os_error() == Some(libc::ENOENT) => return Ok(SysctlReading::Absent),
            Err(cause) => return Err(error(cause)),
        };
        let text = std::str::from_utf8(value)
            .map_err(|_| Error::new(ErrorKind::Unreadable, "its value is not UTF-8 text"))?;
        Ok(SysctlReading::Value {
            // A file that not everybody may read has a value that not everybody may see.
            value: MaybeSecret::from(fold(text)).secret_if(metadata.mode() & 0o004 == 0),
            writable: metadata.mode() & 0o222 != 0 && !is_read_only(&file)?,
        })
    }

    /// Nobody may read it, be it root: net.ipv4.route.flush.
    fn is_write_only(&mut self, key: &SysctlKey) -> bool {
        let file = self.file(key, OFlag::O_PATH).ok();
        let metadata = file.and_then(|file| file.metadata().ok());
        metadata.is_some_and(|metadata| metadata.mode() & 0o444 == 0)
    }

    /// Reads a value in one call. A value that fills the buffer may be longer, and is read again into a larger
    /// one: many sysctls give nothing to a second read (`proc_dointvec`, kernel/sysctl.c).
    fn value(&mut self, file: &File) -> io::Result<&[u8]> {
        loop {
            match file.read_at(&mut self.buffer, 0) {
                Ok(length) if length < self.buffer.len() => {
                    return Ok(self.buffer.get(..length).unwrap_or_default());
                }
                Ok(_) if self.buffer.len() >= LONGEST => return Err(Errno::EFBIG.into()),
                Ok(length) => self.buffer.resize(length * 2, 0),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
    }

    /// Opens a sysctl for a write; see [`Opened`].
    pub(crate) fn open_for_write(&mut self, key: &SysctlKey) -> Result<Opened, Error> {
        let opened = match self.file(key, OFlag::O_RDWR) {
            // One that can only be written.
            Err(Errno::EACCES) => self.file(key, OFlag::O_WRONLY),
            opened => opened,
        };
        match opened {
            Ok(file) => Ok(Opened(file)),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Err(Error::new(
                ErrorKind::Missing,
                format!("there is no sysctl {key} in this namespace"),
            )),
            // Even root gets this where the mode has no write bit: `net.core.rmem_max` outside of
            // the initial namespace.
            Err(Errno::EACCES) => {
                Err(error(Errno::EACCES).hint(format!("{key} can only be read in this namespace")))
            }
            Err(errno) => Err(error(errno)),
        }
    }

    /// Opens a key's file.
    fn file(&mut self, key: &SysctlKey, access: OFlag) -> Result<File, Errno> {
        let whole = key.bytes();
        let below_conf = whole.strip_prefix(CONF.as_bytes());
        let Some(path) = below_conf.and_then(|rest| rest.strip_prefix(b"/")) else {
            return beneath(&self.root, &whole, access).map(File::from);
        };
        let conf = match self.conf.take() {
            Some(conf) => conf,
            None => beneath(&self.root, CONF.as_bytes(), OFlag::O_PATH | OFlag::O_DIRECTORY)?,
        };
        beneath(self.conf.insert(conf), path, access).map(File::from)
    }
}

/// Whether the file lies on a mount that is read-only: container runtimes mount /proc/sys so, or parts
/// of it.
fn is_read_only(file: &File) -> Result<bool, Error> {
    let mount = fstatvfs(file).map_err(error)?;
    Ok(mount.flags().contains(FsFlags::ST_RDONLY))
}

/// Opens a path below a directory of /proc/sys, wherever the name of an interface in it may point:
/// nothing outside is reached, and no symbolic link is followed.
fn beneath(directory: &OwnedFd, path: &[u8], access: OFlag) -> Result<OwnedFd, Errno> {
    let flags = access | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let how = OpenHow::new()
        .flags(flags)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    match openat2(directory, path, how) {
        // Before Linux 5.6, and below seccomp filters that do not know it. A key has no `..`,
        // and /proc/sys has no symbolic links.
        Err(Errno::ENOSYS | Errno::EPERM) => openat(directory, path, flags, Mode::empty()),
        opened => opened,
    }
}

/// A sysctl open for one write. The kernel forgets the file of an interface that is renamed or
/// deleted: between opening and writing there is time to see that the name still means the
/// interface it should, and a change after that makes the write fail.
pub struct Opened(File);

impl Opened {
    /// Writes the value, in one call: a second one would start over.
    ///
    /// Before Linux 6.12, a write of `net.ipv6.conf.*.ignore_routes_with_linkdown` succeeds and says that it took one
    /// byte (`addrconf_sysctl_ignore_routes_with_linkdown`, net/ipv6/addrconf.c). The value that the file has then decides.
    pub fn write(mut self, value: &str) -> Result<(), Error> {
        let line = [value, "\n"].concat();
        loop {
            return match self.0.write(line.as_bytes()) {
                Ok(written) if written == line.len() || self.holds(value) => Ok(()),
                Ok(written) => Err(Error::new(
                    ErrorKind::Refused,
                    format!(
                        "the kernel took {written} of the {} bytes of `{value}`",
                        line.len()
                    ),
                )),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
                Err(cause) if cause.raw_os_error() == Some(libc::EINVAL) => {
                    Err(error(cause).hint(format!("the kernel does not take `{value}` here")))
                }
                Err(cause) => Err(error(cause)),
            };
        }
    }

    /// Whether the file has this value now.
    fn holds(&self, value: &str) -> bool {
        // A longer value is another one.
        let mut buffer = vec![0; value.len() + 64];
        let read = self.0.read_at(&mut buffer, 0).ok();
        let text = read.and_then(|length| std::str::from_utf8(buffer.get(..length)?).ok());
        text.is_some_and(|text| fold(text) == fold(value))
    }
}

/// Folds blanks and tabs to single blanks: `tcp_rmem` reads back with tabs.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_ascii_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &'static str) -> SysctlReading {
        let mut tree = Tree::open().unwrap();
        tree.read(&SysctlKey::known(path)).unwrap()
    }

    #[test]
    fn reads_values_as_words() {
        assert_eq!(fold("4096\t131072\t6291456\n"), "4096 131072 6291456");
        let SysctlReading::Value { value, .. } = read("kernel/ostype") else {
            panic!("kernel.ostype is absent");
        };
        assert_eq!(&*value, "Linux");
    }

    #[test]
    fn a_value_longer_than_the_buffer_is_read_whole() {
        let key = SysctlKey::known("kernel/ostype");
        for room in 1..8 {
            let mut tree = Tree::open().unwrap();
            tree.buffer.truncate(room);
            assert_eq!(tree.read(&key).unwrap(), read("kernel/ostype"));
        }
    }

    #[test]
    fn what_is_not_there_is_absent() {
        assert_eq!(
            read("net/ipv4/conf/no-such-link/rp_filter"),
            SysctlReading::Absent
        );
        assert_eq!(read("kernel/ostype/below-a-file"), SysctlReading::Absent);
        assert_eq!(read("kernel"), SysctlReading::Absent);
        let error = Tree::open()
            .unwrap()
            .open_for_write(&SysctlKey::known("net/no_such_key"))
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Missing);
    }

    #[test]
    fn what_lies_on_a_read_only_mount_cannot_be_written() {
        use nix::mount::{MsFlags, mount};
        use nix::sched::{CloneFlags, unshare};
        let writable = || {
            let reading = read("net/ipv4/ip_forward");
            matches!(reading, SysctlReading::Value { writable: true, .. })
        };
        assert!(writable());
        // A mount namespace of this thread alone.
        let after = std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            let set = |from: Option<&str>, to: &str, flags| {
                mount(from, to, None::<&str>, flags, None::<&str>).unwrap();
            };
            set(None, "/", MsFlags::MS_REC | MsFlags::MS_PRIVATE);
            set(Some(ROOT), ROOT, MsFlags::MS_BIND);
            set(
                None,
                ROOT,
                MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY,
            );
            writable()
        });
        assert!(!after.join().unwrap());
        assert!(writable());
    }
}
