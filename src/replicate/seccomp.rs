//! The seccomp filters of the worker and its helper (seccomp_filter.rst in the kernel's documentation): a list
//! of allowed system calls, and the sockets that may be opened. The kernel kills the process on any other
//! call, and refuses any other socket.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use crate::role::Role;

/// Receive, send, wait, open sockets, memory, time, exit.
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
    libc::SYS_wait4,
    libc::SYS_tgkill,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// The helper passes sockets to the worker with sendmsg. The worker sends with sendmmsg.
const OF_THE_HELPER: libc::c_long = libc::SYS_sendmsg;

/// The filter by number for one architecture. It checks the architecture first, because system call numbers
/// differ between architectures.
fn calls(role: Role, architecture: TargetArch) -> Result<BpfProgram, BackendError> {
    let more = (role == Role::Helper).then_some(OF_THE_HELPER);
    // An empty list of rules allows the call whatever its arguments are.
    let rules = ALLOWED
        .iter()
        .copied()
        .chain(more)
        .map(|number| (number, Vec::new()))
        .collect();
    let (other, listed) = (SeccompAction::KillProcess, SeccompAction::Allow);
    SeccompFilter::new(rules, other, listed, architecture)?.try_into()
}

/// The filter of sockets for one architecture: any that is not listed is refused with EPERM. With an error
/// instead of an end, a netlink socket that would have to be opened again is reported.
fn sockets(role: Role, architecture: TargetArch) -> Result<BpfProgram, BackendError> {
    let condition = |argument: u8, operator: SeccompCmpOp, value: libc::c_int| {
        SeccompCondition::new(
            argument,
            SeccompCmpArgLen::Dword,
            operator,
            u64::from(value.cast_unsigned()),
        )
    };
    let is = |argument, value| condition(argument, SeccompCmpOp::Eq, value);
    let not = |argument, value| condition(argument, SeccompCmpOp::Ne, value);
    // The arguments are the family, the type and the protocol.
    let raw = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    let refused = match role {
        // Frames to send: with protocol 0 nothing is received. Tunnelled packets to send.
        Role::Worker => vec![
            vec![
                not(0, libc::AF_PACKET)?,
                not(0, libc::AF_INET)?,
                not(0, libc::AF_INET6)?,
            ],
            vec![is(0, libc::AF_PACKET)?, not(2, 0)?],
            vec![is(0, libc::AF_INET)?, not(1, raw)?],
            vec![is(0, libc::AF_INET6)?, not(1, raw)?],
        ],
        Role::Helper => vec![
            vec![not(0, libc::AF_NETLINK)?],
            vec![not(2, libc::NETLINK_ROUTE)?, not(2, libc::NETLINK_NETFILTER)?],
        ],
    };
    let refused = refused
        .into_iter()
        .map(SeccompRule::new)
        .collect::<Result<_, _>>()?;
    let rules = BTreeMap::from([(libc::SYS_socket, refused)]);
    let errno = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    SeccompFilter::new(rules, SeccompAction::Allow, errno, architecture)?.try_into()
}

/// Installs the filters on the calling thread. No call removes them. Of several filters the strictest counts.
///
/// # Errors
/// On an architecture without a filter, and when the kernel refuses a filter.
pub(crate) fn confine(role: Role) -> Result<(), seccompiler::Error> {
    let architecture: TargetArch = std::env::consts::ARCH.try_into()?;
    // The first filter forbids the call that installs another one.
    seccompiler::apply_filter(&sockets(role, architecture)?)?;
    seccompiler::apply_filter(&calls(role, architecture)?)
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

    /// Both roles, and an error that the filter of sockets returns.
    const ROLES: [Role; 2] = [Role::Worker, Role::Helper];

    const REFUSED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;

    /// Runs a filter for one call as the kernel's BPF interpreter does.
    fn verdict(program: &BpfProgram, architecture: u32, number: u32, arguments: [u32; 3]) -> u32 {
        let (mut at, mut value) = (0, 0);
        loop {
            let step = &program[at];
            at += 1;
            match step.code {
                LOAD => {
                    value = match step.k {
                        0 => number,
                        ARCHITECTURE => architecture,
                        // The lower half of an argument, which has 8 bytes from offset 16 on.
                        argument @ (16 | 24 | 32) => arguments[(argument as usize - 16) / 8],
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
        for (bit, role) in [0, 1 << 30]
            .into_iter()
            .flat_map(|bit| ROLES.map(|role| (bit, role)))
        {
            for (target, machine, other) in [
                (TargetArch::x86_64, X86_64, AARCH64),
                (TargetArch::aarch64, AARCH64, X86_64),
            ] {
                let program = calls(role, target).unwrap();
                let verdict = |machine, number| verdict(&program, machine, number, [0; 3]);
                for number in (0..1_000).map(|number| number | bit) {
                    let call = i64::from(number);
                    let passes = role == Role::Helper && call == OF_THE_HELPER;
                    let expected = if ALLOWED.contains(&call) || passes {
                        libc::SECCOMP_RET_ALLOW
                    } else {
                        libc::SECCOMP_RET_KILL_PROCESS
                    };
                    assert_eq!(verdict(machine, number), expected, "system call {number}");
                    for foreign in [other, I386] {
                        let killed = libc::SECCOMP_RET_KILL_PROCESS;
                        assert_eq!(verdict(foreign, number), killed, "system call {number}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_socket_is_for_sending_packets_or_of_the_helper() {
        let raw = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        let datagram = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
        for (role, allowed) in [
            (
                Role::Worker,
                vec![
                    (libc::AF_PACKET, datagram, 0),
                    (libc::AF_INET, raw, libc::IPPROTO_IPIP),
                    (libc::AF_INET6, raw, libc::IPPROTO_IPV6),
                ],
            ),
            (
                Role::Helper,
                vec![
                    (libc::AF_NETLINK, datagram, libc::NETLINK_ROUTE),
                    (libc::AF_NETLINK, datagram, libc::NETLINK_NETFILTER),
                ],
            ),
        ] {
            let machine = if cfg!(target_arch = "x86_64") {
                X86_64
            } else {
                AARCH64
            };
            let program = sockets(role, std::env::consts::ARCH.try_into().unwrap()).unwrap();
            let verdict = |number: i64, (family, kind, protocol): (i32, i32, i32)| {
                let arguments = [family, kind, protocol].map(i32::cast_unsigned);
                verdict(&program, machine, number as u32, arguments)
            };
            for socket in &allowed {
                assert_eq!(
                    verdict(libc::SYS_socket, *socket),
                    libc::SECCOMP_RET_ALLOW,
                    "{socket:?}"
                );
            }
            for family in 0..64 {
                for kind in [libc::SOCK_STREAM, datagram, raw] {
                    for protocol in 0..40 {
                        let socket = (family, kind, protocol);
                        let known = match family {
                            libc::AF_PACKET => role == Role::Worker && protocol == 0,
                            libc::AF_INET | libc::AF_INET6 => role == Role::Worker && kind == raw,
                            libc::AF_NETLINK => {
                                role == Role::Helper
                                    && [libc::NETLINK_ROUTE, libc::NETLINK_NETFILTER].contains(&protocol)
                            }
                            _ => false,
                        };
                        let expected = if known { libc::SECCOMP_RET_ALLOW } else { REFUSED };
                        assert_eq!(verdict(libc::SYS_socket, socket), expected, "{role:?} {socket:?}");
                    }
                }
            }
            // Other calls are for the other filter.
            assert_eq!(verdict(libc::SYS_read, (0, 0, 0)), libc::SECCOMP_RET_ALLOW);
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
            libc::SYS_ioctl,
            // The worker sends with sendmmsg, and no C library may turn that into sendmsg.
            libc::SYS_sendmsg,
        ] {
            assert!(!ALLOWED.contains(&number));
        }
    }
}
