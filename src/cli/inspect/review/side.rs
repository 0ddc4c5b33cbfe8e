//! The old or the new directory of a review, whose files are layers of several hosts.

use std::collections::BTreeMap;
use std::path::Path;

use crate::load::revision::{Place, Text};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::text::escape::quoted;
use netkeel_core::text::glob::Glob;
use netkeel_dialects::hiera::facts::Facts;
use netkeel_dialects::hiera::hierarchy::{DataFile, places};
use netkeel_dialects::inventory::groups::Member;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

/// The extensions of files of variables, in the order in which Ansible tries them.
const EXTENSIONS: [&str; 4] = ["", ".yml", ".yaml", ".json"];

/// The configuration of Hiera.
const HIERA: &str = "hiera.yaml";

/// The most directories below each other in group_vars/GROUP. Two links to their own directory are as many paths as two
/// to this power.
const DEEPEST: usize = 8;

/// The names of the files of each level, the most general first.
pub(super) type Levels = Vec<Vec<String>>;

/// A directory whose files are read once.
pub(super) struct Side<'a> {
    pub(super) place: &'a Place,
    texts: BTreeMap<String, Option<Text>>,
    /// By directory, the names in it, each with whether it is a directory.
    names: BTreeMap<String, BTreeMap<String, bool>>,
}

impl<'a> Side<'a> {
    pub(super) fn new(place: &'a Place) -> Self {
        Side {
            place,
            texts: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }

    /// A file; `None` if it does not exist.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<Text>, Error> {
        if let Some(text) = self.texts.get(name) {
            return Ok(text.clone());
        }
        let text = self.place.layer(name)?;
        self.texts.insert(name.to_owned(), text.clone());
        Ok(text)
    }

    /// The names in a directory. An inventory of ten thousand hosts asks ten thousand times for one in host_vars.
    fn names(&mut self, directory: &str) -> Result<&BTreeMap<String, bool>, Error> {
        if !self.names.contains_key(directory) {
            let names = self.place.names(directory)?.into_iter().collect();
            self.names.insert(directory.to_owned(), names);
        }
        Ok(self.names.entry(directory.to_owned()).or_default())
    }

    /// Whether a path exists. Of a level such as nodes/FQDN.yaml most hosts have no file, and git is not asked for each.
    fn has(&mut self, path: &str) -> Result<bool, Error> {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok(self.names(directory)?.contains_key(name))
    }

    /// The files of variables of a host of an Ansible inventory.
    pub(super) fn of_ansible(&mut self, host: &str, member: &Member) -> Result<Levels, Error> {
        let mut files = Vec::new();
        for group in &member.groups {
            self.variables("group_vars", group, &mut files)?;
        }
        self.variables("host_vars", host, &mut files)?;
        Ok(files.into_iter().map(|file| vec![file]).collect())
    }

    /// The files of a group or a host: a file, or all files of a directory. The first extension that exists counts.
    fn variables(&mut self, directory: &str, name: &str, files: &mut Vec<String>) -> Result<(), Error> {
        let known = self.names(directory)?;
        let found = EXTENSIONS.iter().find_map(|extension| {
            let file = format!("{name}{extension}");
            let is_directory = *known.get(&file)?;
            Some((format!("{directory}/{file}"), is_directory))
        });
        match found {
            Some((path, true)) => self.all_below(&path, DEEPEST, files),
            Some((path, false)) => {
                files.push(path);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The files of a directory and of those in it. As in Ansible, a directory with an extension is none of them.
    fn all_below(&mut self, directory: &str, depth: usize, files: &mut Vec<String>) -> Result<(), Error> {
        let Some(depth) = depth.checked_sub(1) else {
            let message = format!("{directory} is below too many directories");
            return Err(Error::new(ErrorKind::Input, message)
                .hint("netkeel reads 8 of them: look for a symbolic link to a directory above it"));
        };
        for (name, is_directory) in self.names(directory)?.clone() {
            let extension = Path::new(&name)
                .extension()
                .and_then(|extension| extension.to_str());
            let is_known = extension.is_none_or(|extension| ["yml", "yaml", "json"].contains(&extension));
            if name.starts_with('.') || name.ends_with('~') || !is_known {
                continue;
            }
            let path = format!("{directory}/{name}");
            match (is_directory, extension) {
                (true, None) => self.all_below(&path, depth, files)?,
                (true, Some(_)) => {}
                (false, _) => files.push(path),
            }
        }
        Ok(())
    }

    /// The files of the hierarchy of hiera.yaml that exist for a host.
    pub(super) fn of_hiera(&mut self, facts: &Facts) -> Result<Levels, Error> {
        let Some((name, bytes)) = self.text(HIERA)? else {
            let message = format!("{} has no {HIERA}", self.place);
            return Err(Error::new(ErrorKind::Missing, message)
                .hint("with --from hiera, OLD and NEW are directories with a hiera.yaml"));
        };
        let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
        let node = sources.load(&name, bytes, None, &mut diagnostics);
        let places = node.map(|node| places(&node, facts, &mut diagnostics));
        if let Some(first) = diagnostics.sorted().first() {
            let line = first.span.map(|span| sources.locate(span).line);
            let place = line.map_or_else(|| name.clone(), |line| format!("{name}:{line}"));
            return Err(Error::new(
                ErrorKind::Input,
                format!("{place}: {}", first.message),
            ));
        }
        let mut levels = Levels::new();
        for place in places.unwrap_or_default() {
            let mut files = Vec::new();
            for file in place {
                inside(&name, &file)?;
                match file {
                    DataFile::File(path) => files.push(path),
                    DataFile::Glob(pattern) => files.extend(self.matching(&pattern)?),
                }
            }
            let mut found = Vec::new();
            for file in files.into_iter().rev() {
                if self.has(&file)? {
                    found.push(file);
                }
            }
            levels.push(found);
        }
        levels.retain(|level| !level.is_empty());
        levels.reverse();
        Ok(levels)
    }

    /// The paths that match a pattern, sorted. Only a part that starts with a dot matches hidden files.
    fn matching(&mut self, pattern: &str) -> Result<Vec<String>, Error> {
        let mut found = vec![String::new()];
        let below = |directory: &str, name: &str| match directory {
            "" => name.to_owned(),
            directory => format!("{directory}/{name}"),
        };
        let parts: Vec<&str> = pattern.split('/').collect();
        for (number, part) in parts.iter().enumerate() {
            if !part.contains(['*', '?']) {
                found.iter_mut().for_each(|path| *path = below(path, part));
                continue;
            }
            let (glob, is_last) = (Glob::new(part)?, number + 1 == parts.len());
            let mut deeper = Vec::new();
            for directory in found {
                for (name, is_directory) in self.names(&directory)? {
                    let is_hidden = name.starts_with('.') && !part.starts_with('.');
                    if glob.matches(name.as_bytes()) && !is_hidden && *is_directory != is_last {
                        deeper.push(below(&directory, name));
                    }
                }
            }
            found = deeper;
        }
        Ok(found)
    }
}

/// Refuses a path of a hierarchy that leaves the directory of the review: of this machine or of another part of the
/// repository, it would be the same for both sides, or exist on one only.
fn inside(config: &str, file: &DataFile) -> Result<(), Error> {
    let (DataFile::File(path) | DataFile::Glob(path)) = file;
    if !path.starts_with('/') && path.split('/').all(|part| part != "..") {
        return Ok(());
    }
    let message = format!("{config}: the path {} leaves its directory", quoted(path));
    Err(Error::new(ErrorKind::Input, message)
        .hint("give the data a directory below hiera.yaml, in OLD and in NEW"))
}
