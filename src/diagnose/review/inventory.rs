//! The inventory of a fleet: which layers of a document a host gets, and its stage of a rollout.

use std::collections::BTreeMap;

use crate::review::group::Stage;
use netkeel_core::text::glob::Glob;
use netkeel_core::text::suggest::suggest;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::{Data, Node};

/// An entry: the hosts that match a name or a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The pattern of the hosts.
    hosts: Glob,
    /// The files that the hosts get, relative to the directory of the document, later ones override earlier ones;
    /// `None` for all documents.
    pub layers: Option<Vec<String>>,
    /// The stage.
    pub stage: Option<Stage>,
}

/// The entries in the order of the file. The first one that matches a host decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The stages in their order.
    pub stages: Vec<String>,
    /// The entries.
    pub entries: Vec<Entry>,
}

const KEYS: [&str; 2] = ["stages", "hosts"];

const ENTRY_KEYS: [&str; 2] = ["layers", "stage"];

impl Inventory {
    /// Whether a file is an inventory of netkeel's own, not one of Ansible, whose keys are groups.
    pub fn is_one(file: &Node) -> bool {
        let Data::Map(entries) = &file.data else {
            return true;
        };
        entries.iter().all(|entry| KEYS.contains(&entry.key.as_str()))
    }

    /// Whether messages show the value with this path of keys.
    pub fn reads(path: &[&str]) -> bool {
        matches!(path, ["stages"]) || path.last().is_some_and(|key| ENTRY_KEYS.contains(key))
    }

    /// Reads an inventory. Errors go to the diagnostics.
    pub fn read(file: &Node, diagnostics: &mut Diagnostics) -> Self {
        let mut inventory = Inventory::default();
        let Data::Map(entries) = &file.data else {
            diagnostics.add(file.span, "", "expected a map with `hosts`");
            return inventory;
        };
        unknown(file, "", &KEYS, diagnostics);
        if let Some(stages) = file.get("stages") {
            inventory.stages = texts(stages, "stages", diagnostics);
        }
        let has_stages = !inventory.stages.is_empty();
        let hosts = entries.iter().find(|entry| entry.key == "hosts");
        let Some(Data::Map(hosts)) = hosts.map(|hosts| &hosts.value.data) else {
            let span = hosts.map_or(file.span, |hosts| hosts.value.span);
            diagnostics.add(span, "hosts", "expected a map of hosts or patterns");
            return inventory;
        };
        for host in hosts {
            let path = format!("hosts.{}", host.key);
            let glob = match Glob::new(&host.key) {
                Ok(glob) => glob,
                Err(error) => {
                    diagnostics.add(host.key_span, path, error.message).hints = error.hints;
                    continue;
                }
            };
            unknown(&host.value, &path, &ENTRY_KEYS, diagnostics);
            let layers = host.value.get("layers");
            let layers = layers.map(|layers| layer_list(layers, &format!("{path}.layers"), diagnostics));
            let stage = host.value.get("stage");
            let stage = stage.and_then(|stage| {
                let path = format!("{path}.stage");
                inventory.stage(stage, &path, has_stages, diagnostics)
            });
            inventory.entries.push(Entry {
                hosts: glob,
                layers,
                stage,
            });
        }
        inventory
    }

    /// The number of a stage. Without a list of stages their order is that of the file.
    fn stage(
        &mut self,
        node: &Node,
        path: &str,
        is_listed: bool,
        diagnostics: &mut Diagnostics,
    ) -> Option<Stage> {
        let Data::Text { value, .. } = &node.data else {
            diagnostics.add(node.span, path, "expected the name of a stage");
            return None;
        };
        let known = self.stages.iter().position(|stage| stage == value);
        if known.is_some() {
            return known;
        }
        if is_listed {
            let stages: Vec<&str> = self.stages.iter().map(String::as_str).collect();
            let near = suggest(value, &stages);
            let diagnostic = diagnostics.add(node.span, path, format!("`stages` has no stage `{value}`"));
            diagnostic.hints.extend(near);
            return None;
        }
        self.stages.push(value.clone());
        Some(self.stages.len() - 1)
    }

    /// The hosts that entries name exactly, with their stages.
    pub fn exact(&self) -> BTreeMap<String, Option<Stage>> {
        let entries = self.entries.iter().filter_map(|entry| entry.hosts.exact());
        let named = entries.filter_map(|host| {
            let stage = self.entry(&host)?.1.stage;
            Some((host, stage))
        });
        named.collect()
    }

    /// The entry of a host, with its number.
    pub fn entry(&self, host: &str) -> Option<(usize, &Entry)> {
        let mut entries = self.entries.iter().enumerate();
        entries.find(|(_, entry)| entry.hosts.matches(host.as_bytes()))
    }
}

/// Paths below the directory of the document.
fn layer_list(node: &Node, path: &str, diagnostics: &mut Diagnostics) -> Vec<String> {
    let layers = texts(node, path, diagnostics);
    for layer in &layers {
        let is_below = |part: &str| !matches!(part, "" | "." | "..");
        if !layer.split('/').all(is_below) {
            diagnostics
                .add(
                    node.span,
                    path,
                    format!("`{layer}` is not a path below the directory"),
                )
                .hint("name a file relative to OLD and NEW, such as role/worker.yaml");
        }
    }
    if layers.is_empty() {
        diagnostics.add(node.span, path, "expected at least one file");
    }
    layers
}

fn texts(node: &Node, path: &str, diagnostics: &mut Diagnostics) -> Vec<String> {
    let Data::List(items) = &node.data else {
        diagnostics.add(node.span, path, "expected a list");
        return Vec::new();
    };
    let mut texts = Vec::new();
    for (number, item) in items.iter().enumerate() {
        match &item.data {
            Data::Text { value, .. } => texts.push(value.clone()),
            Data::Null | Data::Bool(_) | Data::Integer(_) | Data::List(_) | Data::Map(_) => {
                diagnostics.add(item.span, format!("{path}[{number}]"), "expected text");
            }
        }
    }
    texts
}

fn unknown(node: &Node, path: &str, known: &[&str], diagnostics: &mut Diagnostics) {
    let entries = match &node.data {
        Data::Map(entries) => entries,
        Data::Null => return,
        Data::Bool(_) | Data::Integer(_) | Data::Text { .. } | Data::List(_) => {
            diagnostics.add(node.span, path, "expected a map");
            return;
        }
    };
    for entry in entries
        .iter()
        .filter(|entry| !known.contains(&entry.key.as_str()))
    {
        let diagnostic = diagnostics.add(entry.key_span, path, format!("unknown key `{}`", entry.key));
        diagnostic.hints.extend(suggest(&entry.key, known));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_source::sources::Sources;

    fn read(text: &str) -> Result<Inventory, Vec<String>> {
        let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
        let node = sources
            .load("hosts.yaml", text.into(), None, &mut diagnostics)
            .unwrap();
        let inventory = Inventory::read(&node, &mut diagnostics);
        match diagnostics.is_empty() {
            true => Ok(inventory),
            false => Err(diagnostics.list.into_iter().map(|one| one.message).collect()),
        }
    }

    #[test]
    fn the_first_entry_that_matches_decides() {
        let text =
            "hosts:\n  k8s1001: { stage: canary }\n  \"k8s*\": { layers: [base.yaml, role/k8s.yaml] }\n";
        let inventory = read(text).unwrap();
        let entry = |host| inventory.entry(host).map(|(number, entry)| (number, entry.stage));
        assert_eq!(entry("k8s1001"), Some((0, Some(0))));
        assert_eq!(entry("k8s1002"), Some((1, None)));
        assert_eq!(entry("db1"), None);
        let layers = inventory.entries[1].layers.as_deref().unwrap();
        assert_eq!(layers, ["base.yaml", "role/k8s.yaml"]);
        assert_eq!(inventory.stages, ["canary"]);
        assert_eq!(
            inventory.exact(),
            BTreeMap::from([("k8s1001".to_owned(), Some(0))])
        );
    }

    #[test]
    fn an_inventory_says_what_is_wrong() {
        let wrong = |text| read(text).unwrap_err().join("; ");
        assert_eq!(wrong("7"), "expected a map with `hosts`");
        assert_eq!(
            wrong("host: {}"),
            "unknown key `host`; expected a map of hosts or patterns"
        );
        assert_eq!(
            wrong("stages: [a]\nhosts: { \"*\": { stage: b } }"),
            "`stages` has no stage `b`"
        );
        assert_eq!(
            wrong("hosts: { \"*\": { layers: [../x.yaml] } }"),
            "`../x.yaml` is not a path below the directory"
        );
        assert_eq!(
            wrong("hosts: { \"*\": { layers: [] } }"),
            "expected at least one file"
        );
    }
}
