//! What a reconciliation costs: the CPU time of `netkeel apply` against the blind writing of the
//! same values by `ip -batch` and `sysctl -p`, and against a bare netlink dump, in one run.
//!
//! See README.md beside it. It needs root, works in network namespaces of its own and removes them.

#[path = "reconcile/attributes.rs"]
mod attributes;
#[path = "reconcile/dump.rs"]
mod dump;
#[path = "reconcile/fleet.rs"]
mod fleet;
#[path = "reconcile/measure.rs"]
mod measure;
#[path = "reconcile/report.rs"]
mod report;

use dump::Counters;
use fleet::{Fleet, Ipv6, Values};
use measure::{Cost, Series, run};
use report::Row;

use std::io;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use netkeel_core::error::{Error, ErrorKind};
use netkeel_kernel::namespace::enter::inside;

/// Where the binary is, when it is not where cargo puts it.
const BINARY: &str = "NETKEEL_BIN";

/// How many interfaces, unless the command line says.
const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];

/// The size at which IPv6 is measured too: beyond it the kernel's part alone takes minutes, since
/// each MTU change walks all IPv6 routes (`rt6_mtu_change`, net/ipv6/route.c).
const WITH_IPV6: usize = 1_000;

/// A size is left after this time, once each of its commands ran [`LEAST`] times.
const PATIENCE: Duration = Duration::from_secs(45);

/// Fewest repetitions that a median is taken of.
const LEAST: usize = 3;

/// Most repetitions: beyond, a median does not move any more.
const MOST: usize = 21;

/// A mode of this program, given as its only argument: it dumps and exits.
const DUMP: &str = "--dump=";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.first().and_then(|first| first.strip_prefix(DUMP)) {
        Some(counters) => dump::dump(counters),
        None => bench(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut message = format!("error: {}\n", error.message);
            for hint in &error.hints {
                message.push_str(&format!("  help: {hint}\n"));
            }
            let _ = io::stderr().write_all(message.as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn bench(arguments: &[String]) -> Result<(), Error> {
    let sizes = sizes(arguments)?;
    let netkeel = binary()?;
    fleet::remove_left_over()?;
    let mut rows = Vec::new();
    for (interfaces, ipv6) in cases(&sizes) {
        say(&format!("{interfaces} interfaces{ipv6} ..."));
        let fleet = Fleet::new(interfaces, ipv6)?;
        let row = inside(&fleet.netns, || measure(&fleet, &netkeel, ipv6))??;
        rows.push(row);
    }
    say(&report::report(&rows));
    Ok(())
}

/// The sizes, each small one before a larger one: taking a large namespace down keeps the kernel
/// busy for seconds after the command that asks for it.
fn cases(sizes: &[usize]) -> Vec<(usize, Ipv6)> {
    let mut cases = Vec::new();
    for size in sizes {
        cases.push((*size, Ipv6::Off));
        if *size == WITH_IPV6 {
            cases.push((*size, Ipv6::LinkLocal));
        }
    }
    cases
}

/// The sizes that the command line names; cargo adds `--bench`.
fn sizes(arguments: &[String]) -> Result<Vec<usize>, Error> {
    let mut sizes: Vec<usize> = Vec::new();
    for argument in arguments.iter().filter(|argument| *argument != "--bench") {
        match argument.replace([',', '_'], "").parse() {
            Ok(size @ 1..=100_000) => sizes.push(size),
            _ => {
                let message = format!("`{argument}` is not a number of interfaces between 1 and 100000");
                return Err(Error::new(ErrorKind::Input, message)
                    .hint("usage: cargo bench --bench reconcile [-- N...]"));
            }
        }
    }
    if sizes.is_empty() {
        sizes.extend(SIZES);
    }
    sizes.sort_unstable();
    sizes.dedup();
    Ok(sizes)
}

fn binary() -> Result<PathBuf, Error> {
    let named = std::env::var_os(BINARY).map(PathBuf::from);
    // This program is target/release/deps/reconcile-HASH.
    let built = std::env::current_exe().ok().and_then(|program| {
        let target = program.ancestors().nth(3)?;
        let triple = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
        Some(target.join(triple).join("release/netkeel"))
    });
    match named.or(built) {
        Some(path) if path.is_file() => Ok(path),
        path => {
            let message = format!("there is no netkeel at {}", path.unwrap_or_default().display());
            Err(Error::new(ErrorKind::Missing, message)
                .hint("cargo build --release --target x86_64-unknown-linux-musl")
                .hint(format!("or name a binary by {BINARY}")))
        }
    }
}

/// All that is measured with one fleet. The commands take turns, those that are compared one after the other, so
/// that a moment in which the machine is slow meets both.
fn measure(fleet: &Fleet, netkeel: &PathBuf, ipv6: Ipv6) -> Result<Row, Error> {
    let this = std::env::current_exe().map_err(|error| Error::new(ErrorKind::Missing, error.to_string()))?;
    let apply = |expected| -> Result<Cost, Error> {
        let arguments = ["apply", "--detailed-exitcode", "-f"].map(AsRef::as_ref);
        run(
            netkeel,
            &[&arguments[..], &[fleet.document.as_os_str()]].concat(),
            expected,
        )
    };
    let dump = |counters: Counters| run(&this, &[format!("{DUMP}{counters}").as_ref()], 0);
    let blind = |values: Values| -> Result<Cost, Error> {
        let (batch, conf) = fleet.files(values);
        let links = run("ip", &["-batch".as_ref(), batch.as_os_str()], 0)?;
        let sysctls = run("sysctl", &["-p".as_ref(), conf.as_os_str()], 0)?;
        Ok(links.and(sysctls))
    };
    let mut row = Row {
        interfaces: fleet.interfaces,
        ipv6,
        no_op: Series::default(),
        no_op_blind: Series::default(),
        floor: Series::default(),
        counters: Series::default(),
        change: Series::default(),
        change_blind: Series::default(),
    };
    let start = Instant::now();
    for done in 0..MOST {
        if done >= LEAST && start.elapsed() >= PATIENCE {
            break;
        }
        fleet.forget();
        blind(Values::Found)?;
        row.change.push(apply(2)?);
        blind(Values::Found)?;
        row.change_blind.push(blind(Values::Wanted)?);
        row.floor.push(dump(Counters::Skipped)?);
        row.no_op.push(apply(0)?);
        row.no_op_blind.push(blind(Values::Wanted)?);
        row.counters.push(dump(Counters::Included)?);
    }
    Ok(row)
}

fn say(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}
