//! A plan predicts its apply: generated documents are planned and applied on the real kernel, in network
//! namespaces of the test's own. A document with a plan can be applied; the exceptions are in [`UNKNOWN`]. After an
//! apply there is nothing left to plan, and its undo restores the host.
//!
//! `NETKEEL_FULL=1` tries all documents; `NETKEEL_SEED` makes others; `NETKEEL_DOCUMENT=N` tries one and prints it.

#[path = "predict/document.rs"]
mod document;
#[path = "predict/outcome.rs"]
mod outcome;
#[path = "conformance/random.rs"]
mod random;
#[path = "predict/ranges.rs"]
mod ranges;
#[path = "predict/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Mutex;
use std::thread;

use document::Documents;
use outcome::{LISTED, Outcome, attempt};
use random::Random;

use netkeel_core::name::netns::Netns;
use netkeel_kernel::live::snapshot::Live;

/// Documents of a full run.
const ALL: u64 = 2_000;

/// Documents of another run, spread over all.
const SAMPLE: u64 = 200;

/// Documents that share a host, as long as each leaves it as it was.
const TOGETHER: usize = 50;

/// The facts that a plan cannot know, as in docs/reference/sysctl.md and undo.md. Here no other program writes
/// meanwhile, and no bridge is pinned.
const UNKNOWN: &[&str] = &[
    LISTED,
    "a module that does not load",
    "modules of a kernel without /lib/modules",
];

/// Prints a line past the harness.
fn say(line: &str) {
    std::io::stderr()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

#[test]
fn an_apply_fails_only_for_what_its_plan_cannot_know() {
    let variable = |name: &str| std::env::var(name).ok();
    let seed: u64 = variable("NETKEEL_SEED").map_or(20_261_128, |seed| seed.parse().unwrap());
    let full = variable("NETKEEL_FULL").is_some_and(|value| value == "1");
    let step = if full { 1 } else { ALL / SAMPLE };
    let one = variable("NETKEEL_DOCUMENT").map(|number| number.parse().unwrap());
    let numbers: Vec<u64> = match one {
        Some(number) => vec![number],
        None => (0..ALL).step_by(step as usize).collect(),
    };
    let next = Mutex::new(numbers.iter().copied());
    let found = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| while work(seed, one.is_some(), &next, &found) {});
        }
    });
    let mut found = found.into_inner().unwrap();
    found.sort_by_key(|(number, ..)| *number);
    judge(seed, &found, numbers.len(), one.is_some());
}

/// The number of a document, its text and its outcome.
type Found = (u64, String, Outcome);

/// Makes a host and tries documents on it until one leaves it changed. Says whether there are more.
fn work(
    seed: u64,
    show: bool,
    next: &Mutex<impl Iterator<Item = u64> + Send>,
    found: &Mutex<Vec<Found>>,
) -> bool {
    world::inside(|world| {
        let documents = Documents::of(world);
        for _ in 0..TOGETHER {
            let Some(number) = next.lock().unwrap().next() else {
                return false;
            };
            let document = documents.make(&mut Random::new(seed.wrapping_mul(1_000_003) + number));
            let text = serde_json::to_string_pretty(&document).unwrap();
            if show {
                say(&text.to_string());
            }
            let (outcome, restored) =
                Live::with(&Netns::CURRENT, |kernel| attempt(&text, kernel, world)).unwrap();
            found.lock().unwrap().push((number, text, outcome));
            if !restored {
                return true;
            }
        }
        true
    })
}

/// Counts what came of the documents, and fails for what must not be.
fn judge(seed: u64, found: &[Found], asked: usize, one: bool) {
    assert_eq!(found.len(), asked);
    let mut counts = BTreeMap::<String, usize>::new();
    let mut wrong = String::new();
    let mut shown = 0;
    for (number, text, outcome) in found {
        let kind = match outcome {
            Outcome::Rejected => "rejected when read".to_owned(),
            Outcome::Refused(_) => "refused at plan".to_owned(),
            Outcome::InSync => "in sync".to_owned(),
            Outcome::Applied { ops } => {
                *counts.entry("(ops of those)".to_owned()).or_default() += ops;
                "applied, in sync and undone".to_owned()
            }
            Outcome::Unknown { what, .. } => format!("failed for {what}"),
            Outcome::Wrong(_) => "WRONG".to_owned(),
        };
        *counts.entry(kind).or_default() += 1;
        if let Outcome::Wrong(why) = outcome {
            shown += 1;
            if shown <= 10 {
                writeln!(
                    wrong,
                    "NETKEEL_SEED={seed} NETKEEL_DOCUMENT={number}\n{text}\n{why}\n"
                )
                .unwrap();
            }
        }
        if let (Outcome::Unknown { what, why }, true) = (outcome, shows_all()) {
            say(&format!("document {number}: {what}: {why}"));
        }
        if let (Outcome::Refused(why), true) = (outcome, one) {
            say(&why.to_string());
        }
        if let Outcome::Unknown { what, .. } = outcome {
            assert!(UNKNOWN.contains(what));
        }
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(kind, number)| format!("{number} {kind}"))
        .collect();
    // Past the harness, which hides what a test that passes prints.
    say(&format!(
        "{asked} documents from NETKEEL_SEED={seed}: {}",
        counts.join(", ")
    ));
    assert!(wrong.is_empty(), "\n{wrong}{}", counts.join(", "));
    // A generator whose documents are all refused would show nothing.
    let of = |is: &dyn Fn(&Outcome) -> bool| found.iter().filter(|(.., outcome)| is(outcome)).count();
    let applied = of(&|outcome| matches!(outcome, Outcome::Applied { .. }));
    let refused = of(&|outcome| matches!(outcome, Outcome::Refused(_)));
    assert!(
        one || (applied * 4 > asked && refused * 20 > asked),
        "too few of some"
    );
}

/// Whether to print each apply that failed.
fn shows_all() -> bool {
    std::env::var_os("NETKEEL_SHOW").is_some()
}
