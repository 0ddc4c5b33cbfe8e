//! Documents in the words of others: whatever they were written in, the same state comes to the
//! same facts and the same ops, and what is wrong is told where it stands.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use netkeel_core::fact::{Fact, Value};
use netkeel_core::op::Op;
use netkeel_diagnose::lint::plan::plan;
use netkeel_dialects::dialect::{Dialect, Reading};
use netkeel_document::document;
use netkeel_document::document::Document;
use netkeel_host::snapshot::Snapshot;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::report::render;
use netkeel_source::sources::Sources;

/// The files of examples/sources that say the same, in the order in which they are layered.
const SAME: &[(Dialect, &[&str])] = &[
    (Dialect::Native, &["native.yaml"]),
    (Dialect::Hiera, &["hiera/common.yaml", "hiera/kubernetes.yaml"]),
    (Dialect::Ansible, &["ansible/all.yml", "ansible/kubernetes.yml"]),
    (Dialect::Talos, &["talos/all.yaml", "talos/node.yaml"]),
];

fn example(name: &str) -> String {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .join("examples")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Reads files as the command line does.
fn read(dialect: Dialect, files: &[(&str, &str)], host: &Snapshot) -> Result<Document, String> {
    let facts = BTreeMap::from([("networking.primary".to_owned(), "eth0".to_owned())]);
    let keys = document::keys();
    let reading = Reading {
        dialect,
        keys: &keys,
        facts: &facts,
        levels: &[],
    };
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let mut nodes = Vec::new();
    for (name, text) in files {
        nodes.extend(reading.load(&mut sources, name, text.as_bytes().to_vec(), &mut diagnostics));
    }
    let layers = reading.layers(nodes, &mut sources, &mut diagnostics);
    let document = Document::read(layers, host.netns.clone(), &mut diagnostics);
    if diagnostics.is_empty() {
        Ok(document)
    } else {
        Err(render::render(&diagnostics, &sources, false))
    }
}

/// What a document wants, and what that comes to on a host.
fn outcome(document: &Document, host: &Snapshot) -> (BTreeMap<Fact, Value>, Vec<Op>) {
    let wants = document.wants(host);
    let facts = wants.facts.into_iter().map(|(fact, want)| (fact, want.value));
    let plan = plan(document, host).unwrap();
    (
        facts.collect(),
        plan.steps.into_iter().map(|step| step.op).collect(),
    )
}

#[test]
fn the_same_state_in_any_words_is_the_same_facts_and_ops() {
    let host = Snapshot::from_json(&example("host.json")).unwrap();
    let mut outcomes = Vec::new();
    for (dialect, names) in SAME {
        let texts: Vec<(&str, String)> = names
            .iter()
            .map(|name| (*name, example(&format!("sources/{name}"))))
            .collect();
        let files: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let document = read(*dialect, &files, &host).unwrap_or_else(|error| panic!("{error}"));
        outcomes.push((*dialect, document.hash.clone(), outcome(&document, &host)));
    }
    let (_, hash, (facts, ops)) = &outcomes[0];
    assert!(facts.len() >= 10 && ops.len() >= 8, "{facts:?} {ops:?}");
    for (dialect, other_hash, (other_facts, other_ops)) in &outcomes[1..] {
        assert_eq!(other_facts, facts, "{dialect:?}");
        assert_eq!(other_ops, ops, "{dialect:?}");
        assert_eq!(other_hash, hash, "{dialect:?}");
    }
}

/// A file of data is its owners' as well: what only they understand is left to them, and what is
/// wrong about netkeel's part is told with its place.
#[test]
fn only_what_is_netkeels_is_judged() {
    let host = Snapshot::from_json(&example("host.json")).unwrap();
    let foreign = "password: !vault |\n  6638\nmerged: { <<: {a: 1}, b: 1, b: 2 }\n";
    let text = format!("{foreign}netkeel_link:\n  eth0: {{ mtu: 1400 }}\n");
    read(Dialect::Ansible, &[("all.yml", &text)], &host).unwrap();
    let text =
        format!("{foreign}netkeel_link:\n  eth0: {{ mtu: 1, mtu: 2 }}\n  eth1: {{ <<: {{ mtu: 9 }} }}\n");
    let wrong = read(Dialect::Ansible, &[("all.yml", &text)], &host).unwrap_err();
    insta::assert_snapshot!(wrong, @"
    error: 1 is out of range: 68 to 65535 bytes
     --> all.yml:5:16
      |
    5 |   eth0: { mtu: 1, mtu: 2 }
      |                ^ link.eth0.mtu

    error: the key `mtu` is given twice
     --> all.yml:5:19
      |
    5 |   eth0: { mtu: 1, mtu: 2 }
      |                   ^^^ netkeel_link.eth0.mtu
      |           --- first given here

    error: merge keys (`<<`) are not supported
     --> all.yml:6:11
      |
    6 |   eth1: { <<: { mtu: 9 } }
      |           ^^ netkeel_link.eth1
      |
      = help: use an alias for the whole value, or set the keys in a second file

    3 errors in all.yml
    ");
}

/// What only its owners' tools can read is no value, and a file of nothing but that is told.
#[test]
fn what_is_encrypted_is_refused_with_its_place() {
    let host = Snapshot::from_json(&example("host.json")).unwrap();
    let vault = "$ANSIBLE_VAULT;1.1;AES256\n6638\n6431\n";
    let text = "netkeel_link:
  eth0: { alias: 'ENC[PKCS7,MIIB+/=]', mtu: 1400 }
  eth1:
    alias: !vault |
      $ANSIBLE_VAULT;1.1;AES256
      6638
";
    let files = [("all.yml", text), ("host_vars/web1/vault.yml", vault)];
    let wrong = read(Dialect::Ansible, &files, &host).unwrap_err();
    insta::assert_snapshot!(wrong, @"
    error: a value that is encrypted by eyaml
     --> all.yml:2:18
      |
    2 |   eth0: { alias: 'ENC[PKCS7,MIIB+/=]', mtu: 1400 }
      |                  ^^^^^^^^^^^^^^^^^^^^ link.eth0.alias
      |
      = help: netkeel does not decrypt values: store the value in clear text, or set it in a later file

    error: the tag `!vault` is not supported
     --> all.yml:4:12
      |
    4 |     alias: !vault |
      |            ^^^^^^^^ netkeel_link.eth1.alias
      |
      = help: netkeel does not decrypt values: store the value in clear text, or set it in a later file

    error: this file is encrypted by Ansible's vault
     --> host_vars/web1/vault.yml:1:1
      |
    1 | *************************
      | ^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: leave it out when nothing in it is for netkeel; else use the output of `ansible-vault view`

    3 errors in 2 files
    ");
    let text = "netkeel::link: { eth0: { alias: 'to ENC[PKCS7,MIIB+/=]', mtu: 1400 } }\n";
    let wrong = read(Dialect::Hiera, &[("common.yaml", text)], &host).unwrap_err();
    insta::assert_snapshot!(wrong, @"
    error: a value that is encrypted by eyaml
     --> common.yaml:1:33
      |
    1 | netkeel::link: { eth0: { alias: 'to ENC[PKCS7,MIIB+/=]', mtu: 1400 } }
      |                                 ^^^^^^^^^^^^^^^^^^^^^^^ link.eth0.alias
      |
      = help: netkeel does not decrypt values: store the value in clear text, or set it in a later file

    1 error in common.yaml
    ");
}

#[test]
fn what_is_no_file_of_variables_is_told() {
    let host = Snapshot::from_json(&example("host.json")).unwrap();
    let files = [
        ("all.yml", "netkeel_link: { eth0: { mtu: 1400 } }\n"),
        ("site.yml", "- hosts: all\n"),
        ("hosts.ini", "[web]\nweb1 ansible_host=192.0.2.1\n"),
    ];
    let wrong = read(Dialect::Ansible, &files, &host).unwrap_err();
    insta::assert_snapshot!(wrong, @"
    error: expected a map of variables, found a list
     --> site.yml:1:1
      |
    1 | - hosts: ***
      | ^^^^^^^^^^^^
      |
      = help: playbooks and lists of hosts are not read: give the files of group_vars and host_vars

    error: not valid TOML: key with no value, expected `=`
     --> hosts.ini:2:6
      |
    2 | **** **********************
      |      ^
      |
      = help: playbooks and lists of hosts are not read: give the files of group_vars and host_vars

    2 errors in 2 files
    ");
}
