//! Any bytes as data of Hiera, Ansible or Talos: a document is made of them or they are refused
//! with a reason, within bounds. The first byte chooses the dialect, FS (0x1c) parts files.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;

use netkeel_core::name::netns::Netns;
use netkeel_dialects::dialect::{Dialect, Reading};
use netkeel_document::document::{Document, keys};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::report::render::render;
use netkeel_source::sources::Sources;

fuzz_target!(|input: &[u8]| {
    let Some((first, bytes)) = input.split_first() else {
        return;
    };
    let keys = keys();
    let facts = BTreeMap::from([("networking.fqdn".to_owned(), "a.example".to_owned())]);
    let reading = Reading {
        dialect: match first {
            b'h' => Dialect::Hiera,
            b'a' => Dialect::Ansible,
            _ => Dialect::Talos,
        },
        keys: &keys,
        facts: &facts,
        levels: &[],
    };
    let mut sources = Sources::default();
    let mut diagnostics = Diagnostics::default();
    let mut files = Vec::new();
    for bytes in bytes.split(|byte| *byte == 0x1c).take(4) {
        files.extend(reading.load(&mut sources, "fuzz", bytes.to_vec(), &mut diagnostics));
    }
    let layers = reading.layers(files, &mut sources, &mut diagnostics);
    Document::read(layers, Netns::CURRENT, &mut diagnostics);
    let report = render(&diagnostics, &sources, false);
    let harmless = |char: char| char == '\n' || !char.is_control();
    assert!(
        report.chars().all(harmless),
        "the report holds control characters"
    );
});
