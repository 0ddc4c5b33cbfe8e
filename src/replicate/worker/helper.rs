//! The worker's privileged helper: a process that does what needs CAP_NET_ADMIN, so that the process that
//! reads packets does not have it. It binds NFLOG groups, sets their batch size, and makes the kernel resolve
//! neighbours. It reads no packet.

#![expect(unsafe_code, reason = "fork")]

use std::fs::OpenOptions;
use std::io::{IoSlice, IoSliceMut};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, recvmsg, send, sendmsg, socketpair,
};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, dup2_stdin, dup2_stdout, fork};
use serde::{Deserialize, Serialize};

use crate::handover::{Channel, Message, descriptor};
use crate::privileges;
use crate::role::Role;
use crate::worker::{bind, neighbours};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_kernel::netlink::refusal::error;
use netkeel_kernel::netlink::socket::Socket;

/// A request of the worker. A captured worker can send any of them: each has to do with packets only.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Request {
    /// Bind a group, and answer with its socket. Another group before stays bound until [`Request::Release`]. The
    /// first request may be answered with a socket that the service before has bound.
    Bind(u16),
    /// Release all groups except the last.
    Release,
    /// Change the batch size of the last group.
    Pace(bind::Batch),
    /// Resolve a neighbour.
    Resolve(u32, IpAddr),
}

/// The answer to [`Request::Bind`]; the socket comes with the message.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    /// The message and the hints of an error.
    failed: Option<(String, Vec<String>)>,
    /// Whether the service before has bound the socket.
    kept: bool,
}

/// A socket of a group.
pub(crate) struct Bound {
    /// The socket.
    pub socket: OwnedFd,
    /// Whether the service before has bound it.
    pub kept: bool,
}

/// Longest request or answer, bytes.
const LONGEST: usize = 4096;

/// The worker's connection to its helper. The helper ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Helper {
    connection: Option<OwnedFd>,
    process: Pid,
}

impl Helper {
    /// Starts the helper. Call it before the process has a second thread or a file of its own.
    ///
    /// # Errors
    /// When the kernel refuses another process.
    pub fn start() -> Result<Self, Error> {
        let handover = take_channel();
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).map_err(error)?;
        // SAFETY: the worker has one thread at this point, so the copy of its memory is consistent.
        match unsafe { fork() }.map_err(error)? {
            ForkResult::Parent { child } => Ok(Helper {
                connection: Some(ours),
                process: child,
            }),
            ForkResult::Child => {
                drop(ours);
                let done = detach().and_then(|()| serve(&theirs, handover));
                std::process::exit(i32::from(done.is_err()))
            }
        }
    }

    /// Binds a group. Its packets queue up in the socket from then on.
    ///
    /// # Errors
    /// When another program has bound the group, and when the helper has ended.
    pub(crate) fn bind(&self, group: u16) -> Result<Bound, Error> {
        self.send(&Request::Bind(group), MsgFlags::empty())?;
        let mut bytes = [0; LONGEST];
        let mut rights = nix::cmsg_space!(RawFd);
        let mut pieces = [IoSliceMut::new(&mut bytes)];
        let connection = self.connection()?.as_raw_fd();
        let message = again(|| {
            recvmsg::<()>(
                connection,
                &mut pieces,
                Some(&mut rights),
                MsgFlags::MSG_CMSG_CLOEXEC,
            )
            .map(|message| (message.bytes, descriptor(message.cmsgs())))
        });
        let (length, socket) = message.map_err(error)?;
        let answer: Answer =
            serde_json::from_slice(bytes.get(..length).unwrap_or_default()).map_err(|_| ended())?;
        match (answer.failed, socket) {
            (Some((message, hints)), _) => {
                let error = Error::new(ErrorKind::Refused, message);
                Err(hints.into_iter().fold(error, Error::hint))
            }
            (None, Some(socket)) => Ok(Bound {
                socket,
                kept: answer.kept,
            }),
            (None, None) => Err(ended()),
        }
    }

    /// Releases the groups that were bound before the last one.
    ///
    /// # Errors
    /// When the helper has ended.
    pub fn release(&self) -> Result<(), Error> {
        self.send(&Request::Release, MsgFlags::empty())
    }

    /// Changes the batch size. If the helper is behind, the size stays until the next change.
    pub fn pace(&self, batch: bind::Batch) {
        let _ = self.send(&Request::Pace(batch), MsgFlags::MSG_DONTWAIT);
    }

    /// Makes the kernel resolve a neighbour. If the helper is behind, the worker asks again later.
    pub fn resolve(&self, link: u32, address: IpAddr) {
        let _ = self.send(&Request::Resolve(link, address), MsgFlags::MSG_DONTWAIT);
    }

    /// Fails when the helper has ended. The worker must then end too, and is started again.
    pub fn check(&self) -> Result<(), Error> {
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        match recv(self.connection()?.as_raw_fd(), &mut [0], flags) {
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
            _ => Err(ended()),
        }
    }

    fn connection(&self) -> Result<&OwnedFd, Error> {
        self.connection.as_ref().ok_or_else(ended)
    }

    fn send(&self, request: &Request, flags: MsgFlags) -> Result<(), Error> {
        let bytes = serde_json::to_vec(request).map_err(|_| ended())?;
        let connection = self.connection()?.as_raw_fd();
        again(|| send(connection, &bytes, flags | MsgFlags::MSG_NOSIGNAL)).map_err(error)?;
        Ok(())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // The helper ends when its connection closes. It must not stay behind for process 1 to reap.
        self.connection = None;
        let _ = waitpid(self.process, None);
    }
}

fn ended() -> Error {
    Error::new(ErrorKind::Refused, "the worker's helper process ended")
}

/// Repeats a call that a signal interrupted.
fn again<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            done => return done,
        }
    }
}

/// Takes the service's channel from standard output, so that only the helper has it. Without a service there is
/// none.
fn take_channel() -> Option<Channel> {
    let output = std::io::stdout().as_fd().try_clone_to_owned().ok()?;
    let channel = Channel::given(output)?;
    let nothing = OpenOptions::new().write(true).open("/dev/null").ok()?;
    dup2_stdout(&nothing).ok()?;
    Some(channel)
}

/// Leaves the service's connection to the worker: it must close when the worker ends.
fn detach() -> Result<(), Error> {
    let nothing = OpenOptions::new().read(true).open("/dev/null").map_err(error)?;
    dup2_stdin(&nothing).map_err(error)
}

/// The helper itself: does what the worker asks until the connection closes.
fn serve(connection: &OwnedFd, mut handover: Option<Channel>) -> Result<(), Error> {
    let mut routes = Socket::open()?;
    privileges::give_up(Role::Helper)?;
    let mut kept = match handover.as_ref().map(Channel::receive) {
        Some(Message::Group(group)) => Some(group),
        Some(Message::Asked | Message::Nothing | Message::Ended) | None => None,
    };
    let mut bound: Vec<(u16, Socket)> = Vec::new();
    let mut bytes = [0; LONGEST];
    loop {
        if let Some(channel) = &handover {
            let (requested, asked) = wait(connection, channel)?;
            if asked && !answer_service(channel, bound.last()) {
                handover = None;
            }
            if !requested {
                continue;
            }
        }
        let length = again(|| recv(connection.as_raw_fd(), &mut bytes, MsgFlags::empty())).map_err(error)?;
        let request = bytes.get(..length).filter(|request| !request.is_empty());
        let Some(request) = request else {
            return Ok(());
        };
        match serde_json::from_slice(request).map_err(|_| ended())? {
            Request::Bind(group) => {
                let taken = kept.take().filter(|kept| kept.number() == group);
                let is_kept = taken.is_some();
                let made = match taken {
                    Some(kept) => Ok(Socket::adopt_netfilter(kept.into_socket())),
                    None => match bound.last_mut() {
                        Some((number, before)) if *number == group => bind::rebind(before, group),
                        Some(_) | None => bind::bind(group),
                    },
                };
                match made {
                    Ok(socket) => {
                        answer(connection, None, is_kept, &[socket.raw().as_raw_fd()])?;
                        bound.push((group, socket));
                    }
                    Err(error) => answer(connection, Some((error.message, error.hints)), false, &[])?,
                }
            }
            Request::Release => drop(bound.drain(..bound.len().saturating_sub(1))),
            Request::Pace(batch) => {
                if let Some((group, socket)) = bound.last_mut() {
                    bind::pace(socket, *group, batch);
                }
            }
            // The kernel rejects this for an interface that is down; the worker asks again later.
            Request::Resolve(link, address) => {
                let _ = neighbours::resolve(&mut routes, link, address);
            }
        }
    }
}

/// Waits for the worker or the service: whether each of them has sent something, or has ended.
fn wait(connection: &OwnedFd, channel: &Channel) -> Result<(bool, bool), Error> {
    let mut wanted = [
        PollFd::new(connection.as_fd(), PollFlags::POLLIN),
        PollFd::new(channel.as_fd(), PollFlags::POLLIN),
    ];
    again(|| ppoll(&mut wanted, None, None)).map_err(error)?;
    let [requested, asked] = wanted.map(|one| one.any().unwrap_or(false));
    Ok((requested, asked))
}

/// Gives the socket of the current group to the service, which stops. Returns false when the service has ended.
fn answer_service(channel: &Channel, current: Option<&(u16, Socket)>) -> bool {
    match (channel.receive(), current) {
        (Message::Asked, Some((number, socket))) => {
            let _ = channel.pass(*number, socket.raw().as_fd());
        }
        (Message::Asked, None) => channel.answer_none(),
        (Message::Group(_) | Message::Nothing, _) => {}
        (Message::Ended, _) => return false,
    }
    true
}

fn answer(
    connection: &OwnedFd,
    failed: Option<(String, Vec<String>)>,
    kept: bool,
    descriptors: &[RawFd],
) -> Result<(), Error> {
    let bytes = serde_json::to_vec(&Answer { failed, kept }).map_err(|_| ended())?;
    let pieces = [IoSlice::new(&bytes)];
    let rights = [ControlMessage::ScmRights(descriptors)];
    let rights = if descriptors.is_empty() {
        &[][..]
    } else {
        &rights[..]
    };
    let flags = MsgFlags::MSG_NOSIGNAL;
    again(|| sendmsg::<()>(connection.as_raw_fd(), &pieces, rights, flags, None)).map_err(error)?;
    Ok(())
}
