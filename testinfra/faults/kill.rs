//! SIGKILL at every point of an apply, of a release, of a recovery and of a resumption.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::observed::{COMPARISONS, FACTS, Observed};
use crate::random::Random;
use crate::trace::Point;
use crate::world::{DOCUMENT, DropIn, Place, Ran, World, inside};
use crate::{full, seed, tell, trace};

/// More than 12 ops of all kinds that need no tunnel.
pub const RICH: &str = "\
version: 1
sysctl:
  net.ipv4.conf.all.rp_filter: 0
  net.ipv4.conf.default.rp_filter: 2
  net.ipv4.ip_local_port_range: [20000, 60000]
  net.ipv4.tcp_rmem: [4096, 131072, 4194304]
  net.ipv4.tcp_wmem: [4096, 65536, 4194304]
  net.ipv4.tcp_mtu_probing: 1
  net.ipv4.conf.eth0.accept_local: 1
link:
  eth0: { mtu: 1420, rp_filter: loose, txqueuelen: 700, alias: 'an uplink' }
  mv0: { mtu: 1380 }
  pods: { match: { name: 'cali[12]' }, mtu: 1460, rp_filter: strict, txqueuelen: 300 }
  cali1p: { mtu: 8900 }
  vx0: { mtu: 1300, up: true, alias: overlay }
route:
  10.9.0.0/16: { mtu: 1400, advmss: 1360 }
nflog:
  packet-too-big: { interfaces: [eth0, cali1], ignore_sources: [10.0.0.0/24], adopt: true }
cni:
  pods: { file: /var/lib/cni/10-ptp.conf, plugin: ptp, mtu: 1460 }
wireguard:
  wg0: { source: /var/lib/secret/wg0.conf, target: /var/lib/cni/wg0.conf, mtu: 1370 }
";

const APPLY: &[&str] = &["apply", "-f", DOCUMENT];

const RELEASE: &[&str] = &["release", "--allow-lossy"];

const RECOVER: &[&str] = &["recover"];

const RESUME: &[&str] = &["recover", "--resume"];

/// Points of a command that a run without NETKEEL_FULL tries.
const SAMPLE: usize = 4;

/// Which points of a command are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Points {
    /// A sample.
    Sample,
    /// All that write. With NETKEEL_FULL, all that read too.
    All,
}

/// A command that is killed.
struct Case {
    name: &'static str,
    place: Place,
    drop_in: DropIn,
    /// Brings a world to where the command starts.
    prepare: fn(&World),
    command: &'static [&'static str],
    /// Where `recover` leads to.
    undone: State,
    /// Where `recover --resume` leads to; none where it is refused once the command wrote something.
    resumed: Option<State>,
    /// Where the command leads to.
    done: State,
    points: Points,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Before,
    Wanted,
}

/// The two states of a host, from an apply that nobody disturbs.
struct Reference {
    before: Observed,
    wanted: Observed,
    ledger: Vec<String>,
}

impl Reference {
    fn of(place: Place, drop_in: DropIn) -> Self {
        inside(place, drop_in, |world| {
            world.document(RICH);
            let before = world.look();
            same("two looks at one host", &world.look(), &before);
            let plan = world.netkeel(&["plan", "-f", DOCUMENT, "--output", "json"]);
            let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
            let writes = plan["steps"].as_array().map_or(0, Vec::len);
            assert!(writes >= 12, "the document has only {writes} writes: {plan:#}");
            succeeds(world, APPLY);
            let wanted = world.look();
            let ledger = claims(world);
            succeeds(world, RELEASE);
            same("an apply and a release", &world.look(), &before);
            Reference {
                before,
                wanted,
                ledger,
            }
        })
    }

    fn state(&self, state: State) -> &Observed {
        match state {
            State::Before => &self.before,
            State::Wanted => &self.wanted,
        }
    }
}

/// Leaves an apply that was killed after some writes.
pub fn killed_halfway(world: &World) {
    let before = world.look();
    trace::kill(world, halfway(), APPLY);
    let killed = world.look();
    assert!(killed.difference(&before).is_some(), "nothing was written yet");
    let check = world.netkeel(&["check", "-f", DOCUMENT]);
    assert_eq!(check.code, 1, "the interruption is not reported: {check:?}");
}

/// The second write to an interface: files and rules are written by then, sysctls are not.
pub fn halfway() -> &'static Point {
    static HALFWAY: OnceLock<Point> = OnceLock::new();
    HALFWAY.get_or_init(|| trace::nth(apply(), 2, "change an interface", Point::changes_a_link))
}

/// The points of an apply of [`RICH`] that nobody disturbs, where a file lies in the drop-in's place.
pub fn apply() -> &'static [Point] {
    static APPLIED: OnceLock<Vec<Point>> = OnceLock::new();
    APPLIED.get_or_init(|| {
        inside(Place::Host, DropIn::Theirs, |world| {
            world.document(RICH);
            let (points, ran) = trace::points(world, APPLY);
            assert_eq!(ran.code, 0, "{}", ran.stderr);
            points
        })
    })
}

#[test]
fn an_apply_killed_anywhere_is_undone_finished_or_done_again() {
    for (place, drop_in, points) in [
        (Place::Host, DropIn::None, Points::Sample),
        (Place::Host, DropIn::Theirs, Points::All),
        (Place::Other, DropIn::Theirs, Points::Sample),
    ] {
        run(&Case {
            name: "apply",
            place,
            drop_in,
            prepare: |_| {},
            command: APPLY,
            undone: State::Before,
            resumed: Some(State::Wanted),
            done: State::Wanted,
            points,
        });
    }
}

#[test]
fn a_release_killed_anywhere_is_undone_finished_or_done_again() {
    for drop_in in [DropIn::None, DropIn::Theirs] {
        run(&Case {
            name: "release",
            place: Place::Host,
            drop_in,
            prepare: |world| succeeds(world, APPLY),
            command: RELEASE,
            undone: State::Wanted,
            resumed: Some(State::Before),
            done: State::Before,
            points: Points::Sample,
        });
    }
}

#[test]
fn a_recovery_killed_anywhere_is_recovered() {
    run(&Case {
        name: "recover",
        place: Place::Host,
        drop_in: DropIn::Theirs,
        prepare: killed_halfway,
        command: RECOVER,
        undone: State::Before,
        resumed: None,
        done: State::Before,
        points: Points::Sample,
    });
}

#[test]
fn a_resumption_killed_anywhere_is_undone_or_resumed() {
    run(&Case {
        name: "recover --resume",
        place: Place::Host,
        drop_in: DropIn::Theirs,
        prepare: killed_halfway,
        command: RESUME,
        undone: State::Before,
        resumed: Some(State::Wanted),
        done: State::Wanted,
        points: Points::Sample,
    });
}

fn run(case: &Case) {
    let start = Instant::now();
    let reference = Reference::of(case.place, case.drop_in);
    let (points, ran) = case.world(|world| trace::points(world, case.command));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let whole = full() || case.points == Points::All;
    let mut points = trace::interesting(points, whole);
    points.retain(|point| full() || point.writes());
    let all = points.len();
    if !whole {
        let mut random = Random::new(seed());
        // The middle stays: something is written by then, and something is not.
        let mut middle = points.len() / 2;
        while points.len() > SAMPLE {
            let at = random.below(points.len());
            if at != middle {
                points.remove(at);
                middle -= usize::from(at < middle);
            }
        }
    }
    assert!(!points.is_empty(), "there is no point to kill {} at", case.name);
    let tries: Vec<(&Point, Then)> = points
        .iter()
        .flat_map(|point| [Then::Undo, Then::Resume, Then::Again].map(|then| (point, then)))
        .collect();
    let outcomes = in_parallel(&tries, |(point, then)| {
        case.world(|world| one(case, &reference, point, *then, world))
            .map_err(|difference| format!("killed before {}, then {then:?}: {difference}", point.line))
    });
    let interrupted = outcomes.iter().filter(|outcome| **outcome == Ok(true)).count();
    let mismatches = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    tell(&format!(
        "{} ({:?}, drop-in {:?}): killed at {} of {all} points (NETKEEL_SEED={}), each then undone, resumed and done again; {interrupted} of {} left a journal; {} mismatches; {} s; so far {} comparisons of {} facts",
        case.name,
        case.place,
        case.drop_in,
        points.len(),
        seed(),
        tries.len(),
        mismatches,
        start.elapsed().as_secs(),
        COMPARISONS.load(Ordering::Relaxed),
        FACTS.load(Ordering::Relaxed),
    ));
    judge(&outcomes, whole).unwrap_or_else(|error| panic!("{}: {error}", case.name));
}

/// What is wrong with the kills of a case: each says whether it left a journal, or how the host differed.
fn judge(outcomes: &[Result<bool, String>], whole: bool) -> Result<(), String> {
    let mismatches: Vec<&str> = outcomes
        .iter()
        .filter_map(|outcome| outcome.as_ref().err())
        .map(String::as_str)
        .collect();
    if !mismatches.is_empty() {
        return Err(format!(
            "{} mismatches:\n{}",
            mismatches.len(),
            mismatches.join("\n")
        ));
    }
    let interrupted = outcomes.iter().filter(|outcome| **outcome == Ok(true)).count();
    // When all points are tried, most writes lie between the journal's first line and its end.
    let least = if whole { outcomes.len() / 4 } else { 0 };
    if interrupted <= least {
        return Err(format!(
            "only {interrupted} of {} kills left a journal",
            outcomes.len()
        ));
    }
    Ok(())
}

#[test]
fn kills_that_show_nothing_are_found() {
    let difference = || Err("link eth0.mtu".to_owned());
    assert!(judge(&[], false).is_err(), "no kill");
    assert!(judge(&[], true).is_err(), "no kill");
    assert!(judge(&[Ok(false), Ok(false)], false).is_err(), "no interruption");
    assert!(judge(&[Ok(true), difference()], false).is_err(), "a mismatch");
    assert_eq!(judge(&[Ok(true), Ok(false)], false), Ok(()));
    let few: Vec<_> = (0..100).map(|number| Ok(number < 25)).collect();
    assert!(judge(&few, true).is_err(), "few interruptions");
    assert_eq!(judge(&few, false), Ok(()));
    assert_eq!(judge(&few[..50], true), Ok(()));
}

/// Does some work for each, on as many threads as there are processors. Each has a world of its own.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let worker = || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(at) else {
                    return done;
                };
                done.push((at, work(item)));
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, Vec<(usize, R)>>| {
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().flat_map(join).collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// What is done after the kill.
#[derive(Clone, Copy, Debug)]
enum Then {
    Undo,
    Resume,
    Again,
}

impl Case {
    fn world<T: Send>(&self, work: impl FnOnce(&World) -> T + Send) -> T {
        inside(self.place, self.drop_in, |world| {
            world.document(RICH);
            (self.prepare)(world);
            work(world)
        })
    }
}

/// Kills at one point and goes on; says whether the journal was found.
fn one(case: &Case, reference: &Reference, point: &Point, then: Then, world: &World) -> Result<bool, String> {
    trace::kill(world, point, case.command);
    let killed = world.look();
    let kept = world.kept();
    let plan = world.netkeel(&["plan", "-f", DOCUMENT]);
    let check = world.netkeel(&["check", "-f", DOCUMENT]);
    if world.kept() != kept {
        return Err("plan or check wrote to what netkeel keeps".to_owned());
    }
    expect("after plan and check", &world.look(), &killed)?;
    let pending = check.code == 1;
    if pending {
        for ran in [&plan, &check] {
            if ran.code != 1 || !ran.stderr.contains("was interrupted") {
                return Err(format!("neither in order nor reported: {ran:?}"));
            }
        }
    }
    // Without a journal it is one of the two, and check says which.
    let mut at = None;
    if !pending {
        let state = if check.code == 0 {
            State::Wanted
        } else {
            State::Before
        };
        if plan.code != 0 {
            return Err(format!("plan failed: {plan:?}"));
        }
        expect("without a journal", &killed, reference.state(state))?;
        at = Some(state);
    }
    let expected = match then {
        Then::Undo => {
            ran(world, RECOVER)?;
            at.unwrap_or(case.undone)
        }
        Then::Resume => match (world.netkeel(RESUME), case.resumed) {
            (Ran { code: 0, .. }, Some(resumed)) => at.unwrap_or(resumed),
            // Nothing was undone yet.
            (Ran { code: 0, .. }, None) => at.unwrap_or(State::Wanted),
            (Ran { code: 1, stderr, .. }, None) if stderr.contains("netkeel recover") => {
                ran(world, RECOVER)?;
                at.unwrap_or(case.undone)
            }
            (other, _) => return Err(format!("recover --resume: {other:?}")),
        },
        Then::Again => {
            ran(world, case.command)?;
            match (case.command, at) {
                // There was nothing left to recover.
                (RECOVER | RESUME, Some(state)) => state,
                _ => case.done,
            }
        }
    };
    expect("afterwards", &world.look(), reference.state(expected))?;
    let check = world.netkeel(&["check", "-f", DOCUMENT]);
    let code = if expected == State::Wanted { 0 } else { 2 };
    if check.code != code {
        return Err(format!("check says {check:?}"));
    }
    if expected == State::Wanted && claims(world) != reference.ledger {
        let (is, should) = (claims(world), &reference.ledger);
        let lines = is
            .iter()
            .filter(|line| !should.contains(line))
            .chain(should.iter().filter(|line| !is.contains(line)));
        return Err(format!("the ledger differs: {:#?}", lines.collect::<Vec<_>>()));
    }
    ran(world, RELEASE)?;
    expect("after a release", &world.look(), &reference.before)?;
    Ok(pending)
}

/// What the ledger holds, a line a fact.
fn claims(world: &World) -> Vec<String> {
    let find = "cat $(find /var/lib/netkeel /run/netkeel -name ledger.json 2>/dev/null)";
    let ledger = netkeel_plan::ledger::Ledger::read(&world.sh(find)).unwrap();
    ledger
        .of("default")
        .map(|claim| format!("{}: found {:?}, wrote {:?}", claim.fact, claim.found, claim.wrote))
        .collect()
}

fn succeeds(world: &World, command: &[&str]) {
    ran(world, command).unwrap();
}

fn ran(world: &World, command: &[&str]) -> Result<(), String> {
    let ran = world.netkeel(command);
    match ran.code {
        0 => Ok(()),
        // Nothing was held any more, which a release reports.
        1 if command == RELEASE && ran.stderr.contains("holds nothing") => Ok(()),
        _ => Err(format!("{command:?}: {ran:?}")),
    }
}

fn same(what: &str, is: &Observed, should: &Observed) {
    expect(what, is, should).unwrap();
}

fn expect(what: &str, is: &Observed, should: &Observed) -> Result<(), String> {
    is.difference(should)
        .map_or(Ok(()), |difference| Err(format!("{what}\n{difference}")))
}
