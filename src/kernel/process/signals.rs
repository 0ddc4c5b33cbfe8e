//! Signals that would end or stop a process that has something to finish.

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Signals that end a process by default (signal(7)): of users, supervisors, timers and limits. Not among them are
/// SIGKILL, which cannot be taken, SIGPIPE, which Rust ignores, those of faults, and those of real time.
pub const ENDING: [Signal; 13] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGXCPU,
    Signal::SIGIO,
    Signal::SIGPWR,
    Signal::SIGSTKFLT,
];

/// Signals of a terminal that stop a process by default: by Ctrl-Z, and for a read or a write in the background.
const STOPPING: [Signal; 3] = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];

/// From here on no terminal stops the process, which would keep its locks. The signals are ignored: after a handler the
/// kernel begins a read or a write again, and it would send the signal again, without end (`__tty_check_change`,
/// drivers/tty/tty_jobctrl.c; SA_RESTART). In the background a read fails now (EIO), and a write is done.
///
/// # Errors
/// Those of sigaction(2), which a correct call does not have.
pub fn ignore_stops() -> Result<(), Errno> {
    STOPPING
        .into_iter()
        .try_for_each(|signal| set(signal, SigHandler::SigIgn))
}

/// Ignores a signal, or gives it its default action.
pub(super) fn set(signal: Signal, handler: SigHandler) -> Result<(), Errno> {
    debug_assert!(matches!(handler, SigHandler::SigDfl | SigHandler::SigIgn));
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    #[expect(unsafe_code)]
    // SAFETY: neither the default action nor ignoring a signal runs code of this process.
    unsafe { sigaction(signal, &action) }.map(drop)
}
