//! Default routes among what rtnetlink tells: a filter in the kernel lets no other route through, since
//! a host that speaks BGP may have a million, and each change of one would wake somebody.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;

use super::super::refusal::Refusal;

/// Routes of IPv4 and IPv6.
pub(super) const GROUPS: [u32; 2] = [libc::RTNLGRP_IPV4_ROUTE, libc::RTNLGRP_IPV6_ROUTE];

/// Where the type of a message stands: after the length (`struct nlmsghdr`).
const TYPE: u32 = 4;

/// Where the length of the destination and the table stand (`struct rtmsg` after `struct nlmsghdr`).
const DESTINATION_LENGTH: u32 = 17;
const TABLE: u32 = 20;

/// All of a message is let through, or nothing.
const WHOLE: u32 = u32::MAX;

/// The filter: what is no route, and default routes of the main table. A notification is a message of
/// its own (`rtmsg_fib`, net/ipv4/fib_semantics.c), so that the first header tells all.
fn program() -> [libc::sock_filter; 9] {
    const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
    const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
    const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    // The filter loads in network byte order what netlink has in that of the host.
    let kind = |kind: u16| u32::from(kind.to_be());
    let step = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    [
        step(LOAD_HALF, 0, 0, TYPE),
        step(IF_EQUAL, 1, 0, kind(libc::RTM_NEWROUTE)),
        step(IF_EQUAL, 0, 4, kind(libc::RTM_DELROUTE)),
        step(LOAD_BYTE, 0, 0, DESTINATION_LENGTH),
        step(IF_EQUAL, 0, 3, 0),
        step(LOAD_BYTE, 0, 0, TABLE),
        step(IF_EQUAL, 0, 1, u32::from(libc::RT_TABLE_MAIN)),
        step(RETURN, 0, 0, WHOLE),
        step(RETURN, 0, 0, 0),
    ]
}

/// Lets no routes but default routes through to a socket.
pub(super) fn filter(socket: &impl AsFd) -> Result<(), Refusal> {
    let mut program = program();
    let filter = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    #[expect(unsafe_code)]
    // SAFETY: `filter` and the program that it points to outlive the call, and the kernel copies both.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    Errno::result(result)?;
    Ok(())
}
