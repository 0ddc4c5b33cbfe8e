//! Talos: machine configurations and patches merge as Talos merges them, and come to the document
//! that stands below them; with test data and schemas of Talos's own too, where they are there.
//! NETKEEL_BLESS=1 rewrites what a case expects.

#[path = "support/txtar.rs"]
mod txtar;

use txtar::{golden, run_all};

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use netkeel_core::fact::{Fact, Value as FactValue};
use netkeel_core::finding::{Code, Finding};
use netkeel_core::name::netns::Netns;
use netkeel_core::op::Op;
use netkeel_diagnose::lint::plan::plan;
use netkeel_dialects::dialect::{Dialect, Reading};
use netkeel_dialects::talos::configuration::Configuration;
use netkeel_dialects::talos::desired::layers;
use netkeel_dialects::talos::keys::kind;
use netkeel_dialects::talos::lint;
use netkeel_dialects::talos::write::{cozystack, machine, patches};
use netkeel_dialects::write::yaml;
use netkeel_document::document::Document;
use netkeel_host::snapshot::Snapshot;
use netkeel_plan::plan::Plan;
use netkeel_render::findings as wording;
use netkeel_render::paint::Paint;
use netkeel_render::plan::of::Of;
use netkeel_render::plan::text;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::{Data, Node};
use netkeel_source::report::render;
use netkeel_source::sources::Sources;

/// Files as they were read and merged.
struct Merged {
    configuration: Configuration,
    sources: Sources,
    diagnostics: Diagnostics,
}

/// A directory of data of Talos's own: the one that the environment names, or the one beside the
/// checkout, where it is there. Nothing needs it.
#[expect(clippy::print_stdout, reason = "a test says what it ran with")]
fn of_talos(variable: &str, name: &str) -> Option<PathBuf> {
    let beside = root().join("../shared/talos").join(name);
    let named = std::env::var_os(variable).map(PathBuf::from);
    let found = named.or_else(|| beside.is_dir().then_some(beside));
    match &found {
        Some(directory) => println!("{variable}: {}", directory.display()),
        None => println!("{variable}: not set, and no shared/talos/{name} beside the checkout"),
    }
    found
}

fn merge(files: &[(String, String)]) -> Merged {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let reading = Reading {
        dialect: Dialect::Talos,
        keys: &[],
        facts: &std::collections::BTreeMap::new(),
        levels: &[],
    };
    let mut documents = Vec::new();
    for (name, text) in files {
        documents.extend(reading.load(&mut sources, name, text.clone().into_bytes(), &mut diagnostics));
    }
    Merged {
        configuration: Configuration::merged(documents, &mut diagnostics),
        sources,
        diagnostics,
    }
}

fn shown(nodes: &[Node]) -> String {
    let texts: Vec<_> = nodes.iter().map(|node| yaml::document(node).unwrap()).collect();
    texts.join("---\n")
}

/// Its own cases always; Talos's where they are.
#[test]
fn every_case_merges_and_reads_as_it_says() {
    if let Some(directory) = of_talos("NETKEEL_TALOS_VECTORS", "merge-vectors") {
        vectors(&directory);
    }
    run_all("talos", |path, archive| {
        let mut files = archive.sections.clone();
        files.retain(|(name, _)| name.contains('.'));
        let mut merged = merge(&files);
        if !merged.diagnostics.is_empty() {
            let refused = render::render(&merged.diagnostics, &merged.sources, false);
            return golden(path, archive, "refused", &refused);
        }
        golden(path, archive, "merged", &shown(merged.configuration.documents()))?;
        let (sources, diagnostics) = (&mut merged.sources, &mut merged.diagnostics);
        let layers = layers(&merged.configuration, sources, diagnostics);
        let desired = shown(&layers);
        let document = Document::read(layers, Netns::CURRENT, diagnostics);
        if diagnostics.is_empty() {
            golden(path, archive, "desired", &desired)?;
            let findings = document.wants(&Snapshot::empty(Netns::CURRENT)).findings;
            let mut findings = findings.into_sorted();
            findings.retain(|finding| finding.code == Code::NK076);
            if findings.is_empty() {
                return Ok(());
            }
            golden(path, archive, "findings", &wording::text(&findings, Paint(false)))
        } else {
            let refused = render::render(diagnostics, sources, false);
            golden(path, archive, "refused", &refused)
        }
    });
}

/// Test data of Talos's own: a configuration, its patches, and what Talos makes of them.
const VECTORS: &[(&str, &[&str], &str)] = &[
    (
        "multidoc",
        &[
            "config.yaml",
            "strategic1.yaml",
            "strategic2.yaml",
            "strategic3.yaml",
        ],
        "expected.yaml",
    ),
    (
        "patchdelete",
        &["config.yaml", "strategic1.yaml"],
        "expected.yaml",
    ),
    (
        "patchdelete",
        &[
            "controlplane_orig.yaml",
            "strategic2.yaml",
            "strategic3.yaml",
            "strategic4.yaml",
        ],
        "controlplane_expected.yaml",
    ),
    ("patchlink", &["base.yaml", "patch.yaml"], "expected.yaml"),
];

/// What is amiss in a configuration, for the version that a case names.
#[test]
fn every_configuration_is_linted_as_it_says() {
    run_all("talos/lint", |path, archive| {
        let mut files = archive.sections.clone();
        files.retain(|(name, _)| name.ends_with(".yaml"));
        let mut merged = merge(&files);
        let version = archive.get("version").map(|text| text.trim().parse().unwrap());
        let (sources, diagnostics) = (&mut merged.sources, &mut merged.diagnostics);
        let findings = lint::look(&merged.configuration, version, sources, diagnostics);
        assert!(
            diagnostics.is_empty(),
            "{}",
            render::render(diagnostics, sources, false)
        );
        golden(path, archive, "findings", &wording::text(&findings, Paint(false)))
    });
}

/// The versions of Talos whose forms differ.
const VERSIONS: [&str; 4] = ["1.9", "1.12", "1.13", "1.14"];

/// A document of a case, and the host of examples/host.json.
fn read(dialect: Dialect, files: &[(String, String)]) -> (Document, Snapshot, Sources) {
    let host = fs::read_to_string(root().join("examples/host.json")).unwrap();
    let host = Snapshot::from_json(&host).unwrap();
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let reading = Reading {
        dialect,
        keys: &[],
        facts: &std::collections::BTreeMap::new(),
        levels: &[],
    };
    let mut nodes = Vec::new();
    for (name, text) in files {
        nodes.extend(reading.load(&mut sources, name, text.clone().into_bytes(), &mut diagnostics));
    }
    let layers = reading.layers(nodes, &mut sources, &mut diagnostics);
    let document = Document::read(layers, host.netns.clone(), &mut diagnostics);
    let wrong = || render::render(&diagnostics, &sources, false);
    assert!(diagnostics.is_empty(), "{}", wrong());
    (document, host, sources)
}

/// Findings about what Talos refuses.
const REFUSED: [Code; 5] = [Code::NK051, Code::NK052, Code::NK054, Code::NK057, Code::NK060];

/// What is rendered is what the schema of its version takes, and read again it is the same state.
#[test]
fn every_document_is_rendered_for_each_version() {
    let schemas = of_talos("NETKEEL_TALOS_SCHEMAS", "schemas");
    run_all("talos/render", |path, archive| {
        let mut files = archive.sections.clone();
        files.retain(|(name, _)| name.ends_with(".yaml"));
        let native = files.iter().any(|(name, _)| name == "document.yaml");
        let dialect = if native { Dialect::Native } else { Dialect::Talos };
        let (document, host, sources) = read(dialect, &files);
        let wanted =
            plan(&document, &host).map_err(|diagnostics| render::render(&diagnostics, &sources, false))?;
        let style = text::Style {
            colour: false,
            commands: false,
            full: false,
            of: Of::Snapshot,
        };
        golden(path, archive, "plan", &text::plan(&wanted, &sources, style))?;
        let mut source = merge(&files);
        let machine = machine::Machine {
            configuration: (!native).then_some(&source.configuration),
            tunnel_interface: None,
        };
        for version in VERSIONS {
            let patches = patches::patches(&document, version.parse().unwrap(), &machine).unwrap();
            golden(path, archive, version, &patches)?;
            let patches = ("patches.yaml".to_owned(), patches);
            let applied = (!native).then(|| [files.as_slice(), std::slice::from_ref(&patches)].concat());
            validate(version, &patches.1, applied.as_deref(), &schemas)?;
            let (sources, diagnostics) = (&mut source.sources, &mut source.diagnostics);
            let findings = lint::look(&source.configuration, version.parse().ok(), sources, diagnostics);
            // A version that would take the configuration takes it with the patches too.
            let takes =
                |findings: &[Finding]| findings.iter().all(|finding| !REFUSED.contains(&finding.code));
            if let Some(applied) = applied.filter(|_| takes(&findings)) {
                let mut merged = merge(&applied);
                let (sources, diagnostics) = (&mut merged.sources, &mut merged.diagnostics);
                let findings = lint::look(&merged.configuration, version.parse().ok(), sources, diagnostics);
                if !merged.diagnostics.is_empty() || !takes(&findings) {
                    return Err(format!("Talos {version} refuses the patches: {findings:#?}"));
                }
                let (again, ..) = read(Dialect::Talos, &applied);
                let again = plan(&again, &host).map_err(|diagnostics| diagnostics.list[0].message.clone())?;
                if comes_to(&again) != comes_to(&wanted) {
                    return Err(format!(
                        "applied, the patches for {version} plan {:#?}",
                        comes_to(&again)
                    ));
                }
            }
            let patches = patches.1;
            let (again, ..) = read(Dialect::Talos, &[("patches.yaml".to_owned(), patches)]);
            let again = plan(&again, &host).map_err(|diagnostics| diagnostics.list[0].message.clone())?;
            if comes_to(&again) != comes_to(&wanted) {
                return Err(format!(
                    "read again, the patches for {version} plan {:#?}",
                    comes_to(&again)
                ));
            }
        }
        let rest = patches::daemonset(&document, "1.14".parse().unwrap(), "registry.example/netkeel:1");
        let rest = rest.unwrap().unwrap_or_default();
        let objects = merge(&[("daemonset.yaml".to_owned(), rest.clone())]);
        assert!(objects.diagnostics.is_empty() && objects.configuration.documents().is_empty());
        let kinds: Vec<&str> = objects.configuration.manifests().iter().map(kind).collect();
        assert!(
            rest.is_empty() || kinds == ["Namespace", "DaemonSet", "ConfigMap"],
            "{kinds:?}"
        );
        golden(path, archive, "daemonset", &rest)
    });
}

/// A fact and the value that it should have.
type Wanted<'a> = (&'a Fact, &'a Option<FactValue>);

/// How many facts are wanted, what differs, and the ops, wherever they were said.
fn comes_to(plan: &Plan) -> (usize, Vec<Wanted<'_>>, Vec<&Op>) {
    let drift = plan.drift.iter().map(|drift| (&drift.fact, &drift.desired));
    let ops = plan.steps.iter().map(|step| &step.op);
    (plan.wanted, drift.collect(), ops.collect())
}

/// The ConfigMap of CozyStack with the MTU that a document wants: whatever stands beside it stays.
#[test]
fn every_config_map_keeps_what_stands_beside() {
    run_all("talos/cozystack", |path, archive| {
        let section = |name: &str| archive.get(name).map(|text| (name.to_owned(), text.to_owned()));
        let (document, ..) = read(Dialect::Native, &[section("document.yaml").unwrap()]);
        let there = merge(&[section("configmap.yaml").unwrap()]);
        let rendered = match cozystack::render(&document, &there.configuration) {
            Ok(rendered) => rendered,
            Err(error) => format!("{error}\n{}\n", error.hints.join("\n")),
        };
        golden(path, archive, "rendered", &rendered)
    });
}

/// Holds patches to the schema of their version: to the project's own, of the part that netkeel
/// writes, and to Talos's in a directory of them. That is of whole documents: what is there already
/// need not stand in a patch.
fn validate(
    version: &str,
    patches: &str,
    applied: Option<&[(String, String)]>,
    schemas: &Option<PathBuf>,
) -> Result<(), String> {
    let own = fs::read_to_string(root().join("testinfra/talos/schema.json")).unwrap();
    let own: Value = serde_json::from_str(&own).unwrap();
    let talos: Option<Value> = schemas.as_ref().map(|directory| {
        let prefix = format!("v{version}.");
        let files = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut files = files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(&prefix));
        let file = files.next().unwrap_or_else(|| panic!("no schema of {version}"));
        serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
    });
    let wrong = |why: jsonschema::ValidationError<'_>| format!("{version}: {why}\n{patches}");
    let merged = merge(&[("patches.yaml".to_owned(), patches.to_owned())]);
    let whole = applied.map(merge);
    for document in merged.configuration.documents() {
        jsonschema::validate(&own[version], &json(document)).map_err(wrong)?;
        let is = |key: &str, other: &Node| {
            other.get(key).and_then(Node::text) == document.get(key).and_then(Node::text)
        };
        let mut whole = whole.iter().flat_map(|merged| merged.configuration.documents());
        let whole = whole.find(|other| !kind(other).is_empty() && is("kind", other) && is("name", other));
        if let Some(schema) = &talos {
            jsonschema::validate(schema, &json(whole.unwrap_or(document))).map_err(wrong)?;
        }
    }
    Ok(())
}

fn json(node: &Node) -> Value {
    match &node.data {
        Data::Null => Value::Null,
        Data::Bool(value) => Value::from(*value),
        Data::Integer(value) => Value::from(*value),
        Data::Text { value, .. } => Value::from(value.as_str()),
        Data::List(items) => items.iter().map(json).collect(),
        Data::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), json(&entry.value)))
            .collect(),
    }
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn vectors(directory: &Path) {
    let read = |name: &Path| {
        let text = fs::read_to_string(directory.join(name));
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", name.display()));
        (name.display().to_string(), text)
    };
    for (case, files, expected) in VECTORS {
        let files: Vec<_> = files
            .iter()
            .map(|file| read(&Path::new(case).join(file)))
            .collect();
        let merged = merge(&files);
        assert!(
            merged.diagnostics.is_empty(),
            "{}",
            render::render(&merged.diagnostics, &merged.sources, false)
        );
        let expected = merge(&[read(&Path::new(case).join(expected))]);
        assert_eq!(
            shown(&plain(merged.configuration)),
            shown(&plain(expected.configuration)),
            "{case}"
        );
    }
    let several = merge(&[
        read(Path::new("multidoc/config.yaml")),
        read(Path::new("multidoc/jsonpatch.yaml")),
    ]);
    assert_eq!(several.diagnostics.count(), 1);
}

/// What is said, in the order of keys: Go writes out fields that are nothing.
fn plain(configuration: Configuration) -> Vec<Node> {
    let mut documents = configuration.documents().to_vec();
    documents.iter_mut().for_each(|document| {
        tidy(document);
    });
    documents
}

/// Whether anything is left of it.
fn tidy(node: &mut Node) -> bool {
    match &mut node.data {
        Data::Null => false,
        Data::Text { value, plain } => {
            *plain = false;
            !value.is_empty()
        }
        Data::List(items) => {
            items.retain_mut(tidy);
            !items.is_empty()
        }
        Data::Map(entries) => {
            entries.retain_mut(|entry| tidy(&mut entry.value));
            entries.sort_by(|a, b| a.key.cmp(&b.key));
            !entries.is_empty()
        }
        Data::Bool(_) | Data::Integer(_) => true,
    }
}

/// One command makes the system extension: the same bytes each time, and in the read-only root a
/// place for everything that is mounted into it.
#[test]
fn the_extension_is_packed_by_one_command() {
    let scratch = tempfile::tempdir().unwrap();
    let program = scratch.path().join("netkeel");
    let build = |directory: &str| {
        let out = scratch.path().join(directory);
        let status = Command::new(root().join("talos/extension/build"))
            .args([&program, &out])
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        out
    };
    Command::new("install")
        .args(["-m", "755", "/dev/null"])
        .arg(&program)
        .status()
        .unwrap();
    let (one, two) = (build("one"), build("two"));
    for archive in ["netkeel-extension.tar", "netkeel-image.tar"] {
        assert_eq!(
            fs::read(one.join(archive)).unwrap(),
            fs::read(two.join(archive)).unwrap()
        );
    }

    let manifest = fs::read_to_string(one.join("manifest.yaml")).unwrap();
    assert!(
        manifest.contains(concat!("version: ", env!("CARGO_PKG_VERSION"), "\n")),
        "{manifest}"
    );
    let service = fs::read_to_string(one.join("rootfs/usr/local/etc/containers/netkeel.yaml")).unwrap();
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let service = sources
        .load("netkeel.yaml", service.into_bytes(), None, &mut diagnostics)
        .unwrap();
    assert!(diagnostics.is_empty());
    let container = service.get("container").unwrap();
    let inside = one.join("rootfs/usr/local/lib/containers/netkeel");
    let has = |path: &str| assert!(inside.join(&path[1..]).exists(), "there is no {path}");
    has(container.get("entrypoint").unwrap().text().unwrap());
    let mounts = container.get("mounts").unwrap().items();
    assert!(mounts.len() >= 4);
    for mount in mounts {
        has(mount.get("destination").unwrap().text().unwrap());
    }
    // What is rendered is mounted there.
    let (document, ..) = read(
        Dialect::Native,
        &[(
            "d.yaml".to_owned(),
            "version: 1\ntunnel: { ipip0: { mode: ipip } }\n".to_owned(),
        )],
    );
    let patches = patches::patches(&document, "1.9".parse().unwrap(), &machine::Machine::default()).unwrap();
    let place = patches
        .lines()
        .find_map(|line| line.trim().strip_prefix("mountPath: "));
    has(place.unwrap());
    let name = service.get("name").unwrap().text().unwrap();
    assert!(patches.contains(&format!("name: {name}\n")), "{patches}");
}

/// Talos refuses a KubeNodeConfig beside other settings of the node in the older form: annotations
/// stay there then, all of them.
#[test]
fn annotations_stand_where_talos_takes_them() {
    let source = "machine:\n  nodeLabels: { rack: r1 }\n  nodeAnnotations: { one: '1', two: }\n";
    let files = [("config.yaml".to_owned(), source.to_owned())];
    let (document, ..) = read(Dialect::Talos, &files);
    let merged = merge(&files);
    let machine = machine::Machine {
        configuration: Some(&merged.configuration),
        tunnel_interface: Some("eth0"),
    };
    let patches = patches::patches(&document, "1.14".parse().unwrap(), &machine).unwrap();
    let annotations = "one: \"1\"\n    ovn.kubernetes.io/tunnel_interface: eth0\n    two: \"\"\n";
    let expected = format!("machine:\n  nodeAnnotations:\n    {annotations}");
    assert!(patches.ends_with(&expected), "{patches}");
}

/// There is no wg-quick on a machine, nor its files: that is said, and not taken along.
#[test]
fn what_is_for_wg_quick_has_no_place_on_a_machine() {
    let wireguard =
        "wireguard: { wg0: { source: /etc/wireguard/wg0.conf, target: /run/wg/wg0.conf, mtu: 1420 } }\n";
    let (version, machine) = ("1.14".parse().unwrap(), machine::Machine::default());
    for (more, left) in [("", false), ("tunnel: { ipip0: { mode: ipip } }\n", true)] {
        let text = format!("version: 1\n{wireguard}{more}");
        let (document, ..) = read(Dialect::Native, &[("d.yaml".to_owned(), text)]);
        let daemonset = patches::daemonset(&document, version, "registry.example/netkeel:1").unwrap();
        assert_eq!(daemonset.is_some(), left);
        for rendered in [
            Some(patches::patches(&document, version, &machine).unwrap()),
            daemonset,
        ]
        .into_iter()
        .flatten()
        {
            assert!(rendered.contains("can carry: wireguard."), "{rendered}");
            assert!(!rendered.contains("wg0"), "{rendered}");
        }
    }
}
