//! Finds the likely writers of a fact that flaps.

use std::path::Path;

use netkeel_core::fact::{Fact, Object};
use netkeel_diagnose::explain::writer::{WATCHED, writers as writers_of};
use netkeel_host::snapshot::Snapshot;
use netkeel_kernel::files::openers::openers;
use netkeel_kernel::files::root::Root;

/// The names of known writers of a fact for which this host has evidence.
pub(crate) fn of(fact: &Fact) -> Vec<String> {
    let key = match &fact.object {
        Object::Sysctl(key) => Some(key.clone()),
        Object::Link(name) => fact.field.sysctl_of(*name),
        Object::File(path) => return openers(path),
        Object::Plugin(plugin) => return openers(&plugin.file),
        Object::Wireguard(wireguard) => return openers(&wireguard.copy),
        Object::Nflog(_) | Object::LogGroup(_) => None,
    };
    let (Some(key), Ok(mut host)) = (key, Root::open(Path::new("/"))) else {
        return Vec::new();
    };
    let mut snapshot = Snapshot::empty(fact.netns.clone());
    // The interface name is evidence: `cali*` is Calico's.
    if let Object::Link(name) = &fact.object {
        snapshot.links.insert(*name, Default::default());
    }
    writers_of(&key, &host.evidence(WATCHED), &snapshot)
        .into_iter()
        .filter(|writer| !writer.evidence.is_empty())
        .map(|writer| writer.name.to_owned())
        .collect()
}
