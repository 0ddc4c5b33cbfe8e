//! Default routes among the notifications of rtnetlink. A filter in the kernel drops all other routes: a
//! host that speaks BGP may have a million, and each change of one would wake the service.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;

use crate::netlink::refusal::Refusal;

/// Routes of IPv4 and IPv6.
pub(crate) const GROUPS: [u32; 2] = [libc::RTNLGRP_IPV4_ROUTE, libc::RTNLGRP_IPV6_ROUTE];

/// Offset of the type of a message, after its length (`struct nlmsghdr`).
const TYPE: u32 = 4;

/// Offsets of the length of the destination and of the table (`struct rtmsg` after `struct nlmsghdr`).
const DESTINATION_LENGTH: u32 = 17;

const TABLE: u32 = 20;

/// The filter returns how many bytes of a message pass.
const WHOLE: u32 = u32::MAX;

/// The filter passes default routes of the main table and everything that is not a route. Each notification
/// is a datagram of one message (`rtmsg_fib`, net/ipv4/fib_semantics.c), so the first header suffices.
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

/// Lets only default routes of all routes through to a socket.
pub(crate) fn filter(socket: &impl AsFd) -> Result<(), Refusal> {
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
