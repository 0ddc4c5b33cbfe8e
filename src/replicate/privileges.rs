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

/// CAP_NET_ADMIN reads NFLOG and looks up neighbours, CAP_NET_RAW sends.
const KEPT: [Capability; 2] = [Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW];

/// Gives it all up and returns the user that is left: 65534, or the one that netkeel runs as where
/// that is not root or the user namespace has no 65534.
///
/// # Errors
/// When the kernel refuses one of the steps; the worker must not go on then.
pub(crate) fn give_up() -> Result<u32, Error> {
    let said = |doing: &'static str| move |errno: Errno| error(errno).context(doing);
    let refused =
        |doing: &str, cause: &dyn Display| Error::new(ErrorKind::Refused, format!("{doing}: {cause}"));
    prctl::set_no_new_privs().map_err(said("giving up new privileges"))?;
    prctl::set_keepcaps(true).map_err(said("keeping capabilities"))?;
    drop_bounding();
    if getuid().is_root() {
        change_user().map_err(said("changing the user"))?;
    }
    keep_capabilities().map_err(|cause| refused("giving up capabilities", &cause))?;
    // Others of the same user must not attach to it.
    prctl::set_dumpable(false).map_err(said("refusing to be traced"))?;
    seccomp::confine().map_err(|cause| refused("confining system calls", &cause))?;
    Ok(getuid().as_raw())
}

/// A program is started without what netkeel has from whoever started it: all that it gets are
/// standard input, output and error.
pub(crate) fn inherits_nothing(command: &mut Command) {
    /// What is no descriptor by number yet is closed too when it is one.
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
    // SAFETY: what runs between fork and exec is one system call, which takes no lock and no memory.
    unsafe { command.pre_exec(close) };
}

/// Takes the user of nobody. Where the user namespace has none, root of that namespace stays; it has
/// no more than its capabilities.
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

/// A program that the worker would execute gets no more than KEPT. Without CAP_SETPCAP the kernel refuses
/// this, and no_new_privs alone has to hold.
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
