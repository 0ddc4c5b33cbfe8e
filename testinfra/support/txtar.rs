//! Several small texts in one file that reads from top to bottom: a comment, then sections, each
//! below a line `-- name --`.

use std::path::{Path, PathBuf};
use std::{fmt, fs};

/// A file of sections.
pub struct Archive {
    /// What stands above the first section: what the case is about.
    pub comment: String,
    /// The sections in their order.
    pub sections: Vec<(String, String)>,
}

impl Archive {
    pub fn parse(text: &str) -> Self {
        let mut archive = Archive {
            comment: String::new(),
            sections: Vec::new(),
        };
        for line in text.split_inclusive('\n') {
            let name = line
                .trim_end()
                .strip_prefix("-- ")
                .and_then(|rest| rest.strip_suffix(" --"));
            match (name, archive.sections.last_mut()) {
                (Some(name), _) => archive.sections.push((name.to_owned(), String::new())),
                (None, Some((_, text))) => text.push_str(line),
                (None, None) => archive.comment.push_str(line),
            }
        }
        archive
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let section = self.sections.iter().find(|(section, _)| section == name)?;
        Some(&section.1)
    }

    /// Replaces a section, removes it for an empty text, or adds it at the end.
    pub fn set(&mut self, name: &str, text: &str) {
        match self.sections.iter_mut().find(|(section, _)| section == name) {
            Some(_) if text.is_empty() => self.sections.retain(|(section, _)| section != name),
            Some((_, old)) => *old = text.to_owned(),
            None if text.is_empty() => {}
            None => self.sections.push((name.to_owned(), text.to_owned())),
        }
    }
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.comment)?;
        for (name, text) in &self.sections {
            writeln!(f, "-- {name} --")?;
            f.write_str(text)?;
        }
        Ok(())
    }
}

/// The files of a directory below `testinfra`, sorted; with NETKEEL_CASE only those whose name
/// holds that text.
pub fn files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .join("testinfra")
        .join(directory);
    let wanted = std::env::var("NETKEEL_CASE").unwrap_or_default();
    let mut files: Vec<PathBuf> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .filter(|path| path.to_string_lossy().contains(&wanted))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no cases", directory.display());
    files
}

/// Runs every file, and fails with all that failed, each by its name.
pub fn run_all(directory: &str, run: impl Fn(&Path, &mut Archive) -> Result<(), String>) {
    let mut failed = Vec::new();
    for path in files(directory) {
        let mut archive = Archive::parse(&fs::read_to_string(&path).unwrap());
        if let Err(why) = run(&path, &mut archive) {
            failed.push(format!("{}: {why}", path.file_name().unwrap().display()));
        }
    }
    assert!(
        failed.is_empty(),
        "{} failed\n\n{}\n",
        failed.len(),
        failed.join("\n\n")
    );
}

/// Compares a text with the golden one of a section; with NETKEEL_BLESS=1 it becomes the golden
/// one.
pub fn golden(path: &Path, archive: &mut Archive, section: &str, text: &str) -> Result<(), String> {
    let is = archive.get(section).unwrap_or_default();
    if is == text {
        return Ok(());
    }
    if std::env::var_os("NETKEEL_BLESS").is_some() {
        archive.set(section, text);
        fs::write(path, archive.to_string()).unwrap();
        return Ok(());
    }
    Err(format!("`{section}` differs:\n{}", difference(is, text)))
}

/// What differs between two texts.
pub fn difference(expected: &str, found: &str) -> String {
    similar::TextDiff::from_lines(expected, found)
        .unified_diff()
        .header("expected", "found")
        .to_string()
}
