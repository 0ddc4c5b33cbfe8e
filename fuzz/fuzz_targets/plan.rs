//! Any document on any snapshot: the plan says why it cannot be, or leaves nothing to plan once it
//! is applied, and prints in every form. The input is a snapshot, a zero byte, a document.

#![no_main]

use libfuzzer_sys::fuzz_target;

use netkeel_diagnose::lint::plan::plan;
use netkeel_document::document::Document;
use netkeel_host::model::Model;
use netkeel_host::snapshot::Snapshot;
use netkeel_plan::plan::groups::Grouping;
use netkeel_render::json;
use netkeel_render::plan::of::Of;
use netkeel_render::plan::{diff, markdown, text};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

fuzz_target!(|input: &[u8]| {
    let Some(end) = input.iter().position(|byte| *byte == 0) else {
        return;
    };
    let (snapshot, document) = (&input[..end], &input[end + 1..]);
    let Some(host) = std::str::from_utf8(snapshot)
        .ok()
        .and_then(|text| Snapshot::from_json(text).ok())
    else {
        return;
    };
    let mut sources = Sources::default();
    let mut diagnostics = Diagnostics::default();
    let Some(node) = sources.load("fuzz.yaml", document.to_vec(), None, &mut diagnostics) else {
        return;
    };
    let document = Document::read(vec![node], host.netns.clone(), &mut diagnostics);
    if !diagnostics.is_empty() {
        return;
    }
    let Ok(planned) = plan(&document, &host) else {
        return;
    };
    for full in [false, true] {
        let style = text::Style {
            colour: false,
            commands: true,
            full,
            of: Of::Snapshot,
        };
        text::plan(&planned, &sources, style);
    }
    markdown::plan(&planned, &sources, Of::Snapshot);
    diff::plan(&planned, Grouping::Identical);
    json::plan(&planned, &sources);
    let mut model = Model::new(host);
    for step in &planned.steps {
        model.apply(&step.op);
    }
    if planned.problems.is_empty()
        && let Ok(again) = plan(&document, &model.host)
    {
        assert!(
            again.steps.is_empty(),
            "something is left to do: {:?}",
            again.steps
        );
    }
});
