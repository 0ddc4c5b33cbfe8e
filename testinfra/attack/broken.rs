//! The state directory breaks at each step of a confirmed apply: no half, and no promise is lost.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::confirmed::{CHANGES, Ended, JOURNAL, apply, in_time, kill, start, until, until_unwatched, words};
use crate::observed::Observed;
use crate::random::Random;
use crate::world::{DOCUMENT, DropIn, Place, Ran, World, inside};
use crate::{full, seed, tell};

/// How it breaks, and how it is repaired. Without a repair the files are removed.
const WAYS: &[(&str, &str, &str)] = &[
    (
        "full",
        "for d in /run /var/lib; do mount -o remount,size=1m,nr_inodes=300 $d; dd if=/dev/zero of=$d/.fill bs=4k 2>/dev/null || :; i=0; while touch $d/.fill$i 2>/dev/null && [ $i -lt 400 ]; do i=$((i+1)); done; [ $i -lt 400 ]; done",
        "for d in /run /var/lib; do rm -f $d/.fill*; mount -o remount,size=50%,nr_inodes=100000 $d; done",
    ),
    (
        "read-only",
        "for d in /run/netkeel /var/lib/netkeel; do mkdir -p $d; mount --bind $d $d; mount -o remount,bind,ro $d; done",
        "umount -l /run/netkeel /var/lib/netkeel",
    ),
    ("missing", "rm -rf /run/netkeel /var/lib/netkeel", ""),
    (
        "renamed",
        "for d in /run/netkeel /var/lib/netkeel; do mkdir -p $d; mv $d $d.away; done",
        "rm -rf /run/netkeel /var/lib/netkeel; for d in /run/netkeel /var/lib/netkeel; do mv $d.away $d; done",
    ),
    (
        "foreign owner",
        "mkdir -p /run/netkeel /var/lib/netkeel; chown 12 /run/netkeel /var/lib/netkeel",
        "chown 0 /run/netkeel /var/lib/netkeel",
    ),
    (
        "written by others",
        "chmod 777 /run /var/lib",
        "chmod 755 /run /var/lib",
    ),
    (
        "torn line",
        "for f in /run/netkeel/journal /var/lib/netkeel/journal-files; do [ ! -s $f ] || truncate -s -3 $f; done",
        "",
    ),
    (
        "newer format",
        "sed -i 's/\"format\":1/\"format\":9/' /run/netkeel/journal /var/lib/netkeel/journal-files || :",
        "",
    ),
    (
        "directory for a file",
        "mkdir -p /run/netkeel; cd /run/netkeel; rm -rf journal lock; mkdir journal lock",
        "",
    ),
    (
        "covered by another",
        "mkdir -p /run/netkeel /var/lib/netkeel; for d in /run/netkeel /var/lib/netkeel; do mount -t tmpfs -o mode=700 none $d; done",
        "umount -l /run/netkeel /var/lib/netkeel",
    ),
    (
        "symbolic link",
        "mkdir -p /run/netkeel; mv /run/netkeel /run/elsewhere; ln -s /run/elsewhere /run/netkeel",
        "rm /run/netkeel; mv /run/elsewhere /run/netkeel",
    ),
    (
        "zeros",
        "for f in /run/netkeel/journal /var/lib/netkeel/journal-files /var/lib/netkeel/ledger.json; do [ ! -s $f ] || dd if=/dev/zero of=$f bs=$(stat -c %s $f) count=1 conv=notrunc status=none; done",
        "",
    ),
    (
        "immutable",
        "mkdir -p /run/netkeel /var/lib/netkeel; for d in /run/netkeel /var/lib/netkeel; do chattr -R +i $d; done",
        "for d in /run/netkeel /var/lib/netkeel; do chattr -R -i $d; done",
    ),
    (
        "deleted lock",
        "rm -f /run/netkeel/lock /run/netkeel/watchdog-*",
        "",
    ),
    (
        "FIFO",
        "mkdir -p /run/netkeel; rm -f /run/netkeel/journal; mkfifo /run/netkeel/journal",
        "",
    ),
];

/// When it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Before the apply.
    Before,
    /// Between two writes of the apply.
    Between,
    /// While it waits, and nobody confirms it.
    Waiting,
    /// While it waits; then somebody confirms it.
    Confirming,
    /// Between two writes of the confirmation.
    WithinConfirm,
}

const STEPS: &[Step] = &[
    Step::Before,
    Step::Between,
    Step::Waiting,
    Step::Confirming,
    Step::WithinConfirm,
];

/// Random moments of a confirmation that are tried for each way, where everything is.
const MOMENTS: usize = 4;

const APPLY: &[&str] = &["apply", "-f", DOCUMENT, "--allow-management", "--confirm-within"];

/// The first promise. It is made again with twice the time where the apply takes longer.
const WITHIN: Duration = Duration::from_secs(2);

/// One try.
struct Broken<'a> {
    step: Step,
    way: &'a str,
    mend: &'a str,
    /// Of [`Step::WithinConfirm`]: the time since the confirmation began.
    moment: Duration,
    /// The promise.
    within: Duration,
}

/// The result of a confirmed apply.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Undone,
    Kept,
    Refused,
    /// The time was over before anything broke.
    Slow,
}

/// An apply that stands still between two writes while its state breaks, if it comes so far in time.
fn between(world: &World, arguments: &[&str], broken: &Broken<'_>) -> Option<Ran> {
    let begun = Instant::now();
    let mut child = start(arguments);
    until("it has begun", || {
        let journal = fs::read_to_string(JOURNAL).unwrap_or_default();
        journal.contains("\"begun\"") || begun.elapsed() >= broken.within
    });
    kill("STOP", child.id());
    let in_time = begun.elapsed() < broken.within;
    if in_time {
        world.sh(broken.way);
    }
    kill("CONT", child.id());
    let code = child.wait().unwrap().code().unwrap_or(-1);
    let (stdout, stderr) = (String::new(), String::new());
    in_time.then_some(Ran { code, stdout, stderr })
}

/// A confirmation that stands still at a moment while its state breaks; whether it says that it is confirmed.
fn within_confirm(world: &World, way: &str, moment: Duration) -> bool {
    let mut child = start(&["confirm"]);
    sleep(moment);
    kill("STOP", child.id());
    world.sh(way);
    kill("CONT", child.id());
    child.wait().unwrap().code() == Some(0)
}

fn one(world: &World, broken: &Broken<'_>, before: &Observed, wanted: &Observed) -> Outcome {
    let Broken {
        step,
        way,
        mend,
        moment,
        within,
    } = *broken;
    if step == Step::Before {
        world.sh(way);
    }
    let promise = words(within);
    let arguments = [APPLY, &[&promise]].concat();
    let begun = Instant::now();
    let waits = matches!(step, Step::Waiting | Step::Confirming | Step::WithinConfirm);
    let ran = match step {
        Step::Between => between(world, &arguments, broken),
        Step::Before | Step::Waiting | Step::Confirming | Step::WithinConfirm => {
            let ran = world.netkeel(&arguments);
            (!waits || begun.elapsed() < within).then_some(ran)
        }
    };
    let Some(ran) = ran else {
        return Outcome::Slow;
    };
    if waits {
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    if matches!(step, Step::Waiting | Step::Confirming) {
        world.sh(way);
    }
    let confirmed = match step {
        Step::Confirming => world.netkeel(&["confirm"]).code == 0,
        Step::WithinConfirm => within_confirm(world, way, moment),
        Step::Before | Step::Between | Step::Waiting => false,
    };
    let outcome = match (ran.code, confirmed) {
        (0, true) => Outcome::Kept,
        (0, false) => Outcome::Undone,
        (1 | 3, _) => Outcome::Refused,
        _ => panic!("{ran:?}"),
    };
    let state = if confirmed { wanted } else { before };
    let mut difference = None;
    let start = Instant::now();
    while start.elapsed() < crate::confirmed::SOON {
        difference = world.look().difference(state);
        let waits = outcome == Outcome::Kept && start.elapsed() < within + Duration::from_secs(1);
        if difference.is_none() && !waits {
            break;
        }
    }
    assert_eq!(
        difference, None,
        "{outcome:?}: the promise is lost, or a half is left"
    );
    world.sh(mend);
    if mend.is_empty() && world.netkeel(&["recover"]).code != 0 {
        world.sh("rm -rf /run/netkeel/journal /run/netkeel/lock /var/lib/netkeel/*");
    }
    until("it can be recovered", || world.netkeel(&["recover"]).code == 0);
    until_unwatched();
    assert_eq!(
        world.look().difference(state),
        None,
        "{outcome:?}, after the repair"
    );
    let again = world.netkeel(&["apply", "-f", DOCUMENT, "--allow-management", "--retry-rejected"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(world.look().difference(wanted), None);
    outcome
}

/// The tries: the number of a way, and a step.
fn tries(random: &mut Random) -> Vec<(usize, Step)> {
    if !full() {
        return STEPS
            .iter()
            .map(|step| (random.below(WAYS.len()), *step))
            .collect();
    }
    let mut tries = Vec::new();
    for way in 0..WAYS.len() {
        for step in STEPS {
            let moments = if *step == Step::WithinConfirm { MOMENTS } else { 1 };
            tries.extend([(way, *step)].repeat(moments));
        }
    }
    tries
}

#[test]
fn a_state_directory_that_breaks_at_any_step_loses_no_promise() {
    let begun = Instant::now();
    let mut random = Random::new(seed());
    let tries = tries(&mut random);
    let (before, wanted, confirm) = inside(Place::Host, DropIn::Theirs, |world| {
        let _ended = Ended;
        world.document(CHANGES);
        let before = world.look();
        apply(world, "600s");
        let start = Instant::now();
        assert_eq!(world.netkeel(&["confirm"]).code, 0);
        (before, world.look(), start.elapsed())
    });
    let mut wrong = Vec::new();
    let (mut kept, mut undone, mut refused) = (0, 0, 0);
    for (number, step) in &tries {
        let (name, way, mend) = WAYS[*number];
        let moment = confirm.mul_f64(random.below(1000) as f64 / 1000.0);
        let attempt = |within: Duration| {
            inside(Place::Host, DropIn::Theirs, |world| {
                let _ended = Ended;
                world.document(CHANGES);
                let step = *step;
                let broken = Broken {
                    step,
                    way,
                    mend,
                    moment,
                    within,
                };
                one(world, &broken, &before, &wanted)
            })
        };
        let outcome = std::panic::catch_unwind(|| {
            let mut outcome = Outcome::Slow;
            in_time(WITHIN, |within| {
                outcome = attempt(within);
                outcome != Outcome::Slow
            });
            outcome
        });
        match outcome {
            Ok(Outcome::Slow) => unreachable!("it would have been tried again"),
            Ok(Outcome::Kept) => kept += 1,
            Ok(Outcome::Undone) => undone += 1,
            Ok(Outcome::Refused) => refused += 1,
            Err(panic) => {
                let why = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                wrong.push(format!("{name}, {step:?} after {moment:?}: {why}"));
            }
        }
    }
    tell(&format!(
        "broken state (NETKEEL_SEED={}): {} tries of {} ways at {} steps; {undone} undone in time, {kept} kept, {refused} refused with nothing written; {} lost; {} s",
        seed(),
        tries.len(),
        WAYS.len(),
        STEPS.len(),
        wrong.len(),
        begun.elapsed().as_secs()
    ));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
