//! Reads the facts of a host for Hiera, and finds the data files that a hiera.yaml names.

use std::fs;
use std::path::{Path, PathBuf};

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
        files.retain(|path| path.is_file());
        files.reverse();
        found.push(files);
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
        for path in found.into_iter().filter(|path| path.is_dir()) {
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
