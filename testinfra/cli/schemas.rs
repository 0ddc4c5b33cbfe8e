//! The published schema of snapshots accepts every snapshot that there is, and these fill every section
//! of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::pods;
use crate::run::{Scratch, netkeel};
use netkeel_host::snapshot::Snapshot;

fn root() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).to_owned()
}

fn schema() -> Value {
    serde_json::from_str(&netkeel(&["schema", "snapshot"]).stdout).unwrap()
}

fn check(validator: &jsonschema::Validator, name: &str, snapshot: &Value) {
    let wrong: Vec<String> = validator
        .iter_errors(snapshot)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{name}: {wrong:#?}");
}

fn files(directory: &str, end: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = fs::read_dir(root().join(directory))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(end))
        .map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap()))
        .collect();
    files.sort();
    files
}

/// A snapshot in which every section has values.
fn full_host() -> Value {
    let text = fs::read_to_string(root().join("testinfra/cli/full-host.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The snapshots of this test, of the examples and of the cases. The latter two leave out what does not
/// matter to them, so that they are read and written again.
pub fn snapshots() -> Vec<(String, Value)> {
    let mut snapshots = vec![("full-host.json".to_owned(), full_host())];
    let mut shorter = files("examples", "host.json");
    for (name, text) in files("testinfra/cases", ".txt") {
        if let Some((_, text)) = text.split_once("-- observed.json --\n") {
            shorter.push((name, text.split("\n-- ").next().unwrap().to_owned()));
        }
    }
    assert!(shorter.len() > 100, "{}", shorter.len());
    for (name, text) in shorter {
        let snapshot = Snapshot::from_json(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        snapshots.push((name, serde_json::to_value(snapshot).unwrap()));
    }
    snapshots
}

/// Properties and constants of a schema, each with the definition that it stands in.
type Parts = BTreeSet<(String, String)>;

struct Walk<'a> {
    definitions: &'a Map<String, Value>,
    parts: Parts,
}

impl<'a> Walk<'a> {
    /// A reference's definition with its name.
    fn resolve(&self, schema: &'a Value, within: &str) -> (&'a Value, String) {
        match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => {
                let name = reference.rsplit('/').next().unwrap();
                (&self.definitions[name], name.to_owned())
            }
            None => (schema, within.to_owned()),
        }
    }

    fn branches(schema: &'a Value) -> impl Iterator<Item = &'a Value> {
        let lists = ["oneOf", "anyOf", "allOf"].into_iter();
        lists.filter_map(|key| schema.get(key)?.as_array()).flatten()
    }

    /// The schemas of the values of a map or a list.
    fn values(schema: &'a Value) -> impl Iterator<Item = &'a Value> {
        let one = ["additionalProperties", "items"].into_iter();
        let patterns = schema.get("patternProperties").and_then(Value::as_object);
        one.filter_map(|key| schema.get(key))
            .chain(patterns.into_iter().flat_map(|patterns| patterns.values()))
    }

    fn add(&mut self, within: &str, part: &str) -> bool {
        self.parts.insert((within.to_owned(), part.to_owned()))
    }

    /// All parts of a schema.
    fn all(&mut self, schema: &'a Value, within: &str) {
        let (schema, within) = self.resolve(schema, within);
        for (key, schema) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            if self.add(&within, key) {
                self.all(schema, &within);
            }
        }
        for branch in Self::branches(schema) {
            if let Some(constant) = branch.get("const").and_then(Value::as_str) {
                self.add(&within, constant);
            }
            self.all(branch, &within);
        }
        for schema in Self::values(schema) {
            self.all(schema, &within);
        }
    }

    /// The parts that a value has.
    fn used(&mut self, schema: &'a Value, within: &str, value: &Value) {
        let (schema, within) = self.resolve(schema, within);
        for (key, schema) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            if let Some(value) = value.get(key).filter(|value| !value.is_null()) {
                self.add(&within, key);
                self.used(schema, &within, value);
            }
        }
        for branch in Self::branches(schema) {
            match branch.get("const").and_then(Value::as_str) {
                Some(constant) if value.as_str() == Some(constant) => {
                    self.add(&within, constant);
                }
                _ => self.used(branch, &within, value),
            }
        }
        let values: Vec<&Value> = match value {
            Value::Array(values) => values.iter().collect(),
            Value::Object(values) => values.values().collect(),
            _ => return,
        };
        for schema in Self::values(schema) {
            for value in &values {
                self.used(schema, &within, value);
            }
        }
    }
}

#[test]
fn the_schema_of_snapshots_accepts_all_and_no_part_of_it_is_unused() {
    let schema = schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let definitions = schema["$defs"].as_object().unwrap();
    let walk = || Walk {
        definitions,
        parts: Parts::new(),
    };
    let (mut all, mut used) = (walk(), walk());
    all.all(&schema, "snapshot");
    for (name, snapshot) in snapshots() {
        check(&validator, &name, &snapshot);
        used.used(&schema, "snapshot", &snapshot);
    }
    assert!(all.parts.len() > 150, "{:#?}", all.parts);
    // The worker is off only where no document declares replication, and one host has one mode.
    // A pod exceeds one limit.
    let never = [
        ("WorkerHealth", "off"),
        ("Mode", "ipip"),
        ("CopyState", "without-mtu"),
        ("Excess", "addresses"),
        ("Excess", "interfaces"),
        // A snapshot has no secrets, so that this is null.
        ("MaybeSecret", "secret"),
    ];
    let never: Parts = never
        .map(|(name, part)| (name.to_owned(), part.to_owned()))
        .into();
    // A snapshot names facts only where it could not read them: plans and journals have all of them.
    let of_facts = [
        "Field",
        "Object",
        "Plugin",
        "WireguardCopy",
        "Value",
        "DeviceKind",
    ];
    let unused: Vec<_> = all
        .parts
        .difference(&used.parts)
        .filter(|part| !never.contains(part) && !of_facts.contains(&part.0.as_str()))
        .collect();
    assert!(unused.is_empty(), "no snapshot has these: {unused:#?}");
}

#[test]
fn the_schema_of_snapshots_refuses_what_is_misspelled() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let full = full_host();
    let places = [
        "",
        "/links/eth0",
        "/links/veth1/pod",
        "/cni",
        "/cni/files/~1etc~1cni~1net.d~110-pods.conflist",
        "/sysctl_d",
        "/nflog/listeners/5",
        "/replication/settings/limits",
    ];
    for place in places {
        let mut wrong = full.clone();
        let object = wrong.pointer_mut(place).and_then(Value::as_object_mut);
        object
            .unwrap_or_else(|| panic!("{place}"))
            .insert("mtuu".into(), 1.into());
        assert!(!validator.is_valid(&wrong), "{place}");
    }
    let mut wrong = full.clone();
    wrong["links"]["eth0"]["mtu"] = "1500".into();
    assert!(!validator.is_valid(&wrong));
    wrong = full;
    wrong.as_object_mut().unwrap().remove("links");
    assert!(!validator.is_valid(&wrong));
}

#[test]
fn the_schema_of_snapshots_accepts_what_observe_prints() {
    let namespace = pods();
    let document = "version: 1
sysctl: { net.ipv4.conf.all.rp_filter: 1 }
link: { pods: { match: { name: \"cali*\", driver: veth }, mtu: 1460 } }
tunnel: { ipip0: { mode: ipip } }
nflog: { packet-too-big: { interfaces: [cali1] } }
";
    let scratch = Scratch::new(&[("host.yaml", document)]);
    let observe = ["observe", "-f", "host.yaml", "--netns", &namespace.name];
    let done = scratch.run(&observe);
    let snapshot: Value =
        serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"));
    for section in ["links", "sysctls", "tunnels", "nflog"] {
        assert!(!snapshot[section].is_null(), "{section}");
    }
    check(
        &jsonschema::validator_for(&schema()).unwrap(),
        "observe",
        &snapshot,
    );
}
