//! Measures a review of a fleet: hosts a second and peak memory of `netkeel review` over generated snapshots, against
//! reading the same files with serde_json into the same type, and two threads against one.
//!
//! benches/README.md describes it. It needs no root.

#[path = "reconcile/measure.rs"]
#[expect(dead_code, reason = "the benchmark `reconcile` uses all of it")]
mod measure;
#[path = "review/snapshots.rs"]
mod snapshots;

use measure::{Cost, run};
use snapshots::{NEW, OLD, generate};

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use netkeel_core::error::{Error, ErrorKind};
use netkeel_host::snapshot::Snapshot;

/// Where the binary is, when it is not where cargo puts it.
const BINARY: &str = "NETKEEL_BIN";

/// How many hosts, unless the command line says.
const HOSTS: usize = 10_000;

/// A mode of this program, given with a directory: it reads all snapshots and exits.
const PARSE: &str = "--parse=";

/// Rounds of which the median is taken.
const ROUNDS: usize = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let first = arguments.first().map(String::as_str).unwrap_or_default();
    let outcome = match first.strip_prefix(PARSE) {
        Some(directory) => parse(Path::new(directory)),
        None => bench(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nowhere to report that stderr is closed.
            let _ = writeln!(std::io::stderr(), "error: {}", error.message);
            ExitCode::FAILURE
        }
    }
}

/// The cost of a run, and its time by the clock.
struct Measured {
    cost: Cost,
    time: Duration,
}

fn bench(arguments: &[String]) -> Result<(), Error> {
    let words: Vec<&String> = arguments.iter().filter(|word| *word != "--bench").collect();
    let hosts = match words.first() {
        None => HOSTS,
        Some(word) => word
            .parse()
            .map_err(|_| Error::new(ErrorKind::Input, format!("`{word}` is no number of hosts")))?,
    };
    let binary = std::env::var_os(BINARY).map_or_else(released, PathBuf::from);
    let scratch = tempfile::tempdir().map_err(io_error)?;
    let (old, new) = (scratch.path().join("old.yaml"), scratch.path().join("new.yaml"));
    fs::write(&old, OLD).map_err(io_error)?;
    fs::write(&new, NEW).map_err(io_error)?;
    let all = scratch.path().join("all");
    let bytes = generate(&all, 0..hosts)?;
    let some = scratch.path().join("some");
    generate(&some, 0..hosts / 10)?;
    say(&format!(
        "{hosts} snapshots of 50 to 300 interfaces, {:.0} MB\n",
        bytes as f64 / 1e6
    ))?;
    let itself = std::env::current_exe().map_err(io_error)?;
    let review = |snapshots: &Path, jobs: &str| {
        let words: Vec<OsString> = vec![
            "review".into(),
            old.clone().into(),
            new.clone().into(),
            "--snapshots".into(),
            snapshots.into(),
            "--jobs".into(),
            jobs.into(),
        ];
        timed(&binary, &words)
    };
    let (mut one, mut two, mut parsed, mut few) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        parsed.push(timed(&itself, &[format!("{PARSE}{}", all.display()).into()])?);
        one.push(review(&all, "1")?);
        two.push(review(&all, "2")?);
        few.push(review(&some, "2")?);
    }
    let rate = |hosts: usize, time: f64| hosts as f64 / time;
    let (parse, single, double) = (median(&parsed), median(&one), median(&two));
    say(&format!(
        "serde_json, one thread   {:7.0} hosts/s\n\
         review, one thread       {:7.0} hosts/s   ratio {:.2} (goal 0.5)\n\
         review, two threads      {:7.0} hosts/s   {:.2} times one (goal 1.6)\n\
         peak memory              {:7.1} MiB for {hosts} hosts, {:.1} MiB for {}\n",
        rate(hosts, parse),
        rate(hosts, single),
        parse / single,
        rate(hosts, double),
        single / double,
        peak(&two),
        peak(&few),
        hosts / 10
    ))
}

fn timed(program: &Path, words: &[OsString]) -> Result<Measured, Error> {
    let words: Vec<&OsStr> = words.iter().map(OsString::as_os_str).collect();
    let begin = Instant::now();
    let cost = run(program, &words, 0)?;
    Ok(Measured {
        cost,
        time: begin.elapsed(),
    })
}

/// The median time by the clock, seconds.
fn median(all: &[Measured]) -> f64 {
    let mut times: Vec<Duration> = all.iter().map(|one| one.time).collect();
    times.sort_unstable();
    times
        .get(times.len() / 2)
        .copied()
        .unwrap_or_default()
        .as_secs_f64()
}

/// The largest resident set, MiB.
fn peak(all: &[Measured]) -> f64 {
    let peak = all.iter().map(|one| one.cost.peak).max().unwrap_or_default();
    peak as f64 / 1024.0
}

/// Reads all snapshots, one after the other.
fn parse(directory: &Path) -> Result<(), Error> {
    let mut links = 0;
    for entry in fs::read_dir(directory).map_err(io_error)? {
        let text = fs::read_to_string(entry.map_err(io_error)?.path()).map_err(io_error)?;
        let snapshot: Snapshot =
            serde_json::from_str(&text).map_err(|error| Error::new(ErrorKind::Input, error.to_string()))?;
        links += snapshot.links.len();
    }
    match links {
        0 => Err(Error::new(ErrorKind::Input, "there are no interfaces")),
        _ => Ok(()),
    }
}

fn released() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")).to_owned(),
        PathBuf::from,
    );
    target.join("x86_64-unknown-linux-musl/release/netkeel")
}

fn say(text: &str) -> Result<(), Error> {
    std::io::stdout().write_all(text.as_bytes()).map_err(io_error)
}

fn io_error(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Refused, error.to_string())
}
