//! Netlink sockets. A [`Socket`] sends a request, waits for its answers, tells a whole dump from a torn
//! one, and turns an error of the kernel into a [`Refusal`] with the text it gives. A [`Listener`]
//! receives notifications without waiting. Both receive by `receive`.

#![expect(unsafe_code, reason = "a descriptor changes its owner")]

use std::io;
use std::ops::ControlFlow;
use std::ops::ControlFlow::{Break, Continue};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use netlink_packet_core::Emitable;
use netlink_sys::protocols::{NETLINK_GENERIC, NETLINK_NETFILTER, NETLINK_ROUTE};
use netlink_sys::{Socket as RawSocket, SocketAddr};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

use crate::netlink::message::{Attributes, Malformed, Message, Messages, Request, u32_at};
use crate::netlink::refusal::Refusal;

/// Receive buffer in bytes. A dump comes in parts of at most 32 KiB (`netlink_dump`,
/// net/netlink/af_netlink.c); a single message may be longer, then the buffer grows.
const BUFFER: usize = 64 * 1024;

/// Largest buffer in bytes: a message of more than half of this is not believed.
const BUFFER_MAX: usize = 16 * 1024 * 1024;

/// Receives that a [`Listener`] does in one go, so that a storm of events cannot keep a caller forever.
const AT_ONCE: usize = 4096;

/// Bytes the kernel may queue, whatever `net.core.rmem_default` was set to: an answer that does not
/// fit is lost, and the change it was for is done all the same.
const QUEUE: usize = 1024 * 1024;

/// How often a dump is taken when it is torn each time.
pub(crate) const ATTEMPTS: u32 = 4;

/// Text of an error (include/uapi/linux/netlink.h; libc has it for no target).
const NLMSGERR_ATTR_MSG: u16 = 1;

/// Whether all parts of a dump are of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dump {
    /// All parts are of one moment.
    Whole,
    /// Something changed in between (NLM_F_DUMP_INTR) or a part was lost: an object may be missing
    /// or be there twice.
    Torn,
}

/// Longest wait for an answer. The kernel has done a request when the send returns, so that this
/// ends a wait for an answer that was lost.
const PATIENCE: TimeVal = TimeVal::new(10, 0);

/// A netlink socket of the namespace in which it was opened.
pub struct Socket {
    raw: RawSocket,
    protocol: isize,
    sequence: u32,
    buffer: Vec<u8>,
    /// An answer was not read to its end. The kernel refuses the next request of a socket whose dump is
    /// under way.
    spoiled: bool,
}

impl Socket {
    /// Opens one for rtnetlink in the calling thread's namespace.
    pub fn open() -> Result<Self, Refusal> {
        Self::of(NETLINK_ROUTE)
    }

    /// Opens one for nfnetlink in the calling thread's namespace.
    pub fn open_netfilter() -> Result<Self, Refusal> {
        Self::of(NETLINK_NETFILTER)
    }

    /// Opens one for generic netlink in the calling thread's namespace.
    pub(crate) fn open_generic() -> Result<Self, Refusal> {
        Self::of(NETLINK_GENERIC)
    }

    /// Takes a netlink socket that another process opened for nfnetlink.
    pub fn adopt_netfilter(socket: OwnedFd) -> Self {
        // SAFETY: the descriptor is owned, and its ownership passes on.
        let raw = unsafe { RawSocket::from_raw_fd(socket.into_raw_fd()) };
        Socket {
            raw,
            protocol: NETLINK_NETFILTER,
            sequence: 0,
            buffer: Vec::new(),
            spoiled: false,
        }
    }

    /// Overwrites what was received, which may have held keys.
    pub(crate) fn wipe(&mut self) {
        self.buffer.fill(0);
        // It is not read again, and writing it must not be left out for that.
        std::hint::black_box(&self.buffer);
    }

    fn of(protocol: isize) -> Result<Self, Refusal> {
        Ok(Socket {
            raw: connect(protocol)?,
            protocol,
            sequence: 0,
            buffer: vec![0; BUFFER],
            spoiled: false,
        })
    }

    /// The socket itself, for ioctls and socket options.
    pub fn raw(&self) -> &RawSocket {
        &self.raw
    }

    /// Sends a request that changes something and waits for the acknowledgement.
    pub fn change(&mut self, request: Request) -> Result<(), Refusal> {
        self.exchange(request, |_| Ok(())).map(|_| ())
    }

    /// Sends a GET message (`RTM_GET*`) as a dump, again while the dump is torn. Objects of a torn dump are
    /// kept: they existed a moment ago, and the next scan finds them gone. To drop them would lose those
    /// that the next dump skips.
    pub fn dump(
        &mut self,
        kind: u16,
        message: &impl Emitable,
        mut each: impl FnMut(&Message<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Refusal> {
        for _ in 0..ATTEMPTS {
            let request = Request::of(kind, libc::NLM_F_DUMP, message);
            if self.exchange(request, |message| each(&message))? == Dump::Whole {
                break;
            }
        }
        Ok(())
    }

    /// Sends a request without waiting for an answer. Were it lost, nobody would know.
    pub fn post(&mut self, mut request: Request) {
        let _ = self.raw.send(request.finish(0), libc::MSG_DONTWAIT);
    }

    /// Sends a request and gives each message of the answer to `each`, until the kernel says that it
    /// was the last. One that carries neither NLM_F_DUMP nor NLM_F_ACK has a single message as its answer.
    pub fn exchange(
        &mut self,
        mut request: Request,
        mut each: impl FnMut(Message<'_>) -> Result<(), Malformed>,
    ) -> Result<Dump, Refusal> {
        let sequence = self.begin()?;
        let many = request.has_many_answers();
        self.send(request.finish(sequence))?;
        let mut dump = Dump::Whole;
        let end = self.answers(sequence, |received| {
            let Received::Message(message) = received else {
                dump = Dump::Torn;
                return Ok(Continue(()));
            };
            if message.flags & libc::NLM_F_DUMP_INTR as u16 != 0 {
                dump = Dump::Torn;
            }
            Ok(match libc::c_int::from(message.kind) {
                libc::NLMSG_NOOP => Continue(()),
                libc::NLMSG_ERROR | libc::NLMSG_DONE => Break(refusal(&message)),
                _ => {
                    each(message)?;
                    if many { Continue(()) } else { Break(None) }
                }
            })
        })?;
        self.spoiled = false;
        end.map_or(Ok(dump), Err)
    }

    /// Sends requests that nfnetlink does all or none: those between the first, which begins a batch, and
    /// the last, which ends it. The last but one carries NLM_F_ACK.
    pub fn batch(&mut self, mut requests: Vec<Request>) -> Result<(), Refusal> {
        let begin = self.begin()?;
        let mut bytes = Vec::new();
        for (number, request) in requests.iter_mut().enumerate() {
            let sequence = if number == 0 { begin } else { self.next() };
            bytes.extend_from_slice(request.finish(sequence));
        }
        let last = self.sequence.wrapping_sub(1);
        if bytes.len() > QUEUE / 8 {
            setsockopt(&self.raw, sockopt::SndBufForce, &bytes.len().saturating_mul(4))?;
        }
        self.send(&bytes)?;
        let mut refused = None;
        let whole = self.answers(begin, |received| {
            let Received::Message(message) = received else {
                return Err(Errno::EMSGSIZE.into());
            };
            if libc::c_int::from(message.kind) != libc::NLMSG_ERROR {
                return Ok(Continue(()));
            }
            let this = refusal(&message);
            let of_all = message.sequence == begin && this.is_some();
            refused = refused.take().or(this);
            // An error of the whole batch answers its beginning, and may be the only answer
            // (`nfnetlink_rcv_batch`, net/netfilter/nfnetlink.c).
            let ends = of_all || message.sequence == last;
            Ok(if ends { Break(!of_all) } else { Continue(()) })
        })?;
        self.spoiled = !whole;
        refused.map_or(Ok(()), Err)
    }

    /// Makes the socket ready for a request, and returns the request's number.
    fn begin(&mut self) -> Result<u32, Refusal> {
        if self.spoiled {
            self.raw = connect(self.protocol)?;
            self.spoiled = false;
        }
        Ok(self.next())
    }

    fn next(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.spoiled = true;
        again(|| self.raw.send(bytes, 0))?;
        Ok(())
    }

    /// Gives the answers to the requests from number `first` on to `each`, until that breaks off; an
    /// error means that the last answer was not reached.
    fn answers<T>(
        &mut self,
        first: u32,
        mut each: impl FnMut(Received<'_>) -> Result<ControlFlow<T>, Refusal>,
    ) -> Result<T, Refusal> {
        let sent = self.sequence.wrapping_sub(first);
        loop {
            let received = receive(&self.raw, &mut self.buffer, |received| match received {
                Received::Message(message) if message.sequence.wrapping_sub(first) > sent => Ok(Continue(())),
                _ => each(received),
            });
            if let Break(end) = received? {
                return Ok(end);
            }
        }
    }
}

/// A socket that receives the notifications of multicast groups.
pub struct Listener {
    raw: RawSocket,
    buffer: Vec<u8>,
}

impl Listener {
    /// Opens one for a protocol (`NETLINK_*`) in the calling thread's namespace. The kernel may queue so
    /// many bytes.
    pub fn open(protocol: isize, queue: usize) -> Result<Self, Refusal> {
        let mut raw = RawSocket::new(protocol)?;
        // The limit of net.core.rmem_max is for those without privilege.
        setsockopt(&raw, sockopt::RcvBufForce, &queue)
            .or_else(|_| setsockopt(&raw, sockopt::RcvBuf, &queue))?;
        raw.bind_auto()?;
        raw.set_non_blocking(true)?;
        let buffer = vec![0; BUFFER];
        Ok(Listener { raw, buffer })
    }

    /// Joins a group (`RTNLGRP_*`, `NFNLGRP_*`), or leaves it.
    pub fn follow(&mut self, group: u32, on: bool) -> Result<(), Refusal> {
        let done = match on {
            true => self.raw.add_membership(group),
            false => self.raw.drop_membership(group),
        };
        done.map_err(Refusal::from)
    }

    /// Gives what was received since to `each`, without waiting. More may be left when it returns true.
    pub fn take(&mut self, mut each: impl FnMut(Received<'_>)) -> bool {
        for _ in 0..AT_ONCE {
            let received = receive(&self.raw, &mut self.buffer, |received| {
                each(received);
                Ok(Continue::<()>(()))
            });
            match received.map_err(|refusal| refusal.errno) {
                Ok(_) => {}
                Err(Errno::EAGAIN) => return false,
                // The queue was full, which is reported once, or a message makes no sense. More can be
                // received in either case.
                Err(Errno::ENOBUFS | Errno::EBADMSG | Errno::EMSGSIZE) => each(Received::Lost),
                Err(_) => {
                    each(Received::Lost);
                    return false;
                }
            }
        }
        true
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.raw.as_fd()
    }
}

/// A part of what a socket received.
#[derive(Clone, Copy, Debug)]
pub enum Received<'a> {
    /// A message.
    Message(Message<'a>),
    /// Messages were lost: the queue was full, one was longer than the buffer, or makes no sense.
    Lost,
}

/// Receives once and gives each message to `each`, until that breaks off. The buffer grows where a
/// message is longer, for the next one.
fn receive<T>(
    raw: &RawSocket,
    buffer: &mut Vec<u8>,
    mut each: impl FnMut(Received<'_>) -> Result<ControlFlow<T>, Refusal>,
) -> Result<ControlFlow<T>, Refusal> {
    let length = again(|| raw.recv(&mut buffer.as_mut_slice(), libc::MSG_TRUNC))?;
    if length > BUFFER_MAX / 2 {
        return Err(Errno::EMSGSIZE.into());
    }
    let Some(received) = buffer.get(..length) else {
        buffer.resize(length.saturating_mul(2), 0);
        return each(Received::Lost);
    };
    for message in Messages(received) {
        let message = message?;
        let part = match libc::c_int::from(message.kind) {
            libc::NLMSG_OVERRUN => Received::Lost,
            _ => Received::Message(message),
        };
        if let Break(end) = each(part)? {
            return Ok(Break(end));
        }
    }
    Ok(Continue(()))
}

/// A socket of the calling thread's namespace that receives from the kernel alone.
fn connect(protocol: isize) -> Result<RawSocket, Refusal> {
    let mut raw = RawSocket::new(protocol)?;
    raw.bind_auto()?;
    raw.connect(&SocketAddr::new(0, 0))?;
    raw.set_ext_ack(true)?;
    raw.set_cap_ack(true)?;
    // Strict checking makes the kernel refuse filters it does not know instead of ignoring them; it
    // came with Linux 4.20, and nothing here depends on it.
    let _ = raw.set_netlink_get_strict_chk(true);
    raw.set_rx_buf_sz(QUEUE as libc::c_int)?;
    setsockopt(&raw, sockopt::ReceiveTimeout, &PATIENCE)?;
    Ok(raw)
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Refusal {
            errno: Errno::EBADMSG,
            text: Some(malformed.to_string()),
        }
    }
}

/// Reads NLMSG_ERROR, where 0 is an acknowledgement, and NLMSG_DONE, which has the dump's result.
fn refusal(message: &Message<'_>) -> Option<Refusal> {
    let code = u32_at(message.payload, 0).unwrap_or(0).cast_signed();
    if code == 0 {
        return None;
    }
    // After the code an error repeats the header of the request, and with it the whole request
    // unless NLM_F_CAPPED; the attributes follow.
    let fixed = match libc::c_int::from(message.kind) {
        libc::NLMSG_DONE => 4,
        _ if message.flags & libc::NLM_F_CAPPED as u16 != 0 => 20,
        _ => 4 + u32_at(message.payload, 4).unwrap_or(16) as usize,
    };
    let text = (message.flags & libc::NLM_F_ACK_TLVS as u16 != 0)
        .then(|| message.payload.get(fixed..))
        .flatten()
        .and_then(|rest| {
            Attributes(rest)
                .flatten()
                .find(|attribute| attribute.kind == NLMSGERR_ATTR_MSG)
        })
        .map(|attribute| String::from_utf8_lossy(attribute.string()).into_owned());
    Some(Refusal {
        errno: Errno::from_raw(code.saturating_neg()),
        text,
    })
}

/// Calls again while a signal interrupts.
fn again<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(flags: libc::c_int, payload: &[u8]) -> Option<Refusal> {
        refusal(&Message {
            kind: libc::NLMSG_ERROR as u16,
            flags: flags as u16,
            sequence: 1,
            payload,
        })
    }

    #[test]
    fn an_error_carries_its_text() {
        let mut payload = (-22i32).to_ne_bytes().to_vec();
        payload.extend_from_slice(&[0; 16]);
        assert_eq!(error(0, &payload).unwrap().text, None);
        payload.extend_from_slice(&[8, 0, 1, 0, b'n', b'o', 0, 0]);
        let refusal = error(libc::NLM_F_CAPPED | libc::NLM_F_ACK_TLVS, &payload).unwrap();
        assert_eq!(refusal.errno, Errno::EINVAL);
        assert_eq!(refusal.text.as_deref(), Some("no"));
        assert_eq!(error(0, &0i32.to_ne_bytes()), None);
        assert_eq!(error(0, &[]), None);
        let lowest = i32::MIN.to_ne_bytes();
        assert!(error(libc::NLM_F_ACK_TLVS, &lowest).is_some());
    }
}
