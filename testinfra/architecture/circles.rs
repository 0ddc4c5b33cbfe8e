//! Circles of files: each file of one needs all others, so that none can be read or tested alone.
//!
//! An edge is a name that one file takes from another. Methods that are called on a value name no file
//! and are not seen.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use crate::modules::{Form, Modules};
use crate::resolve::Target;

/// Which names each file takes from which other one.
pub type Edges = BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>;

/// The edges of a crate. A module that only declares and re-exports its children takes nothing from them.
pub fn edges(modules: &Modules) -> Edges {
    let mut edges = Edges::new();
    for (number, module) in modules.0.iter().enumerate() {
        let from = edges.entry(module.file.clone()).or_default();
        for mention in &module.mentions {
            for target in modules.resolve(number, &mention.path) {
                let Target::Definition(at, name) = target else {
                    continue;
                };
                let file = &modules.0[at].file;
                let face = mention.form == Form::ReExport && modules.is_below(at, number);
                if *file != module.file && !face {
                    from.entry(file.clone()).or_default().insert(name);
                }
            }
        }
    }
    edges
}

/// All sets of more than one file that need each other, the largest first.
pub fn circles(edges: &Edges) -> Vec<BTreeSet<PathBuf>> {
    let reach: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> =
        edges.keys().map(|file| (file, reachable(edges, file))).collect();
    let mut left: BTreeSet<&PathBuf> = edges.keys().collect();
    let mut found = Vec::new();
    while let Some(file) = left.pop_first() {
        let circle: BTreeSet<PathBuf> = reach[file]
            .iter()
            .filter(|other| reach[*other].contains(file))
            .map(|other| (*other).clone())
            .collect();
        left.retain(|other| !circle.contains(*other));
        if circle.len() > 1 {
            found.push(circle);
        }
    }
    found.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
    found
}

fn reachable<'a>(edges: &'a Edges, file: &PathBuf) -> BTreeSet<&'a PathBuf> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&PathBuf> = edges[file].keys().collect();
    while let Some(file) = next.pop() {
        if found.insert(file) {
            next.extend(edges.get(file).into_iter().flat_map(BTreeMap::keys));
        }
    }
    found
}

/// A circle as text: the shortest way round from its first file, each step with the names that it takes.
pub fn describe(edges: &Edges, circle: &BTreeSet<PathBuf>) -> String {
    let shortest = circle
        .iter()
        .filter_map(|file| way_round(edges, file))
        .min_by_key(Vec::len);
    let way = shortest.expect("each file of a circle leads back to itself");
    let mut text = format!("{} files need each other, among them:", circle.len());
    for pair in way.windows(2) {
        let names: Vec<&str> = edges[&pair[0]][&pair[1]].iter().map(String::as_str).collect();
        text.push_str(&format!(
            "\n    {} takes {} from {}",
            pair[0].display(),
            names.join(", "),
            pair[1].display()
        ));
    }
    text
}

/// The shortest way from a file back to it.
fn way_round(edges: &Edges, start: &PathBuf) -> Option<Vec<PathBuf>> {
    let mut before: BTreeMap<&PathBuf, &PathBuf> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(file) = queue.pop_front() {
        for next in edges.get(file)?.keys() {
            if before.contains_key(next) {
                continue;
            }
            before.insert(next, file);
            if next == start {
                let mut way = vec![start.clone()];
                let mut at = before[start];
                while at != start {
                    way.push(at.clone());
                    at = before[at];
                }
                way.push(start.clone());
                way.reverse();
                return Some(way);
            }
            queue.push_back(next);
        }
    }
    None
}

/// Holds the circles of a crate to a list of sizes, the largest first, which may only shrink.
///
/// # Errors
///
/// When there is more of a circle than the list allows, or less: then the list is too long.
pub fn hold(name: &str, edges: &Edges, known: &[usize]) -> Result<(), String> {
    let found = circles(edges);
    let sizes: Vec<usize> = found.iter().map(BTreeSet::len).collect();
    if sizes == known {
        return Ok(());
    }
    let files = |sizes: &[usize]| sizes.iter().sum::<usize>();
    if files(&sizes) < files(known) {
        return Err(format!(
            "{name}: fewer files in circles than the list of known ones allows: set it to {sizes:?}"
        ));
    }
    let texts: Vec<String> = found.iter().map(|circle| describe(edges, circle)).collect();
    Err(format!(
        "{name}: circles of {sizes:?} files, known are {known:?}\n  {}",
        texts.join("\n  ")
    ))
}
