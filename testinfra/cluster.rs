//! Objects of a cluster and the findings on them. NETKEEL_BLESS=1 rewrites what a case expects.

#[path = "support/txtar.rs"]
mod txtar;

use txtar::{golden, run_all};

use netkeel_diagnose::cluster::judge;
use netkeel_render::findings as wording;
use netkeel_render::paint::Paint;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

#[test]
fn objects_have_the_findings_of_their_case() {
    run_all("cluster", |path, archive| {
        let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
        let mut nodes = Vec::new();
        let files = archive.sections.clone();
        for (name, text) in files.iter().filter(|(name, _)| name != "findings") {
            nodes.extend(sources.load_with(name, text.clone().into_bytes(), None, true, &mut diagnostics));
        }
        if !diagnostics.is_empty() {
            return Err(format!("{diagnostics:?}"));
        }
        let judged = judge(&nodes);
        let mut text = wording::text(&judged.findings, Paint(false));
        for line in &judged.unknown {
            text.push_str(&format!("unknown: {line}\n"));
        }
        golden(path, archive, "findings", &text)
    });
}
