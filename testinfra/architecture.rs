//! Holds the sources to what docs/explanation/architecture.md promises: purity is a place, a file has a
//! purpose and a size, and `unsafe` stays where the kernel is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules above the line: they may do I/O and read clocks.
const ABOVE: &[&str] = &[
    "main.rs",
    "lib.rs",
    "cli",
    "daemon",
    "kernel",
    "store",
    "replicate",
    "apply.rs",
];

/// Modules that may hold `unsafe`.
const UNSAFE: &[&str] = &["kernel", "replicate"];

/// What a pure module cannot name.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::os",
    "std::process",
    "std::env",
    "std::io",
    "std::thread",
    "Instant::now",
    "SystemTime",
    "libc::",
    "nix::",
    "netlink_sys",
    "tempfile",
    "crate::kernel",
    "crate::cli",
    "crate::store",
    "crate::replicate",
];

fn sources() -> BTreeMap<String, String> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    found
        .into_iter()
        .map(|path| {
            (
                path.strip_prefix(&root).unwrap().display().to_string(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect()
}

fn in_module(name: &str, modules: &[&str]) -> bool {
    modules.iter().any(|module| {
        let stem = module.strip_suffix(".rs").unwrap_or(module);
        name == format!("{stem}.rs") || name.starts_with(&format!("{stem}/"))
    })
}

/// The code of a file: without comments and tests, which may do what they like.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| *line != "#[cfg(test)]")
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(number, line)| (number + 1, line))
}

fn complain(rule: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

#[test]
fn below_the_line_nothing_does_io_or_reads_a_clock() {
    let mut found = Vec::new();
    for (name, text) in sources().iter().filter(|(name, _)| !in_module(name, ABOVE)) {
        for (number, line) in code(text) {
            if let Some(impure) = IMPURE.iter().find(|impure| line.contains(**impure)) {
                found.push(format!("src/{name}:{number} names {impure}"));
            }
        }
    }
    complain("pure modules must not do I/O", found);
}

#[test]
fn unsafe_stays_at_the_kernel_and_says_why() {
    let mut found = Vec::new();
    for (name, text) in &sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in
            code(text).filter(|(_, line)| line.contains("unsafe {") || line.contains("unsafe impl"))
        {
            if !in_module(name, UNSAFE) {
                found.push(format!("src/{name}:{number}: {}", line.trim()));
            } else if !lines[number.saturating_sub(8)..number]
                .iter()
                .any(|line| line.contains("SAFETY:"))
            {
                found.push(format!("src/{name}:{number} has no SAFETY comment"));
            }
        }
    }
    complain("unsafe code", found);
}

#[test]
fn every_file_says_what_it_is_and_stays_short() {
    let mut found = Vec::new();
    for (name, text) in &sources() {
        if !text.starts_with("//! ") {
            found.push(format!("src/{name} does not open with `//!`"));
        }
        let lines = text.lines().count();
        if lines > 500 {
            found.push(format!("src/{name} has {lines} lines; split it by meaning"));
        }
    }
    complain("files", found);
}

#[test]
fn only_one_place_knows_the_command_line() {
    let mut found = Vec::new();
    for (name, text) in sources().iter().filter(|(name, _)| !in_module(name, &["cli"])) {
        found.extend(
            code(text)
                .filter(|(_, line)| line.contains("clap"))
                .map(|(number, _)| format!("src/{name}:{number}")),
        );
    }
    complain("clap outside of cli", found);
}
