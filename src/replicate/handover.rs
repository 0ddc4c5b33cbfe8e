//! Hands the socket of an NFLOG group from one run of the service to the next: packets that arrive in between
//! queue up in the socket, which systemd keeps (`FileDescriptorStoreMax=`, sd_pid_notify_with_fds(3)).

#![expect(unsafe_code, reason = "descriptors that systemd and messages pass")]

use std::env;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, NetlinkAddr, SockFlag, SockType,
    getsockname, getsockopt, recvmsg, sendmsg, socketpair, sockopt,
};

/// The first descriptor that systemd passes (SD_LISTEN_FDS_START).
const FIRST: RawFd = 3;

/// The prefix of a descriptor's name; the number of the group follows.
const PREFIX: &str = "nflog-";

/// How long the service waits for the worker's helper.
const PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 60_000 } else { 500 });

/// Asks the helper for the socket of the current group.
const ASK: &[u8] = b"?";

/// The bound socket of a group. While it is open, packets of the group queue up in it.
#[derive(Debug)]
pub struct KeptGroup {
    number: u16,
    socket: OwnedFd,
}

impl KeptGroup {
    /// The socket that systemd kept, if this is the first call and systemd passed one. Other descriptors are
    /// closed.
    pub fn passed() -> Option<Self> {
        /// A descriptor has one owner.
        static TAKEN: AtomicBool = AtomicBool::new(false);
        let number = |name: &str| env::var(name).ok()?.parse::<u32>().ok();
        if number("LISTEN_PID")? != std::process::id() || TAKEN.swap(true, Ordering::Relaxed) {
            return None;
        }
        let count = usize::try_from(number("LISTEN_FDS")?).ok()?;
        let names = env::var("LISTEN_FDNAMES").ok()?;
        let mut found = None;
        for (raw, name) in (FIRST..).zip(names.split(':')).take(count) {
            // SAFETY: systemd opened this descriptor for this process, and it is taken once.
            let socket = unsafe { OwnedFd::from_raw_fd(raw) };
            // Programs that netkeel starts do not inherit it.
            let closed = fcntl(&socket, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).is_ok();
            let group = name.strip_prefix(PREFIX).and_then(|number| number.parse().ok());
            if let (true, Some(number), true) = (closed, group, is_netlink(&socket)) {
                found = Some(KeptGroup { number, socket });
            }
        }
        found
    }

    /// The name of its descriptor for systemd (`FDNAME=`).
    pub fn name(&self) -> String {
        format!("{PREFIX}{}", self.number)
    }

    /// The number of the group.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    /// The socket.
    pub(crate) fn into_socket(self) -> OwnedFd {
        self.socket
    }
}

impl AsFd for KeptGroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn is_netlink(socket: &OwnedFd) -> bool {
    getsockname::<NetlinkAddr>(socket.as_raw_fd()).is_ok()
}

/// One end of the connection between the service and the worker's helper. It passes sockets, and the worker,
/// which reads packets, does not have it.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

impl Channel {
    /// Both ends.
    pub(crate) fn pair() -> nix::Result<(Self, OwnedFd)> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        Ok((Channel(ours), theirs))
    }

    /// The end that a process was given; `None` if the descriptor is anything else.
    pub(crate) fn given(descriptor: OwnedFd) -> Option<Self> {
        let kind = getsockopt(&descriptor, sockopt::SockType).ok()?;
        (kind == SockType::SeqPacket).then_some(Channel(descriptor))
    }

    /// Passes the socket of a group on.
    pub(crate) fn pass(&self, number: u16, socket: BorrowedFd<'_>) -> nix::Result<()> {
        self.send(number.to_string().as_bytes(), &[socket.as_raw_fd()])
    }

    /// Asks the helper for the socket of the current group; `None` when it does not have one or has ended.
    pub(crate) fn ask(&self) -> Option<KeptGroup> {
        self.send(ASK, &[]).ok()?;
        let mut wanted = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        poll(&mut wanted, PollTimeout::try_from(PATIENCE).ok()?).ok()?;
        match self.receive() {
            Message::Group(group) => Some(group),
            Message::Asked | Message::Nothing | Message::Ended => None,
        }
    }

    /// Answers that there is no group.
    pub(crate) fn answer_none(&self) {
        let _ = self.send(b"-", &[]);
    }

    /// The next message, without waiting.
    pub(crate) fn receive(&self) -> Message {
        let mut bytes = [0; 16];
        let mut rights = nix::cmsg_space!(RawFd);
        let mut pieces = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
        let received = recvmsg::<()>(self.0.as_raw_fd(), &mut pieces, Some(&mut rights), flags)
            .map(|message| (message.bytes, descriptor(message.cmsgs())));
        let (length, socket) = match received {
            Ok((0, _)) => return Message::Ended,
            Ok(received) => received,
            Err(Errno::EAGAIN | Errno::EINTR) => return Message::Nothing,
            Err(_) => return Message::Ended,
        };
        let text = bytes.get(..length).unwrap_or_default();
        if text == ASK {
            return Message::Asked;
        }
        let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        match (number, socket) {
            (Some(number), Some(socket)) => Message::Group(KeptGroup { number, socket }),
            _ => Message::Nothing,
        }
    }

    fn send(&self, bytes: &[u8], descriptors: &[RawFd]) -> nix::Result<()> {
        let pieces = [IoSlice::new(bytes)];
        let rights = [ControlMessage::ScmRights(descriptors)];
        let rights = if descriptors.is_empty() {
            &[][..]
        } else {
            &rights[..]
        };
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        sendmsg::<()>(self.0.as_raw_fd(), &pieces, rights, flags, None).map(|_| ())
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A message of the channel.
#[derive(Debug)]
pub(crate) enum Message {
    /// The socket of a group.
    Group(KeptGroup),
    /// The other side wants the socket of the current group.
    Asked,
    /// No message is there, or one without a meaning.
    Nothing,
    /// The other side has closed the channel.
    Ended,
}

/// The first descriptor of a message; further ones are closed.
pub(crate) fn descriptor(
    messages: nix::Result<impl Iterator<Item = ControlMessageOwned>>,
) -> Option<OwnedFd> {
    let mut found = Vec::new();
    for message in messages.ok()? {
        if let ControlMessageOwned::ScmRights(descriptors) = message {
            // SAFETY: the kernel made these descriptors for this message, and nothing else owns them.
            found.extend(
                descriptors
                    .into_iter()
                    .map(|raw| unsafe { OwnedFd::from_raw_fd(raw) }),
            );
        }
    }
    found.into_iter().next()
}

#[cfg(test)]
mod tests {
    use netkeel_kernel::netlink::socket::Socket;

    use super::*;

    #[test]
    fn a_socket_goes_through_the_channel_with_its_group() {
        let (service, theirs) = Channel::pair().unwrap();
        let helper = Channel::given(theirs).unwrap();
        assert!(matches!(helper.receive(), Message::Nothing));
        let socket = Socket::open_netfilter().unwrap();
        service.pass(33, socket.raw().as_fd()).unwrap();
        let Message::Group(group) = helper.receive() else {
            panic!("no group");
        };
        assert_eq!((group.number(), group.name().as_str()), (33, "nflog-33"));
        assert!(is_netlink(&group.into_socket()));

        let asked = std::thread::scope(|scope| {
            let answer = scope.spawn(|| {
                let mut wanted = [PollFd::new(helper.as_fd(), PollFlags::POLLIN)];
                poll(&mut wanted, PollTimeout::NONE).unwrap();
                assert!(matches!(helper.receive(), Message::Asked));
                helper.pass(34, socket.raw().as_fd()).unwrap();
            });
            let asked = service.ask();
            answer.join().unwrap();
            asked
        });
        assert_eq!(asked.map(|group| group.number()), Some(34));
        drop(helper);
        assert!(service.ask().is_none(), "the helper has ended");
        assert!(matches!(service.receive(), Message::Ended));
    }

    #[test]
    fn another_descriptor_is_no_channel() {
        let file = tempfile::tempfile().unwrap();
        assert!(Channel::given(OwnedFd::from(file)).is_none());
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(Channel::given(OwnedFd::from(one)).is_none());
    }
}
