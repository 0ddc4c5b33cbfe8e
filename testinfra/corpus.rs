//! Replays the committed corpus of each fuzz target on a stable toolchain: what a fuzzer once
//! found stays found. The targets' own code runs, with a macro in the place of libFuzzer's.

#[expect(
    unused_attributes,
    reason = "a fuzz target is a crate of its own, without main"
)]
#[path = "../fuzz/fuzz_targets/conflist.rs"]
mod conflist;
#[expect(unused_attributes, reason = "as above")]
#[path = "../fuzz/fuzz_targets/document.rs"]
mod document;
#[expect(unused_attributes, reason = "as above")]
#[path = "../fuzz/fuzz_targets/packet.rs"]
mod packet;
#[expect(unused_attributes, reason = "as above")]
#[path = "../fuzz/fuzz_targets/plan.rs"]
mod plan;
#[expect(unused_attributes, reason = "as above")]
#[path = "../fuzz/fuzz_targets/source.rs"]
mod source;
#[expect(unused_attributes, reason = "as above")]
#[path = "../fuzz/fuzz_targets/stored.rs"]
mod stored;

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

extern crate self as libfuzzer_sys;

/// Makes a function of a fuzz target. It stands behind them, so that they have to import it.
#[macro_export]
macro_rules! fuzz_target {
    (|$input:ident: $kind:ty| $body:block) => {
        pub fn run($input: $kind) {
            $body
        }
    };
}

type Target = (&'static str, fn(&[u8]));

/// All targets; a new one is a line here and its `mod` above.
const TARGETS: &[Target] = &[
    ("conflist", conflist::run),
    ("document", document::run),
    ("packet", packet::run),
    ("plan", plan::run),
    ("source", source::run),
    ("stored", stored::run),
];

fn names(directory: &str) -> BTreeSet<PathBuf> {
    let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(directory);
    fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[test]
fn what_was_found_stays_found() {
    for (name, run) in TARGETS {
        let inputs = names(&format!("fuzz/corpus/{name}"));
        assert!(!inputs.is_empty(), "the corpus of {name} is empty");
        for input in inputs {
            let bytes = fs::read(&input).unwrap();
            let result = catch_unwind(|| run(&bytes));
            assert!(result.is_ok(), "{} makes it panic, see above", input.display());
        }
    }
}

#[test]
fn every_target_is_replayed() {
    let stems: BTreeSet<String> = names("fuzz/fuzz_targets")
        .iter()
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let replayed = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(stems, replayed);
}
