//! Requests that configure an NFLOG group. They need CAP_NET_ADMIN, and the helper makes them.

use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use serde::{Deserialize, Serialize};

use crate::worker::pace::Pace;
use netkeel_core::error::Error;
use netkeel_kernel::netlink::message::Request;
use netkeel_kernel::netlink::refusal::Refusal;
use netkeel_kernel::netlink::socket::Socket;

/// The message (include/uapi/linux/netfilter/nfnetlink_log.h).
const CONFIG: u16 = (libc::NFNL_SUBSYS_ULOG << 8 | libc::NFULNL_MSG_CONFIG) as u16;

/// Defines libc's attributes as numbers of the width that they have in messages.
macro_rules! attributes {
    ($($name:ident)*) => { $(const $name: u16 = libc::$name as u16;)* };
}

attributes! {
    NFULA_CFG_CMD NFULA_CFG_MODE NFULA_CFG_NLBUFSIZ NFULA_CFG_TIMEOUT NFULA_CFG_QTHRESH NFULA_CFG_FLAGS
}

/// Maximum bytes copied of each packet. Routers do not send longer errors.
const COPY_RANGE: u32 = 1_500;

/// The receive buffer in bytes; the kernel doubles it for its own overhead. It holds some 8,000 packets
/// while the worker is not scheduled.
const QUEUE: usize = 8 << 20;

/// Hundredths of a second after which NFLOG sends an incomplete batch.
const TIMEOUT: u32 = 1;

/// Requests a sequence number that counts per group.
const WITH_SEQUENCE: u16 = libc::NFULNL_CFG_F_SEQ as u16;

/// The batch size of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Batch {
    /// Maximum packets per message.
    threshold: u32,
    /// Maximum bytes per message.
    buffer: u32,
}

impl From<Pace> for Batch {
    fn from(pace: Pace) -> Self {
        Batch {
            threshold: pace.threshold(),
            buffer: pace.buffer(),
        }
    }
}

/// Binds a group in the helper. Its packets queue up from then on.
///
/// # Errors
/// [`netkeel_core::error::ErrorKind::Refused`] (EBUSY, EPERM) when another program has bound the group.
pub(crate) fn bind(number: u16) -> Result<Socket, Error> {
    let mut socket = open(number)?;
    bind_to(&mut socket, number)?;
    Ok(socket)
}

/// Binds a group anew that another socket has bound. Its queued packets stay in that one. Packets of the moment
/// between the two requests are lost.
///
/// # Errors
/// As [`bind`]. The group is then not bound at all.
pub(crate) fn rebind(before: &mut Socket, number: u16) -> Result<Socket, Error> {
    let mut socket = open(number)?;
    // An acknowledgement would come behind the queued packets.
    let release = libc::NFULNL_CFG_CMD_UNBIND as u8;
    before.post(config(number, 0).attribute(NFULA_CFG_CMD, &[release]));
    bind_to(&mut socket, number)?;
    Ok(socket)
}

fn open(number: u16) -> Result<Socket, Error> {
    let refused = |refusal: Refusal| bind_error(number, refusal);
    let socket = Socket::open_netfilter().map_err(refused)?;
    // Without CAP_NET_ADMIN in the initial user namespace the limit is net.core.rmem_max.
    setsockopt(socket.raw(), sockopt::RcvBufForce, &QUEUE)
        .or_else(|_| setsockopt(socket.raw(), sockopt::RcvBuf, &QUEUE))
        .map_err(|errno| refused(errno.into()))?;
    Ok(socket)
}

fn bind_to(socket: &mut Socket, number: u16) -> Result<(), Error> {
    let request = config(number, libc::NLM_F_ACK)
        .attribute(NFULA_CFG_CMD, &[libc::NFULNL_CFG_CMD_BIND as u8])
        .attribute(NFULA_CFG_MODE, &mode())
        .attribute(NFULA_CFG_TIMEOUT, &TIMEOUT.to_be_bytes())
        .attribute(NFULA_CFG_FLAGS, &WITH_SEQUENCE.to_be_bytes());
    // Packets that arrive before the acknowledgement match no complete rules yet.
    socket
        .change(paced(request, Pace::default().into()))
        .map_err(|refusal| bind_error(number, refusal))
}

/// Changes the batch size in the helper. If this request is lost, the size stays until the next change.
pub(crate) fn pace(socket: &mut Socket, number: u16, batch: Batch) {
    socket.post(paced(config(number, 0), batch));
}

fn bind_error(number: u16, refusal: Refusal) -> Error {
    let taken = matches!(refusal.errno, Errno::EPERM | Errno::EBUSY);
    let error = Error::from(refusal).context(format_args!("binding NFLOG group {number}"));
    if taken {
        // This hint precedes the general one for EPERM.
        let mut error = error;
        let hint = "another program reads this group, or CAP_NET_ADMIN is missing";
        error.hints.insert(0, hint.to_owned());
        return error
            .hint("/proc/net/netfilter/nfnetlink_log lists the groups with the ports of their readers");
    }
    error.hint("the kernel needs nfnetlink_log (CONFIG_NETFILTER_NETLINK_LOG)")
}

/// A configuration message for a group.
fn config(group: u16, flags: libc::c_int) -> Request {
    let [high, low] = group.to_be_bytes();
    let flags = (libc::NLM_F_REQUEST | flags) as u16;
    Request::new(CONFIG, flags, &[0, 0, high, low])
}

fn paced(request: Request, batch: Batch) -> Request {
    request
        .attribute(NFULA_CFG_NLBUFSIZ, &batch.buffer.to_be_bytes())
        .attribute(NFULA_CFG_QTHRESH, &batch.threshold.to_be_bytes())
}

/// `struct nfulnl_msg_config_mode`: the copy range, the copy mode, padding.
fn mode() -> [u8; 6] {
    let [a, b, c, d] = COPY_RANGE.to_be_bytes();
    [a, b, c, d, libc::NFULNL_COPY_PACKET as u8, 0]
}
