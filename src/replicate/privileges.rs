//! Before it reads the first packet, the worker gives up its user, all capabilities except CAP_NET_RAW, and
//! all system calls that it does not need. An attacker who controls the worker can then read and send
//! packets, and nothing else. The worker's helper keeps CAP_NET_ADMIN alone, and reads no packet.

#![expect(unsafe_code, reason = "close_range and pre_exec have no safe wrapper")]

use std::fmt::Display;
use std::os::unix::process::CommandExt;
use std::process::Command;

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, getuid, setgroups, setresgid, setresuid};

use crate::role::Role;
use crate::seccomp;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_kernel::netlink::refusal::error;

/// `nobody` everywhere; it owns nothing.
const NOBODY: u32 = 65_534;

/// Gives up all of these and returns the remaining user: 65534, or netkeel's own user where that is not
/// root or the user namespace has no 65534.
///
/// # Errors
/// When the kernel rejects one of the steps; the process must then end.
pub(crate) fn give_up(role: Role) -> Result<u32, Error> {
    let context = |doing: &'static str| move |errno: Errno| error(errno).context(doing);
    let refused =
        |doing: &str, cause: &dyn Display| Error::new(ErrorKind::Refused, format!("{doing}: {cause}"));
    prctl::set_no_new_privs().map_err(context("giving up new privileges"))?;
    prctl::set_keepcaps(true).map_err(context("keeping capabilities"))?;
    drop_bounding(role.kept());
    if getuid().is_root() {
        change_user().map_err(context("changing the user"))?;
    }
    keep_capability(role.kept()).map_err(|cause| refused("giving up capabilities", &cause))?;
    // Other processes of the same user must not attach to it.
    prctl::set_dumpable(false).map_err(context("refusing to be traced"))?;
    seccomp::confine(role).map_err(|cause| refused("confining system calls", &cause))?;
    Ok(getuid().as_raw())
}

/// Makes a program inherit only standard input, output and error, and not the descriptors that netkeel
/// itself inherited.
pub(crate) fn inherits_nothing(command: &mut Command) {
    /// The whole range: descriptors opened later are closed too.
    const ALL: libc::c_uint = libc::c_uint::MAX;
    let close = || {
        // SAFETY: close_range(2) takes numbers, and with this flag it closes nothing before the program
        // is executed. A kernel before 5.11 does not know that, and leaves all as it is.
        unsafe {
            libc::syscall(
                libc::SYS_close_range,
                3 as libc::c_uint,
                ALL,
                libc::CLOSE_RANGE_CLOEXEC,
            )
        };
        Ok(())
    };
    // SAFETY: between fork and exec only one system call runs, which takes no lock and allocates no
    // memory.
    unsafe { command.pre_exec(close) };
}

/// Changes to the user `nobody`. Where the user namespace has no such user, root of that namespace
/// remains, with only the capabilities that are kept.
fn change_user() -> Result<(), Errno> {
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    match setgroups(&[]) {
        // A user namespace may forbid it (user_namespaces(7)).
        Ok(()) | Err(Errno::EPERM) => {}
        Err(errno) => return Err(errno),
    }
    match setresgid(group, group, group).and_then(|()| setresuid(user, user, user)) {
        Err(Errno::EINVAL) => Ok(()),
        done => done,
    }
}

/// Limits a program that the process might execute to one capability. Without CAP_SETPCAP the kernel rejects this,
/// and only no_new_privs protects.
fn drop_bounding(kept: Capability) {
    for capability in caps::all() {
        if capability != kept {
            // Fails without CAP_SETPCAP, and where the kernel is older than the capability.
            let _ = caps::drop(None, CapSet::Bounding, capability);
        }
    }
}

/// Keeps one capability, if the process has it.
fn keep_capability(wanted: Capability) -> Result<(), CapsError> {
    let mut kept: CapsHashSet = caps::read(None, CapSet::Permitted)?;
    kept.retain(|capability| *capability == wanted);
    caps::clear(None, CapSet::Inheritable)?;
    // The kernel refuses a permitted set that is smaller than the effective set.
    caps::clear(None, CapSet::Effective)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    caps::set(None, CapSet::Effective, &kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    use netkeel_kernel::netlink::message::Request;
    use netkeel_kernel::netlink::socket::Socket;
    use nix::sched::{CloneFlags, unshare};

    /// Names the attempt for the process that makes it.
    const ATTEMPT: &str = "NETKEEL_TEST_ATTEMPT";

    /// Attempts of an attacker who controls the process, each with the signal or the error that must stop it.
    const ATTEMPTS: [(&str, Role, Result<i32, Errno>); 9] = [
        (
            "link down by an open netlink socket",
            Role::Worker,
            Err(Errno::EPERM),
        ),
        ("open a netlink socket", Role::Worker, Err(Errno::EPERM)),
        (
            "open a socket that receives all frames",
            Role::Worker,
            Err(Errno::EPERM),
        ),
        ("link down by ioctl", Role::Worker, Ok(libc::SIGSYS)),
        ("start a program", Role::Worker, Ok(libc::SIGSYS)),
        ("open a file", Role::Worker, Ok(libc::SIGSYS)),
        ("open a packet socket", Role::Helper, Err(Errno::EPERM)),
        ("link down by ioctl", Role::Helper, Ok(libc::SIGSYS)),
        ("open a file", Role::Helper, Ok(libc::SIGSYS)),
    ];

    /// An RTM_NEWLINK that clears IFF_UP of `lo`, which has index 1 in each namespace.
    fn link_down() -> Request {
        let mut fixed = [0; 16];
        fixed[4..8].copy_from_slice(&1_u32.to_ne_bytes());
        fixed[12..16].copy_from_slice(&(libc::IFF_UP as u32).to_ne_bytes());
        Request::new(
            libc::RTM_NEWLINK,
            (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16,
            &fixed,
        )
    }

    fn socket(family: i32, kind: i32, protocol: i32) -> Errno {
        // SAFETY: socket(2) takes numbers only.
        match unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) } {
            -1 => Errno::last(),
            _ => Errno::UnknownErrno,
        }
    }

    /// Makes one attempt in this process, as code of the attacker would: after the privileges were given up,
    /// with the sockets that the process has. Exits with the number of the error.
    fn attempt(name: &str, role: Role) -> ! {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let mut opened = Socket::open().unwrap();
        assert!(
            opened.change(link_down()).is_ok(),
            "a root of the namespace may set lo down"
        );
        give_up(role).unwrap();
        let errno = match name {
            "link down by an open netlink socket" => match opened.change(link_down()) {
                Err(refusal) => refusal.errno,
                Ok(()) => Errno::UnknownErrno,
            },
            "open a netlink socket" => socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE),
            "open a socket that receives all frames" => {
                let all = i32::from((libc::ETH_P_ALL as u16).to_be());
                socket(libc::AF_PACKET, libc::SOCK_RAW, all)
            }
            "open a packet socket" => socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0),
            "link down by ioctl" => {
                // SAFETY: `ifreq` is plain data, and any bytes are one.
                let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
                request.ifr_name[..2].copy_from_slice(&[b'l', b'o'].map(|byte| byte as libc::c_char));
                // SAFETY: the kernel reads an `ifreq` for SIOCSIFFLAGS, and it lives until the call returns.
                unsafe { libc::ioctl(opened_fd(&opened), libc::SIOCSIFFLAGS as _, &raw mut request) };
                Errno::UnknownErrno
            }
            "start a program" => {
                let _ = Command::new("/bin/true").spawn();
                Errno::UnknownErrno
            }
            "open a file" => {
                let _ = std::fs::OpenOptions::new().read(true).open("/proc/self/status");
                Errno::UnknownErrno
            }
            other => panic!("no attempt {other}"),
        };
        std::process::exit(errno as i32)
    }

    fn opened_fd(socket: &Socket) -> i32 {
        use std::os::fd::AsRawFd;
        socket.raw().as_raw_fd()
    }

    /// Needs root. Each attempt is a process of its own: this test again, with [`ATTEMPT`] set.
    #[test]
    fn an_attacker_has_packets_and_nothing_else() {
        if let Ok(number) = std::env::var(ATTEMPT) {
            let (name, role, _) = ATTEMPTS[number.parse::<usize>().unwrap()];
            attempt(name, role);
        }
        for (number, (name, role, expected)) in ATTEMPTS.into_iter().enumerate() {
            let output = Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "privileges::tests::an_attacker_has_packets_and_nothing_else",
                    "--nocapture",
                ])
                .env(ATTEMPT, number.to_string())
                .output()
                .unwrap();
            let status = output.status;
            let found = match (status.signal(), status.code()) {
                (Some(signal), _) => Ok(signal),
                (None, code) => Err(Errno::from_raw(code.unwrap_or_default())),
            };
            let told = String::from_utf8_lossy(&output.stderr);
            assert_eq!(found, expected, "{role:?}: {name}: {told}");
        }
    }
}
