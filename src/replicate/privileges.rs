//! What the worker gives up before it reads the first packet: its user, all capabilities but two, and
//! all system calls that it has no use for. Whoever takes it over by a packet has packets, and
//! nothing else.

#![expect(unsafe_code, reason = "system calls without a safe wrapper")]

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, getuid, setgroups, setresgid, setresuid};

use super::seccomp;
use crate::error::Error;
use crate::kernel::refusal::error;

/// `nobody` everywhere; it owns nothing.
const NOBODY: u32 = 65_534;

/// CAP_NET_ADMIN reads NFLOG and looks up neighbours, CAP_NET_RAW sends.
const KEPT: u64 = 1 << 12 | 1 << 13;

/// The highest capability that may exist: the sets have 64 bits.
const HIGHEST: i32 = 63;

/// `_LINUX_CAPABILITY_VERSION_3` (include/uapi/linux/capability.h).
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// Gives it all up and returns the user that is left: 65534, or the one that netkeel runs as where
/// that is not root or the user namespace has no 65534.
///
/// # Errors
/// When the kernel refuses one of the steps; the worker must not go on then.
pub(super) fn give_up() -> Result<u32, Error> {
    let said = |doing: &'static str| move |errno: Errno| error(errno).context(doing);
    prctl::set_no_new_privs().map_err(said("giving up new privileges"))?;
    prctl::set_keepcaps(true).map_err(said("keeping capabilities"))?;
    drop_bounding();
    if getuid().is_root() {
        change_user().map_err(said("changing the user"))?;
    }
    keep_capabilities().map_err(said("giving up capabilities"))?;
    // Others of the same user must not attach to it.
    prctl::set_dumpable(false).map_err(said("refusing to be traced"))?;
    seccomp::confine().map_err(said("confining system calls"))?;
    Ok(getuid().as_raw())
}

/// A program is started without what netkeel has from whoever started it: all that it gets are
/// standard input, output and error.
pub(super) fn inherits_nothing(command: &mut Command) {
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

/// Nothing that is executed later gets more; without CAP_SETPCAP that holds by no_new_privs alone.
fn drop_bounding() {
    for capability in (0..=HIGHEST).filter(|capability| KEPT & 1 << capability == 0) {
        // SAFETY: prctl(PR_CAPBSET_DROP) takes a number.
        let dropped = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        if dropped != 0 {
            // Beyond the last capability that this kernel has, or not permitted.
            break;
        }
    }
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Sets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Keeps those two of what there is.
fn keep_capabilities() -> Result<(), Errno> {
    let mut header = Header {
        version: CAPABILITY_VERSION,
        pid: 0,
    };
    let mut sets = [Sets::default(); 2];
    // SAFETY: version 3 has two sets, and the kernel writes no more than these.
    let got = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) };
    Errno::result(got)?;
    let [low, high] = &mut sets;
    let kept = low.permitted & KEPT as u32;
    *low = Sets {
        effective: kept,
        permitted: kept,
        inheritable: 0,
    };
    *high = Sets::default();
    // SAFETY: as above; the kernel only reads.
    let set = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, sets.as_ptr()) };
    Errno::result(set).map(|_| ())
}
