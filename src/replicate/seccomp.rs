//! The worker's seccomp filter (seccomp_filter.rst in the kernel's documentation): a list of allowed
//! system calls. The kernel kills the worker on any other call.

use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// Receive, send, wait, open netlink and packet sockets, memory, time, exit.
/// No call opens a file, starts a process or enters a namespace.
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

/// The filter for one architecture. It checks the architecture first, because system call numbers differ
/// between architectures.
fn program(architecture: TargetArch) -> Result<BpfProgram, BackendError> {
    // An empty list of rules allows the call whatever its arguments are.
    let rules = ALLOWED.iter().map(|number| (*number, Vec::new())).collect();
    let (other, listed) = (SeccompAction::KillProcess, SeccompAction::Allow);
    SeccompFilter::new(rules, other, listed, architecture)?.try_into()
}

/// Installs the filter on the calling thread. No call removes it.
///
/// # Errors
/// On an architecture without a filter, and when the kernel refuses the filter.
pub(crate) fn confine() -> Result<(), seccompiler::Error> {
    let architecture = std::env::consts::ARCH.try_into()?;
    seccompiler::apply_filter(&program(architecture)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AUDIT_ARCH_* (include/uapi/linux/audit.h).
    const X86_64: u32 = 0xc000_003e;

    const AARCH64: u32 = 0xc000_00b7;

    const I386: u32 = 0x4000_0003;

    /// Offset of the architecture in `struct seccomp_data`, bytes; the number is at 0.
    const ARCHITECTURE: u32 = 4;

    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;

    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;

    const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;

    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

    /// Runs the filter for one call as the kernel's BPF interpreter does.
    fn verdict(program: &BpfProgram, architecture: u32, number: u32) -> u32 {
        let (mut at, mut value) = (0, 0);
        loop {
            let step = &program[at];
            at += 1;
            match step.code {
                LOAD => {
                    value = match step.k {
                        0 => number,
                        ARCHITECTURE => architecture,
                        other => panic!("the filter reads offset {other}"),
                    }
                }
                EQUAL => at += usize::from(if value == step.k { step.jt } else { step.jf }),
                JUMP => at += step.k as usize,
                RETURN => return step.k,
                other => panic!("the filter has instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn allows_the_list_and_kills_on_the_rest() {
        // Bit 30 marks the x32 calls of an x86_64 kernel: none of them is allowed.
        for bit in [0, 1 << 30] {
            for (target, machine, other) in [
                (TargetArch::x86_64, X86_64, AARCH64),
                (TargetArch::aarch64, AARCH64, X86_64),
            ] {
                let program = program(target).unwrap();
                for number in (0..1_000).map(|number| number | bit) {
                    let allowed = ALLOWED.contains(&i64::from(number));
                    let expected = if allowed {
                        libc::SECCOMP_RET_ALLOW
                    } else {
                        libc::SECCOMP_RET_KILL_PROCESS
                    };
                    assert_eq!(
                        verdict(&program, machine, number),
                        expected,
                        "system call {number}"
                    );
                    for foreign in [other, I386] {
                        let verdict = verdict(&program, foreign, number);
                        assert_eq!(verdict, libc::SECCOMP_RET_KILL_PROCESS, "system call {number}");
                    }
                }
            }
        }
    }

    #[test]
    fn leaves_out_what_a_captured_worker_would_want() {
        for number in [
            libc::SYS_openat,
            libc::SYS_execve,
            libc::SYS_setns,
            libc::SYS_ptrace,
            libc::SYS_clone,
            // The worker sends with sendmmsg, and no C library may turn that into sendmsg.
            libc::SYS_sendmsg,
        ] {
            assert!(!ALLOWED.contains(&number));
        }
    }
}
