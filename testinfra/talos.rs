//! Talos: machine configurations and patches merge as Talos merges them, and come to the document
//! that stands below them. With NETKEEL_TALOS_VECTORS, which names a directory of test data of
//! Talos's own, that data too. NETKEEL_BLESS=1 rewrites what a case expects.

#[path = "support/txtar.rs"]
mod txtar;

use std::fs;
use std::path::Path;

use netkeel::document::Document;
use netkeel::error::Diagnostics;
use netkeel::netns::Netns;
use netkeel::render::yaml;
use netkeel::source::talos::{Configuration, layers};
use netkeel::source::{Data, Dialect, Node, Reading, Sources, report};

use txtar::{golden, run_all};

/// Files as they were read and merged.
struct Merged {
    configuration: Configuration,
    sources: Sources,
    diagnostics: Diagnostics,
}

fn merge(files: &[(String, String)]) -> Merged {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let reading = Reading {
        dialect: Dialect::Talos,
        keys: &[],
        facts: &std::collections::BTreeMap::new(),
    };
    let mut documents = Vec::new();
    for (name, text) in files {
        documents.extend(sources.load_of(&reading, name, text.clone().into_bytes(), &mut diagnostics));
    }
    Merged {
        configuration: Configuration::merged(documents, &mut diagnostics),
        sources,
        diagnostics,
    }
}

fn shown(nodes: &[Node]) -> String {
    nodes.iter().map(yaml::document).collect::<Vec<_>>().join("---\n")
}

/// Its own cases always; Talos's where they are.
#[test]
fn every_case_merges_and_reads_as_it_says() {
    if let Some(directory) = std::env::var_os("NETKEEL_TALOS_VECTORS") {
        vectors(Path::new(&directory));
    }
    run_all("talos", |path, archive| {
        let mut files = archive.sections.clone();
        files.retain(|(name, _)| name.contains('.'));
        let mut merged = merge(&files);
        if !merged.diagnostics.is_empty() {
            let refused = report::render(&merged.diagnostics, &merged.sources, false);
            return golden(path, archive, "refused", &refused);
        }
        golden(path, archive, "merged", &shown(merged.configuration.documents()))?;
        let (sources, diagnostics) = (&mut merged.sources, &mut merged.diagnostics);
        let layers = layers(&merged.configuration, sources, diagnostics);
        let desired = shown(&layers);
        Document::read(layers, Netns::CURRENT, diagnostics);
        if diagnostics.is_empty() {
            golden(path, archive, "desired", &desired)
        } else {
            let refused = report::render(diagnostics, sources, false);
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
            report::render(&merged.diagnostics, &merged.sources, false)
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
