//! Ansible inventories, in INI and in YAML: hosts, their groups in the order of precedence, and their stages.

pub mod groups;
mod ini;
mod range;
mod yaml;

use crate::inventory::groups::{Inventory, Members, PRIORITY, STAGE};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::Node;
use netkeel_source::sources::Sources;
use netkeel_source::span::FileId;

/// Reads an inventory in YAML or JSON. `keys` are those of a document. Errors go to the diagnostics.
pub fn of_yaml(file: &Node, keys: &[&str], diagnostics: &mut Diagnostics) -> Members {
    let mut inventory = Inventory::new(keys);
    yaml::read(file, &mut inventory, diagnostics);
    inventory.members(diagnostics)
}

/// Whether messages show the value of a variable: others may be passwords.
pub fn reads(path: &[&str]) -> bool {
    path.last().is_some_and(|name| [STAGE, PRIORITY].contains(name))
}

/// Reads an inventory in Ansible's INI format. Errors go to the diagnostics, which show no value of a variable.
pub fn of_ini(sources: &mut Sources, file: FileId, keys: &[&str], diagnostics: &mut Diagnostics) -> Members {
    let mut inventory = Inventory::new(keys);
    let values = ini::read(file, sources.text(file), &mut inventory, diagnostics);
    if let Some(file) = sources.files.get_mut(usize::from(file.0)) {
        file.shown.hide(&values);
    }
    inventory.members(diagnostics)
}

/// Whether a file is in the INI format: by its name, or by the header of a section.
pub fn is_ini(name: &str, text: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or_default();
    match file.rsplit_once('.').map(|(_, extension)| extension) {
        Some("ini" | "cfg") => true,
        Some("yaml" | "yml" | "json" | "toml") => false,
        _ => text.lines().any(|line| ini::header(line.trim()).is_some()),
    }
}

#[cfg(test)]
mod tests;
