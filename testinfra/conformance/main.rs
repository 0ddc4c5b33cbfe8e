//! Holds the model kernel to the real one: random ops are done on both, and after each op a full
//! snapshot of the real kernel must be what the model says. Needs root and iproute2.
//!
//! `NETKEEL_SEED` repeats a run, `NETKEEL_ROUNDS` makes it longer.

mod churn;
mod compare;
mod facts;
mod host;
mod namespace;
mod ops;
mod random;

use std::io::Write;
use std::time::{Duration, Instant};

use netkeel::error::Error;
use netkeel::kernel::{Kernel, Live};
use netkeel::op::Op;
use netkeel::snapshot::{Model, Snapshot};

use host::Host;
use namespace::Namespace;
use random::Random;

/// Namespaces, each with a host of its own.
const ROUNDS: u64 = 20;

/// No namespace is begun after this time, unless a number of them was asked for.
const LONGEST: Duration = Duration::from_secs(40);

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
        if asked.is_none() && start.elapsed() > LONGEST {
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
    // Past the harness, which hides what a test that passes prints.
    writeln!(
        std::io::stderr(),
        "compared {} ops, {} of them refused by both, from NETKEEL_SEED={seed} in {rounds} namespaces",
        done.ops,
        done.refused
    )
    .unwrap();
    assert!(done.refused > 0 || rounds < 5, "no refusal was compared");
}

/// How many ops were compared.
#[derive(Default)]
struct Tally {
    ops: usize,
    refused: usize,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.ops += other.ops;
        self.refused += other.refused;
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
