//! The files of a host, or of an image of one that is mounted somewhere: symbolic links lead to
//! what they would lead to if that directory were the root.

use std::fs;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

use crate::files::cni::directories as cni_directories;
use crate::files::read;
use crate::netlink::refusal::error;
use netkeel_core::error::Error;
use netkeel_core::fact::Fact;
use netkeel_core::maybe_secret::MASK;
use netkeel_core::name::sysctl::SECRETS;
use netkeel_host::cni::state::Cni;
use netkeel_host::cni::{conflist, runtime};
use netkeel_host::evidence::Evidence;
use netkeel_host::snapshot::problem::{Problem, Subject};
use netkeel_host::snapshot::reading::{SysctlD, UfwFile};
use netkeel_host::sysctl_d::file::{Content, Files, UDEV_RULES};
use netkeel_host::sysctl_d::order::DIRECTORIES;
use netkeel_host::sysctl_d::{file, ufw};

/// Most retries of a lookup of `..` that a rename elsewhere disturbed.
const RETRIES: usize = 64;

/// The root directory, held open.
pub struct Root {
    root: OwnedFd,
    path: PathBuf,
    /// The files that could not be read.
    pub problems: Vec<Problem>,
}

impl Root {
    /// Opens the root directory.
    ///
    /// # Errors
    /// When it is not there, is no directory, or may not be opened.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let refused = |error: Error| error.context(root.display());
        let fd = open(root, flags, Mode::empty()).map_err(|errno| refused(error(errno)))?;
        Ok(Root {
            path: fs::canonicalize(root).map_err(|cause| refused(error(cause)))?,
            root: fd,
            problems: Vec::new(),
        })
    }

    /// The files of sysctl.d and /etc/sysctl.conf.
    pub fn sysctl_d(&mut self) -> Files {
        let mut files = Files::default();
        let mut seen = Vec::new();
        for (position, directory) in DIRECTORIES.iter().enumerate() {
            for name in self.list(directory, &mut seen) {
                files.dropins.extend(
                    name.ends_with(".conf")
                        .then(|| self.file(&format!("{directory}/{name}"), position, name))
                        .flatten(),
                );
            }
        }
        files.sysctl_conf = self.file("/etc/sysctl.conf", 0, "sysctl.conf".to_owned());
        files
    }

    /// The CNI configurations in the directories of the runtimes that netkeel knows.
    pub fn cni(&mut self) -> Cni {
        let mut cni = Cni::empty();
        let mut seen = Vec::new();
        for directory in cni_directories() {
            for name in self.list(directory, &mut seen) {
                let path = PathBuf::from(format!("{directory}/{name}"));
                if !runtime::is_configuration(&path) {
                    continue;
                }
                let Some(file) = self.file(&path.to_string_lossy(), 0, name) else {
                    continue;
                };
                // A file that cannot be read is a problem already.
                if let Content::Text(text) = file.content {
                    cni.files
                        .insert(path.clone(), Some(conflist::read_file(&path, &text)));
                }
            }
        }
        cni
    }

    /// The same as data of the host: whoever sees a snapshot needs no secrets. Keys of secrets stay,
    /// and so do the numbers of lines.
    pub(crate) fn sysctl_d_to_show(&mut self) -> SysctlD {
        let mut files = self.sysctl_d();
        for file in files.dropins.iter_mut().chain(&mut files.sysctl_conf) {
            if let Content::Text(text) = &mut file.content
                && SECRETS.iter().any(|secret| text.contains(secret))
            {
                *text = text.split_inclusive('\n').map(without_secret).collect();
            }
        }
        SysctlD {
            files,
            ufw: self.ufw(),
            udev: UDEV_RULES.iter().any(|path| self.at(path, OFlag::O_PATH).is_ok()),
        }
    }

    /// The sysctl file that ufw applies when it starts. A file that cannot be read is a problem.
    fn ufw(&mut self) -> Option<UfwFile> {
        let mut text = |path: &str| match self.file(path, 0, String::new())?.content {
            Content::Text(text) => Some(text),
            Content::Null | Content::Unreadable(_) => None,
        };
        let path = ufw::file(&text(ufw::SWITCH)?, &text(ufw::DEFAULTS)?)?;
        let text = text(&path)?;
        let text = text.split_inclusive('\n').map(without_secret).collect();
        Some(UfwFile { path, text })
    }

    /// The paths that exist, with the text of those that are marked `true`.
    pub fn evidence(&mut self, watched: &[(&str, bool)]) -> Evidence {
        let mut evidence = Evidence::default();
        let mut seen = Vec::new();
        for (path, text) in watched {
            let found = self.at(path, OFlag::O_PATH).ok();
            let Some(metadata) = found.and_then(|file| file.metadata().ok()) else {
                continue;
            };
            // One file by two names is one trace.
            let id = (metadata.dev(), metadata.ino());
            if seen.contains(&id) {
                continue;
            }
            seen.push(id);
            evidence.paths.insert((*path).to_owned());
            if *text
                && let Some(file) = self.file(path, 0, String::new())
                && let Content::Text(text) = file.content
            {
                evidence.texts.insert((*path).to_owned(), text);
            }
        }
        evidence
    }

    /// The names in a directory, unless it was listed under another name already.
    fn list(&mut self, directory: &str, seen: &mut Vec<(u64, u64)>) -> Vec<String> {
        let listed = self
            .at(directory, OFlag::O_RDONLY | OFlag::O_DIRECTORY)
            .map_err(error)
            .and_then(|file| {
                let metadata = file.metadata().map_err(error)?;
                let id = (metadata.dev(), metadata.ino());
                if seen.contains(&id) {
                    return Ok(Vec::new());
                }
                seen.push(id);
                let entries = fs::read_dir(fd_path(&file)).map_err(error)?;
                let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
                let names: Result<Vec<String>, _> = entries.map(|entry| entry.map(name)).collect();
                names.map_err(error)
            });
        match listed {
            Ok(mut names) => {
                names.sort();
                names
            }
            Err(refused) if refused.kind == netkeel_core::error::ErrorKind::Missing => Vec::new(),
            Err(refused) => {
                self.problem(directory, refused.message);
                Vec::new()
            }
        }
    }

    /// A file as it is found; none when there is not even a symbolic link of that name.
    fn file(&mut self, path: &str, directory: usize, name: String) -> Option<file::File> {
        let found = |target: &str, content| {
            Some(file::File {
                directory,
                name: name.clone(),
                target: target.to_owned(),
                content,
            })
        };
        let link = self.link(path);
        if link.as_deref() == Some(Path::new("/dev/null")) {
            return found("/dev/null", Content::Null);
        }
        let mut file = match self.at(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK) {
            Ok(file) => file,
            Err(Errno::ENOENT | Errno::ELOOP) => {
                let leads_nowhere =
                    Content::Unreadable("it is a symbolic link that leads to nothing".to_owned());
                return link.and_then(|_| found(path, leads_nowhere));
            }
            Err(errno) => {
                let why = error(errno).message;
                self.problem(path, why.clone());
                return found(path, Content::Unreadable(why));
            }
        };
        let target = fs::read_link(fd_path(&file)).ok();
        let target = target.and_then(|target| {
            let below = target.strip_prefix(&self.path).ok()?;
            Some(Path::new("/").join(below).to_string_lossy().into_owned())
        });
        let content = match text(&mut file) {
            Ok(content) => content,
            Err(refused) => {
                self.problem(path, refused.message.clone());
                Content::Unreadable(refused.message)
            }
        };
        found(target.as_deref().unwrap_or(path), content)
    }

    /// Where a symbolic link leads, if it is one.
    fn link(&self, path: &str) -> Option<PathBuf> {
        let (directory, name) = path.rsplit_once('/')?;
        let directory = self.at(directory, OFlag::O_PATH | OFlag::O_DIRECTORY).ok()?;
        fs::read_link(fd_path(&directory).join(name)).ok()
    }

    fn at(&self, path: &str, flags: OFlag) -> Result<File, Errno> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let mut opened = openat2(&self.root, path, how);
        // A rename or mount anywhere on the host at the same time (path_resolution in openat2(2)).
        for _ in 0..RETRIES {
            if !matches!(opened, Err(Errno::EAGAIN)) {
                break;
            }
            opened = openat2(&self.root, path, how);
        }
        match opened {
            // Before Linux 5.6, and below seccomp filters that do not know it: links lead to where
            // they lead for this process.
            Err(Errno::ENOSYS | Errno::EPERM) => {
                let path = self.path.join(path.trim_start_matches('/'));
                open(&path, flags | OFlag::O_CLOEXEC, Mode::empty())
            }
            opened => opened,
        }
        .map(File::from)
    }

    fn problem(&mut self, path: &str, why: String) {
        self.problems.push(Problem {
            what: Subject::Fact(Fact::file(Path::new(path))),
            why,
        });
    }
}

/// A line without the value that it gives to a secret.
fn without_secret(line: &str) -> String {
    match line.split_once('=') {
        Some((key, value)) if SECRETS.iter().any(|secret| key.contains(secret)) => {
            let end = if value.ends_with('\n') { "\n" } else { "" };
            format!("{key}= {MASK}{end}")
        }
        _ => line.to_owned(),
    }
}

/// The content of a file. Both programs read nothing from a file that is not regular: a directory fails
/// at the first read, a character device is /dev/null.
fn text(file: &mut File) -> Result<Content, Error> {
    let metadata = file.metadata().map_err(error)?;
    if metadata.file_type().is_char_device() {
        return Ok(Content::Null);
    }
    if !metadata.is_file() {
        return Ok(Content::Unreadable("it is not a regular file".to_owned()));
    }
    let bytes = read::rest(file, read::LONGEST)?;
    Ok(Content::Text(String::from_utf8_lossy(&bytes).into_owned()))
}

fn fd_path(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_lead_within_the_root() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path.trim_start_matches('/'));
        for directory in ["/etc/sysctl.d", "/usr/lib/sysctl.d"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        symlink("usr/lib", at("/lib")).unwrap();
        fs::write(at("/etc/sysctl.conf"), "a.b = 1\n").unwrap();
        symlink("/etc/sysctl.conf", at("/etc/sysctl.d/99-sysctl.conf")).unwrap();
        symlink("/dev/null", at("/etc/sysctl.d/50-default.conf")).unwrap();
        symlink("/nowhere", at("/etc/sysctl.d/51-gone.conf")).unwrap();
        fs::create_dir(at("/etc/sysctl.d/52-directory.conf")).unwrap();
        fs::write(at("/usr/lib/sysctl.d/50-default.conf"), b"a.b = \xff\n").unwrap();
        fs::write(at("/usr/lib/sysctl.d/README"), "").unwrap();
        let mut host = Root::open(root.path()).unwrap();
        let files = host.sysctl_d();
        let shown: Vec<String> = files
            .dropins
            .iter()
            .chain(&files.sysctl_conf)
            .map(|file| {
                format!(
                    "{} {} {} {:?}",
                    file.directory, file.name, file.target, file.content
                )
            })
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        0 50-default.conf /dev/null Null
        0 51-gone.conf /etc/sysctl.d/51-gone.conf Unreadable("it is a symbolic link that leads to nothing")
        0 52-directory.conf /etc/sysctl.d/52-directory.conf Unreadable("it is not a regular file")
        0 99-sysctl.conf /etc/sysctl.conf Text("a.b = 1\n")
        3 50-default.conf /usr/lib/sysctl.d/50-default.conf Text("a.b = �\n")
        0 sysctl.conf /etc/sysctl.conf Text("a.b = 1\n")
        "#);
        fs::write(
            at("/etc/sysctl.conf"),
            "a.b = 1\nnet.ipv6.conf.all.stable_secret = 2001:db8::1\nc.d = 2",
        )
        .unwrap();
        let shown = host.sysctl_d_to_show().files.sysctl_conf.map(|file| file.content);
        let text = "a.b = 1\nnet.ipv6.conf.all.stable_secret = (secret)\nc.d = 2";
        assert_eq!(shown, Some(Content::Text(text.to_owned())));
        assert_eq!(host.problems, []);
        let watched = [
            ("/lib/sysctl.d/README", false),
            ("/etc/sysctl.conf", true),
            ("/gone", true),
        ];
        let evidence = host.evidence(&watched);
        let paths: Vec<&str> = evidence.paths.iter().map(String::as_str).collect();
        assert_eq!(paths, ["/etc/sysctl.conf", "/lib/sysctl.d/README"]);
        let texts: Vec<&str> = evidence.texts.keys().map(String::as_str).collect();
        assert_eq!(texts, ["/etc/sysctl.conf"]);
    }
}
