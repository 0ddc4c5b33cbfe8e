//! The hierarchy of a hiera.yaml, version 5: which files hold the data of a host.

use std::collections::BTreeMap;

use super::fill;
use crate::error::Diagnostics;
use crate::source::text::quoted;
use crate::source::{Entry, Node, Path};

/// Where data lies when nothing says otherwise.
const DATADIR: &str = "data";

/// Readers of data that is plain YAML or JSON, but for values that are not netkeel's.
const READERS: [&str; 3] = ["yaml_data", "json_data", "eyaml_lookup_key"];

/// Keys of a level that name files.
const NAMING: [&str; 2] = ["path", "paths"];

/// Keys of a level beside these; what else there is would find data that netkeel does not see.
const OTHER: [&str; 5] = ["name", "datadir", "data_hash", "lookup_key", "options"];

/// The files from the most specific to the most general, relative to the directory of hiera.yaml.
/// Those that are not there are passed over, as Hiera does.
pub fn paths(config: &Node, facts: &BTreeMap<String, String>, diagnostics: &mut Diagnostics) -> Vec<String> {
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
    let defaults = config.get("defaults");
    let mut paths = Vec::new();
    let levels = config.get("hierarchy").map(Node::items).unwrap_or_default();
    for (index, level) in levels.iter().enumerate() {
        let hierarchy = Path::ROOT.key("hierarchy");
        let path = hierarchy.index(index);
        let own = level.entries().iter();
        let given = defaults.map(Node::entries).unwrap_or_default().iter();
        // A level that says how it is read is not read as the defaults say.
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
        for name in NAMING
            .into_iter()
            .filter_map(|key| level.get(key))
            .flat_map(Node::items)
        {
            let file = format!("{datadir}/{}", name.scalar().unwrap_or_default());
            match fill(&file, facts) {
                Ok(filled) => paths.push(filled.unwrap_or(file)),
                Err(why) => {
                    diagnostics.add(name.span, path, why).hint(super::HINT);
                }
            }
        }
    }
    paths
}

fn refuse(entry: &Entry, path: &Path<'_>, diagnostics: &mut Diagnostics) {
    let key = entry.key.as_str();
    let known = NAMING.contains(&key) || OTHER.contains(&key);
    let reads = !["data_hash", "lookup_key"].contains(&key)
        || entry.value.text().is_some_and(|reader| READERS.contains(&reader));
    if !known || !reads {
        let what = entry.value.text().filter(|_| known).unwrap_or(key);
        diagnostics
            .add(
                entry.key_span,
                path,
                format!("netkeel does not follow {} in a hierarchy", quoted(what)),
            )
            .hint("name the files of data with -f, the general ones first");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::testing::yaml;

    fn read(text: &str) -> (Vec<String>, Vec<String>) {
        let mut diagnostics = Diagnostics::default();
        let facts = BTreeMap::from([("role".to_owned(), "lb".to_owned())]);
        let paths = paths(&yaml(text), &facts, &mut diagnostics);
        let said = diagnostics.list.into_iter().map(|said| said.message).collect();
        (paths, said)
    }

    #[test]
    fn levels_from_the_most_specific() {
        let (paths, said) = read(
            "version: 5
defaults: { datadir: hieradata, data_hash: yaml_data }
hierarchy:
  - { name: secrets, lookup_key: eyaml_lookup_key, paths: ['%{facts.role}.eyaml', 's.eyaml'], options: { a: b } }
  - { name: role, path: 'role/%{::role}.yaml', datadir: roles }
  - { name: common, path: common.yaml }
",
        );
        assert_eq!(said, [""; 0]);
        assert_eq!(
            paths,
            [
                "hieradata/lb.eyaml",
                "hieradata/s.eyaml",
                "roles/role/lb.yaml",
                "hieradata/common.yaml"
            ]
        );
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        assert_eq!(
            read("version: 3").1,
            ["netkeel follows a hiera.yaml of version 5 only"]
        );
        let (_, said) = read(
            "version: 5
hierarchy:
  - { name: a, mapped_paths: [x, y, z] }
  - { name: b, path: b.yaml, data_hash: 'mine::data' }
  - { name: c, path: '%{facts.site}.yaml' }
",
        );
        assert_eq!(
            said,
            [
                "netkeel does not follow `mapped_paths` in a hierarchy",
                "netkeel does not follow `mine::data` in a hierarchy",
                "no fact `site` is given"
            ]
        );
    }
}
