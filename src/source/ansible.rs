//! Variables of an Ansible inventory as a document: `netkeel_sysctl`, `netkeel_link` and the others
//! of the role, or a whole document in `netkeel_document`.

use super::dialect::{Reading, document};
use super::merge::merge;
use super::variables::{refuse_nothing, sections};
use super::{Data, Entry, Node, Path};
use crate::error::Diagnostics;

const PREFIX: &str = "netkeel_";

/// Variables that hold a whole document.
const WHOLE: [&str; 2] = ["netkeel_document", "netkeel"];

/// Whether a variable is netkeel's.
pub(super) fn concerns(key: &str) -> bool {
    key.starts_with(PREFIX) || WHOLE.contains(&key)
}

/// The document, of files such as `group_vars/all.yml` and `host_vars/NAME.yml`. As in Ansible a
/// variable of a later file takes the whole place of one of an earlier file. The variables of
/// sections are laid over the whole document.
pub(super) fn layers(files: Vec<Node>, reading: &Reading<'_>, diagnostics: &mut Diagnostics) -> Vec<Node> {
    let first = files.first().map(|file| file.span).unwrap_or_default();
    let mut whole: Option<Node> = None;
    let mut variables: Vec<Entry> = Vec::new();
    for file in files {
        for section in sections(&file, PREFIX, reading.keys, diagnostics) {
            variables.retain(|earlier| earlier.key != section.key);
            variables.push(section);
        }
        let named = file
            .entries()
            .iter()
            .filter(|entry| WHOLE.contains(&entry.key.as_str()));
        for entry in named {
            whole = Some(entry.value.clone());
        }
    }
    // As in Ansible, `null` is how a file says that it has none.
    variables.retain(|variable| !variable.value.is_null());
    let mut whole = whole.filter(|whole| !whole.is_null());
    for variable in &mut variables {
        refuse_templates(&mut variable.value, &Path::ROOT.key(&variable.key), diagnostics);
    }
    if let Some(whole) = &mut whole {
        refuse_templates(whole, &Path::ROOT, diagnostics);
    }
    if variables.is_empty() && whole.is_none() && !diagnostics.lost {
        refuse_nothing(
            first,
            "variable `netkeel_document` or `netkeel_sysctl`, `netkeel_link`, ...",
            diagnostics,
        );
    }
    let mut layers = Vec::new();
    if let Some(whole) = whole {
        // In variables a document need not say its version, and may.
        layers.push(merge(document(Vec::new(), whole.span), whole));
    }
    if !variables.is_empty() || layers.is_empty() {
        layers.push(document(variables, first));
    }
    layers
}

/// What Ansible would fill in is unknown here.
fn refuse_templates(node: &mut Node, path: &Path<'_>, diagnostics: &mut Diagnostics) {
    match &mut node.data {
        Data::Text { value, .. } if value.contains("{{") || value.contains("{%") => {
            diagnostics
                .add(node.span, path, "a template, which only Ansible can fill in")
                .hint("give its value in a file of variables that is layered over this one");
            node.data = Data::Null;
        }
        Data::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                refuse_templates(item, &path.index(index), diagnostics);
            }
        }
        Data::Map(entries) => {
            for entry in entries {
                refuse_templates(&mut entry.value, &path.key(&entry.key), diagnostics);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::source::testing::{outline, yaml};

    fn read(files: &[&str]) -> (Vec<String>, Vec<String>) {
        let reading = Reading {
            dialect: crate::source::Dialect::Ansible,
            keys: &["owner", "sysctl", "link"],
            facts: &BTreeMap::new(),
        };
        let mut diagnostics = Diagnostics::default();
        let files = files.iter().map(|text| yaml(text)).collect();
        let layers = layers(files, &reading, &mut diagnostics);
        let said = diagnostics.list.into_iter().map(|said| said.message).collect();
        (layers.iter().map(outline).collect(), said)
    }

    #[test]
    fn a_later_file_takes_the_whole_place_of_a_variable() {
        let files = [
            "ntp: [a]\nnetkeel_version: 1.2.0\nnetkeel_link: {eth0: {mtu: 1500}}\nnetkeel_sysctl: {a: 1}",
            "netkeel_link: {eth1: {mtu: 1400}}\nnetkeel_owner: ~",
        ];
        let (layers, said) = read(&files);
        assert_eq!(said, [""; 0]);
        assert_eq!(
            layers,
            ["{version: 1, sysctl: {a: 1}, link: {eth1: {mtu: 1400}}}"]
        );
    }

    #[test]
    fn sections_are_laid_over_a_whole_document() {
        let (layers, said) =
            read(&["netkeel_document: {owner: site, link: {eth0: {mtu: 1500}}}\nnetkeel_link: {}"]);
        assert_eq!(said, [""; 0]);
        assert_eq!(
            layers,
            [
                "{version: 1, owner: <site>, link: {eth0: {mtu: 1500}}}",
                "{version: 1, link: {}}"
            ]
        );
        assert_eq!(read(&["netkeel: {version: 2}"]).0, ["{version: 2}"]);
    }

    #[test]
    fn templates_slips_and_foreign_files_are_refused() {
        let (_, said) = read(&["netkeel_link: {eth0: {mtu: '{{ mtu }}'}}\nnetkeel_sysctls: {}"]);
        assert_eq!(
            said,
            [
                "`netkeel_sysctls` is nothing that netkeel reads",
                "a template, which only Ansible can fill in"
            ]
        );
        let (_, said) = read(&["ntp: [a]"]);
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("nothing here is for netkeel"), "{said:?}");
    }
}
