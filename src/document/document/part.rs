//! The parts of a document that are no facts of a host, and their differences. They change the service, the worker or
//! the next apply, although the plans of two documents may be equal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::document::{Document, Limits};
use netkeel_core::finding::Code;
use netkeel_core::nflog::entry_name::EntryName;
use netkeel_core::probe::ProbeName;
use netkeel_core::replication::settings::{Replication, Settings};

/// A part of a document that is no fact of a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The whole worker is added or removed.
    Replicate,
    /// A key of `replicate`.
    Replication(&'static str),
    /// Restore facts that the document no longer declares.
    Prune,
    /// A key of `limits`.
    Limit(&'static str),
    /// An accepted finding, or its reason.
    Allow(Code),
    /// A probe.
    Probe(ProbeName),
    /// Permit sysctls outside `net.`.
    AllowAnySysctl,
    /// Treat an unknown network namespace as that of the host.
    HostNetwork,
    /// Remove the rules of an `nflog` entry when the service stops.
    RemoveOnStop(EntryName),
}

impl fmt::Display for Part {
    /// The path of the part in a document.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Replicate => f.write_str("replicate"),
            Part::Replication(key) => write!(f, "replicate.{key}"),
            Part::Prune => f.write_str("prune"),
            Part::Limit(key) => write!(f, "limits.{key}"),
            Part::Allow(code) => write!(f, "allow.{code}"),
            Part::Probe(name) => write!(f, "probes.{name}"),
            Part::AllowAnySysctl => f.write_str("allow_any_sysctl"),
            Part::HostNetwork => f.write_str("host_network"),
            Part::RemoveOnStop(entry) => write!(f, "nflog.{entry}.remove_on_stop"),
        }
    }
}

impl Document {
    /// The parts that differ in a new document and are no facts of a host.
    pub fn changed_parts(&self, new: &Document) -> BTreeSet<Part> {
        let mut parts = BTreeSet::new();
        let mut compare = |part: Part, differs: bool| {
            if differs {
                parts.insert(part);
            }
        };
        compare(Part::Prune, self.prune != new.prune);
        compare(Part::AllowAnySysctl, self.any_sysctl != new.any_sysctl);
        compare(Part::HostNetwork, self.host_network != new.host_network);
        let Limits {
            changes_per_minute,
            max_matches,
        } = self.limits;
        compare(
            Part::Limit("changes_per_minute"),
            changes_per_minute != new.limits.changes_per_minute,
        );
        compare(Part::Limit("max_matches"), max_matches != new.limits.max_matches);
        for code in differing(&self.allowed, &new.allowed) {
            compare(Part::Allow(*code), true);
        }
        for name in differing(&self.probes, &new.probes) {
            compare(Part::Probe(name.clone()), true);
        }
        for (name, entry) in &self.nflog {
            let new = new.nflog.get(name);
            // The facts have the entries that only one document declares.
            let differs = new.is_some_and(|new| new.remove_on_stop != entry.remove_on_stop);
            compare(Part::RemoveOnStop(name.clone()), differs);
        }
        match (&self.replicate, &new.replicate) {
            (Some(old), Some(new)) => {
                for key in replication(old, new) {
                    compare(Part::Replication(key), true);
                }
            }
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => compare(Part::Replicate, true),
        }
        parts
    }
}

/// The keys whose values differ, or that only one map has.
fn differing<'a, K: Ord, V: PartialEq>(old: &'a BTreeMap<K, V>, new: &'a BTreeMap<K, V>) -> BTreeSet<&'a K> {
    let keys = old.keys().chain(new.keys());
    keys.filter(|key| old.get(key) != new.get(key)).collect()
}

/// The keys of `replicate` that differ.
fn replication(old: &Replication, new: &Replication) -> Vec<&'static str> {
    let Replication {
        settings,
        peers_file,
        cluster,
    } = old;
    let Settings {
        group,
        peers,
        mode,
        interface,
        ttl,
        floor,
        flows_to_nodes,
        vips,
        ignore_sources,
        limits,
        dry_run,
    } = settings;
    let with = &new.settings;
    let all = [
        ("nflog", *group != with.group),
        ("peers", *peers != with.peers || *cluster != new.cluster),
        ("peers_file", *peers_file != new.peers_file),
        ("mode", *mode != with.mode),
        ("interface", *interface != with.interface),
        ("ttl", *ttl != with.ttl),
        ("floor", *floor != with.floor),
        ("flows_to_nodes", *flows_to_nodes != with.flows_to_nodes),
        ("vips", *vips != with.vips),
        ("ignore_sources", *ignore_sources != with.ignore_sources),
        ("limits", *limits != with.limits),
        ("dry_run", *dry_run != with.dry_run),
    ];
    let differing = all.into_iter().filter(|(_, differs)| *differs);
    differing.map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::name::netns::Netns;
    use netkeel_source::diagnostic::Diagnostics;
    use netkeel_source::sources::Sources;

    fn read(text: &str) -> Document {
        let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
        let text = format!("version: 1\nnflog: {{ big: {{ interfaces: [eth0] }} }}\n{text}");
        let node = sources.load("a.yaml", text.into(), None, &mut diagnostics);
        let document = Document::read(node.into_iter().collect(), Netns::CURRENT, &mut diagnostics);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        document
    }

    fn changed(old: &str, new: &str) -> Vec<String> {
        let (old, new) = (read(old), read(new));
        let there = old.changed_parts(&new);
        assert_eq!(there, new.changed_parts(&old));
        there.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_part_that_is_no_fact_is_compared() {
        let replicate = "replicate: { nflog: big, peers: [192.0.2.1] }\n";
        assert!(changed(replicate, replicate).is_empty());
        assert_eq!(changed("", replicate), ["replicate"]);
        for (new, part) in [
            ("replicate: { nflog: big, peers: [192.0.2.2] }", "peers"),
            (
                "replicate: { nflog: big, peers: [192.0.2.1], dry_run: yes }",
                "dry_run",
            ),
            ("replicate: { nflog: big, peers: [192.0.2.1], ttl: 9 }", "ttl"),
            (
                "replicate: { nflog: big, peers: [192.0.2.1], vips: [192.0.2.0/24] }",
                "vips",
            ),
            (
                "replicate: { nflog: big, peers: [192.0.2.1], peers_file: /p }",
                "peers_file",
            ),
        ] {
            assert_eq!(changed(replicate, new), [format!("replicate.{part}")]);
        }
        for (new, part) in [
            ("prune: true", "prune"),
            ("allow_any_sysctl: true", "allow_any_sysctl"),
            ("host_network: true", "host_network"),
            ("limits: { max_matches: 7 }", "limits.max_matches"),
            ("limits: { changes_per_minute: 7 }", "limits.changes_per_minute"),
            ("allow: { NK005: known }", "allow.NK005"),
            ("probes: { db: { path_mtu: 192.0.2.7 } }", "probes.db"),
        ] {
            assert_eq!(changed("", new), [part]);
        }
        assert_eq!(
            changed("allow: { NK005: a }", "allow: { NK005: b }"),
            ["allow.NK005"]
        );
        let kept = read("");
        let mut removed = read("");
        removed
            .nflog
            .values_mut()
            .for_each(|entry| entry.remove_on_stop = !entry.remove_on_stop);
        let parts = kept.changed_parts(&removed);
        assert_eq!(
            parts.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["nflog.big.remove_on_stop"]
        );
    }
}
