//! The review of small fleets.

use std::collections::BTreeMap;

use crate::review::class::{After, Before, Class, FieldOf, Subject};
use crate::review::fleet::{Fleet, Review, Unplanned};
use crate::review::group::Risk;
use crate::review::host::{HostChange, Refused, Version, change};
use netkeel_core::fact::{Object, Value};
use netkeel_core::name::netns::Netns;
use netkeel_document::document::Document;
use netkeel_host::snapshot::Snapshot;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

/// A document from YAML.
fn read(text: &str) -> (Document, Sources) {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let node = sources.load("site.yaml", text.into(), None, &mut diagnostics);
    let document = Document::read(node.into_iter().collect(), Netns::CURRENT, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    (document, sources)
}

/// A host with an uplink, pods of these MTUs, and sysctls.
fn host(pods: &[u32], sysctls: &[(&str, &str)]) -> Snapshot {
    let link = |index: usize, mtu: u32, kind: Option<&str>| {
        serde_json::json!({
            "index": index, "mtu": mtu, "kind": kind, "min_mtu": 68, "max_mtu": 65535, "up": true,
            "rp_filter": 0, "forwarding": 1, "forwarding6": 0, "disable_ipv6": 0,
            "addresses": ["fe80::1/64"]
        })
    };
    let mut links = BTreeMap::from([("eth0".to_owned(), link(2, 1500, None))]);
    for (number, mtu) in pods.iter().enumerate() {
        links.insert(format!("cali{number:04}"), link(number + 10, *mtu, Some("veth")));
    }
    let sysctls: BTreeMap<&str, serde_json::Value> = sysctls
        .iter()
        .map(|(key, value)| (*key, serde_json::json!({ "value": value, "writable": true })))
        .collect();
    let mut json = serde_json::to_value(Snapshot::empty(Netns::CURRENT)).unwrap();
    json["links"] = serde_json::to_value(links).unwrap();
    json["sysctls"] = serde_json::to_value(sysctls).unwrap();
    json["families"] = serde_json::json!({ "ipv4": true, "ipv6": true });
    Snapshot::from_json(&json.to_string()).unwrap()
}

fn changed(old: &str, new: &str, host: &Snapshot) -> HostChange {
    try_change(old, new, host).unwrap()
}

fn try_change(old: &str, new: &str, host: &Snapshot) -> Result<HostChange, Refused> {
    let (old, new) = (read(old), read(new));
    let old = Version {
        document: &old.0,
        sources: &old.1,
    };
    let new = Version {
        document: &new.0,
        sources: &new.1,
    };
    change(old, new, host)
}

const OLD: &str = "\
version: 1
persist: false
sysctl:
  net.core.rmem_max: 212992
link:
  pods: { match: { name: \"cali*\" }, mtu: 1460, pod_mtu: leave }
";

/// The old document with other text in it.
fn with(replaced: &[(&str, &str)]) -> String {
    replaced
        .iter()
        .fold(OLD.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn rmem(value: &str) -> [(&str, &str); 1] {
    [("net/core/rmem_max", value)]
}

/// The single class of a change.
fn only(change: &HostChange) -> (&Class, &crate::review::effect::Effect) {
    assert_eq!(change.effects.len(), 1, "{change:?}");
    change.effects.iter().next().unwrap()
}

#[test]
fn drift_that_both_documents_correct_is_not_shown() {
    let drifted = host(&[1500, 9000, 1460], &rmem("4096"));
    assert!(changed(OLD, OLD, &drifted).is_empty());
    // Only the key that the new document changes appears, from the value of the old one.
    let change = changed(OLD, &with(&[("212992", "26214400")]), &drifted);
    let (class, effect) = only(&change);
    let key = "net.core.rmem_max".parse().unwrap();
    assert_eq!(class.subject, Subject::Named(Object::Sysctl(key)));
    let one = &class.changes[0];
    assert_eq!(one.before, Before::Value(Value::Text("212992".into())));
    assert_eq!(one.after, After::Value(Value::Text("26214400".into())));
    let line = effect.examples[0].line.as_ref().unwrap();
    assert_eq!((&*line.file, line.number, line.is_old), ("site.yaml", 4, false));
}

#[test]
fn matched_interfaces_are_one_class_whatever_their_names_and_number() {
    let new = with(&[("1460", "1440")]);
    let few = changed(OLD, &new, &host(&[1460, 1460], &rmem("212992")));
    let many = changed(OLD, &new, &host(&[1500; 40], &rmem("212992")));
    let (class, effect) = only(&few);
    assert_eq!(class.subject, Subject::Links);
    assert_eq!(class.changes[0].field, FieldOf::Any("mtu"));
    assert_eq!(class, only(&many).0);
    assert_eq!((effect.total, only(&many).1.total), (2, 40));
    assert_eq!(only(&many).1.pattern().as_deref(), Some("cali*"));
}

#[test]
fn a_fact_that_is_no_longer_declared_is_kept_or_restored() {
    let host = host(&[1460], &rmem("212992"));
    let gone = with(&[("sysctl:\n  net.core.rmem_max: 212992\n", "")]);
    let change = changed(OLD, &gone, &host);
    let (class, effect) = only(&change);
    assert_eq!(class.changes[0].after, After::NoLongerDeclared);
    let line = effect.examples[0].line.as_ref().unwrap();
    assert_eq!((line.number, line.is_old), (4, true));
    let pruned = changed(OLD, &gone.replace("persist", "prune: true\npersist"), &host);
    assert_eq!(only(&pruned).0.changes[0].after, After::GivenBack);
}

#[test]
fn a_tunnel_that_goes_with_prune_is_destructive() {
    let old = "version: 1\ntunnel: { ipip0: { mode: ipip } }\n";
    let new = "version: 1\nprune: true\n";
    let host = host(&[], &[]);
    let change = changed(old, new, &host);
    assert!(change.effects.keys().any(|class| class.destroys), "{change:?}");
}

#[test]
fn what_the_snapshot_lacks_is_a_change_and_not_in_sync() {
    let bare = host(&[], &[]);
    assert!(changed(OLD, OLD, &bare).is_empty());
    let change = changed(OLD, &with(&[("212992", "26214400")]), &bare);
    assert_eq!(
        only(&change).0.changes[0].before,
        Before::Value(Value::Text("212992".into()))
    );
    let added = with(&[("sysctl:\n", "sysctl:\n  net.core.wmem_max: 7\n")]);
    let change = changed(OLD, &added, &bare);
    assert_eq!(only(&change).0.changes[0].before, Before::Unread);
}

/// A fleet of these hosts, added in this order or in parts.
fn reviewed(old: &str, new: &str, hosts: &[(String, Snapshot)], parts: usize) -> Review {
    let mut all: Vec<Fleet> = (0..parts).map(|_| Fleet::default()).collect();
    for (number, (name, host)) in hosts.iter().enumerate() {
        all[number % parts].add(name, None, changed(old, new, host));
    }
    let mut whole = Fleet::default();
    all.into_iter().rev().for_each(|part| whole.extend(part));
    whole.review()
}

#[test]
fn three_changes_are_three_groups_in_any_order() {
    let new = with(&[("1460", "1440"), ("212992", "26214400")]) + "  eth0: { mtu: 1400 }\n";
    let mut hosts = Vec::new();
    for number in 0..60 {
        let pods: Vec<u32> = (0..number % 7 + 1).map(|_| 1460).collect();
        // A third of the hosts has no interface for pods; one has no uplink.
        let mut host = host(if number % 3 == 0 { &[] } else { &pods }, &rmem("212992"));
        if number == 30 {
            host.links.remove(&"eth0".parse().unwrap());
        }
        hosts.push((format!("k{number:02}"), host));
    }
    let review = reviewed(OLD, &new, &hosts, 1);
    assert_eq!(review, reviewed(OLD, &new, &hosts, 4));
    let sizes: Vec<usize> = review.groups.iter().map(|group| group.hosts.count()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 60);
    assert_eq!(sizes, [1, 40, 19]);
    let pods = review.groups[1].effects.values().map(|effect| effect.on_a_host);
    assert!(
        pods.clone().any(|numbers| numbers == (1, 7)),
        "{:?}",
        pods.collect::<Vec<_>>()
    );
}

#[test]
fn many_old_values_are_one_group() {
    let old = "version: 1\npersist: false\n";
    let new = "version: 1\npersist: false\nsysctl: { net.core.rmem_max: 26214400 }\n";
    let value = |number: usize| (212_992 + number).to_string();
    let hosts: Vec<(String, Snapshot)> = (0..30)
        .map(|number| (format!("h{number}"), host(&[], &rmem(&value(number)))))
        .collect();
    let review = reviewed(old, new, &hosts, 3);
    assert_eq!(review.groups.len(), 1);
    let (class, effect) = review.groups[0].effects.iter().next().unwrap();
    assert_eq!(class.changes[0].before, Before::Various);
    assert_eq!(effect.range(0), Some((212_992, 213_021)));
    // A few stay apart.
    assert_eq!(reviewed(old, new, &hosts[..8], 3).groups.len(), 8);
}

#[test]
fn the_greatest_risk_is_first() {
    let new = with(&[("1460", "1200"), ("212992", "26214400")]);
    let hosts = [
        ("a".to_owned(), host(&[], &rmem("212992"))),
        ("b".to_owned(), host(&[1460], &rmem("212992"))),
    ];
    let mut fleet = Fleet::default();
    for (name, host) in &hosts {
        fleet.add(name, Some(0), changed(OLD, &new, host));
    }
    fleet.fail("c", None, Unplanned::Snapshot, "field `links`");
    let review = fleet.review();
    let first: Vec<Option<&str>> = review
        .groups
        .iter()
        .map(|group| group.hosts.names.first())
        .collect();
    assert_eq!(first, [Some("b"), Some("a")]);
    assert!(review.groups[0].risk() < Risk::None);
    assert_eq!((review.hosts(), review.changed(), review.failed()), (3, 2, 1));
}

#[test]
fn a_document_that_is_refused_on_a_host_says_which() {
    let new = "version: 1\nlink: { eth0: { mtu: 65535 } }\n";
    let mut host = host(&[], &[]);
    let name = "eth0".parse().unwrap();
    host.link_mut(name).unwrap().max_mtu = 9000;
    let same = "version: 1\n";
    assert!(matches!(try_change(same, new, &host), Err(Refused::New(_))));
    assert!(matches!(try_change(new, same, &host), Err(Refused::Old(_))));
}

/// A host whose eth1 has this IPv6 address.
fn with_address(address: &str) -> Snapshot {
    let mut json = serde_json::to_value(host(&[], &[])).unwrap();
    json["links"]["eth1"] = serde_json::json!({
        "index": 3, "mtu": 1500, "min_mtu": 68, "max_mtu": 65535, "up": true, "rp_filter": 0, "forwarding": 1,
        "forwarding6": 0, "disable_ipv6": 0, "addresses": [address]
    });
    Snapshot::from_json(&json.to_string()).unwrap()
}

#[test]
fn losses_of_one_host_are_not_those_of_all() {
    let new = "version: 1\npersist: false\nlink: { eth1: { mtu: 1200 } }\n";
    let old = "version: 1\npersist: false\nlink: { eth1: { mtu: 1500 } }\n";
    let hosts = |addresses: [&str; 3]| -> Vec<(String, Snapshot)> {
        let numbered = addresses.iter().enumerate();
        numbered
            .map(|(number, address)| (format!("h{}", number + 1), with_address(address)))
            .collect()
    };
    let varied = reviewed(
        old,
        new,
        &hosts(["2001:db8::1/64", "2001:db8::2/64", "2001:db8::3/64"]),
        2,
    );
    assert_eq!(varied.groups.len(), 1);
    let group = &varied.groups[0];
    let effect = group.effects.values().next().unwrap();
    assert!(effect.losses_vary, "{effect:?}");
    assert!(
        effect.losses[0].to_string().contains("2001:db8::1/64"),
        "{effect:?}"
    );
    // The finding names the address: each host has its own.
    let found = group
        .findings
        .values()
        .map(|found| (found.kept.len(), found.total));
    assert_eq!(found.collect::<Vec<_>>(), [(3, 3)]);
    let same = reviewed(old, new, &hosts(["2001:db8::1/64"; 3]), 2);
    let effect = same.groups[0].effects.values().next().unwrap();
    assert!(!effect.losses_vary, "{effect:?}");
    // Hosts that lose other kinds of state are another group.
    let kinds = reviewed(
        old,
        new,
        &hosts(["2001:db8::1/64", "2001:db8::2/64", "fe80::1/64"]),
        1,
    );
    assert_eq!(kinds.groups.len(), 2, "{kinds:?}");
}

#[test]
fn a_part_of_the_document_that_is_no_fact_is_a_change() {
    let old = "version: 1\npersist: false\n";
    let new = "version: 1\npersist: false\nprune: true\nprobes: { db: { path_mtu: 192.0.2.7 } }\n";
    let change = changed(old, new, &host(&[], &[]));
    assert!(change.effects.is_empty() && !change.is_empty(), "{change:?}");
    let parts: Vec<String> = change.parts.iter().map(ToString::to_string).collect();
    assert_eq!(parts, ["prune", "probes.db"]);
    let review = reviewed(old, new, &[("a".to_owned(), host(&[], &[]))], 1);
    assert_eq!((review.changed(), review.groups[0].parts.len()), (1, 2));
}

#[test]
fn an_error_of_any_length_is_cut() {
    let mut fleet = Fleet::default();
    fleet.fail("a", None, Unplanned::Snapshot, &"\u{e9}".repeat(100_000));
    let error = &fleet.unplanned[&Unplanned::Snapshot].errors["a"];
    assert_eq!(error.chars().count(), 303);
}
