//! Reads a document of a review: a file, a directory, or a path in a commit of git.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use crate::load::directory::{documents_in, is_a_documents};
use crate::load::file::read_file;
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
                if kind(revision, path)?.as_deref() != Some("tree") {
                    return Err(not_a_directory(self));
                }
                let path = below(path, name);
                match kind(revision, &path)? {
                    None => Ok(None),
                    Some(_) => blob(revision, &path).map(Some),
                }
            }
        }
    }
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
    match kind(revision, path)?.as_deref() {
        None => Err(
            Error::new(ErrorKind::Missing, format!("git has no {revision}:{path}"))
                .hint("name a commit, a branch or a tag, and a path from the top of the repository"),
        ),
        Some("tree") => {
            let list = git(&["ls-tree", "-z", "--name-only", &format!("{revision}:{path}")])?;
            let names = list.split(|byte| *byte == 0).filter(|name| !name.is_empty());
            let mut documents = Vec::new();
            for name in names {
                let name = String::from_utf8_lossy(name);
                let path = below(path, &name);
                if is_a_documents(name.as_ref().as_ref()) && kind(revision, &path)?.as_deref() == Some("blob")
                {
                    documents.push(blob(revision, &path)?);
                }
            }
            match documents.is_empty() {
                true => Err(Error::new(
                    ErrorKind::Input,
                    format!("{revision}:{path} has no documents"),
                )),
                false => Ok(documents),
            }
        }
        Some(_) => Ok(vec![blob(revision, path)?]),
    }
}

/// The type of an object of git; `None` if the commit exists and has no such path.
///
/// # Errors
/// When there is no such commit.
fn kind(revision: &str, path: &str) -> Result<Option<String>, Error> {
    git(&[
        "rev-parse",
        "--verify",
        "--quiet",
        &format!("{revision}^{{commit}}"),
    ])
    .map_err(|error| error.context(format!("git knows no commit {revision}")))?;
    let found = git(&["cat-file", "-t", &format!("{revision}:{path}")]);
    Ok(found
        .ok()
        .map(|kind| String::from_utf8_lossy(&kind).trim().to_owned()))
}

fn blob(revision: &str, path: &str) -> Result<Text, Error> {
    let name = format!("{revision}:{path}");
    let bytes = git(&["cat-file", "blob", &name])?;
    Ok((name, bytes))
}

/// The output of git in the working directory.
fn git(arguments: &[&str]) -> Result<Vec<u8>, Error> {
    let failed = |why: String| Error::new(ErrorKind::Input, format!("git {}: {why}", arguments.join(" ")));
    let mut git = Command::new("git");
    git.args(arguments).stdin(Stdio::null());
    let output = git.output().map_err(|error| failed(error.to_string()))?;
    match output.status.success() {
        true => Ok(output.stdout),
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
