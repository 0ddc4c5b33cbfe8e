//! The size of files and of directories, and that a file begins with its purpose.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::table::{FILES, LINES};

/// What is too large below a directory, or does not say what it is. Some directories are known to have more
/// files, and one that has not any more is no exception any more.
pub fn violations(root: &Path, known: &BTreeMap<&Path, usize>) -> Vec<String> {
    let mut found = Vec::new();
    let mut levels = BTreeMap::new();
    level(root, root, &mut levels, &mut found);
    for (directory, files) in &levels {
        let most = known.get(&**directory).map_or(FILES, |most| FILES.max(*most));
        if *files > most {
            found.push(format!(
                "{}/ has {files} files; at most {most}",
                directory.display()
            ));
        }
    }
    for directory in known.keys() {
        if levels.get(*directory).is_none_or(|files| *files <= FILES) {
            found.push(format!("{}/ is listed and has few files", directory.display()));
        }
    }
    found.sort();
    found
}

fn level(root: &Path, directory: &Path, levels: &mut BTreeMap<PathBuf, usize>, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap();
        // A package inside is a crate of its own.
        if path.is_dir() && !path.join("Cargo.toml").exists() {
            level(root, &path, levels, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let here = directory.strip_prefix(root).unwrap();
            *levels.entry(here.to_owned()).or_default() += 1;
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.lines().count();
            let name = name.display();
            if lines > LINES {
                found.push(format!("{name} has {lines} lines; at most {LINES}"));
            }
            if !text.starts_with("//! ") {
                found.push(format!("{name} does not begin with `//! ` and its purpose"));
            }
        }
    }
}
