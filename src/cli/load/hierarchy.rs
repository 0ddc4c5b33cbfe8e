//! Reads the facts of a host for Hiera, and finds the data files that a hiera.yaml names.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::arguments::Origin;
use crate::load::file::{io_error, read_file};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::text::glob::Glob;
use netkeel_dialects::hiera::facts;
use netkeel_dialects::hiera::facts::Facts;
use netkeel_dialects::hiera::hierarchy::{DataFile, places};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::Node;
use netkeel_source::report::render;
use netkeel_source::sources::Sources;

/// The facts of `--facts` and `--fact`; `--fact` overrides.
pub(crate) fn facts(origin: &Origin) -> Result<Facts, Error> {
    facts_of(origin.facts_file(), origin)
}

/// The facts of a file, and of `--fact`, which overrides.
pub(crate) fn facts_of(file: Option<&Path>, origin: &Origin) -> Result<Facts, Error> {
    let mut facts = match file {
        Some(file) => read_as(file, "cannot read the facts", &mut |node, _| facts::named(node))?,
        None => Facts::new(),
    };
    facts.extend(origin.single_facts().iter().cloned());
    Ok(facts)
}

/// The data files that exist of each level, the most general first.
pub(crate) fn files(config: &Path, facts: &Facts) -> Result<Vec<Vec<PathBuf>>, Error> {
    let places = read_as(config, "cannot follow the hierarchy", &mut |node, diagnostics| {
        places(node, facts, diagnostics)
    })?;
    let directory = config.parent().unwrap_or(Path::new(""));
    let mut found = Vec::new();
    for level in places {
        let mut files = Vec::new();
        for place in level {
            match place {
                DataFile::File(path) => files.push(directory.join(path)),
                DataFile::Glob(pattern) => files.extend(matching(directory, &pattern)?),
            }
        }
        let mut there = Vec::new();
        for path in files.into_iter().rev() {
            if found_at(&path)?.is_some_and(|found| found.is_file()) {
                there.push(path);
            }
        }
        found.push(there);
    }
    found.retain(|level| !level.is_empty());
    if found.is_empty() {
        return Err(Error::new(
            ErrorKind::Missing,
            format!("{} names no file that exists", config.display()),
        )
        .hint("set the facts of the host with --fact NAME=VALUE or --facts FILE"));
    }
    found.reverse();
    Ok(found)
}

/// The file or the directory at a path, if there is one. A path that cannot be looked at may have data: it is an error.
fn found_at(path: &Path) -> Result<Option<fs::Metadata>, Error> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(io_error(&error).context(path.display())),
    }
}

/// Reads a file and converts it; diagnostics become the error.
pub(crate) fn read_as<T>(
    file: &Path,
    otherwise: &str,
    make: &mut dyn FnMut(&Node, &mut Diagnostics) -> T,
) -> Result<T, Error> {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let name = file.display().to_string();
    let node = sources.load(&name, read_file(file)?, None, &mut diagnostics);
    let made = node.map(|node| make(&node, &mut diagnostics));
    match made {
        Some(made) if diagnostics.is_empty() => Ok(made),
        _ => {
            // The service rereads the file and reports the error itself.
            let why = render::render(&diagnostics, &sources, false);
            let message = format!("{name}: {otherwise}\n{}", why.trim_end());
            Err(Error::new(ErrorKind::Input, message))
        }
    }
}

/// The paths below a directory that match a pattern, sorted. Only a pattern part that starts with a dot
/// matches hidden files.
fn matching(directory: &Path, pattern: &str) -> Result<Vec<PathBuf>, Error> {
    let mut found = vec![directory.to_owned()];
    for part in pattern.split('/') {
        if !part.contains(['*', '?']) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let glob = Glob::new(part)?;
        let mut deeper = Vec::new();
        for path in found {
            if !found_at(&path)?.is_some_and(|found| found.is_dir()) {
                continue;
            }
            let mut names = Vec::new();
            let entries = fs::read_dir(&path).map_err(|error| io_error(&error).context(path.display()))?;
            for entry in entries {
                let entry = entry.map_err(|error| io_error(&error).context(path.display()))?;
                names.push(entry.file_name());
            }
            names.retain(|name| {
                let name = name.as_encoded_bytes();
                glob.matches(name) && (part.starts_with('.') || !name.starts_with(b"."))
            });
            names.sort();
            deeper.extend(names.into_iter().map(|name| path.join(name)));
        }
        found = deeper;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_that_cannot_be_looked_at_is_not_taken_for_none() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        let config = |path: &str| {
            let text = format!(
                "version: 5\nhierarchy:\n  - {{ name: a, {path} }}\n  - {{ name: b, path: common.yaml }}\n"
            );
            fs::write(at("hiera.yaml"), text).unwrap();
            files(&at("hiera.yaml"), &Facts::new())
        };
        fs::create_dir(at("data")).unwrap();
        fs::write(at("data/common.yaml"), "").unwrap();
        let common = vec![vec![at("data/common.yaml")]];
        assert_eq!(config("path: none.yaml"), Ok(common.clone()));
        assert_eq!(config("path: common.yaml/below.yaml"), Ok(common.clone()));
        assert_eq!(config("glob: none/*.yaml"), Ok(common));
        symlink("loop", at("data/loop")).unwrap();
        for path in ["path: loop", "path: loop/host.yaml", "glob: loop/*.yaml"] {
            let error = config(path).unwrap_err().message;
            assert!(error.contains("data/loop"), "{path}: {error}");
        }
    }
}
