//! Which namespace this is, so that state kept for one is never taken for another's.

use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::{fs, io};

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
    enter::inside(of, || match is_initial() {
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

/// Whether the files of this process, such as /etc/sysctl.d, are those of its network namespace: it is in
/// the namespace of PID 1, or another /etc/sysctl.d than PID 1's is mounted, as on a host for a test. `ip
/// netns exec` leaves a process with the host's files. `None` if it is unknown; then no file of the host
/// may be written.
pub fn is_of_a_host() -> Option<bool> {
    let own = || has_an_etc_of_its_own();
    of_a_host(is_with_pid_1(), own)
}

fn of_a_host(with_pid_1: Option<bool>, has_own_etc: impl FnOnce() -> Option<bool>) -> Option<bool> {
    match with_pid_1 {
        Some(true) => Some(true),
        Some(false) => Some(has_own_etc() == Some(true)),
        None => has_own_etc().filter(|own| *own),
    }
}

/// Whether this may be the namespace that the host is managed through. An unknown one may be.
pub fn may_be_the_host(of: &Netns) -> bool {
    of.is_current() && is_with_pid_1() != Some(false)
}

/// Whether the calling thread is in the network namespace of PID 1. Without privilege /proc/1/ns/net
/// cannot be read. Then the cookie shows whether it is the initial namespace. About another one nothing is
/// known: PID 1 of a container is in that of the container.
pub(crate) fn is_with_pid_1() -> Option<bool> {
    with_pid_1(is_initial(), || cookie().ok())
}

/// Whether the calling thread is in the network namespace of the PID 1 of a host. `ip netns exec NAME unshare --pid`
/// makes a PID 1 in a namespace that is none of a host's.
fn is_initial() -> Option<bool> {
    let of_another = || cookie().is_ok_and(|cookie| cookie != INITIAL) && enter::is_named();
    enter::is_initial().map(|initial| initial && !of_another())
}

fn with_pid_1(initial: Option<bool>, cookie: impl FnOnce() -> Option<u64>) -> Option<bool> {
    initial.or_else(|| cookie().filter(|cookie| *cookie == INITIAL).map(|_| true))
}

fn has_an_etc_of_its_own() -> Option<bool> {
    let id = |path: &str| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    let there = |path: &&str| fs::metadata(*path).is_ok();
    let here = ["/etc/sysctl.d", "/etc"].into_iter().find(there)?;
    // PID 1 itself must be seen, to tell that it has no such directory.
    fs::metadata("/proc/1/root/.").ok()?;
    match id(&format!("/proc/1/root{here}")) {
        Ok(of_pid_1) => Some(id(here).ok()? != of_pid_1),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(true),
        Err(_) => None,
    }
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
    fn what_cannot_be_told_is_neither_the_hosts_nor_another_one() {
        let told = |initial, made: Option<u64>, etc| of_a_host(with_pid_1(initial, || made), || etc);
        assert_eq!(told(Some(true), None, None), Some(true));
        assert_eq!(told(Some(false), Some(INITIAL), None), Some(false));
        assert_eq!(told(Some(false), None, Some(false)), Some(false));
        assert_eq!(told(Some(false), None, Some(true)), Some(true));
        assert_eq!(told(None, Some(INITIAL), None), Some(true));
        assert_eq!(told(None, None, Some(true)), Some(true));
        for made in [None, Some(4711)] {
            assert_eq!(told(None, made, None), None);
            assert_eq!(told(None, made, Some(false)), None);
            assert_eq!(with_pid_1(None, || made), None);
        }
    }

    #[test]
    fn a_namespace_has_a_cookie() {
        assert_ne!(cookie().unwrap(), 0);
        assert!(identify(&Netns::CURRENT).is_ok());
    }
}
