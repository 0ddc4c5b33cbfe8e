//! Commands and what they cost, as the kernel accounts it to the process when it ends.
#![expect(
    unsafe_code,
    reason = "wait4 takes pointers, and nothing else tells what one process cost"
)]

use std::ffi::OsStr;
use std::io::Read;
use std::mem::zeroed;
use std::process::{Command, Stdio};
use std::time::Duration;

use netkeel_core::error::{Error, ErrorKind};

/// What one or several processes cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// User and system time.
    pub cpu: Duration,
    /// Largest resident set, KiB. A process begins with that of the one that started it.
    pub peak: u64,
}

impl Cost {
    /// This and another process, one after the other.
    pub fn and(self, other: Cost) -> Cost {
        Cost {
            cpu: self.cpu + other.cpu,
            peak: self.peak.max(other.peak),
        }
    }
}

/// The costs of the repetitions of one command.
#[derive(Clone, Debug, Default)]
pub struct Series(Vec<Cost>);

impl Series {
    pub fn push(&mut self, cost: Cost) {
        self.0.push(cost);
    }

    /// How many repetitions.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The median of the CPU time, seconds.
    pub fn cpu(&self) -> f64 {
        let mut all: Vec<Duration> = self.0.iter().map(|cost| cost.cpu).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or_default().as_secs_f64()
    }

    /// How many times the CPU time of another command this one took: the median of the rounds. A machine that
    /// becomes slower or faster mostly does not between the two of one round.
    pub fn ratio_to(&self, other: &Series) -> f64 {
        let rounds = self.0.iter().zip(&other.0);
        let mut all: Vec<f64> = rounds
            .map(|(one, other)| one.cpu.as_secs_f64() / other.cpu.as_secs_f64())
            .collect();
        all.sort_unstable_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The largest peak, KiB.
    pub fn peak(&self) -> u64 {
        self.0.iter().map(|cost| cost.peak).max().unwrap_or_default()
    }
}

/// Runs a command in the calling thread's namespace; it must end with this exit code.
pub fn run(program: impl AsRef<OsStr>, arguments: &[&OsStr], expected: i32) -> Result<Cost, Error> {
    let program = program.as_ref();
    let failed = |why: String| Error::new(ErrorKind::Refused, format!("{}: {why}", program.display()));
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.read_to_string(&mut said);
    }
    let mut status = 0;
    // SAFETY: `struct rusage` is numbers: all zeros is a value.
    let mut usage: libc::rusage = unsafe { zeroed() };
    let id = child.id().cast_signed();
    // SAFETY: both pointers are to locals that outlive the call. The child is ours and nobody else
    // waits for it: `Child` does not when it is dropped.
    let waited = unsafe { libc::wait4(id, &raw mut status, 0, &raw mut usage) };
    if waited != id {
        return Err(failed(std::io::Error::last_os_error().to_string()));
    }
    let code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
    if code != Some(expected) {
        let said: String = said.lines().take(5).collect::<Vec<_>>().join("; ");
        return Err(failed(format!(
            "exit code {code:?} instead of {expected}: {said}"
        )));
    }
    Ok(Cost {
        cpu: duration(usage.ru_utime) + duration(usage.ru_stime),
        peak: usage.ru_maxrss.cast_unsigned(),
    })
}

/// What a command prints.
pub fn output(program: &str, arguments: &[&str]) -> Result<Vec<u8>, Error> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| Error::new(ErrorKind::Refused, format!("{program}: {error}")))?;
    Ok(output.stdout)
}

fn duration(time: libc::timeval) -> Duration {
    let micros = time.tv_sec * 1_000_000 + time.tv_usec;
    Duration::from_micros(micros.cast_unsigned())
}
