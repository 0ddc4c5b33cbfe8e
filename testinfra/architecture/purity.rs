//! A pure crate has no dependency that does I/O, names nothing of the standard library that does, and lies
//! below a `clippy.toml` that forbids it. Clippy sees what a name does not show: methods and types.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::modules::Modules;
use crate::resolve::Target;
use crate::table::{IMPURE, PURE, PURE_DEPENDENCIES, UNSAFE};
use crate::workspace::{Crate, short_name};

/// What makes a crate impure. Other crates have nothing to hold.
pub fn violations(one: &Crate) -> Vec<String> {
    if !PURE.contains(&one.name.as_str()) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for dependency in &one.dependencies {
        if short_name(dependency).is_none() && !PURE_DEPENDENCIES.contains(&dependency.as_str()) {
            found.push(format!(
                "{} is pure and depends on {dependency}, which is not listed as free of I/O",
                one.name
            ));
        }
    }
    for root in &one.roots {
        found.extend(code(&one.name, &Modules::read(root)));
    }
    found.extend(clippy(one));
    found
}

/// Places in a crate's code that name something impure.
pub fn code(name: &str, modules: &Modules) -> Vec<String> {
    let mut found = Vec::new();
    for (number, module) in modules.0.iter().enumerate() {
        for mention in &module.mentions {
            for target in modules.resolve(number, &mention.path) {
                let Target::External(path) = target else {
                    continue;
                };
                if let Some(impure) = impure(&path) {
                    found.push(format!(
                        "{name} is pure and names {impure}: {}:{}",
                        module.file.display(),
                        mention.line
                    ));
                }
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

fn impure(path: &[String]) -> Option<&'static str> {
    let path = path.join("::");
    // `core` is also the name of a crate of netkeel, but nowhere the name of one in code.
    let path = path
        .strip_prefix("core::")
        .map_or(path.clone(), |rest| format!("std::{rest}"));
    let is = |forbidden: &&&str| {
        path.strip_prefix(**forbidden)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    IMPURE.iter().find(is).copied()
}

/// Places with `unsafe` in a crate that may have none, and places without a reason in one that may, or in one
/// of these folders.
pub fn unsafety(name: &str, root: &Path, modules: &Modules, folders: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for module in &modules.0 {
        let path = root.parent().unwrap().join(&module.file);
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for line in &module.unsafe_lines {
            let place = format!("{name}: {}:{line}", module.file.display());
            let reason = &lines[line.saturating_sub(9)..*line];
            let allowed =
                UNSAFE.contains(&name) || folders.iter().any(|folder| module.file.starts_with(folder));
            if !allowed {
                found.push(format!("{place} is unsafe: only {} may be", UNSAFE.join(", ")));
            } else if !reason
                .iter()
                .any(|line| line.contains("SAFETY:") || line.contains("# Safety"))
            {
                found.push(format!("{place} is unsafe without a SAFETY comment"));
            }
        }
    }
    found
}

/// What the configuration that clippy reads for a crate must forbid and does not.
fn clippy(one: &Crate) -> Vec<String> {
    let Some(path) = nearest(one) else {
        return vec![format!("{} has no clippy.toml", one.name)];
    };
    let text = std::fs::read_to_string(&path).unwrap();
    let listed = forbidden(&text);
    REQUIRED
        .iter()
        .filter(|required| !listed.iter().any(|path| path == *required))
        .map(|missing| format!("{} is pure and {} allows {missing}", one.name, path.display()))
        .collect()
}

/// The paths that a `clippy.toml` forbids.
pub fn forbidden(text: &str) -> Vec<String> {
    let table = DeTable::parse(text).unwrap_or_else(|error| panic!("clippy.toml: {error}"));
    let is_list = |name: &str| matches!(name, "disallowed-methods" | "disallowed-types");
    let lists = table.get_ref().iter().filter(|(name, _)| is_list(name.get_ref()));
    lists
        .filter_map(|(_, list)| list.get_ref().as_array())
        .flat_map(|list| list.iter())
        .filter_map(|entry| match entry.get_ref() {
            DeValue::Table(entry) => entry
                .iter()
                .find(|(name, _)| &**name.get_ref() == "path")
                .and_then(|(_, path)| path.get_ref().as_str()),
            path => path.as_str(),
        })
        .map(str::to_owned)
        .collect()
}

/// Clippy reads the nearest file on the way up, and no other.
fn nearest(one: &Crate) -> Option<PathBuf> {
    one.directory
        .ancestors()
        .take_while(|directory| directory.starts_with(&one.workspace))
        .flat_map(|directory| [directory.join("clippy.toml"), directory.join(".clippy.toml")])
        .find(|path| path.exists())
}

/// A file that forbids these forbids the rest too: the methods that no name shows, and one of each kind.
pub const REQUIRED: &[&str] = &[
    "std::collections::HashMap",
    "std::collections::HashSet",
    "std::env::var",
    "std::fs::File",
    "std::fs::read",
    "std::fs::read_to_string",
    "std::fs::write",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::path::Path::canonicalize",
    "std::path::Path::exists",
    "std::path::Path::is_dir",
    "std::path::Path::is_file",
    "std::path::Path::metadata",
    "std::path::Path::read_dir",
    "std::path::Path::read_link",
    "std::process::Command",
    "std::thread::spawn",
    "std::time::Instant::elapsed",
    "std::time::Instant::now",
    "std::time::SystemTime::elapsed",
    "std::time::SystemTime::now",
];
