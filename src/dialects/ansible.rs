//! Variables of an Ansible inventory as a document: `netkeel_sysctl`, `netkeel_link` and the others
//! of the role, or a whole document in `netkeel_document`.

use crate::dialect::Reading;
use crate::variables::{encrypted, is_section, refuse_no_map, refuse_nothing, refuse_texts, sections};
use crate::version::document;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::merge::merge;
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::{Entry, Node};

const PREFIX: &str = "netkeel_";

/// Variables that hold a whole document.
const WHOLE: [&str; 2] = ["netkeel_document", "netkeel"];

/// The hint for files that hold no variables.
pub(crate) const FILES: &str =
    "playbooks and lists of hosts are not read: give the files of group_vars and host_vars";

/// Whether a variable belongs to netkeel.
pub(crate) fn concerns(key: &str) -> bool {
    key.starts_with(PREFIX) || WHOLE.contains(&key)
}

/// Whether a variable is a part of a document, or resembles one. The role has others.
pub(crate) fn is_of_a_document(key: &str, keys: &[&str]) -> bool {
    WHOLE.contains(&key) || is_section(key, PREFIX, keys)
}

/// The document from files such as `group_vars/all.yml` and `host_vars/NAME.yml`. As in Ansible, a
/// variable of a later file replaces that of an earlier file. The variables of sections are layered
/// over the whole document.
pub(crate) fn layers(files: Vec<Node>, reading: &Reading<'_>, diagnostics: &mut Diagnostics) -> Vec<Node> {
    let first = files.first().map(|file| file.span).unwrap_or_default();
    let mut whole: Option<Node> = None;
    let mut variables: Vec<Entry> = Vec::new();
    for file in files {
        refuse_no_map(&file, "a map of variables", FILES, diagnostics);
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
    // As in Ansible, `null` unsets a variable.
    variables.retain(|variable| !variable.value.is_null());
    let mut whole = whole.filter(|whole| !whole.is_null());
    for variable in &mut variables {
        let path = KeyPath::ROOT.key(&variable.key);
        refuse_texts(&mut variable.value, &path, &unreadable, diagnostics);
    }
    if let Some(whole) = &mut whole {
        refuse_texts(whole, &KeyPath::ROOT, &unreadable, diagnostics);
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
        // In variables a document may omit its version.
        layers.push(merge(document(Vec::new(), whole.span), whole));
    }
    if !variables.is_empty() || layers.is_empty() {
        layers.push(document(variables, first));
    }
    layers
}

/// Why a text is not a usable value: only Ansible can decrypt it or fill it in.
fn unreadable(text: &str) -> Option<(String, &'static str)> {
    let template = text.contains("{{") || text.contains("{%");
    let filled_in = || {
        (
            "a template, which only Ansible can fill in".to_owned(),
            "give its value in a file of variables that is layered over this one",
        )
    };
    encrypted(text).or_else(|| template.then(filled_in))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use netkeel_source::testing::{outline, yaml};

    fn read(files: &[&str]) -> (Vec<String>, Vec<String>) {
        let reading = Reading {
            dialect: crate::dialect::Dialect::Ansible,
            keys: &["owner", "sysctl", "link"],
            facts: &BTreeMap::new(),
            levels: &[],
        };
        let mut diagnostics = Diagnostics::default();
        let files = files.iter().map(|text| yaml(text)).collect();
        let layers = layers(files, &reading, &mut diagnostics);
        let messages = diagnostics
            .list
            .into_iter()
            .map(|messages| messages.message)
            .collect();
        (layers.iter().map(outline).collect(), messages)
    }

    #[test]
    fn a_later_file_takes_the_whole_place_of_a_variable() {
        let files = [
            "ntp: [a]\nnetkeel_version: 1.2.0\nnetkeel_link: {eth0: {mtu: 1500}}\nnetkeel_sysctl: {a: 1}",
            "netkeel_link: {eth1: {mtu: 1400}}\nnetkeel_owner: ~",
        ];
        let (layers, messages) = read(&files);
        assert_eq!(messages, [""; 0]);
        assert_eq!(
            layers,
            ["{version: 1, sysctl: {a: 1}, link: {eth1: {mtu: 1400}}}"]
        );
    }

    #[test]
    fn sections_are_laid_over_a_whole_document() {
        let (layers, messages) =
            read(&["netkeel_document: {owner: site, link: {eth0: {mtu: 1500}}}\nnetkeel_link: {}"]);
        assert_eq!(messages, [""; 0]);
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
        let (_, messages) = read(&["netkeel_link: {eth0: {mtu: '{{ mtu }}'}}\nnetkeel_sysctls: {}"]);
        assert_eq!(
            messages,
            [
                "`netkeel_sysctls` is not a key that netkeel reads",
                "a template, which only Ansible can fill in"
            ]
        );
        // Texts that are not files of variables.
        for text in ["[{hosts: all}]", "$ANSIBLE_VAULT;1.1;AES256\n6638", "5"] {
            let (_, messages) = read(&["netkeel_link: {}", text]);
            assert_eq!(messages.len(), 1, "{text}: {messages:?}");
        }
        let (_, messages) = read(&["netkeel_link: {a: ['ENC[PKCS7,MIIB]', \"$ANSIBLE_VAULT;1.1\"]}"]);
        assert_eq!(
            messages,
            [
                "a value that is encrypted by eyaml",
                "a value that is encrypted by Ansible's vault"
            ]
        );
        // A variable that a later file replaces is not reported.
        let (_, messages) = read(&["netkeel_link: {a: 'ENC[PKCS7,MIIB]'}", "netkeel_link: {}"]);
        assert_eq!(messages, [""; 0]);
        let (_, messages) = read(&["ntp: [a]"]);
        assert_eq!(messages.len(), 1);
        assert!(
            messages[0].starts_with("nothing here is for netkeel"),
            "{messages:?}"
        );
    }
}
