//! Watches an apply: shows progress, stops on Ctrl-C, protects the management interface, and checks
//! that targets still answer.

use std::collections::BTreeSet;
use std::io;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;
use signal_hook::consts::{
    SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2,
};
use signal_hook::flag;

use crate::output;
use netkeel_apply::engine::session::Watch;
use netkeel_apply::store::lock::Patience;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_host::snapshot::Snapshot;
use netkeel_kernel::management;
use netkeel_kernel::management::Sessions;
use netkeel_kernel::namespace::identity;
use netkeel_kernel::probe::reach::Target;
use netkeel_kernel::process::inherited;
use netkeel_plan::plan::Plan;

/// Progress is shown from this number of ops: a shorter apply ends before anyone could read it.
const MANY: usize = 200;

/// Number of tries before a target counts as unreachable: the first packet after a change may wait for
/// neighbour resolution.
const TRIES: u32 = 3;

/// Whether changes to the management interface are allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Guard {
    /// They are, or none can be made.
    Off,
    /// They are refused with this help.
    Refuses(&'static str),
}

impl Guard {
    /// The guard of a verb without `--confirm-within`.
    pub(crate) fn of(allowed: bool, netns: &Netns) -> Self {
        Guard::with_help(allowed, netns, "use --allow-management to change it all the same")
    }

    /// The guard of `apply`.
    pub(crate) fn of_apply(allowed: bool, netns: &Netns) -> Self {
        let ways = "use --confirm-within 60s to roll back unless you confirm, or --allow-management to change it at once";
        Guard::with_help(allowed, netns, ways)
    }

    fn with_help(allowed: bool, netns: &Netns, ways: &'static str) -> Self {
        match allowed || !identity::may_be_the_host(netns) {
            true => Guard::Off,
            false => Guard::Refuses(ways),
        }
    }
}

/// Watches an apply for the command line.
pub(crate) struct Watcher {
    interrupted: Arc<AtomicBool>,
    terminal: bool,
    shown: bool,
    guard: Guard,
    /// Number of ops still allowed; `None` for no limit.
    pub budget: Option<usize>,
    /// The writes that were shown; `None` to allow others.
    pub(crate) agreed: Option<Vec<String>>,
    targets: Vec<Target>,
    /// Whether a target became unreachable.
    pub(crate) cut_off: bool,
}

/// Signals that end a process by default (signal(7)), and that people or programs send.
const ENDING: [i32; 6] = [SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM];

/// Signals of a terminal that stop a process by default, as Ctrl-Z does. They are taken and do nothing: a stopped
/// process would keep the lock.
const STOPPING: [i32; 3] = [SIGTSTP, SIGTTIN, SIGTTOU];

fn register(signal: i32, came: &Arc<AtomicBool>) -> Result<(), Error> {
    flag::register(signal, Arc::clone(came)).map_err(|error| {
        Error::new(
            ErrorKind::Refused,
            format!("cannot install signal handlers: {error}"),
        )
    })?;
    Ok(())
}

/// From here on none of these signals, nor SIGHUP, ends or stops the process: those that end one set the flag.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub(crate) fn interruptions() -> Result<Arc<AtomicBool>, Error> {
    let interrupted = Arc::new(AtomicBool::new(false));
    // nohup(1) asks to go on when the terminal is gone.
    let hangup = (!inherited::is_ignored(Signal::SIGHUP)).then_some(SIGHUP);
    for signal in ENDING.into_iter().chain(hangup) {
        register(signal, &interrupted)?;
    }
    for signal in STOPPING {
        register(signal, &Arc::new(AtomicBool::new(false)))?;
    }
    Ok(interrupted)
}

impl Watcher {
    /// A watcher without targets.
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    pub fn new(guard: Guard) -> Result<Self, Error> {
        let interrupted = interruptions()?;
        let terminal = io::stderr().is_terminal();
        Ok(Watcher {
            interrupted,
            terminal,
            shown: false,
            guard,
            budget: None,
            agreed: None,
            targets: Vec::new(),
            cut_off: false,
        })
    }

    /// How long to wait for the lock: a signal ends the wait.
    pub(crate) fn patience(&self, longest: Duration) -> Patience<'_> {
        Patience::unless(&self.interrupted, longest)
    }

    /// Takes the targets that must answer after the apply.
    ///
    /// # Errors
    /// When one does not answer now: it could not tell whether the apply cuts it off.
    pub(crate) fn must_reach(&mut self, targets: Vec<Target>) -> Result<(), Error> {
        let answers = |target: &Target| (0..TRIES).any(|_| target.answers());
        if let Some(silent) = targets.iter().find(|target| !answers(target)) {
            let message = format!(
                "{} does not answer before the apply; nothing was written",
                silent.text
            );
            return Err(Error::new(ErrorKind::Refused, message)
                .hint("give --verify-reach a target that answers now, or leave it out"));
        }
        self.targets = targets;
        Ok(())
    }

    /// Clears the progress line.
    pub fn clear(&self) {
        if self.shown {
            output::say("\r\u{1b}[K");
        }
    }
}

impl Watch for Watcher {
    fn progress(&mut self, done: usize, all: usize) {
        if self.terminal && all >= MANY && (done.is_multiple_of(50) || done == all) {
            self.shown = true;
            // Under the lock: a terminal that is stopped must not keep the others waiting.
            output::say_if_read(&format!("\rapplying {done}/{all}"));
        }
    }

    fn permits(&mut self, plan: &Plan, host: &Snapshot) -> Result<(), Error> {
        if let Some(agreed) = self.agreed.take()
            && !plan.steps.iter().map(|step| step.op.to_string()).eq(agreed)
        {
            let message = "the host has changed since the plan was shown; nothing was written";
            return Err(Error::new(ErrorKind::Refused, message).hint("run the command again"));
        }
        if let Some(budget) = self.budget.filter(|budget| plan.steps.len() > *budget) {
            let message = format!(
                "the plan has {} writes; limits.changes_per_minute allows {budget} more now",
                plan.steps.len()
            );
            return Err(Error::new(ErrorKind::Refused, message)
                .hint("check that the plan is what you want")
                .hint("raise the limit in the document, or wait a minute"));
        }
        let Guard::Refuses(ways) = self.guard else {
            return Ok(());
        };
        let management = management::links(Sessions::Own(management::ssh_connection().as_deref()))?;
        let names: BTreeSet<LinkName> = management.keys().copied().collect();
        let Some(felt) = plan.first_felt_by(&names, host) else {
            return Ok(());
        };
        let (name, why) = (felt.link, management.get(&felt.link).unwrap_or(&""));
        let message = format!(
            "the plan changes {}, and {name} is the management interface: {why}",
            felt.what
        );
        Err(Error::new(ErrorKind::Refused, message)
            .hint(format!("the change is `{}`", felt.op))
            .hint(ways))
    }

    fn stops(&mut self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    fn accepts(&mut self) -> Result<(), Error> {
        for target in &self.targets {
            let answers = (0..TRIES).any(|attempt| {
                if attempt > 0 {
                    sleep(Duration::from_millis(300));
                }
                target.answers()
            });
            if !answers {
                self.cut_off = true;
                let message = format!("{} no longer answers", target.text);
                return Err(Error::new(ErrorKind::Refused, message));
            }
        }
        if self.stops() {
            Err(Error::new(ErrorKind::Refused, "interrupted by a signal"))
        } else {
            Ok(())
        }
    }
}
