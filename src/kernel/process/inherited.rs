//! State that a process inherits from the program that started it, and that survives execve(2): blocked and ignored
//! signals, limits, and open descriptors.

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, Signal};

use crate::process::signals::set;

/// The descriptors that an apply with its watchdog needs at most, with room: 17 were enough.
const DESCRIPTORS: u64 = 64;

/// Makes the process independent of its starter:
///
/// - No signal is blocked, and the kernel keeps the exit statuses of children: Ctrl-C, `systemctl stop` and waiting for
///   a child work.
/// - A file that reaches RLIMIT_FSIZE is an error (EFBIG) and does not end the process (SIGXFSZ).
/// - The soft limits of file sizes and descriptors are the hard ones. With too few descriptors, root takes more.
/// - No child inherits the starter's descriptors: it would hold its locks and pipes open.
///
/// To be called before there is a second thread.
///
/// # Errors
/// Those of sigaction(2) and sigprocmask(2), which a correct call does not have. A limit that cannot be raised stays.
pub fn settle() -> Result<(), Errno> {
    set(Signal::SIGCHLD, SigHandler::SigDfl)?;
    set(Signal::SIGXFSZ, SigHandler::SigIgn)?;
    SigSet::empty().thread_set_mask()?;
    raise(Resource::RLIMIT_FSIZE, 0);
    raise(Resource::RLIMIT_NOFILE, DESCRIPTORS);
    keep_descriptors();
    Ok(())
}

/// Raises a soft limit to the hard one, and both to `least` where they are lower and that is permitted.
fn raise(resource: Resource, least: u64) {
    let Ok((_, hard)) = getrlimit(resource) else {
        return;
    };
    if hard >= least || setrlimit(resource, least, least).is_err() {
        let _ = setrlimit(resource, hard, hard);
    }
}

/// Has every descriptor above standard error closed by execve(2). Kernels before 5.11 do not know how.
fn keep_descriptors() {
    #[expect(unsafe_code)]
    // SAFETY: close_range takes numbers. With this flag it closes nothing.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        );
    }
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
