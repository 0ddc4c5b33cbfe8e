//! Another process, held by a pidfd: its number may be another process's later, and the descriptor cannot
//! (pidfd_open(2), Linux 5.3).

pub mod inherited;
pub mod signals;

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// A process.
#[derive(Debug)]
pub struct Process(OwnedFd);

impl Process {
    /// Holds the process that has this number now.
    ///
    /// # Errors
    /// ESRCH if it does not exist, ENOSYS on an older kernel.
    pub fn open(number: u32) -> Result<Self, Errno> {
        #[expect(unsafe_code)]
        // SAFETY: pidfd_open takes two numbers and returns a new descriptor or -1.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, number, 0) };
        let descriptor = Errno::result(descriptor)?;
        #[expect(unsafe_code)]
        // SAFETY: the kernel just returned this descriptor, and nobody else has it.
        Ok(Process(unsafe { OwnedFd::from_raw_fd(descriptor as i32) }))
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// Sends it SIGKILL.
    ///
    /// # Errors
    /// ESRCH when it has ended, EPERM without permission.
    pub fn kill(&self) -> Result<(), Errno> {
        let none: *const libc::siginfo_t = std::ptr::null();
        #[expect(unsafe_code)]
        // SAFETY: pidfd_send_signal takes the descriptor, a signal, no further information and no flags.
        let sent = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                libc::SIGKILL,
                none,
                0,
            )
        };
        Errno::result(sent).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_is_seen_to_end_and_can_be_killed() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::open(child.id()).unwrap();
        assert!(!process.has_ended());
        process.kill().unwrap();
        child.wait().unwrap();
        assert!(process.has_ended());
        assert!(process.kill().is_err());
    }
}
