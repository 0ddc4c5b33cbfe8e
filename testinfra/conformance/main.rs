//! Holds the model kernel to the real one: random ops are done on both, and after each op a full
//! snapshot of the real kernel must be what the model says. Needs root and iproute2.
//!
//! Each kind of op is compared, or it is on the list of those that are compared elsewhere: it says where.
//!
//! `NETKEEL_SEED` repeats a run, `NETKEEL_ROUNDS` makes it longer.

mod churn;
mod combined;
mod compare;
mod facts;
mod host;
#[path = "../support/kinds.rs"]
mod kinds;
mod namespace;
mod ops;
mod random;

use host::Host;
use namespace::Namespace;
use random::Random;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use netkeel_core::error::Error;
use netkeel_core::op::Op;
use netkeel_host::kernel::Kernel;
use netkeel_host::model::Model;
use netkeel_host::snapshot::Snapshot;
use netkeel_kernel::live::snapshot::Live;

/// Namespaces, each with a host of its own.
const ROUNDS: u64 = 20;

/// After this time no namespace is begun beyond those that are [`ENOUGH`], unless a number of them was asked
/// for.
const LONGEST: Duration = Duration::from_secs(40);

/// Kinds of op that are not compared here, and why, with the tests that do them.
const COMPARED_ELSEWHERE: &[(&str, &str)] = &[
    (
        "CreateTunnel",
        "needs the module ipip: testinfra/conformance/facts.rs where the kernel has it, else testinfra/faults/kinds.rs",
    ),
    (
        "RecreateTunnel",
        "needs the module ipip: testinfra/faults/kinds.rs on the model",
    ),
    ("SetPluginMtu", "edits a file of its own format: testinfra/cni.rs"),
    (
        "SetWireguardMtu",
        "copies a file that holds keys: testinfra/faults/errors.rs",
    ),
    (
        "RemoveForeignRules",
        "needs rules of iptables: testinfra/nflog/foreign.rs",
    ),
    (
        "RestoreForeignRules",
        "needs rules of iptables: testinfra/nflog/foreign.rs",
    ),
    ("SetPodMtu", "needs a pod: testinfra/pods.rs"),
];

/// Ops in a namespace.
const OPS: usize = 200;

#[test]
fn the_model_does_what_the_kernel_does() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let seed: u64 = number("NETKEEL_SEED").unwrap_or(20_261_120);
    let asked = number("NETKEEL_ROUNDS");
    let start = Instant::now();
    let inert = host::leaves_that_nothing_follows();
    let mut done = Tally::default();
    let mut rounds = 0;
    for round in 0..asked.unwrap_or(ROUNDS) {
        if asked.is_none() && round >= ENOUGH && start.elapsed() > LONGEST {
            break;
        }
        rounds += 1;
        let seed = seed + round;
        let mut random = Random::new(seed);
        let namespace = Namespace::make();
        let host = Host::build(&namespace, &mut random);
        let mut history = vec![
            format!("NETKEEL_SEED={seed} NETKEEL_ROUNDS=1"),
            host.script.clone(),
        ];
        let result = Live::with(&namespace.netns(), |kernel| {
            compare_round(kernel, &host, &inert, &mut random, &mut history)
        });
        match result {
            Ok(Ok(tally)) => done.add(&tally),
            Ok(Err(difference)) => panic!("{}\n\n{difference}", history.join("\n")),
            Err(error) => panic!("{error} {:?}", error.hints),
        }
    }
    let by_kind: Vec<String> = done
        .kinds
        .iter()
        .map(|(kind, number)| format!("{kind} {number}"))
        .collect();
    // Past the harness, which hides what a test that passes prints.
    writeln!(
        std::io::stderr(),
        "compared {} ops, {} of them refused by both, from NETKEEL_SEED={seed} in {rounds} namespaces: {}",
        done.ops,
        done.refused,
        by_kind.join(", ")
    )
    .unwrap();
    assert!(done.refused > 0 || rounds < ENOUGH, "no refusal was compared");
    let elsewhere = |kind: &&str| COMPARED_ELSEWHERE.iter().any(|(other, _)| other == kind);
    let expected: BTreeSet<&str> = kinds::ALL
        .iter()
        .filter(|kind| !elsewhere(kind))
        .copied()
        .collect();
    let compared: BTreeSet<&str> = done.kinds.keys().copied().collect();
    // A few ops that were asked for need not have all kinds.
    if rounds >= ENOUGH {
        assert_eq!(compared, expected, "ops that both took, by kind");
    }
}

#[test]
fn what_is_compared_elsewhere_is_a_kind_and_names_its_test() {
    for (kind, why) in COMPARED_ELSEWHERE {
        assert!(kinds::ALL.contains(kind), "{kind}");
        let named = why
            .split([' ', ','])
            .filter(|word| word.starts_with("testinfra/"));
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let there = |file: &str| root.ancestors().any(|root| root.join(file).exists());
        let files: Vec<&str> = named.collect();
        assert!(
            !files.is_empty() && files.iter().all(|file| there(file)),
            "{kind}: {why}"
        );
    }
}

/// Namespaces in which every kind of op was certainly chosen.
const ENOUGH: u64 = 5;

/// How many ops were compared.
#[derive(Default)]
struct Tally {
    ops: usize,
    refused: usize,
    /// Those that were not refused, by kind.
    kinds: BTreeMap<&'static str, usize>,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.ops += other.ops;
        self.refused += other.refused;
        for (kind, number) in &other.kinds {
            *self.kinds.entry(kind).or_default() += number;
        }
    }
}

fn compare_round(
    kernel: &mut Live,
    host: &Host,
    inert: &[String],
    random: &mut Random,
    history: &mut Vec<String>,
) -> Result<Tally, String> {
    let look = |kernel: &mut Live| -> Result<Snapshot, String> {
        let snapshot = kernel.snapshot(&host.scope).map_err(|error| error.message)?;
        match snapshot.problems.first() {
            Some(problem) => Err(format!("{problem:?}")),
            None => Ok(snapshot),
        }
    };
    let mut model = Model::new(look(kernel)?);
    for leaf in inert {
        model.nothing_follows(leaf);
    }
    let mut tally = Tally::default();
    for _ in 0..OPS {
        let op = ops::choose(&model, random);
        history.push(op.to_string());
        let predicted = model.refusal(&op);
        let said = kernel.execute(&op);
        agree(&op, predicted.as_ref(), said.as_ref().err())?;
        tally.ops += 1;
        if said.is_err() {
            tally.refused += 1;
        } else {
            *tally.kinds.entry(kinds::name(&op)).or_default() += 1;
        }
        let before = model.host.clone();
        let changes = if said.is_ok() {
            model.apply(&op)
        } else {
            Vec::new()
        };
        let real = look(kernel)?;
        compare::learn_what_the_model_forgot(&mut model.host, &real);
        compare::snapshots(&model.host, &real)?;
        compare::changes(&before, &model.host, &changes)?;
    }
    Ok(tally)
}

/// Both take an op, or both refuse it for the same kind of reason.
fn agree(op: &Op, predicted: Option<&Error>, said: Option<&Error>) -> Result<(), String> {
    let kinds = (predicted.map(|error| error.kind), said.map(|error| error.kind));
    if kinds.0 == kinds.1 {
        return Ok(());
    }
    Err(format!(
        "{op}\n  the model: {}\n  the kernel: {}",
        predicted.map_or("takes it".into(), ToString::to_string),
        said.map_or("takes it".into(), ToString::to_string)
    ))
}
