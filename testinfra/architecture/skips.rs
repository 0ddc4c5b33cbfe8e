//! The scripts testinfra/tally and testinfra/failures read the output of tests: a skip that is not listed is a failure, and
//! each failure is named.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::planted_circles::plant;

/// The exit status, the counts and the complaints about an output and a list.
fn tally(log: &str, list: &str) -> (Option<i32>, String, String) {
    run("tally", &[("log", log), ("skips", list)])
}

/// The exit status of a script over files, and both its outputs.
fn run(script: &str, files: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let directory = plant(files);
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let script = root
        .ancestors()
        .map(|root| root.join("testinfra").join(script))
        .find(|path| path.exists());
    let output = Command::new(script.unwrap())
        .args(files.iter().map(|(name, _)| directory.path().join(name)))
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

const LOG: &str = "\
test a::passes ... ok
test a::slow ... ignored, takes an hour
test b ... SKIPPED the kernel's module: it is not there
SKIPPED testinfra/modules/test_x.py::test_y[z]: no ruby
test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.00s
test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s
7 passed, 1 failed (17 s)
";

const LIST: &str = "\
# Names and reasons.

a::slow: too slow
the kernel's module: no kernel has it
testinfra/modules/test_x.py::test_y[z]: no ruby here
";

#[test]
fn passed_failed_and_skipped_tests_are_counted() {
    assert_eq!(tally(LOG, LIST), (Some(0), "22 3 3\n".into(), String::new()));
    assert_eq!(tally("nothing\n", ""), (Some(0), "0 0 0\n".into(), String::new()));
}

#[test]
fn a_skip_that_is_not_listed_is_a_failure() {
    for name in LIST.lines().filter_map(|line| line.split(": ").next()).skip(2) {
        let shorter: String = LIST
            .lines()
            .filter(|line| !line.starts_with(name))
            .map(|line| format!("{line}\n"))
            .collect();
        let (code, counts, complaint) = tally(LOG, &shorter);
        assert_eq!((code, &*counts), (Some(1), "22 3 3\n"), "{name}");
        assert!(complaint.ends_with(&format!(": {name}\n")), "{complaint}");
    }
    let (code, _, complaint) = tally("SKIPPED something\n", "something: listed\n");
    assert_eq!(code, Some(1));
    assert!(complaint.contains("without a reason"), "{complaint}");
}

#[test]
fn the_list_gives_a_reason_for_each_skip() {
    let (code, _, complaint) = tally("", "a::slow\n");
    assert_eq!(code, Some(1));
    assert!(complaint.contains("no reason is given: a::slow"), "{complaint}");
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let list = root.ancestors().map(|root| root.join("testinfra/skips.txt"));
    let list = list.into_iter().find(|path| path.exists()).unwrap();
    let (code, _, complaint) = tally("", &fs::read_to_string(list).unwrap());
    assert_eq!((code, &*complaint), (Some(0), ""));
}

#[test]
fn what_failed_is_named_with_the_end_of_its_evidence() {
    let failures = |log: &str| run("failures", &[("log", log)]);
    let report = "PASS a: 1\nFAIL b:\n     1\n     2\n     3\n     4\n     5\nPASS c: 1\nFAIL d:\n     6\n2 passed, 2 failed\n";
    let told = "FAIL b:\n     2\n     3\n     4\n     5\nFAIL d:\n     6\n";
    assert_eq!(failures(report), (Some(0), told.into(), String::new()));
    let cargo = "test a::b ... FAILED\ntest c ... ok\ntest result: FAILED\n";
    assert_eq!(failures(cargo).1, "a::b\n");
    // A program that ends without a report.
    assert_eq!(failures("one\ntwo\n").1, "one\ntwo\n");
}
