//! Links between pages: the file exists, and the anchor names a heading of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::pages::Page;

/// The links that lead to no file or to no heading, each with its page. Web addresses are not followed.
pub fn broken(pages: &[Page], root: &Path) -> Vec<String> {
    let anchors: BTreeMap<&str, BTreeSet<String>> = pages
        .iter()
        .map(|page| (page.name.as_str(), anchors(page)))
        .collect();
    let mut broken = Vec::new();
    for page in pages {
        for target in targets(page) {
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = resolve(&page.name, path);
            let known = anchors.get(file.as_str());
            if known.is_none() && !root.join(&file).exists() {
                broken.push(format!("{}: {target}: no such file", page.name));
            } else if !anchor.is_empty() && known.is_none_or(|known| !known.contains(anchor)) {
                broken.push(format!("{}: {target}: no such heading", page.name));
            }
        }
    }
    broken
}

/// The pages of docs/ that docs/SUMMARY.md does not list, or lists twice: mdbook leaves them out.
pub fn missing_in_summary(pages: &[Page]) -> Vec<String> {
    let mut listed = BTreeMap::new();
    for target in pages
        .iter()
        .filter(|page| page.name == "docs/SUMMARY.md")
        .flat_map(targets)
    {
        *listed.entry(resolve("docs/SUMMARY.md", &target)).or_insert(0) += 1;
    }
    pages
        .iter()
        .map(|page| page.name.as_str())
        .filter(|name| name.starts_with("docs/") && *name != "docs/SUMMARY.md")
        .filter(|name| listed.get(*name) != Some(&1))
        .map(|name| format!("{name} is listed {} times", listed.get(name).unwrap_or(&0)))
        .collect()
}

/// The targets of a page's links, without web addresses.
fn targets(page: &Page) -> Vec<String> {
    let prose = page.prose();
    prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .map(str::to_owned)
        .collect()
}

/// A path relative to a page, as a path from the top of the tree. Without a path it is the page itself.
fn resolve(page: &str, path: &str) -> String {
    if path.is_empty() {
        return page.to_owned();
    }
    let mut resolved: PathBuf = Path::new(page).parent().unwrap().to_owned();
    for component in Path::new(path).components() {
        match component {
            Component::ParentDir => {
                resolved.pop();
            }
            Component::CurDir => {}
            other => resolved.push(other),
        }
    }
    resolved.display().to_string()
}

/// The anchors of a page: its headings as GitHub and mdbook name them, and `<a name="...">`.
fn anchors(page: &Page) -> BTreeSet<String> {
    let prose = page.prose();
    let mut anchors = BTreeSet::new();
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for line in prose.lines().filter(|line| line.starts_with('#')) {
        let slug = slug(line.trim_start_matches('#').trim());
        let seen = count.entry(slug.clone()).or_default();
        anchors.insert(match *seen {
            0 => slug,
            times => format!("{slug}-{times}"),
        });
        *seen += 1;
    }
    let named = prose.split("<a name=\"").skip(1);
    anchors.extend(named.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    anchors
}

fn slug(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            _ => c.is_alphanumeric().then_some(c),
        })
        .collect()
}

fn planted(name: &str, text: &str) -> Page {
    Page {
        name: name.to_owned(),
        text: text.to_owned(),
    }
}

#[test]
fn a_planted_broken_link_is_found() {
    let pages = [
        planted(
            "docs/a.md",
            "# A\n\n## `netkeel mtu`\n\n## Twice\n\n## Twice\n\n\
             [good](#netkeel-mtu) [good](#twice-1) [good](sub/b.md#what-it-does) [good](https://example.org/x#y)\n\
             [file](gone.md) [anchor](#gone) [other](sub/b.md#gone)\n",
        ),
        planted("docs/sub/b.md", "# B\n\n## What it does\n\n[good](../a.md)\n"),
    ];
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(
        broken(&pages, empty.path()),
        [
            "docs/a.md: gone.md: no such file",
            "docs/a.md: #gone: no such heading",
            "docs/a.md: sub/b.md#gone: no such heading",
        ]
    );
}

#[test]
fn a_page_that_the_summary_lacks_is_found() {
    let pages = [
        planted("docs/SUMMARY.md", "- [A](a.md)\n- [B](b.md)\n- [B again](b.md)\n"),
        planted("docs/a.md", "# A\n"),
        planted("docs/b.md", "# B\n"),
        planted("docs/c.md", "# C\n"),
    ];
    assert_eq!(
        missing_in_summary(&pages),
        ["docs/b.md is listed 2 times", "docs/c.md is listed 0 times"]
    );
}
