//! Asks the probes that confirm an apply, all at one time.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::replicas::declared;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_core::probe::{Probe, ProbeResult};
use netkeel_kernel::namespace::enter::inside;

/// The longest wait for all probes. The loop of the service waits too, less long than a liveness probe does.
const LONGEST: Duration = Duration::from_secs(15);

/// The pause before a probe is asked again.
const AGAIN: Duration = Duration::from_millis(500);

/// The probes that pass.
pub(crate) fn passing(probes: &[Probe], netns: &Netns) -> Vec<Probe> {
    let answers = ask(probes, netns);
    let both = probes.iter().zip(answers);
    both.filter(|(_, answer)| answer.is_ok())
        .map(|(probe, _)| probe.clone())
        .collect()
}

/// Whether all probes pass.
///
/// # Errors
/// When one does not, or gives no answer in time.
pub(crate) fn confirmed(probes: &[Probe], netns: &Netns) -> Result<(), Error> {
    let answers = ask(probes, netns).into_iter();
    let failed = probes.iter().zip(answers).filter_map(|(probe, answer)| {
        let why = answer.err()?;
        Some(format!("{}: {why}", probe.target))
    });
    let failed: Vec<String> = failed.collect();
    match failed.is_empty() {
        true => Ok(()),
        false => {
            let message = format!(
                "a probe that passed before the apply does not pass after it: {}",
                failed.join("; ")
            );
            Err(Error::new(ErrorKind::Refused, message))
        }
    }
}

/// Asks each probe until it passes, at most for [`LONGEST`]; or why it does not pass.
fn ask(probes: &[Probe], netns: &Netns) -> Vec<Result<(), String>> {
    let end = Instant::now() + LONGEST;
    let mut answers: Vec<Result<(), String>> = vec![Err("no answer in time".to_owned()); probes.len()];
    let (sender, receiver) = channel();
    for (number, probe) in probes.iter().enumerate() {
        let (sender, probe, netns) = (sender.clone(), probe.clone(), netns.clone());
        let work = move || {
            loop {
                let answer = judge(inside(&netns, || declared(&probe)));
                let ends = answer.is_ok() || Instant::now() + AGAIN >= end;
                // The receiver is gone after the wait.
                if sender.send((number, answer)).is_err() || ends {
                    break;
                }
                thread::sleep(AGAIN);
            }
        };
        let started = thread::Builder::new().name("confirm".into()).spawn(work);
        if let (Err(error), Some(answer)) = (started, answers.get_mut(number)) {
            *answer = Err(format!("the probe could not be started: {error}"));
        }
    }
    drop(sender);
    while answers.iter().any(Result::is_err) {
        match receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok((number, new)) => {
                if let Some(answer) = answers.get_mut(number) {
                    *answer = new;
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    answers
}

/// A probe without a verdict did not pass.
fn judge(result: Result<ProbeResult, Error>) -> Result<(), String> {
    match result {
        Ok(result) if result.as_expected == Some(true) => Ok(()),
        Ok(result) => Err(result.outcome.to_string()),
        Err(error) => Err(error.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::probe::{Protocol, Target};

    fn probe(expect: u16, address: [u8; 4]) -> Probe {
        Probe {
            target: Target::PathMtu {
                target: address.into(),
                protocol: Some(Protocol::Udp),
                port: None,
            },
            expect: Some(expect),
        }
    }

    #[test]
    fn only_probes_that_pass_confirm() {
        let here = [probe(1_280, [127, 0, 0, 1])];
        assert_eq!(passing(&here, &Netns::CURRENT), here);
        assert!(confirmed(&here, &Netns::CURRENT).is_ok());
        assert!(confirmed(&[], &Netns::named("no-such-namespace")).is_ok());
        let lost = confirmed(&here, &Netns::named("no-such-namespace")).unwrap_err();
        let start = "a probe that passed before the apply does not pass after it: path MTU to 127.0.0.1: ";
        assert!(lost.message.starts_with(start), "{}", lost.message);
    }
}
