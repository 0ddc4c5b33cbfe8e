//! Any bytes as a document of any format: it is read or refused with a reason, within bounds, and
//! what is printed of it leaves the terminal alone. The first byte chooses the format.

#![no_main]

use libfuzzer_sys::fuzz_target;

use netkeel_core::name::netns::Netns;
use netkeel_document::document::Document;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::merge::{merge, withdraw};
use netkeel_source::report::render::render;
use netkeel_source::sources::Sources;
use netkeel_source::text::format::Format;

fuzz_target!(|input: &[u8]| {
    let Some((first, bytes)) = input.split_first() else {
        return;
    };
    let format = match first {
        b'y' => Some(Format::Yaml),
        b'j' => Some(Format::Json),
        b't' => Some(Format::Toml),
        _ => None,
    };
    let mut sources = Sources::default();
    let mut diagnostics = Diagnostics::default();
    let node = sources.load("fuzz", bytes.to_vec(), format, &mut diagnostics);
    assert!(
        node.is_some() || !diagnostics.is_empty(),
        "refused without a reason"
    );
    if let Some(node) = node {
        let twice = withdraw(merge(node.clone(), node.clone()));
        assert_eq!(
            twice,
            withdraw(node.clone()),
            "a layer over itself changes something"
        );
        Document::read(vec![node], Netns::CURRENT, &mut diagnostics);
    }
    let report = render(&diagnostics, &sources, false);
    let harmless = |char: char| char == '\n' || !char.is_control();
    assert!(
        report.chars().all(harmless),
        "the report holds control characters"
    );
});
