//! Reads a document of a review: a file, a directory, or a path in a commit of git.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use crate::load::directory::{documents_in, is_a_documents};
use crate::load::file::{io_error, read_file};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::text::escape::one_line;

/// A file with its name for messages.
pub(crate) type Text = (String, Vec<u8>);

/// A place of documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file or a directory.
    Path(PathBuf),
    /// A file or a directory in a commit.
    Git {
        /// The commit, as git names it.
        revision: String,
        /// The path from the top of the repository; with `./` from the working directory.
        path: String,
    },
}

impl FromStr for Place {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let Some(rest) = text.strip_prefix("git:") else {
            return Ok(Place::Path(text.into()));
        };
        match rest.split_once(':') {
            // git would take a revision that begins with `-` for an option.
            Some((revision, path)) if !revision.is_empty() && !revision.starts_with('-') => Ok(Place::Git {
                revision: revision.to_owned(),
                path: path.to_owned(),
            }),
            _ => Err(Error::new(ErrorKind::Input, "expected git:REVISION:PATH")),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Path(path) => path.display().fmt(f),
            Place::Git { revision, path } => write!(f, "{revision}:{path}"),
        }
    }
}

impl Place {
    /// The documents: the file, or those of the directory, sorted by name.
    ///
    /// # Errors
    /// When no document exists, or one cannot be read.
    pub(crate) fn documents(&self) -> Result<Vec<Text>, Error> {
        match self {
            Place::Path(path) if path.is_dir() => {
                documents_in(&[path])?.iter().map(|path| file(path)).collect()
            }
            Place::Path(path) => Ok(vec![file(path)?]),
            Place::Git { revision, path } => git_documents(revision, path),
        }
    }

    /// The names in a directory below this one, sorted, each with whether it is a directory; none if there is no such
    /// directory.
    ///
    /// # Errors
    /// When the place is not a directory, or a directory cannot be read.
    pub(crate) fn names(&self, directory: &str) -> Result<Vec<(String, bool)>, Error> {
        let mut names: Vec<(String, bool)> = match self {
            Place::Path(path) if !path.is_dir() => return Err(not_a_directory(self)),
            Place::Path(path) => {
                let path = path.join(directory);
                let failed = |error: std::io::Error| io_error(&error).context(path.display());
                let entries = match std::fs::read_dir(&path) {
                    Ok(entries) => entries,
                    // A link that leads nowhere is not known to hold nothing.
                    Err(error) if is_none(&error) && !path.is_symlink() => return Ok(Vec::new()),
                    Err(error) => return Err(failed(error)),
                };
                let mut names = Vec::new();
                for entry in entries {
                    let entry = entry.map_err(failed)?;
                    let name = entry.file_name().to_string_lossy().into_owned();
                    names.push((name, entry.path().is_dir()));
                }
                names
            }
            Place::Git { revision, path } => {
                let top = Object::at(revision, path)?.filter(|object| object.kind == Kind::Tree);
                let top = top.ok_or_else(|| not_a_directory(self))?;
                match top.below(directory)? {
                    Some(tree) if tree.kind == Kind::Tree => {
                        let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
                        let list = tree.list()?.into_iter();
                        list.map(|(bytes, object)| (name(&bytes), object.kind == Kind::Tree))
                            .collect()
                    }
                    None | Some(Object { kind: Kind::File, .. }) => Vec::new(),
                    Some(other) => return Err(other.not_followed(directory.as_bytes())),
                }
            }
        };
        names.sort();
        Ok(names)
    }

    /// A file below the directory; `None` if it does not exist.
    ///
    /// # Errors
    /// When the place is not a directory, or the file cannot be read.
    pub(crate) fn layer(&self, name: &str) -> Result<Option<Text>, Error> {
        match self {
            Place::Path(path) if !path.is_dir() => Err(not_a_directory(self)),
            Place::Path(path) => {
                let path = path.join(name);
                match path.symlink_metadata() {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                    _ => file(&path).map(Some),
                }
            }
            Place::Git { revision, path } => {
                let tree = match Object::at(revision, path)? {
                    Some(object) if object.kind == Kind::Tree => object,
                    Some(_) | None => return Err(not_a_directory(self)),
                };
                let path = below(path, name);
                match tree.below(name)? {
                    None => Ok(None),
                    Some(object) => object.text(format!("{revision}:{path}")).map(Some),
                }
            }
        }
    }
}

/// Whether there is no such directory.
fn is_none(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
    )
}

fn not_a_directory(place: &Place) -> Error {
    Error::new(ErrorKind::Input, format!("{place} is not a directory"))
        .hint("layers of an inventory are files below OLD and NEW")
}

fn file(path: &Path) -> Result<Text, Error> {
    Ok((path.display().to_string(), read_file(path)?))
}

/// A path below a directory of a commit. The top of the repository is an empty path.
fn below(directory: &str, name: &str) -> String {
    match directory.trim_end_matches('/') {
        "" => name.to_owned(),
        directory => format!("{directory}/{name}"),
    }
}

fn git_documents(revision: &str, path: &str) -> Result<Vec<Text>, Error> {
    let name = format!("{revision}:{path}");
    let Some(object) = Object::at(revision, path)? else {
        return Err(Error::new(ErrorKind::Missing, format!("git has no {name}"))
            .hint("name a commit, a branch or a tag, and a path from the top of the repository"));
    };
    if object.kind != Kind::Tree {
        return Ok(vec![object.text(name)?]);
    }
    let mut documents = Vec::new();
    for (file, object) in object.list()? {
        let file = Path::new(OsStr::from_bytes(&file));
        if is_a_documents(file.as_os_str()) && !matches!(object.kind, Kind::Tree | Kind::Submodule) {
            let name = format!("{revision}:{}", below(path, &file.display().to_string()));
            documents.push(object.text(name)?);
        }
    }
    match documents.is_empty() {
        true => Err(Error::new(ErrorKind::Input, format!("{name} has no documents"))),
        false => Ok(documents),
    }
}

/// The kind of an entry of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Link,
    Tree,
    Submodule,
}

impl Kind {
    /// The kind of a mode (gitformat-index(5)).
    fn of(mode: &[u8]) -> Option<Self> {
        match mode {
            b"100644" | b"100755" | b"100664" => Some(Kind::File),
            b"120000" => Some(Kind::Link),
            b"040000" => Some(Kind::Tree),
            b"160000" => Some(Kind::Submodule),
            _ => None,
        }
    }
}

/// An object of a commit, as the tree above it has it. It exists even if the repository lacks its content, as a
/// partial clone does.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Object {
    kind: Kind,
    /// The name of the object: its hash, or `COMMIT:` for the top of a commit.
    id: String,
}

impl Object {
    /// The object at a path of a commit; `None` if the commit has no such path.
    ///
    /// # Errors
    /// When there is no such commit, or a tree cannot be read.
    fn at(revision: &str, path: &str) -> Result<Option<Self>, Error> {
        let commit = git(&[
            "rev-parse",
            "--verify",
            "--quiet",
            &format!("{revision}^{{commit}}"),
        ])
        .map_err(|error| match error.kind {
            ErrorKind::Missing => Error::new(ErrorKind::Missing, format!("git knows no commit {revision}"))
                .hint("name a commit, a branch or a tag of this repository; `git branch -a` and `git tag` list them"),
            _ => error.context(format!("git knows no commit {revision}")),
        })?;
        let top = Object {
            kind: Kind::Tree,
            id: format!("{}:", text(commit)?.trim_end()),
        };
        let path = match path.starts_with("./") || path.starts_with("../") || matches!(path, "." | "..") {
            false => path.to_owned(),
            // As in `git show REVISION:./PATH`.
            true => {
                let here = text(git(&["rev-parse", "--show-prefix"])?)?;
                format!("{}/{path}", here.trim_end_matches('\n'))
            }
        };
        top.below(&path)
    }

    /// The object at a path below a tree; `None` if it does not exist.
    fn below(&self, path: &str) -> Result<Option<Self>, Error> {
        let mut parents: Vec<Object> = vec![self.clone()];
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parents.pop();
                }
                name => {
                    match parents.last() {
                        Some(Object { kind: Kind::Tree, .. }) => {}
                        Some(other) if other.kind != Kind::File => {
                            return Err(other.not_followed(path.as_bytes()));
                        }
                        Some(_) | None => return Ok(None),
                    }
                    let entries = parents.last().map(Object::list).transpose()?.unwrap_or_default();
                    let found = entries.into_iter().find(|(entry, _)| entry == name.as_bytes());
                    let Some((_, object)) = found else {
                        return Ok(None);
                    };
                    parents.push(object);
                }
            }
        }
        Ok(parents.pop())
    }

    /// The error for a link or a submodule that would have to be followed to read a path.
    fn not_followed(&self, path: &[u8]) -> Error {
        let what = match self.kind {
            Kind::Submodule => "a submodule",
            Kind::Link | Kind::File | Kind::Tree => "a symbolic link",
        };
        let path = one_line(&String::from_utf8_lossy(path));
        Error::new(
            ErrorKind::Input,
            format!("{path} leads through {what} in the commit"),
        )
        .hint("a review of a commit does not follow it: check the commit out, and name the directory")
    }

    /// The entries of a tree with their names. The content of files is not read.
    fn list(&self) -> Result<Vec<(Vec<u8>, Object)>, Error> {
        let output = git(&["ls-tree", "-z", &self.id])?;
        let lines = output.split(|byte| *byte == 0).filter(|line| !line.is_empty());
        let entries = lines.map(|line| {
            let read = || {
                let tab = line.iter().position(|byte| *byte == b'\t')?;
                let (head, name) = (line.get(..tab)?, line.get(tab + 1..)?);
                let mut words = head.split(|byte| *byte == b' ');
                let (mode, _, id) = (words.next()?, words.next()?, words.next()?);
                let object = Object {
                    kind: Kind::of(mode)?,
                    id: std::str::from_utf8(id).ok()?.to_owned(),
                };
                Some((name.to_owned(), object))
            };
            read().ok_or_else(|| {
                let message = format!("git ls-tree {}: the output has an unknown form", self.id);
                Error::new(ErrorKind::Input, message)
            })
        });
        entries.collect()
    }

    /// The content of a file.
    ///
    /// # Errors
    /// When the object is not a file, or the repository lacks its content.
    fn text(&self, name: String) -> Result<Text, Error> {
        let what = match self.kind {
            Kind::File => {
                let bytes = git(&["cat-file", "blob", &self.id]).map_err(|error| error.context(&name))?;
                return Ok((name, bytes));
            }
            Kind::Link => "a symbolic link",
            Kind::Tree => "a directory",
            Kind::Submodule => "a submodule",
        };
        Err(Error::new(
            ErrorKind::Input,
            format!("{name} is {what}, not a file"),
        ))
    }
}

/// A line of git that has no name of a user.
fn text(output: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(output)
        .map_err(|_| Error::new(ErrorKind::Input, "the output of git is not UTF-8".to_owned()))
}

/// The output of git in the working directory.
/// Runs git.
///
/// # Errors
/// [`ErrorKind::Missing`] when git fails without a word, as with --quiet for an object that does not exist.
fn git(arguments: &[&str]) -> Result<Vec<u8>, Error> {
    let of_kind = |kind, why: String| Error::new(kind, format!("git {}: {why}", arguments.join(" ")));
    let failed = |why: String| of_kind(ErrorKind::Input, why);
    let mut git = Command::new("git");
    // A review reads what the repository has: an object that a partial clone lacks is an error, not a download. git
    // before 2.45 ignores the variable and obeys the option.
    git.env("GIT_NO_LAZY_FETCH", "1");
    git.args(["-c", "protocol.allow=never"]).args(arguments);
    git.stdin(Stdio::null());
    let output = git.output().map_err(|error| failed(error.to_string()))?;
    match output.status.success() {
        true => Ok(output.stdout),
        false if output.stderr.is_empty() => Err(of_kind(ErrorKind::Missing, output.status.to_string())),
        false => Err(failed(one_line(&String::from_utf8_lossy(&output.stderr)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_or_a_path_in_a_commit() {
        let place = |text: &str| text.parse::<Place>().map_err(|error| error.message);
        assert_eq!(place("site.yaml"), Ok(Place::Path("site.yaml".into())));
        let git = |revision: &str, path: &str| {
            Ok(Place::Git {
                revision: revision.into(),
                path: path.into(),
            })
        };
        assert_eq!(place("git:main:site.yaml"), git("main", "site.yaml"));
        assert_eq!(place("git:HEAD~1:"), git("HEAD~1", ""));
        for wrong in ["git:main", "git::site.yaml", "git:--output=x:y"] {
            assert_eq!(place(wrong), Err("expected git:REVISION:PATH".to_owned()));
        }
        assert_eq!(below("", "a"), "a");
        assert_eq!(below("x/", "a"), "x/a");
    }
}
