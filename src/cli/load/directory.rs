//! The documents of a directory. With the default directory netkeel reads two more, as systemd layers its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::arguments::DEFAULT_DOCUMENTS;
use crate::load::file::io_error;
use netkeel_core::error::{Error, ErrorKind};

/// The directories to read for the default one, highest priority first: of the administrator, of this boot, and
/// of packages. A file hides those of the same name in later directories.
const LAYERED: [&str; 3] = [
    DEFAULT_DOCUMENTS,
    "/run/netkeel/desired.d",
    "/usr/lib/netkeel/desired.d",
];

/// File name extensions of the documents in a directory.
const EXTENSIONS: &[&str] = &["yaml", "yml", "json", "toml"];

/// Whether a path names the default directory.
pub(crate) fn is_default(path: &Path) -> bool {
    path == Path::new(DEFAULT_DOCUMENTS)
}

/// The paths to watch for changes of a document at `path`.
pub(crate) fn watched(path: &Path) -> Vec<PathBuf> {
    match is_default(path) {
        true => LAYERED.map(PathBuf::from).into(),
        false => vec![path.to_owned()],
    }
}

/// The directories to read for a path, highest priority first; `None` if the path is not a directory.
///
/// # Errors
/// When it is unknown whether one of the default directories exists.
pub(crate) fn directories(path: &Path) -> Result<Option<Vec<&Path>>, Error> {
    if !is_default(path) {
        return Ok(path.is_dir().then(|| vec![path]));
    }
    existing(&LAYERED)
}

/// Those of the directories that exist; `None` if there is none, or if the first is a file.
fn existing<'a>(layered: &'a [&'a str]) -> Result<Option<Vec<&'a Path>>, Error> {
    let mut found = Vec::new();
    for (index, directory) in layered.iter().map(Path::new).enumerate() {
        match fs::metadata(directory) {
            Ok(metadata) if metadata.is_dir() => found.push(directory),
            // The caller reads it, and so reports it.
            Ok(_) if index == 0 => return Ok(None),
            Ok(_) => {
                let message = format!("{} is not a directory", directory.display());
                return Err(Error::new(ErrorKind::Input, message).hint("remove it"));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && !directory.is_symlink() => {}
            Err(error) => {
                let hint = "run it as root, or name each document with -f";
                return Err(io_error(&error).context(directory.display()).hint(hint));
            }
        }
    }
    Ok((!found.is_empty()).then_some(found))
}

/// The documents of directories, sorted by name.
///
/// # Errors
/// When a directory cannot be read, or there is no document.
pub(crate) fn documents_in(directories: &[&Path]) -> Result<Vec<PathBuf>, Error> {
    let paths = listed(directories)?;
    if !paths.is_empty() {
        return Ok(paths);
    }
    let names: Vec<String> = directories
        .iter()
        .map(|directory| directory.display().to_string())
        .collect();
    let has = if names.len() == 1 { "has" } else { "have" };
    let message = format!("{} {has} no documents", names.join(" and "));
    let hint = format!("document names end in .{}", EXTENSIONS.join(", ."));
    Err(Error::new(ErrorKind::Input, message).hint(hint))
}

/// The documents of directories, sorted by name; a name counts in the first directory that has it.
pub(crate) fn listed(directories: &[&Path]) -> Result<Vec<PathBuf>, Error> {
    let mut found: BTreeMap<OsString, Option<PathBuf>> = BTreeMap::new();
    for directory in directories {
        let failed = |error: io::Error| io_error(&error).context(directory.display());
        for entry in fs::read_dir(directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let Some(name) = path.file_name().filter(|name| is_a_documents(name)) else {
                continue;
            };
            if found.contains_key(name) {
                continue;
            }
            if directories.len() > 1 && is_masked(&path) {
                found.insert(name.to_owned(), None);
            } else if is_layer(&path)? {
                found.insert(name.to_owned(), Some(path));
            }
        }
    }
    Ok(found.into_values().flatten().collect())
}

pub(crate) fn is_a_documents(name: &std::ffi::OsStr) -> bool {
    let extension = Path::new(name)
        .extension()
        .and_then(|extension| extension.to_str());
    let known = |extension: &str| {
        EXTENSIONS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(extension))
    };
    !name.as_encoded_bytes().starts_with(b".") && extension.is_some_and(known)
}

/// A symbolic link to /dev/null hides the files of its name and is no document, as systemd has it.
fn is_masked(path: &Path) -> bool {
    path.is_symlink() && fs::canonicalize(path).is_ok_and(|target| target == Path::new("/dev/null"))
}

/// Whether a path with the name of a document is a file; directories are ignored.
///
/// # Errors
/// When the path is neither: ignoring it would silently drop a layer.
fn is_layer(path: &Path) -> Result<bool, Error> {
    let found = fs::metadata(path).map_err(|error| {
        let error = io_error(&error).context(path.display());
        if path.is_symlink() {
            error.hint("it is a broken symbolic link: fix it or remove it")
        } else {
            error
        }
    })?;
    if found.is_file() || found.is_dir() {
        return Ok(found.is_file());
    }
    let message = format!(
        "{} has the name of a document but is not a regular file",
        path.display()
    );
    Err(Error::new(ErrorKind::Input, message).hint("remove it, or rename it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(paths: Vec<PathBuf>, scratch: &Path) -> Vec<String> {
        let relative = |path: PathBuf| path.strip_prefix(scratch).unwrap().display().to_string();
        paths.into_iter().map(relative).collect()
    }

    #[test]
    fn a_file_hides_those_of_its_name_in_later_directories() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        for file in [
            "etc/50-b.yaml",
            "run/50-b.yaml",
            "run/40-a.yaml",
            "usr/40-a.yaml",
            "usr/60-c.toml",
            "usr/70-d.json",
            "usr/notes.txt",
        ] {
            fs::create_dir_all(path(file).parent().unwrap()).unwrap();
            fs::write(path(file), "version: 1\n").unwrap();
        }
        symlink("/dev/null", path("etc/60-c.toml")).unwrap();
        let [etc, run, usr] = ["etc", "run", "usr"].map(path);
        let all = [etc.as_path(), run.as_path(), usr.as_path()];
        let found = names(listed(&all).unwrap(), scratch.path());
        assert_eq!(found, ["run/40-a.yaml", "etc/50-b.yaml", "usr/70-d.json"]);
        // One directory has no layers: a link to /dev/null is an error there.
        assert!(listed(&[&etc]).is_err());
        fs::remove_file(path("etc/60-c.toml")).unwrap();
        let found = names(listed(&all).unwrap(), scratch.path());
        assert!(found.contains(&"usr/60-c.toml".to_owned()), "{found:?}");
    }

    #[test]
    fn what_cannot_be_told_of_a_directory_is_an_error() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name).display().to_string();
        let [etc, run] = ["etc", "run"].map(path);
        let layered = [etc.as_str(), run.as_str()];
        assert_eq!(existing(&layered), Ok(None));
        fs::create_dir(&run).unwrap();
        assert_eq!(existing(&layered), Ok(Some(vec![Path::new(&run)])));
        fs::write(&etc, "").unwrap();
        assert_eq!(existing(&layered), Ok(None));
        fs::remove_file(&etc).unwrap();
        symlink("nowhere", &etc).unwrap();
        assert!(existing(&layered).is_err());
        fs::remove_file(&etc).unwrap();
        fs::remove_dir(&run).unwrap();
        fs::write(&run, "").unwrap();
        assert!(
            existing(&layered)
                .unwrap_err()
                .message
                .contains("not a directory")
        );
    }

    /// Without a document there is nothing to apply, and the unit must not fail: its conditions name the directories.
    #[test]
    fn the_boot_unit_runs_where_a_directory_may_have_a_document() {
        let unit = include_str!("../../../templates/netkeel-boot.service");
        let conditions: Vec<&str> = unit
            .lines()
            .filter(|line| line.starts_with("Condition"))
            .collect();
        // One that holds is enough (systemd.unit(5)).
        assert_eq!(
            conditions,
            LAYERED.map(|directory| format!("ConditionDirectoryNotEmpty=|{directory}"))
        );
    }
}
