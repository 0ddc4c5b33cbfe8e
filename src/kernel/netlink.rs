//! A blocking netlink socket: sends one request and gathers its answers, tells a whole dump from
//! a torn one, and turns the kernel's no into a [`Refusal`] with the text it gives.

use std::io;

use netlink_sys::protocols::{NETLINK_GENERIC, NETLINK_NETFILTER, NETLINK_ROUTE};
use netlink_sys::{Socket as RawSocket, SocketAddr};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

use super::message::{Attributes, Malformed, Message, Messages, Request, u32_at};
use super::refusal::Refusal;

/// Receive buffer in bytes. A dump comes in parts of at most 32 KiB (`netlink_dump`,
/// net/netlink/af_netlink.c); a single message may be longer, then the buffer grows.
const BUFFER: usize = 64 * 1024;

/// Longest single message in bytes that is believed.
const BUFFER_MAX: usize = 16 * 1024 * 1024;

/// Bytes the kernel may queue, whatever `net.core.rmem_default` was set to: an answer that does not
/// fit is lost, and the change it was for is done all the same.
const QUEUE: usize = 1024 * 1024;

/// How often a dump is taken when it is torn each time.
pub(crate) const ATTEMPTS: u32 = 4;

/// Text of a refusal: NLMSGERR_ATTR_MSG (include/uapi/linux/netlink.h).
const ERROR_TEXT: u16 = 1;

/// Whether all parts of a dump are of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dump {
    /// They are.
    Whole,
    /// Something changed in between (NLM_F_DUMP_INTR) or a part was lost: an object may be missing
    /// or be there twice.
    Torn,
}

/// Longest wait for an answer. The kernel has done a request when the send returns, so that this
/// ends a wait for an answer that was lost.
const PATIENCE: TimeVal = TimeVal::new(10, 0);

/// A netlink socket of the namespace in which it was opened.
pub(crate) struct Socket {
    raw: RawSocket,
    protocol: isize,
    sequence: u32,
    buffer: Vec<u8>,
    /// An answer was given up half read: the kernel refuses the next request of a socket whose dump
    /// is under way.
    spoiled: bool,
}

impl Socket {
    /// Opens one for rtnetlink in the calling thread's namespace.
    pub(crate) fn open() -> Result<Self, Refusal> {
        Self::of(NETLINK_ROUTE)
    }

    /// Opens one for nfnetlink in the calling thread's namespace.
    pub(super) fn open_netfilter() -> Result<Self, Refusal> {
        Self::of(NETLINK_NETFILTER)
    }

    /// Opens one for generic netlink in the calling thread's namespace.
    pub(super) fn open_generic() -> Result<Self, Refusal> {
        Self::of(NETLINK_GENERIC)
    }

    /// Overwrites what was received, which may have held keys.
    pub(super) fn wipe(&mut self) {
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

    /// The socket itself, for ioctls.
    pub(super) fn raw(&self) -> &RawSocket {
        &self.raw
    }

    /// Sends a request that changes something and waits for the kernel's word.
    pub(crate) fn change(&mut self, request: Request) -> Result<(), Refusal> {
        self.exchange(request, |_| Ok(())).map(|_| ())
    }

    /// Sends a request and gives each message of the answer to `each`, until the kernel says that it
    /// was the last. One that carries neither NLM_F_DUMP nor NLM_F_ACK has a single message as its answer.
    pub(crate) fn exchange(
        &mut self,
        mut request: Request,
        each: impl FnMut(Message<'_>) -> Result<(), Malformed>,
    ) -> Result<Dump, Refusal> {
        if self.spoiled {
            self.raw = connect(self.protocol)?;
        }
        self.spoiled = true;
        self.sequence = self.sequence.wrapping_add(1);
        again(|| self.raw.send(request.finish(self.sequence), 0))?;
        match self.answer(request.has_many_answers(), each)? {
            Answer::Refused(refusal) => {
                self.spoiled = false;
                Err(refusal)
            }
            Answer::Done(dump) => {
                self.spoiled = false;
                Ok(dump)
            }
        }
    }

    /// Sends requests that are done all or none, as nfnetlink does what stands between the beginning
    /// and the end of a batch. The last but one carries NLM_F_ACK.
    pub(super) fn batch(&mut self, mut requests: Vec<Request>) -> Result<(), Refusal> {
        if self.spoiled {
            self.raw = connect(self.protocol)?;
        }
        self.spoiled = true;
        let begin = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        for request in &mut requests {
            self.sequence = self.sequence.wrapping_add(1);
            bytes.extend_from_slice(request.finish(self.sequence));
        }
        let last = self.sequence.wrapping_sub(1);
        if bytes.len() > QUEUE / 8 {
            setsockopt(&self.raw, sockopt::SndBufForce, &bytes.len().saturating_mul(4))?;
        }
        again(|| self.raw.send(&bytes, 0))?;
        let mut refused = None;
        loop {
            let length = again(|| self.raw.recv(&mut &mut *self.buffer, libc::MSG_TRUNC))?;
            let Some(received) = self.buffer.get(..length) else {
                return Err(Errno::EMSGSIZE.into());
            };
            for message in Messages(received) {
                let message = message?;
                let answers = message.sequence.wrapping_sub(begin) <= last.wrapping_sub(begin);
                if libc::c_int::from(message.kind) != libc::NLMSG_ERROR || !answers {
                    continue;
                }
                let this = refusal(&message);
                let of_all = message.sequence == begin && this.is_some();
                refused = refused.or(this);
                // What is wrong with the batch is said of its beginning, and may be all that is
                // said (`nfnetlink_rcv_batch`, net/netfilter/nfnetlink.c).
                if of_all || message.sequence == last {
                    self.spoiled = of_all;
                    return refused.map_or(Ok(()), Err);
                }
            }
        }
    }

    /// Reads until the last message of the answer; an error means that it was not reached.
    fn answer(
        &mut self,
        many: bool,
        mut each: impl FnMut(Message<'_>) -> Result<(), Malformed>,
    ) -> Result<Answer, Refusal> {
        let mut dump = Dump::Whole;
        loop {
            let length = again(|| self.raw.recv(&mut &mut *self.buffer, libc::MSG_TRUNC))?;
            let Some(received) = self.buffer.get(..length) else {
                // The rest of a message that is longer than the buffer is gone.
                let larger = length.saturating_mul(2);
                if larger > BUFFER_MAX {
                    return Err(Errno::EMSGSIZE.into());
                }
                self.buffer.resize(larger, 0);
                dump = Dump::Torn;
                continue;
            };
            for message in Messages(received) {
                let message = message?;
                if message.sequence != self.sequence {
                    continue;
                }
                if message.flags & libc::NLM_F_DUMP_INTR as u16 != 0 {
                    dump = Dump::Torn;
                }
                match libc::c_int::from(message.kind) {
                    libc::NLMSG_NOOP => {}
                    libc::NLMSG_OVERRUN => dump = Dump::Torn,
                    libc::NLMSG_ERROR | libc::NLMSG_DONE => {
                        return Ok(match refusal(&message) {
                            Some(refusal) => Answer::Refused(refusal),
                            None => Answer::Done(dump),
                        });
                    }
                    _ => {
                        each(message)?;
                        if !many {
                            return Ok(Answer::Done(dump));
                        }
                    }
                }
            }
        }
    }
}

/// How an exchange ended.
enum Answer {
    Done(Dump),
    Refused(Refusal),
}

/// A socket of the calling thread's namespace that hears nobody but the kernel.
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
                .find(|attribute| attribute.kind == ERROR_TEXT)
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
