//! Before it reads the first packet, the worker gives up its user, all capabilities except two, and all
//! system calls that it does not need. An attacker who controls the worker can then read and send
//! packets, and nothing else.

#![expect(unsafe_code, reason = "close_range and pre_exec have no safe wrapper")]

use std::fmt::Display;
use std::os::unix::process::CommandExt;
use std::process::Command;

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, getuid, setgroups, setresgid, setresuid};

use crate::seccomp;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_kernel::netlink::refusal::error;

/// `nobody` everywhere; it owns nothing.
const NOBODY: u32 = 65_534;

/// CAP_NET_ADMIN reads NFLOG and resolves neighbours; CAP_NET_RAW sends.
const KEPT: [Capability; 2] = [Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW];

/// Gives up all of these and returns the remaining user: 65534, or netkeel's own user where that is not
/// root or the user namespace has no 65534.
///
/// # Errors
/// When the kernel rejects one of the steps; the worker must then end.
pub(crate) fn give_up() -> Result<u32, Error> {
    let context = |doing: &'static str| move |errno: Errno| error(errno).context(doing);
    let refused =
        |doing: &str, cause: &dyn Display| Error::new(ErrorKind::Refused, format!("{doing}: {cause}"));
    prctl::set_no_new_privs().map_err(context("giving up new privileges"))?;
    prctl::set_keepcaps(true).map_err(context("keeping capabilities"))?;
    drop_bounding();
    if getuid().is_root() {
        change_user().map_err(context("changing the user"))?;
    }
    keep_capabilities().map_err(|cause| refused("giving up capabilities", &cause))?;
    // Other processes of the same user must not attach to it.
    prctl::set_dumpable(false).map_err(context("refusing to be traced"))?;
    seccomp::confine().map_err(|cause| refused("confining system calls", &cause))?;
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

/// Limits a program that the worker might execute to KEPT. Without CAP_SETPCAP the kernel rejects this,
/// and only no_new_privs protects.
fn drop_bounding() {
    for capability in caps::all() {
        if !KEPT.contains(&capability) {
            // Fails without CAP_SETPCAP, and where the kernel is older than the capability.
            let _ = caps::drop(None, CapSet::Bounding, capability);
        }
    }
}

/// Keeps those of KEPT that the process has.
fn keep_capabilities() -> Result<(), CapsError> {
    let mut kept: CapsHashSet = caps::read(None, CapSet::Permitted)?;
    kept.retain(|capability| KEPT.contains(capability));
    caps::clear(None, CapSet::Inheritable)?;
    // The kernel refuses a permitted set that is smaller than the effective set.
    caps::clear(None, CapSet::Effective)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    caps::set(None, CapSet::Effective, &kept)
}
