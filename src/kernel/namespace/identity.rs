//! Which namespace this is, so that state kept for one is never taken for another's.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::namespace::enter;
use crate::netlink::refusal::error;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;

/// A namespace as its state is filed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The one that PID 1 lives in.
    Host,
    /// Another one, by its cookie: unlike an inode number it is never used again in a boot.
    Other(u64),
}

/// The kernel numbers namespaces from 1, and makes the initial one first (net/core/net_namespace.c).
const INITIAL: u64 = 1;

/// Identifies a namespace.
///
/// # Errors
/// When there is no such namespace, or the kernel is older than 5.14 and has no SO_NETNS_COOKIE
/// where one is needed.
pub fn identify(of: &Netns) -> Result<Identity, Error> {
    enter::inside(of, || match enter::is_initial() {
        Some(true) => Ok(Identity::Host),
        // Without privilege /proc/1/ns/net cannot be read.
        known => match cookie() {
            Ok(INITIAL) if known.is_none() => Ok(Identity::Host),
            Ok(cookie) => Ok(Identity::Other(cookie)),
            Err(errno) => Err(no_cookie(errno)),
        },
    })?
}

fn no_cookie(errno: Errno) -> Error {
    if errno == Errno::ENOPROTOOPT {
        let message = "what netkeel keeps for a network namespace is filed by its cookie, which kernels tell since Linux 5.14 (SO_NETNS_COOKIE)";
        return Error::new(ErrorKind::Unsupported, message).hint(
            "reading verbs do without; to write, use netkeel in the namespace of PID 1, or a newer kernel",
        );
    }
    error(errno).context("asking for the cookie of the network namespace")
}

/// Whether this process is where /etc/sysctl.d belongs: in the network namespace that PID 1 lives in,
/// or where another /etc/sysctl.d than PID 1's is mounted, as it is on a host for a test. `ip netns
/// exec` leaves a process with the host's. Who may not look at PID 1 writes nothing there either.
pub fn is_of_a_host() -> bool {
    enter::is_initial().unwrap_or(true) || has_an_etc_of_its_own().unwrap_or(false)
}

fn has_an_etc_of_its_own() -> Option<bool> {
    let id = |path: &str| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    let there = |path: &&str| fs::metadata(*path).is_ok();
    let here = ["/etc/sysctl.d", "/etc"].into_iter().find(there)?;
    // PID 1 itself must be seen, to tell that it has no such directory.
    fs::metadata("/proc/1/root/.").ok()?;
    Some(id(here)? != id(&format!("/proc/1/root{here}")).unwrap_or_default())
}

/// Whether a namespace is the one that the kernel made first, asked in a way that a container with
/// a PID 1 of its own cannot mislead; none before Linux 5.14, or when there is no such namespace.
pub fn is_the_first(of: &Netns) -> Option<bool> {
    let cookie = enter::inside(of, cookie).ok()?;
    Some(cookie.ok()? == INITIAL)
}

fn cookie() -> Result<u64, Errno> {
    let socket = socket(
        AddressFamily::Unix,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    #[expect(unsafe_code)]
    // SAFETY: `cookie` and `length` outlive the call, and `length` is the size of `cookie`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    Errno::result(result).map(|_| cookie)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_knows_no_cookies_is_told_from_other_failures() {
        assert_eq!(no_cookie(Errno::ENOPROTOOPT).kind, ErrorKind::Unsupported);
        assert_eq!(no_cookie(Errno::EPERM).kind, ErrorKind::Permission);
    }

    #[test]
    fn a_namespace_has_a_cookie() {
        assert_ne!(cookie().unwrap(), 0);
        assert!(identify(&Netns::CURRENT).is_ok());
    }
}
