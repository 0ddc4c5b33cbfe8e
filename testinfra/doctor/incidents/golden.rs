//! The bundles of `testinfra/doctor/incidents` and their expected diagnosis.

use std::fs;
use std::path::{Path, PathBuf};

use netkeel_core::name::netns::Netns;
use netkeel_diagnose::bundle::Bundle;
use netkeel_diagnose::diagnosis::cause::{Grounds, Kind};
use netkeel_diagnose::diagnosis::compare::compare;
use netkeel_diagnose::diagnosis::diagnose;
use netkeel_diagnose::diagnosis::fix::Fix;
use netkeel_diagnose::lint::host;
use netkeel_document::document::Document;
use netkeel_host::cni::configuration::Contents;
use netkeel_host::snapshot::Snapshot;
use netkeel_render::diagnosis::{compare as compared, html, text};
use netkeel_render::paint::Paint;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

/// The cause that each incident had.
const CAUSES: &[(&str, Kind)] = &[
    ("calico-no-default-route", Kind::GatewaySilent),
    ("cilium-systemd-245", Kind::RpFilter),
    ("conntrack-table-full", Kind::ConntrackFull),
    ("cozystack-kube-ovn-kubespan", Kind::TooLarge),
    ("cozystack-other-node", Kind::TooLarge),
    ("dns-conntrack-race", Kind::ConntrackRace),
    ("docker-1500-over-1400", Kind::TooLarge),
    ("docker-forward-drop", Kind::Firewall),
    ("flannel-vxlan-checksums", Kind::Checksums),
    ("gke-pods-1500", Kind::TooLarge),
    ("neighbour-table-overflow", Kind::NeighboursFull),
    ("wikimedia-ipip-rp-filter", Kind::RpFilter),
];

pub fn testinfra() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testinfra")).to_owned()
}

/// The bundle of an incident. Its findings are those that its snapshot gives.
fn bundle(name: &str) -> Bundle {
    let path = testinfra()
        .join("doctor/incidents")
        .join(name)
        .join("bundle.json");
    let bundle = Bundle::from_json(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(bundle.findings, host::host(&bundle.snapshot), "{name}");
    bundle
}

/// Compares with a golden file.
fn golden(name: &str, file: &str, text: &str) {
    let path = testinfra().join("doctor/incidents").join(name).join(file);
    if std::env::var_os("NETKEEL_BLESS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{}", path.display());
}

/// Fails if an output is not as its schema says.
fn agrees(schema: &serde_json::Value, output: &impl serde::Serialize) {
    let schema = jsonschema::validator_for(schema).unwrap();
    let output = serde_json::to_value(output).unwrap();
    let wrong: Vec<String> = schema
        .iter_errors(&output)
        .map(|error| error.to_string())
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}\n{output:#}");
}

/// Fails if a fragment of a document is not valid.
fn is_valid(fragment: &str) {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let text = format!("version: 1\n{fragment}\n");
    let layer = sources.load("fix.yaml", text.into_bytes(), None, &mut diagnostics);
    Document::read(layer.into_iter().collect(), Netns::CURRENT, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{fragment}: {diagnostics:?}");
}

#[test]
fn every_incident_has_its_cause_first() {
    let mut found: Vec<String> = fs::read_dir(testinfra().join("doctor/incidents"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    found.sort();
    let named: Vec<&str> = CAUSES.iter().map(|(name, _)| *name).collect();
    assert_eq!(found, named);
    for (name, kind) in CAUSES {
        let diagnosis = bundle(name).diagnosis();
        let first = diagnosis.causes.first().map(|cause| (cause.kind, cause.grounds));
        assert_eq!(first.map(|(kind, _)| kind), Some(*kind), "{name}: {diagnosis:#?}");
        assert_ne!(
            first.map(|(_, grounds)| grounds),
            Some(Grounds::Possible),
            "{name}"
        );
        for fix in diagnosis.causes.iter().flat_map(|cause| &cause.fix) {
            if let Fix::Document(fragment) = fix {
                is_valid(fragment);
            }
        }
        let shown = text::diagnosis(&diagnosis, Paint(false));
        for line in shown.lines() {
            let is_pasted = line.starts_with("  refute") || line.starts_with("  fix") || line.contains('{');
            assert!(is_pasted || line.chars().count() <= 80, "{name}: {line}");
        }
        agrees(&netkeel_render::schema::diagnosis(), &diagnosis);
        golden(name, "expected.txt", &shown);
    }
}

#[test]
fn a_healthy_host_has_no_cause() {
    let mut hosts = 0;
    for entry in fs::read_dir(testinfra().join("healthy")).unwrap() {
        let path = entry.unwrap().path();
        let archive = fs::read_to_string(&path).unwrap();
        let json = archive.split("-- snapshot.json --\n").nth(1).unwrap();
        let json = json.split("\n-- ").next().unwrap();
        let snapshot = Snapshot::from_json(json).unwrap();
        let findings = host::host(&snapshot);
        let diagnosis = diagnose(&snapshot, &findings, None);
        let causes: Vec<_> = diagnosis
            .causes
            .iter()
            .map(|cause| (cause.kind, &cause.evidence))
            .collect();
        assert!(causes.is_empty(), "{}: {causes:#?}", path.display());
        hosts += 1;
    }
    assert!(hosts >= 20, "{hosts}");
}

#[test]
fn the_node_with_more_losses_is_the_outlier() {
    let bundles = ["cozystack-kube-ovn-kubespan", "cozystack-other-node"].map(bundle);
    let comparison = compare([&bundles[0], &bundles[1]]);
    let worst = &comparison.losses[0];
    assert_eq!(
        (worst.what.as_str(), worst.outlier),
        ("tx_errors of genev_sys_6081", 0)
    );
    let factor = worst.factor.unwrap();
    assert!((14.0..15.0).contains(&factor), "{factor}");
    let shown = compared::comparison(&comparison, ["the-dome", "illusion"]);
    agrees(&netkeel_render::schema::comparison(), &comparison);
    golden("cozystack-kube-ovn-kubespan", "compare.txt", &shown);
}

#[test]
fn the_page_needs_no_other_file_and_runs_nothing() {
    let mut bundle = bundle("wikimedia-ipip-rp-filter");
    bundle.host = "<script>alert(1)</script>".to_owned();
    let page = html::bundle(&bundle);
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    for forbidden in ["<script", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("&lt;script&gt;") && page.contains("IPReversePathFilter"));
}

#[test]
fn nothing_of_a_bundle_acts_on_the_terminal() {
    let mut bundle = bundle("cozystack-kube-ovn-kubespan");
    let evil = "a\u{1b}[2J\u{202e}b";
    bundle.host = evil.to_owned();
    bundle.snapshot.kernel = evil.to_owned();
    for finding in &mut bundle.findings {
        finding.message = evil.to_owned();
        finding.subjects = vec![evil.to_owned()];
    }
    for file in bundle.snapshot.cni.as_mut().unwrap().files.values_mut().flatten() {
        if let Contents::Plugins(plugins) = &mut file.reading {
            plugins.iter_mut().for_each(|plugin| plugin.kind = evil.into());
        }
    }
    let shown = text::bundle(&bundle, Paint(false));
    assert!(shown.matches("[2J").count() >= 3, "{shown}");
    let shown = format!("{shown}{}", html::bundle(&bundle));
    assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown}");
}

/// The status that `doctor --bundle` exits with.
fn status(bundle: &str, more: &[&str]) -> Option<i32> {
    let file = testinfra()
        .join("doctor/incidents")
        .join(bundle)
        .join("bundle.json");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_netkeel"))
        .args(["doctor", "--bundle"])
        .arg(file)
        .args(more)
        .output()
        .unwrap();
    output.status.code()
}

#[test]
fn a_certain_cause_fails_only_when_asked_to() {
    let certain = "conntrack-table-full";
    assert_eq!(status(certain, &[]), Some(0));
    assert_eq!(status(certain, &["--fail-on", "error"]), Some(2));
    assert_eq!(status(certain, &["--fail-on", "note"]), Some(2));
    assert_eq!(
        status(certain, &["--fail-on", "error", "--compare", "a.json", "b.json"]),
        Some(1)
    );
}
