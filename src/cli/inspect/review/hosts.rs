//! The hosts of a review: an inventory of netkeel's own, one of Ansible, or facts for Hiera.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::arguments::Origin;
use crate::inspect::review::nodes::{Node, Nodes};
use crate::load::file::{io_error, read_file};
use crate::load::hierarchy::facts_of;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_diagnose::review::inventory::Inventory;
use netkeel_dialects::dialect::Dialect;
use netkeel_dialects::hiera::facts::Facts;
use netkeel_dialects::inventory;
use netkeel_dialects::inventory::groups::Members;
use netkeel_document::document;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::report::render;
use netkeel_source::sources::Sources;

/// The hosts that `--hosts`, `--nodes` or `--cluster` names.
pub(super) enum Hosts {
    /// Patterns, with layers and stages.
    Patterns(Inventory),
    /// An inventory of Ansible.
    Ansible(Members),
    /// The nodes of a cluster.
    Nodes(BTreeMap<String, Node>),
    /// The facts of each host, or why they cannot be read.
    Facts(BTreeMap<String, Result<Facts, String>>),
}

impl Hosts {
    /// Reads `--hosts`: with `--from hiera` a directory of facts, else an inventory.
    pub(super) fn read(path: &Path, origin: &Origin) -> Result<Self, Error> {
        match (path.is_dir(), origin.dialect()) {
            (true, Dialect::Hiera) => facts(path, origin).map(Hosts::Facts),
            (true, _) => Err(Error::new(ErrorKind::Input, format!("{} is a directory", path.display()))
                .hint("name a file; with --from hiera, a directory with the facts of each host as HOST.json or HOST.yaml")),
            (false, dialect) => match (inventory(path)?, dialect) {
                (Hosts::Ansible(_), Dialect::Native | Dialect::Hiera | Dialect::Talos) => {
                    let message = format!("{} is an inventory of Ansible", path.display());
                    Err(Error::new(ErrorKind::Input, message)
                        .hint("add --from ansible: the layers of its hosts are files of variables"))
                }
                (hosts, _) => Ok(hosts),
            },
        }
    }

    /// Reads `--nodes` or `--cluster`.
    pub(super) fn nodes(nodes: Nodes<'_>, origin: &Origin) -> Result<Self, Error> {
        match origin.dialect() {
            Dialect::Native => nodes.read().map(Hosts::Nodes),
            _ => Err(Error::new(
                ErrorKind::Input,
                "--nodes and --cluster take policies, and no --from",
            )),
        }
    }
}

/// The facts of each host, by the names of the files.
fn facts(directory: &Path, origin: &Origin) -> Result<BTreeMap<String, Result<Facts, String>>, Error> {
    if origin.facts_file().is_some() {
        let message = "--facts and --hosts both name files of facts";
        return Err(Error::new(ErrorKind::Input, message)
            .hint("leave --facts out; --fact NAME=VALUE sets a fact of all hosts"));
    }
    let failed = |error: std::io::Error| io_error(&error).context(directory.display());
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let name = file.file_name().and_then(|name| name.to_str());
        let host = name.and_then(|name| {
            [".json", ".yaml", ".yml"]
                .iter()
                .find_map(|end| name.strip_suffix(*end))
        });
        let Some(host) = host.filter(|host| !host.is_empty() && !host.starts_with('.')) else {
            continue;
        };
        if let Some(other) = files.insert(host.to_owned(), file.clone()) {
            let message = format!(
                "{} and {} have the facts of one host",
                other.display(),
                file.display()
            );
            return Err(Error::new(ErrorKind::Input, message));
        }
    }
    if files.is_empty() {
        let message = format!("{} has no facts", directory.display());
        return Err(Error::new(ErrorKind::Input, message)
            .hint("save those of each host as HOST.json: puppet facts --render-as json"));
    }
    // One file that is broken stops no review of the other hosts.
    let read = files.into_iter().map(|(host, file)| {
        let facts = facts_of(Some(&file), origin);
        (host, facts.map_err(|error| first_two(&error.message)))
    });
    Ok(read.collect())
}

/// The first two lines: the file, and its first error.
fn first_two(message: &str) -> String {
    let lines: Vec<&str> = message.lines().take(2).collect();
    lines.join(": ")
}

fn inventory(path: &Path) -> Result<Hosts, Error> {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let (name, bytes) = (path.display().to_string(), read_file(path)?);
    let keys = document::keys();
    let hosts = match inventory::is_ini(&name, &String::from_utf8_lossy(&bytes)) {
        true => sources
            .add_bytes(&name, bytes, &mut diagnostics)
            .map(|file| Hosts::Ansible(inventory::of_ini(&mut sources, file, &keys, &mut diagnostics))),
        false => {
            let reads = |path: &[&str]| Inventory::reads(path) || inventory::reads(path);
            let nodes = sources.load_foreign(&name, bytes, false, &reads, &mut diagnostics);
            nodes.first().map(|node| match Inventory::is_one(node) {
                true => Hosts::Patterns(Inventory::read(node, &mut diagnostics)),
                false => Hosts::Ansible(inventory::of_yaml(node, &keys, &mut diagnostics)),
            })
        }
    };
    match hosts {
        Some(Hosts::Ansible(members)) if diagnostics.is_empty() && members.hosts.is_empty() => Err(
            Error::new(ErrorKind::Input, format!("{name}: the inventory names no host"))
                .hint("write a map `hosts`, or an Ansible inventory in YAML or INI"),
        ),
        Some(hosts) if diagnostics.is_empty() => Ok(hosts),
        _ => {
            let why = render::render(&diagnostics, &sources, false);
            let message = format!("{name}: cannot read the inventory\n{}", why.trim_end());
            Err(Error::new(ErrorKind::Input, message))
        }
    }
}
