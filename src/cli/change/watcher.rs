//! Looks on while an apply is under way: shows progress, hears Ctrl-C, keeps off the interface that
//! the host is managed through, and sees whether targets still answer.

use std::collections::BTreeSet;
use std::io;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::output;
use netkeel_apply::engine::session::Watch;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::Snapshot;
use netkeel_kernel::management;
use netkeel_kernel::reach::Target;
use netkeel_plan::plan::Plan;

/// Fewer ops than this are done before anybody could read a line about them.
const MANY: usize = 200;

/// How often a target is asked before it counts as cut off: the first packet after a change may
/// wait for a neighbour.
const TRIES: u32 = 3;

/// Looks on.
pub(crate) struct Watcher {
    interrupted: Arc<AtomicBool>,
    terminal: bool,
    shown: bool,
    /// Changes of the management interface are allowed.
    pub(crate) management: bool,
    /// Ops that may be done yet; none for no limit.
    pub budget: Option<usize>,
    targets: Vec<Target>,
    /// A target that answered before did not after.
    pub(crate) cut_off: bool,
}

impl Watcher {
    /// A watcher that allows everything and asks nobody.
    ///
    /// # Errors
    /// When signals cannot be heard.
    pub fn new() -> Result<Self, Error> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register(signal, Arc::clone(&interrupted)).map_err(|error| {
                Error::new(ErrorKind::Refused, format!("cannot listen to signals: {error}"))
            })?;
        }
        let terminal = io::stderr().is_terminal();
        Ok(Watcher {
            interrupted,
            terminal,
            shown: false,
            management: true,
            budget: None,
            targets: Vec::new(),
            cut_off: false,
        })
    }

    /// Remembers the targets that answer now; the others are said to be left out.
    pub(crate) fn must_reach(&mut self, targets: Vec<Target>) {
        for target in targets {
            if target.answers() {
                self.targets.push(target);
            } else {
                output::say(&format!(
                    "{} does not answer now: it is not watched\n",
                    target.text
                ));
            }
        }
    }

    /// Takes the progress line away.
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
            output::say(&format!("\rapplying {done}/{all}"));
        }
    }

    fn permits(&mut self, plan: &Plan, host: &Snapshot) -> Result<(), Error> {
        if let Some(budget) = self.budget.filter(|budget| plan.steps.len() > *budget) {
            let message = format!(
                "{} writes are more than limits.changes_per_minute allows now: {budget}",
                plan.steps.len()
            );
            return Err(Error::new(ErrorKind::Refused, message)
                .hint("look at the plan: is this change meant?")
                .hint("raise the limit in the document, or wait a minute"));
        }
        if self.management {
            return Ok(());
        }
        let management = management::links(management::ssh_connection().as_deref());
        let names: BTreeSet<LinkName> = management.keys().copied().collect();
        let Some(felt) = plan.first_felt_by(&names, host) else {
            return Ok(());
        };
        let (name, why) = (felt.link, management.get(&felt.link).unwrap_or(&""));
        let message = format!(
            "{name} is what this host is managed through: {why}, and the plan changes {}",
            felt.what
        );
        Err(Error::new(ErrorKind::Refused, message)
            .hint(format!("the change is `{}`", felt.op))
            .hint("--confirm-within 60s undoes it unless you confirm; --allow-management does it right away"))
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
                let message = format!("{} answered before and does not any more", target.text);
                return Err(Error::new(ErrorKind::Refused, message));
            }
        }
        if self.stops() {
            Err(Error::new(ErrorKind::Refused, "it was interrupted"))
        } else {
            Ok(())
        }
    }
}
