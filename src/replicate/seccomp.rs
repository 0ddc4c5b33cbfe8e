//! The system calls that are left to the worker, as a filter of the kernel's own (seccomp_filter.rst).
//! Any other one ends it.

#![expect(unsafe_code, reason = "system calls without a safe wrapper")]

use nix::errno::Errno;

/// What it needs: receive, send, wait, sockets of netlink and of new modes, memory, time, its end.
/// Files, processes and other namespaces are not among them.
const ALLOWED: &[libc::c_long] = &[
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmmsg,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_ppoll,
    libc::SYS_socket,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_fcntl,
    libc::SYS_close,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_madvise,
    libc::SYS_mprotect,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_getrandom,
    libc::SYS_getuid,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// AUDIT_ARCH_* of this machine (include/uapi/linux/audit.h).
#[cfg(target_arch = "x86_64")]
const MACHINE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const MACHINE: u32 = 0xc000_00b7;

/// Offsets in `struct seccomp_data`, bytes.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

const fn instruction(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// The filter: the architecture first, since numbers mean something else on another one.
fn program() -> Vec<libc::sock_filter> {
    let mut program = vec![
        instruction(LOAD, ARCHITECTURE, 0, 0),
        instruction(EQUAL, MACHINE, 1, 0),
        instruction(RETURN, libc::SECCOMP_RET_KILL_PROCESS, 0, 0),
        instruction(LOAD, NUMBER, 0, 0),
    ];
    for number in ALLOWED {
        program.push(instruction(EQUAL, *number as u32, 0, 1));
        program.push(instruction(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0));
    }
    program.push(instruction(RETURN, libc::SECCOMP_RET_KILL_PROCESS, 0, 0));
    program
}

/// Puts the filter on the calling thread, for good. Needs no_new_privs.
pub(super) fn confine() -> Result<(), Errno> {
    let program = program();
    let filter = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the program lives until the call returns, and the kernel copies it.
    let done = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const filter,
        )
    };
    Errno::result(done).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the filter says of a call, by the rules of classic BPF.
    fn verdict(architecture: u32, number: u32) -> u32 {
        let program = program();
        let (mut at, mut value) = (0, 0);
        loop {
            let step = program[at];
            at += 1;
            match step.code {
                LOAD => value = if step.k == NUMBER { number } else { architecture },
                EQUAL => at += usize::from(if value == step.k { step.jt } else { step.jf }),
                _ => return step.k,
            }
        }
    }

    #[test]
    fn allows_the_list_and_ends_the_rest() {
        for number in 0..1_000 {
            let allowed = ALLOWED.contains(&i64::from(number));
            let expected = if allowed {
                libc::SECCOMP_RET_ALLOW
            } else {
                libc::SECCOMP_RET_KILL_PROCESS
            };
            assert_eq!(verdict(MACHINE, number), expected, "system call {number}");
        }
        for number in [
            libc::SYS_openat,
            libc::SYS_execve,
            libc::SYS_setns,
            libc::SYS_ptrace,
            libc::SYS_clone,
            // Copies go out with sendmmsg, whatever a C library makes of that.
            libc::SYS_sendmsg,
        ] {
            assert!(!ALLOWED.contains(&number));
        }
        assert_eq!(verdict(0x4000_0003, 3), libc::SECCOMP_RET_KILL_PROCESS);
    }
}
