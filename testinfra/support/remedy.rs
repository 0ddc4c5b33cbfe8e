//! A remedy that is a part of a document, on the model of the host that has the finding.

use std::collections::BTreeSet;

use netkeel_core::finding::Finding;
use netkeel_diagnose::lint;
use netkeel_document::document::Document;
use netkeel_host::snapshot::Snapshot;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::report::render;
use netkeel_source::sources::Sources;

/// Applies a document with a remedy in a layer over it. All findings that the host and the plan of the document
/// had must be gone, and no other may come.
#[allow(dead_code, reason = "each test that includes this file uses one of the two")]
pub fn mends(document: &str, remedy: &str, host: &Snapshot) -> Result<(), String> {
    let before = named(&findings(&read(&[document], host)?, host)?);
    if before.is_empty() {
        return Err("there is no finding to mend".to_owned());
    }
    let mended = read(&[document, remedy], host)?;
    let planned = lint::plan::planned(&mended, host).map_err(|refused| format!("{refused:?}"))?;
    if planned.plan.steps.is_empty() {
        return Err("the remedy changes nothing".to_owned());
    }
    let after = planned.after.unwrap_or_else(|| host.clone());
    let again = lint::plan::plan(&mended, &after).map_err(|refused| format!("{refused:?}"))?;
    if !again.drift.is_empty() {
        return Err(format!("it is not in sync after the remedy: {:#?}", again.drift));
    }
    let left = named(&findings(&mended, &after)?);
    match left.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "after the remedy there is {left:#?}\nbefore it: {before:#?}"
        )),
    }
}

/// As [`mends`], for the findings of one code on the plan of a document. Others may stay.
#[allow(dead_code, reason = "each test that includes this file uses one of the two")]
pub fn mends_code(layers: &[&str], remedy: &str, host: &Snapshot, code: &str) -> Result<(), String> {
    let before = named(&findings(&read(layers, host)?, host)?);
    if !before.iter().any(|one| one.starts_with(code)) {
        return Err(format!("{code} is not found: {before:#?}"));
    }
    let mended = read(&[layers, &[remedy]].concat(), host)?;
    let planned = lint::plan::planned(&mended, host).map_err(|refused| format!("{refused:?}"))?;
    let after = planned.after.unwrap_or_else(|| host.clone());
    for (when, host, lints) in [("by the plan", host, false), ("after the apply", &after, true)] {
        let mut found = lint::plan::plan(&mended, host)
            .map_err(|refused| format!("{refused:?}"))?
            .findings;
        found.extend(lints.then(|| lint::host::host(host)).into_iter().flatten());
        let left = named(&found);
        let bad: Vec<&String> = left
            .iter()
            .filter(|one| one.starts_with(code) || !before.contains(*one))
            .collect();
        if !bad.is_empty() {
            return Err(format!(
                "with the remedy there is {when} {bad:#?}\nbefore it: {before:#?}"
            ));
        }
    }
    Ok(())
}

fn read(layers: &[&str], host: &Snapshot) -> Result<Document, String> {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let mut nodes = Vec::new();
    for (number, text) in layers.iter().enumerate() {
        let name = format!("{number}.yaml");
        nodes.extend(sources.load(&name, text.as_bytes().to_vec(), None, &mut diagnostics));
    }
    let document = Document::read(nodes, host.netns.clone(), &mut diagnostics);
    match diagnostics.is_empty() {
        true => Ok(document),
        false => Err(render::render(&diagnostics, &sources, false)),
    }
}

fn findings(document: &Document, host: &Snapshot) -> Result<Vec<Finding>, String> {
    let mut found = lint::host::host(host);
    let plan = lint::plan::plan(document, host).map_err(|refused| format!("{refused:?}"))?;
    found.extend(plan.findings);
    Ok(found)
}

/// Code and subjects, which are the same for one fault before and after other changes.
fn named(findings: &[Finding]) -> BTreeSet<String> {
    let shown = |finding: &Finding| format!("{} {}", finding.code, finding.subjects.join(", "));
    findings.iter().map(shown).collect()
}
