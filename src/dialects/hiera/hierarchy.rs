//! The hierarchy of a hiera.yaml, version 5: the files with the data of a host.

use crate::hiera::data::fill;
use crate::hiera::facts::{Facts, each};
use netkeel_core::text::escape::quoted;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::{Entry, Node};
use netkeel_source::span::Span;

/// Top-level keys. `plan_hierarchy` is for plans, which compile no catalog.
const TOP: [&str; 4] = ["version", "defaults", "hierarchy", "plan_hierarchy"];

/// The default data directory.
const DATADIR: &str = "data";

/// Backends whose data is plain YAML or JSON, except for values that do not belong to netkeel.
const READERS: [&str; 3] = ["yaml_data", "json_data", "eyaml_lookup_key"];

/// Keys of a level that name files.
const NAMING: [&str; 5] = ["path", "paths", "glob", "globs", "mapped_paths"];

/// Other supported keys of a level. Any further key would find data that netkeel does not see.
const OTHER: [&str; 5] = ["name", "datadir", "data_hash", "lookup_key", "options"];

/// The data files of a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataFile {
    /// A file.
    File(String),
    /// A pattern with `*` and `?` within path components: all files that match, by name.
    Glob(String),
}

/// The files of each level, most specific first, relative to the directory of hiera.yaml. Missing files
/// are skipped, as in Hiera.
pub fn places(config: &Node, facts: &Facts, diagnostics: &mut Diagnostics) -> Vec<Vec<DataFile>> {
    if config.get("version").and_then(Node::integer) != Some(5) {
        diagnostics
            .add(
                config.span,
                "version",
                "netkeel follows a hiera.yaml of version 5 only",
            )
            .hint("name the files of data with -f, the general ones first");
        return Vec::new();
    }
    for entry in config
        .entries()
        .iter()
        .filter(|entry| !TOP.contains(&&*entry.key))
    {
        refuse_key(
            entry,
            &entry.key,
            &KeyPath::ROOT,
            "beside the hierarchy",
            diagnostics,
        );
    }
    let defaults = config.get("defaults");
    let mut places = Vec::new();
    let levels = config.get("hierarchy").map(Node::items).unwrap_or_default();
    for (index, level) in levels.iter().enumerate() {
        let hierarchy = KeyPath::ROOT.key("hierarchy");
        let path = hierarchy.index(index);
        let own = level.entries().iter();
        let given = defaults.map(Node::entries).unwrap_or_default().iter();
        // A level that sets its own backend ignores the default one.
        let says_how = level
            .get("data_hash")
            .or_else(|| level.get("lookup_key"))
            .is_some();
        let given = given.filter(|entry| !says_how || entry.key == "datadir");
        for entry in own.chain(given) {
            refuse(entry, &path, diagnostics);
        }
        let datadir = level.get("datadir").or_else(|| defaults?.get("datadir"));
        let datadir = datadir.and_then(Node::text).unwrap_or(DATADIR);
        let mut of_level = Vec::new();
        for (key, named) in NAMING
            .iter()
            .filter_map(|key| level.get(key).map(|named| (*key, named)))
        {
            let found = match key {
                "mapped_paths" => mapped(named, datadir, facts),
                _ => plain(key, named, datadir, facts),
            };
            match found {
                Ok(found) => of_level.extend(found),
                Err((span, why, hint)) => {
                    diagnostics.add(span, path, why).hint(hint);
                }
            }
        }
        places.push(of_level);
    }
    places
}

type Refused = (Span, String, &'static str);

fn plain(key: &str, named: &Node, datadir: &str, facts: &Facts) -> Result<Vec<DataFile>, Refused> {
    let place = |name: &Node| {
        let written = format!("{datadir}/{}", name.scalar().unwrap_or_default());
        let filled = fill(&written, facts).map_err(|why| (name.span, why, crate::hiera::data::HINT))?;
        let file = filled.unwrap_or(written);
        if !key.starts_with("glob") {
            return Ok(DataFile::File(file));
        }
        if file.contains("**") || file.contains(['{', '[']) {
            let why = format!("netkeel does not follow the pattern {}", quoted(&file));
            return Err((name.span, why, "only `*` and `?` are, within a name"));
        }
        Ok(DataFile::Glob(file))
    };
    named.items().iter().map(place).collect()
}

/// One file per item of a fact; the item has its own name in the path.
fn mapped(named: &Node, datadir: &str, facts: &Facts) -> Result<Vec<DataFile>, Refused> {
    let words: Vec<&str> = named.items().iter().filter_map(Node::text).collect();
    let [fact, item, path] = words[..] else {
        let why = "expected the name of a fact, a name for each of its items, and a path".to_owned();
        return Err((
            named.span,
            why,
            "`mapped_paths: [roles, role, 'role/%{role}.yaml']`",
        ));
    };
    let name = crate::hiera::data::without_prefix(fact);
    let items = each(facts, name).ok_or_else(|| {
        (
            named.span,
            crate::hiera::data::no_fact(name),
            crate::hiera::data::HINT,
        )
    })?;
    let written = format!("{datadir}/{path}");
    let file = |value: &str| {
        let mut facts = facts.clone();
        facts.insert(item.to_owned(), value.to_owned());
        let filled = fill(&written, &facts).map_err(|why| (named.span, why, crate::hiera::data::HINT))?;
        Ok(DataFile::File(filled.unwrap_or_else(|| written.clone())))
    };
    items.into_iter().map(file).collect()
}

fn refuse(entry: &Entry, path: &KeyPath<'_>, diagnostics: &mut Diagnostics) {
    let key = entry.key.as_str();
    let known = NAMING.contains(&key) || OTHER.contains(&key);
    let reads = !["data_hash", "lookup_key"].contains(&key)
        || entry.value.text().is_some_and(|reader| READERS.contains(&reader));
    if !known || !reads {
        let what = entry.value.text().filter(|_| known).unwrap_or(key);
        refuse_key(entry, what, path, "in a hierarchy", diagnostics);
    }
}

fn refuse_key(entry: &Entry, what: &str, path: &KeyPath<'_>, place: &str, diagnostics: &mut Diagnostics) {
    diagnostics
        .add(
            entry.key_span,
            path,
            format!("netkeel does not follow {} {place}", quoted(what)),
        )
        .hint("name the files of data with -f, the general ones first");
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_source::testing::yaml;

    fn read(text: &str) -> (Vec<String>, Vec<String>) {
        let mut diagnostics = Diagnostics::default();
        let facts = [("role", "lb"), ("sites.0", "a"), ("sites.1", "b"), ("none", "")];
        let facts = facts.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let places = places(&yaml(text), &Facts::from(facts), &mut diagnostics);
        let messages = diagnostics
            .list
            .into_iter()
            .map(|messages| messages.message)
            .collect();
        let path = |place| match place {
            DataFile::File(path) => path,
            DataFile::Glob(pattern) => format!("glob {pattern}"),
        };
        let levels = places.into_iter().map(|level| {
            let paths: Vec<String> = level.into_iter().map(path).collect();
            paths.join(" ")
        });
        (levels.collect(), messages)
    }

    #[test]
    fn levels_of_patterns_and_of_lists_of_facts() {
        let (paths, messages) = read(
            "version: 5
hierarchy:
  - { name: sites, mapped_paths: [facts.sites, site, '%{role}/%{site}.yaml'] }
  - { name: none, mapped_paths: [none, x, '%{x}.yaml'] }
  - { name: one, mapped_paths: ['::role', x, '%{x}.yaml'] }
  - { name: all, glob: 'all/%{facts.role}-*.yaml' }
",
        );
        assert_eq!(messages, [""; 0]);
        assert_eq!(
            paths,
            [
                "data/lb/a.yaml data/lb/b.yaml",
                "",
                "data/lb.yaml",
                "glob data/all/lb-*.yaml"
            ]
        );
    }

    #[test]
    fn levels_from_the_most_specific() {
        let (paths, messages) = read(
            "version: 5
defaults: { datadir: hieradata, data_hash: yaml_data }
hierarchy:
  - { name: secrets, lookup_key: eyaml_lookup_key, paths: ['%{facts.role}.eyaml', 's.eyaml'], options: { a: b } }
  - { name: role, path: 'role/%{::role}.yaml', datadir: roles }
  - { name: common, path: common.yaml }
",
        );
        assert_eq!(messages, [""; 0]);
        assert_eq!(
            paths,
            [
                "hieradata/lb.eyaml hieradata/s.eyaml",
                "roles/role/lb.yaml",
                "hieradata/common.yaml"
            ]
        );
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        let (_, messages) = read(
            "version: 5
hierarchy: [{ name: a, path: a.yaml }]
plan_hierarchy: []
default_hierarchy: [{ name: b, path: b.yaml }]
hierachy: []
",
        );
        assert_eq!(
            messages,
            [
                "netkeel does not follow `default_hierarchy` beside the hierarchy",
                "netkeel does not follow `hierachy` beside the hierarchy"
            ]
        );
        assert_eq!(
            read("version: 3").1,
            ["netkeel follows a hiera.yaml of version 5 only"]
        );
        let (_, messages) = read(
            "version: 5
hierarchy:
  - { name: a, mapped_paths: [x, y, z] }
  - { name: a, mapped_paths: [x, y] }
  - { name: a, globs: ['**/*.yaml'] }
  - { name: a, uri: 'http://a' }
  - { name: b, path: b.yaml, data_hash: 'mine::data' }
  - { name: c, path: '%{facts.site}.yaml' }
",
        );
        assert_eq!(
            messages,
            [
                "no fact `x` is given",
                "expected the name of a fact, a name for each of its items, and a path",
                "netkeel does not follow the pattern `data/**/*.yaml`",
                "netkeel does not follow `uri` in a hierarchy",
                "netkeel does not follow `mine::data` in a hierarchy",
                "no fact `site` is given"
            ]
        );
    }
}
