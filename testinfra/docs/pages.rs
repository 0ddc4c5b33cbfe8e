//! The pages of documentation, their fenced blocks, and the comparison of a page with its expected
//! text.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One Markdown file.
pub struct Page {
    /// Its path from the top of the tree.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// A fenced block of a page.
pub struct Block<'a> {
    /// The text after the opening fence: `yaml`, `console live`.
    pub info: &'a str,
    /// The text between the fences.
    pub text: &'a str,
    /// Where the text lies in the page.
    pub range: Range<usize>,
    /// The page and line, for messages.
    pub place: String,
}

/// The top of the tree.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The pages whose blocks are tested: those at the top, and all below docs and testinfra.
pub fn pages() -> Vec<Page> {
    read(&["docs", "testinfra"])
}

/// Every page that is kept in the tree.
pub fn pages_everywhere() -> Vec<Page> {
    read(&[
        "benches",
        "docs",
        "examples",
        "modules",
        "puppet",
        "talos",
        "testinfra",
    ])
}

fn read(directories: &[&str]) -> Vec<Page> {
    let mut found = Vec::new();
    walk(root(), false, &mut found);
    for directory in directories {
        walk(&root().join(directory), true, &mut found);
    }
    found.sort();
    found
        .into_iter()
        .map(|path| Page {
            text: fs::read_to_string(&path).unwrap(),
            name: path.strip_prefix(root()).unwrap().display().to_string(),
        })
        .collect()
}

/// One page.
pub fn page(name: &str) -> Page {
    let text = fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    Page {
        name: name.to_owned(),
        text,
    }
}

fn walk(directory: &Path, deep: bool, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && deep {
            walk(&path, deep, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path.components().as_path().to_owned());
        }
    }
}

impl Page {
    /// The fenced blocks, in order.
    pub fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        let mut open: Option<(&str, usize, usize)> = None;
        let mut at = 0;
        for (number, line) in self.text.split_inclusive('\n').enumerate() {
            let fence = line.trim_end().strip_prefix("```");
            match (fence, open) {
                (Some(info), None) => open = Some((info.trim(), at + line.len(), number + 1)),
                (Some(_), Some((info, start, first))) => {
                    blocks.push(Block {
                        info,
                        text: &self.text[start..at],
                        range: start..at,
                        place: format!("{}:{first}", self.name),
                    });
                    open = None;
                }
                _ => {}
            }
            at += line.len();
        }
        blocks
    }

    /// The page without its fenced blocks.
    pub fn prose(&self) -> String {
        let mut prose = self.text.clone();
        for block in self.blocks().iter().rev() {
            prose.replace_range(block.range.clone(), "");
        }
        prose
    }

    /// Compares parts of the page with their expected text. With NETKEEL_BLESS=1 it changes the page
    /// instead.
    pub fn settle(&self, parts: Vec<(Range<usize>, String)>) {
        let mut text = self.text.clone();
        for (range, wanted) in parts.into_iter().rev() {
            text.replace_range(range, &wanted);
        }
        if text == self.text {
            return;
        }
        if std::env::var_os("NETKEEL_BLESS").is_some() {
            fs::write(root().join(&self.name), &text).unwrap();
            return;
        }
        let diff = similar::TextDiff::from_lines(&self.text, &text);
        panic!(
            "{} is out of date; NETKEEL_BLESS=1 cargo test --test docs brings it up to date:\n{}",
            self.name,
            diff.unified_diff().context_radius(2)
        );
    }
}
