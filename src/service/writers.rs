//! Who else is known to write a fact: the evidence is looked for when one flaps.

use std::path::Path;

use netkeel_core::fact::{Fact, Object};
use netkeel_diagnose::explain::writer::{WATCHED, writers as writers_of};
use netkeel_host::snapshot::Snapshot;
use netkeel_kernel::files::openers::openers;
use netkeel_kernel::files::root::Root;

/// The names of those who are known to write a fact and show themselves here.
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
    let mut there = Snapshot::empty(fact.netns.clone());
    // Its own name is a clue: `cali*` is Calico's.
    if let Object::Link(name) = &fact.object {
        there.links.insert(*name, Default::default());
    }
    writers_of(&key, &host.evidence(WATCHED), &there)
        .into_iter()
        .filter(|writer| !writer.evidence.is_empty())
        .map(|writer| writer.name.to_owned())
        .collect()
}
