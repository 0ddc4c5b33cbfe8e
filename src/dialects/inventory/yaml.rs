//! Ansible's YAML format: groups with `hosts`, `children` and `vars`.

use crate::inventory::groups::{Inventory, Variable};
use netkeel_core::text::suggest::suggest;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::{Data, Entry, Node};

const KEYS: [&str; 3] = ["hosts", "children", "vars"];

pub(super) fn read(file: &Node, inventory: &mut Inventory<'_>, diagnostics: &mut Diagnostics) {
    let Data::Map(groups) = &file.data else {
        diagnostics.add(file.span, "", "expected a map of groups");
        return;
    };
    for entry in groups {
        let made = match entry.key.as_str() {
            "plugin" => Some("a configuration of an inventory plugin"),
            "_meta" => Some("the output of an inventory script"),
            _ => None,
        };
        if let Some(made) = made {
            diagnostics
                .add(
                    entry.key_span,
                    entry.key.as_str(),
                    format!("this is {made}, not an inventory"),
                )
                .hint("save its groups: ansible-inventory --list --yaml --export");
            return;
        }
        group(entry, &entry.key, inventory, diagnostics);
    }
}

fn group(entry: &Entry, path: &str, inventory: &mut Inventory<'_>, diagnostics: &mut Diagnostics) {
    let name = entry.key.as_str();
    inventory.group(name);
    for part in entries(&entry.value, path, diagnostics) {
        let path = format!("{path}.{}", part.key);
        match part.key.as_str() {
            // As in Ansible, a text is the only key of a map.
            "hosts" if part.value.text().is_some() => {
                let host = part.value.text().unwrap_or_default();
                inventory.add_hosts(name, host, part.value.span, diagnostics);
            }
            "children" if part.value.text().is_some() => {
                let child = part.value.text().unwrap_or_default();
                inventory.group(child);
                let children = &mut inventory.group(name).children;
                children.insert(child.to_owned(), part.value.span);
            }
            "hosts" => {
                for host in entries(&part.value, &path, diagnostics) {
                    let names = inventory.add_hosts(name, &host.key, host.key_span, diagnostics);
                    for variable in entries(&host.value, &format!("{path}.{}", host.key), diagnostics) {
                        inventory.host_variable(&names, &of(variable), diagnostics);
                    }
                }
            }
            "children" => {
                for child in entries(&part.value, &path, diagnostics) {
                    inventory
                        .group(name)
                        .children
                        .insert(child.key.clone(), child.key_span);
                    group(child, &format!("{path}.{}", child.key), inventory, diagnostics);
                }
            }
            "vars" => {
                for variable in entries(&part.value, &path, diagnostics) {
                    inventory.group_variable(name, &of(variable), diagnostics);
                }
            }
            other => {
                let diagnostic =
                    diagnostics.add(part.key_span, &path, format!("a group has no key `{other}`"));
                diagnostic.hints.extend(suggest(other, &KEYS));
            }
        }
    }
}

fn of(entry: &Entry) -> Variable<'_> {
    Variable {
        name: &entry.key,
        value: entry.value.scalar(),
        span: entry.value.span,
    }
}

/// The entries of a map, or of nothing.
fn entries<'a>(node: &'a Node, path: &str, diagnostics: &mut Diagnostics) -> &'a [Entry] {
    match &node.data {
        Data::Map(entries) => entries,
        Data::Null => &[],
        _ => {
            diagnostics
                .add(node.span, path, format!("expected a map, found {}", node.kind()))
                .hint("hosts and groups are keys: `web1:`");
            &[]
        }
    }
}
