//! Signals that the program that started this one left blocked or ignored: both survive execve(2).

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Unblocks every signal, and has the kernel keep the exit statuses of children: Ctrl-C, `systemctl stop` and waiting
/// for a child then work, whoever started the program. To be called before there is a second thread.
///
/// # Errors
/// None that a correct call can have (sigaction(2), sigprocmask(2)).
pub fn accept_all() -> Result<(), Errno> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    #[expect(unsafe_code)]
    // SAFETY: the default action runs no code of this process.
    unsafe { sigaction(Signal::SIGCHLD, &default) }?;
    SigSet::empty().thread_set_mask()
}

/// Whether the program was started with this signal ignored, as nohup(1) does with SIGHUP.
pub fn is_ignored(signal: Signal) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    #[expect(unsafe_code)]
    // SAFETY: without a new action, sigaction writes the present one into `action`.
    let asked = unsafe { libc::sigaction(signal as i32, std::ptr::null(), action.as_mut_ptr()) };
    #[expect(unsafe_code)]
    // SAFETY: zeroes are a valid `sigaction`, whether or not the call has written it.
    let action = unsafe { action.assume_init() };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}
