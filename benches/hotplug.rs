//! What it costs to keep interfaces as declared that appear while the service runs: latency of a
//! lone one and of a burst, and CPU time, against a bare listener that writes and against
//! `ip -batch` with `sysctl -p`, in one run.
//!
//! See README.md beside it. It needs root, works in network namespaces of its own and removes them.

#[path = "reconcile/attributes.rs"]
mod attributes;
#[path = "hotplug/bare.rs"]
mod bare;
#[path = "reconcile/measure.rs"]
#[allow(dead_code, reason = "the other benchmark uses all of it")]
mod measure;
#[path = "hotplug/observer.rs"]
mod observer;
#[path = "hotplug/rtnetlink.rs"]
mod rtnetlink;
#[path = "hotplug/subject.rs"]
mod subject;

use measure::run;
use observer::Observer;
use subject::{Kind, Subject};

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_kernel::namespace::enter::inside;

/// Where the binary is, when it is not where cargo puts it.
const BINARY: &str = "NETKEEL_BIN";

/// What is wanted of new interfaces.
pub const MTU: u32 = 1460;

/// How many lone interfaces in a round, and how many in a burst.
const LONE: usize = 20;

const BURST: usize = 1000;

/// Rounds of lone interfaces for each subject, and bursts, both taken in turns.
const LONE_ROUNDS: usize = 5;

const ROUNDS: usize = 5;

/// How often all values of a burst are written after each: it takes a twentieth of a second, in which a
/// machine whose speed drifts is slow or fast.
const WRITTEN: usize = 3;

/// How long an idle service is watched.
const IDLE: Duration = Duration::from_secs(20);

/// A burst is done sooner than this, or never.
const PATIENCE: Duration = Duration::from_secs(20);

/// A mode of this program, given as its only argument.
pub const BARE: &str = "--bare";

/// What alone is measured, given as the only argument beside those of cargo.
const ONLY_LONE: &str = "lone";

fn main() -> ExitCode {
    let outcome = match std::env::args().nth(1).as_deref() {
        Some(BARE) => bare::listen(),
        Some(ONLY_LONE) => bench(true),
        _ => bench(false),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {}", error.message);
            ExitCode::FAILURE
        }
    }
}

/// What was measured of one subject.
#[derive(Debug, Default)]
struct Measured {
    /// From RTM_NEWLINK until everything was as wanted, each lone interface, sorted.
    lone: Vec<Duration>,
    /// The same in a burst, each interface of all bursts.
    burst: Vec<Duration>,
    /// From the creator's end until the last one was as wanted, each burst.
    last: Vec<Duration>,
    /// CPU time of each burst.
    cpu: Vec<Duration>,
}

fn bench(only_lone: bool) -> Result<(), Error> {
    let netkeel = binary()?;
    let place = Place::new()?;
    let mut measured = [Measured::default(), Measured::default()];
    let kinds = [Kind::Bare, Kind::Netkeel];
    for round in 1..=LONE_ROUNDS {
        for (kind, measured) in kinds.iter().zip(&mut measured) {
            say(&format!("round {round} of {LONE} lone interfaces, {kind} ..."));
            let subject = place.start(*kind, &netkeel)?;
            lone(&place, measured)?;
            drop(subject);
        }
    }
    if only_lone {
        let [bare, netkeel] = &mut measured;
        say(&table(&OF_LONE, bare, netkeel));
        return Ok(());
    }
    let mut blind = Vec::new();
    for round in 1..=ROUNDS {
        for (kind, measured) in kinds.iter().zip(&mut measured) {
            say(&format!("burst {round} of {BURST}, {kind} ..."));
            let subject = place.start(*kind, &netkeel)?;
            burst(&place, &subject, measured)?;
            drop(subject);
            if *kind == Kind::Netkeel {
                // The same values, again after they were set back.
                for _ in 0..WRITTEN {
                    blind.push(place.blind()?);
                }
            }
            place.clear()?;
        }
    }
    say("idle ...");
    let subject = place.start(Kind::Netkeel, &netkeel)?;
    burst(&place, &subject, &mut Measured::default())?;
    sleep(Duration::from_secs(2));
    let before = subject.cpu();
    sleep(IDLE);
    let idle = subject.cpu().saturating_sub(before).as_secs_f64() / IDLE.as_secs_f64();
    let [bare, netkeel] = &mut measured;
    say(&report(bare, netkeel, blind, idle));
    Ok(())
}

/// What is told of both, with the goal.
type Row = (&'static str, fn(&mut Measured) -> Duration, &'static str);

const OF_LONE: [Row; 2] = [
    ("lone interface, p50, ms", |of| at(&mut of.lone, 50), "at most 5x"),
    ("lone interface, p99, ms", |of| at(&mut of.lone, 99), ""),
];

const OF_BURSTS: [Row; 4] = [
    ("in a burst, p50, ms", |of| at(&mut of.burst, 50), ""),
    ("in a burst, p99, ms", |of| at(&mut of.burst, 99), ""),
    (
        "last of a burst after the creator's end, median, ms",
        |of| at(&mut of.last, 50),
        "at most 100 ms",
    ),
    ("CPU of a burst, median, ms", |of| at(&mut of.cpu, 50), ""),
];

fn table(rows: &[Row], bare: &mut Measured, netkeel: &mut Measured) -> String {
    let mut out = String::from("\n| | bare listener | netkeel run | ratio | goal |\n|---|---|---|---|---|\n");
    for (what, of, goal) in rows {
        let (floor, ours) = (of(bare), of(netkeel));
        let ratio = ours.as_secs_f64() / floor.as_secs_f64();
        let _ = writeln!(
            out,
            "| {what} | {} | {} | {ratio:.2} | {goal} |",
            ms(floor),
            ms(ours)
        );
    }
    out
}

fn report(bare: &mut Measured, netkeel: &mut Measured, mut blind: Vec<Duration>, idle: f64) -> String {
    let mut out = table(&[&OF_LONE[..], &OF_BURSTS].concat(), bare, netkeel);
    let (ours, theirs) = (at(&mut netkeel.cpu, 50), at(&mut blind, 50));
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    let _ = writeln!(
        out,
        "\nCPU of a burst: {} ms against {} ms of ip -batch and sysctl -p, {ratio:.2}x (goal: at most 1.5x)",
        ms(ours),
        ms(theirs)
    );
    let _ = writeln!(out, "idle: {:.4} % CPU (goal: below 0.1 %)", idle * 100.0);
    out
}

fn ms(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}

/// A percentile.
fn at(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(place).copied().unwrap_or_default()
}

fn lone(place: &Place, measured: &mut Measured) -> Result<(), Error> {
    let observer = Observer::start(&place.netns)?;
    for number in 0..LONE {
        place.ip(&format!(
            "link add cali{number} type veth peer name pod{number} netns {}",
            place.pods()
        ))?;
        sleep(Duration::from_millis(60));
    }
    let seen = observer.stop();
    let took: Vec<Duration> = seen.iter().filter_map(|one| one.took()).collect();
    let missed = seen.len() - took.len();
    measured.lone.extend(took);
    if missed > 0 || seen.len() != LONE {
        return Err(wrong(format!(
            "{missed} of {} interfaces were not put right",
            seen.len()
        )));
    }
    place.clear()
}

fn burst(place: &Place, subject: &Subject, measured: &mut Measured) -> Result<(), Error> {
    let mut batch = String::new();
    for number in 0..BURST {
        let _ = writeln!(
            batch,
            "link add cali{number} type veth peer name pod{number} netns {}",
            place.pods()
        );
    }
    let path = place.directory.path().join("burst.batch");
    std::fs::write(&path, batch).map_err(io_error)?;
    let observer = Observer::start(&place.netns)?;
    let before = subject.cpu();
    place.batch(&path)?;
    let end = Instant::now();
    while observer.right() < BURST && end.elapsed() < PATIENCE {
        sleep(Duration::from_millis(2));
    }
    // What is done after the writes counts too.
    sleep(Duration::from_millis(300));
    measured.cpu.push(subject.cpu().saturating_sub(before));
    let seen = observer.stop();
    let right: Vec<Instant> = seen.iter().filter_map(|one| one.right).collect();
    if right.len() < BURST {
        return Err(wrong(format!(
            "{} of {BURST} interfaces were put right",
            right.len()
        )));
    }
    measured.burst.extend(seen.iter().filter_map(|one| one.took()));
    let last = right.into_iter().max().unwrap_or(end);
    measured.last.push(last.saturating_duration_since(end));
    Ok(())
}

/// Two namespaces, the host's and the pods', and files; all of it goes with this.
struct Place {
    netns: Netns,
    names: [String; 2],
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Result<Self, Error> {
        let names = ["host", "pods"].map(|end| format!("netkeel-plug-{}-{end}", std::process::id()));
        let place = Place {
            netns: Netns::named(&names[0]),
            directory: tempfile::tempdir().map_err(io_error)?,
            names,
        };
        for name in &place.names {
            run("ip", &["netns".as_ref(), "add".as_ref(), name.as_ref()], 0)?;
            // What a new namespace begins with depends on the machine.
            let off = "net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.all.rp_filter=0 net.ipv6.conf.default.disable_ipv6=1";
            let arguments = ["netns", "exec", name, "sysctl", "-qw"]
                .into_iter()
                .chain(off.split(' '));
            let arguments: Vec<&OsStr> = arguments.map(OsStr::new).collect();
            run("ip", &arguments, 0)?;
        }
        let document = format!(
            "version: 1\npersist: no\nlink:\n  pods: {{ match: {{ name: \"cali*\" }}, mtu: {MTU}, pod_mtu: leave, rp_filter: strict }}\n"
        );
        std::fs::write(place.document(), document).map_err(io_error)?;
        Ok(place)
    }

    fn document(&self) -> PathBuf {
        self.directory.path().join("document.yaml")
    }

    fn pods(&self) -> &str {
        &self.names[1]
    }

    fn start(&self, kind: Kind, netkeel: &Path) -> Result<Subject, Error> {
        Subject::start(kind, netkeel, &self.netns, &self.names[0], &self.document())
    }

    fn ip(&self, arguments: &str) -> Result<(), Error> {
        let arguments: Vec<&OsStr> = ["-n", &self.names[0]]
            .into_iter()
            .chain(arguments.split(' '))
            .map(OsStr::new)
            .collect();
        run("ip", &arguments, 0).map(drop)
    }

    fn batch(&self, path: &Path) -> Result<(), Error> {
        let arguments = [
            "-n".as_ref(),
            self.names[0].as_ref(),
            "-batch".as_ref(),
            path.as_os_str(),
        ];
        run("ip", &arguments, 0).map(drop)
    }

    /// Removes the interfaces; both ends of each go with one.
    fn clear(&self) -> Result<(), Error> {
        let shown = measure::output("ip", &["-n", &self.names[0], "-o", "link", "show"])?;
        let text = String::from_utf8_lossy(&shown).into_owned();
        let names = text.lines().filter_map(|line| line.split(['@', ' ']).nth(1));
        let commands: String = names
            .filter(|name| name.starts_with("cali"))
            .map(|name| format!("link del {name}\n"))
            .collect();
        let path = self.directory.path().join("clear.batch");
        std::fs::write(&path, commands).map_err(io_error)?;
        self.batch(&path)
    }

    /// What writing all values costs that were written for a burst, without looking. The values are
    /// set back before.
    fn blind(&self) -> Result<Duration, Error> {
        let write = |mtu: u32, rp_filter: u32| -> Result<Duration, Error> {
            let (mut links, mut sysctls) = (String::new(), String::new());
            for number in 0..BURST {
                let _ = writeln!(links, "link set dev cali{number} mtu {mtu}");
                let _ = writeln!(sysctls, "net.ipv4.conf.cali{number}.rp_filter = {rp_filter}");
            }
            let path = |name: &str| self.directory.path().join(name);
            std::fs::write(path("blind.batch"), links).map_err(io_error)?;
            std::fs::write(path("blind.conf"), sysctls).map_err(io_error)?;
            inside(&self.netns, || {
                let ip = run("ip", &["-batch".as_ref(), path("blind.batch").as_os_str()], 0)?;
                let sysctl = run(
                    "sysctl",
                    &["-q".as_ref(), "-p".as_ref(), path("blind.conf").as_os_str()],
                    0,
                )?;
                Ok(ip.and(sysctl).cpu)
            })?
        };
        write(1500, 0)?;
        write(MTU, 1)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = run("ip", &["netns".as_ref(), "delete".as_ref(), name.as_ref()], 0);
        }
    }
}

fn binary() -> Result<PathBuf, Error> {
    let named = std::env::var_os(BINARY).map(PathBuf::from);
    // This program is target/release/deps/hotplug-HASH.
    let built = std::env::current_exe().ok().and_then(|program| {
        let triple = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
        Some(program.ancestors().nth(3)?.join(triple).join("release/netkeel"))
    });
    let path = named.or(built).unwrap_or_default();
    if path.is_file() {
        return Ok(path);
    }
    Err(wrong(format!(
        "there is no netkeel at {}: cargo build --release --target x86_64-unknown-linux-musl, or name a binary by {BINARY}",
        path.display()
    )))
}

fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Refused, message)
}

fn io_error(error: io::Error) -> Error {
    wrong(error.to_string())
}
