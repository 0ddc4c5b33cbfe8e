//! Holds the crates to what docs/explanation/architecture.md promises: one direction, no circles, small files, pure
//! crates that do no I/O, and `unsafe` only where the kernel is called. Each check is shown to fail on a
//! violation planted in a directory of its own.

mod circles;
mod direction;
mod mentions;
mod modules;
mod planted_circles;
mod planted_crates;
mod purity;
mod resolve;
mod shape;
mod skips;
mod table;
mod workspace;

use circles::edges;
use modules::Modules;
use table::{TABLE, UNSAFE};
use workspace::{Crate, crates};

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Crates of the table that do not exist yet: their modules are still part of `cli`. The list may only
/// shrink, and becomes empty.
const TO_COME: &[&str] = &[];

/// Sizes of the circles of files that each crate still has, the largest first. They may only shrink; a crate
/// without an entry has none.
const KNOWN_CIRCLES: &[(&str, &[usize])] = &[];

/// Directories with more files than a level may have, by crate and path below its sources, with how many at
/// most. The list may only shrink.
const KNOWN_LEVELS: &[(&str, &str, usize)] = &[];

/// The crates of this repository.
fn here() -> Vec<Crate> {
    crates(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")))
}

fn complain(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

#[test]
fn all_crates_of_the_table_exist_and_no_other() {
    let is: BTreeSet<String> = here().into_iter().map(|one| one.name).collect();
    let should: BTreeSet<String> = TABLE
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !TO_COME.contains(name))
        .map(str::to_owned)
        .collect();
    assert_eq!(is, should);
}

#[test]
fn each_crate_uses_only_what_the_table_allows() {
    complain("direction", &direction::violations(&here()));
}

#[test]
fn no_files_of_a_crate_need_each_other_in_a_circle() {
    let mut found = Vec::new();
    for one in here() {
        for root in &one.roots {
            let modules = Modules::read(root);
            let known = KNOWN_CIRCLES.iter().find(|(name, _)| *name == one.name);
            let is_first = Some(root) == one.roots.first();
            let known = known.map_or(&[] as &[usize], |(_, sizes)| if is_first { sizes } else { &[] });
            found.extend(circles::hold(&one.name, &edges(&modules), known).err());
        }
    }
    complain("circles", &found);
}

#[test]
fn files_and_directories_are_small_and_say_what_they_are() {
    let mut found = Vec::new();
    for one in here() {
        let known = KNOWN_LEVELS.iter().filter(|(name, _, _)| *name == one.name);
        let known: BTreeMap<&Path, usize> = known
            .map(|(_, directory, most)| (Path::new(*directory), *most))
            .collect();
        let violations = shape::violations(one.sources(), &known);
        found.extend(violations.iter().map(|text| format!("{}: {text}", one.name)));
    }
    complain("shape", &found);
}

#[test]
fn pure_crates_do_no_io_and_read_no_clock() {
    let found: Vec<String> = here().iter().flat_map(purity::violations).collect();
    complain("purity", &found);
}

#[test]
fn unsafe_stays_where_the_kernel_is_called_and_says_why() {
    let mut found = Vec::new();
    for one in here() {
        // What is not a crate yet is a folder of `cli`.
        let to_come = |name: &&&str| one.name == "cli" && TO_COME.contains(*name);
        let folders: Vec<&str> = UNSAFE.iter().filter(to_come).copied().collect();
        for root in &one.roots {
            let modules = Modules::read(root);
            found.extend(purity::unsafety(&one.name, root, &modules, &folders));
        }
    }
    complain("unsafe code", &found);
}

#[test]
fn the_table_is_in_order() {
    for (at, (name, allowed)) in TABLE.iter().enumerate() {
        for used in *allowed {
            let above = TABLE[..at].iter().any(|(above, _)| above == used);
            assert!(above, "{name} may use {used}, which is not above it");
        }
    }
    for name in table::PURE.iter().chain(table::UNSAFE) {
        assert!(TABLE.iter().any(|(known, _)| known == name), "{name}");
    }
    for (name, allowed) in TABLE.iter().filter(|(name, _)| table::PURE.contains(name)) {
        let pure = allowed.iter().all(|used| table::PURE.contains(used));
        assert!(pure, "{name} is pure and may use a crate that is not");
    }
}
