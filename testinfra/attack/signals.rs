//! Signals at random moments to every command that writes: after a recovery the host is as before or as
//! wanted.

use std::collections::BTreeMap;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use crate::confirmed::{Ended, kill, sent, start, until, until_unwatched, watchdog};
use crate::observed::Observed;
use crate::random::Random;
use crate::scene::{Size, brief, whole};
use crate::world::{DOCUMENT, DropIn, Place, World, inside};
use crate::{full, seed, tell};

const SIGNALS: &[&str] = &["KILL", "TERM", "INT", "HUP", "QUIT"];

const APPLY: &[&str] = &["apply", "-f", DOCUMENT, "--allow-management", "--retry-rejected"];

const UNDO: &[&str] = &["undo", "--allow-management", "--allow-lossy"];

/// So many signals lie between two looks at everything.
const WHOLE_EVERY: usize = 25;

/// The process that gets a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Apply,
    /// An apply that is to be confirmed.
    ConfirmedApply,
    Release,
    /// Of an apply that was killed.
    Recover,
    Resume,
    Confirm,
    /// The verb, after an apply that succeeded.
    Undo,
    /// Of an undo that was killed.
    RecoverUndo,
    ResumeUndo,
    /// One that undoes.
    Watchdog,
    Run,
}

const TARGETS: &[Target] = &[
    Target::Apply,
    Target::ConfirmedApply,
    Target::Release,
    Target::Recover,
    Target::Resume,
    Target::Confirm,
    Target::Undo,
    Target::RecoverUndo,
    Target::ResumeUndo,
    Target::Watchdog,
    Target::Run,
];

impl Target {
    /// The command that gets the signal.
    fn command(self) -> Vec<&'static str> {
        match self {
            Target::Apply => APPLY.to_vec(),
            Target::ConfirmedApply => [APPLY, &["--confirm-within", "4s"]].concat(),
            Target::Release => vec!["release", "--allow-lossy"],
            Target::Recover | Target::RecoverUndo => vec!["recover"],
            Target::Resume | Target::ResumeUndo => vec!["recover", "--resume"],
            Target::Confirm => vec!["confirm"],
            Target::Undo => UNDO.to_vec(),
            Target::Watchdog => [APPLY, &["--confirm-within", "600s"]].concat(),
            Target::Run => vec!["run", "-f", DOCUMENT, "--allow-management"],
        }
    }

    /// Brings a world to where the command begins. `takes` is how long each command takes. Returns whether a command
    /// that was to be killed in its middle was.
    fn prepare(self, world: &World, takes: &BTreeMap<Target, Duration>, random: &mut Random) -> bool {
        match self {
            Target::Release | Target::Undo => done(world, APPLY),
            Target::Recover | Target::Resume => return killed(APPLY, takes[&Target::Apply], random),
            Target::RecoverUndo | Target::ResumeUndo => {
                done(world, APPLY);
                return killed(UNDO, takes[&Target::Undo], random);
            }
            Target::Confirm => done(world, &[APPLY, &["--confirm-within", "600s"]].concat()),
            Target::Watchdog => done(world, &self.command()),
            Target::Apply | Target::ConfirmedApply | Target::Run => {}
        }
        true
    }
}

/// Kills a command somewhere in its middle. `takes` is how long it takes undisturbed. Returns whether it ran until
/// then.
fn killed(command: &[&str], takes: Duration, random: &mut Random) -> bool {
    let mut child = start(command);
    sleep(takes.mul_f64(0.3) + part(takes, 0.6, random));
    let ran = child.try_wait().unwrap().is_none();
    let _ = child.kill();
    let _ = child.wait();
    ran
}

/// A random part of a time, up to so many times it.
fn part(time: Duration, most: f64, random: &mut Random) -> Duration {
    time.mul_f64(most * random.below(1000) as f64 / 1000.0)
}

fn done(world: &World, command: &[&str]) {
    let ran = world.netkeel(command);
    assert_eq!(ran.code, 0, "{command:?}: {ran:?}");
}

/// The results of the signals.
#[derive(Debug, Default)]
struct Counts {
    /// By the command and the state that it led to.
    states: BTreeMap<(Target, &'static str), usize>,
    /// Signals that met a process.
    met: usize,
    /// Commands that were to be killed in their middle and had ended. Their signals do not count.
    ended: usize,
    /// Looks at everything.
    whole: usize,
}

/// The two states that there may be, each by a brief look and by one at everything.
struct States {
    before: (Observed, Observed),
    wanted: (Observed, Observed),
}

/// A world that gets signals.
struct Attack<'a> {
    world: &'a World,
    states: States,
    /// How long each command takes when nobody disturbs it.
    takes: BTreeMap<Target, Duration>,
    counts: Counts,
}

impl<'a> Attack<'a> {
    /// Builds the scene once. Every signal ends with the host as it was before.
    fn new(world: &'a World, size: Size) -> Self {
        size.build(world);
        let before = (brief(world), whole(world));
        done(world, APPLY);
        let wanted = (brief(world), whole(world));
        assert!(before.0.difference(&wanted.0).is_some());
        done(world, &["release", "--allow-lossy"]);
        let mut attack = Attack {
            world,
            states: States { before, wanted },
            takes: BTreeMap::new(),
            counts: Counts::default(),
        };
        attack.is_as_before("after a release", true);
        attack.measure();
        attack
    }

    /// Runs every command undisturbed.
    fn measure(&mut self) {
        let timed = |work: &dyn Fn()| {
            let start = Instant::now();
            work();
            start.elapsed()
        };
        let (world, takes) = (self.world, &mut self.takes);
        let release = || done(world, Target::Release.command().as_slice());
        let apply = timed(&|| done(world, APPLY));
        takes.insert(Target::Release, timed(&release));
        for target in [Target::Apply, Target::ConfirmedApply, Target::Run] {
            takes.insert(target, apply);
        }
        done(world, APPLY);
        takes.insert(Target::Undo, timed(&|| done(world, UNDO)));
        self.is_as_before("after an undo", false);
        let (world, takes) = (self.world, &mut self.takes);
        // As long as undoing all of it, or finishing it.
        done(world, &Target::Watchdog.command());
        takes.insert(Target::Confirm, timed(&|| done(world, &["confirm"])));
        release();
        done(world, &Target::Watchdog.command());
        let undo = timed(&|| {
            kill("TERM", watchdog().expect("an apply that waits has a watchdog"));
            until_unwatched();
        });
        for target in [
            Target::Watchdog,
            Target::Recover,
            Target::Resume,
            Target::RecoverUndo,
            Target::ResumeUndo,
        ] {
            takes.insert(target, undo);
        }
        self.is_as_before("after undisturbed commands", false);
    }

    fn is_as_before(&mut self, when: &str, everything: bool) {
        let (look, expected) = match everything {
            true => (whole(self.world), &self.states.before.1),
            false => (brief(self.world), &self.states.before.0),
        };
        self.counts.whole += usize::from(everything);
        assert_eq!(look.difference(expected), None, "{when}");
    }

    /// One signal, a recovery, and a look at what it led to; then the host is brought back.
    fn signal(&mut self, number: usize, random: &mut Random) {
        // In turn, so that a small sample has all of them.
        let target = TARGETS[number % TARGETS.len()];
        let (world, signal) = (self.world, *random.of(SIGNALS));
        let everything = number.is_multiple_of(WHOLE_EVERY);
        let what = format!(
            "signal {number}: SIG{signal} to {target:?} (NETKEEL_SEED={})",
            seed()
        );
        let in_its_middle = target.prepare(world, &self.takes, random);
        let moment = part(self.takes[&target], 1.1, random);
        let met = self.counts.met;
        match target {
            Target::Watchdog => self.at_a_watchdog(signal, moment),
            _ => self.at_a_command(target, signal, moment),
        }
        // There was nothing to recover.
        if !in_its_middle {
            self.counts.met = met;
            self.counts.ended += 1;
        }
        // The apply of a killed confirmation waits for minutes.
        if target != Target::Confirm {
            until_unwatched();
        }
        until(&format!("{what} is recovered"), || {
            world.netkeel(&["recover"]).code == 0
        });
        until_unwatched();
        let check = world.netkeel(&["check", "-f", DOCUMENT]);
        let (state, expected) = match check.code {
            0 => ("wanted", &self.states.wanted),
            2 => ("before", &self.states.before),
            _ => panic!("{what}: {check:?}"),
        };
        let difference = match everything {
            true => whole(world).difference(&expected.1),
            false => brief(world).difference(&expected.0),
        };
        assert_eq!(difference, None, "{what}: neither as before nor as wanted");
        self.counts.whole += usize::from(everything);
        *self.counts.states.entry((target, state)).or_default() += 1;
        if state == "wanted" {
            done(world, &["release", "--allow-lossy"]);
            self.is_as_before(&format!("{what}, after a release"), everything);
        }
    }

    /// To a command that was started just now.
    fn at_a_command(&mut self, target: Target, signal: &str, moment: Duration) {
        let mut child = start(&target.command());
        sleep(moment);
        if child.try_wait().unwrap().is_none() {
            kill(signal, child.id());
            self.counts.met += 1;
        }
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            // A reload does not end a service.
            if target == Target::Run && begun.elapsed() > Duration::from_millis(300) {
                kill("TERM", child.id());
            }
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{target:?} does not end after SIG{signal}"
            );
            sleep(Duration::from_millis(5));
        }
    }

    /// To a watchdog that began to undo just now. One that is not killed goes on.
    fn at_a_watchdog(&mut self, signal: &str, moment: Duration) {
        let number = watchdog().expect("an apply that waits has a watchdog");
        kill("TERM", number);
        sleep(moment);
        // It is no child of this process: it may be gone since the look.
        if watchdog() == Some(number) && sent(signal, number) {
            self.counts.met += 1;
        }
    }
}

#[test]
fn a_signal_at_any_moment_leaves_no_half() {
    let (signals, size): (usize, Size) = match full() {
        true => (800, Size { veths: 300, pods: 20 }),
        false => (20, Size { veths: 20, pods: 3 }),
    };
    let lanes = match full() {
        true => std::thread::available_parallelism().map_or(1, usize::from).min(8),
        false => 1,
    };
    let start = Instant::now();
    let lane = |lane: usize| {
        inside(Place::Host, DropIn::Theirs, |world| {
            let _ended = Ended;
            let mut random = Random::new(seed() + lane as u64);
            let mut attack = Attack::new(world, size);
            let mut number = lane;
            // One that came too late does not count.
            while attack.counts.met < signals.div_ceil(lanes) {
                attack.signal(number, &mut random);
                if full() && number % 100 < lanes {
                    tell(&format!("signal {number} after {} s", start.elapsed().as_secs()));
                }
                number += lanes;
            }
            attack.is_as_before("at the end", true);
            attack.counts
        })
    };
    let counts: Vec<Counts> = scope(|scope| {
        let lanes: Vec<_> = (0..lanes)
            .map(|number| scope.spawn(move || lane(number)))
            .collect();
        let ended = lanes.into_iter().map(|lane| lane.join());
        ended
            .map(|counts| counts.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut states: BTreeMap<(Target, &str), usize> = BTreeMap::new();
    for (key, count) in counts.iter().flat_map(|counts| &counts.states) {
        *states.entry(*key).or_default() += count;
    }
    let all = states.values().sum::<usize>();
    let shown: Vec<String> = states
        .iter()
        .map(|((target, state), count)| format!("{count} {target:?} to {state}"))
        .collect();
    let sum = |of: fn(&Counts) -> usize| counts.iter().map(of).sum::<usize>();
    tell(&format!(
        "signals (NETKEEL_SEED={}): {} of {all} met a process, {} after a command that had ended, beside {size:?}; {}; 0 halves in {} brief and {} whole looks; {} s",
        seed(),
        sum(|counts| counts.met),
        sum(|counts| counts.ended),
        shown.join(", "),
        all,
        sum(|counts| counts.whole),
        start.elapsed().as_secs()
    ));
}
