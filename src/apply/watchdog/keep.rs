//! The process that keeps the promise of `--confirm-within`: it waits in boot time, undoes at the deadline
//! or when a signal ends it, and tries until everything is undone and written down.

use std::env;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::clock::since_boot;
use crate::recover::{Cause, Undone};
use crate::store::Store;
use crate::watchdog::fd_store;
use crate::watchdog::fd_store::Restored;
use crate::watchdog::handover::{Handover, by_descriptor};
use crate::watchdog::watched::{Attempt, Watched};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_kernel::namespace::enter;
use netkeel_kernel::process::signals::ENDING;

/// How often it looks at the clock and at the journal where nothing wakes it: poll(2) waits in a clock that
/// stands still while the host is suspended.
const LOOK: Duration = Duration::from_secs(1);

/// The first pause before it is tried again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// The apply to watch.
#[derive(Clone, Debug)]
pub struct Order {
    /// The apply.
    pub transaction: String,
    /// The deadline, in time since boot.
    pub until: Duration,
    /// The handover of the apply, or its namespaces only.
    pub handover: Option<Handover>,
    /// The namespace of the apply.
    pub netns: Netns,
    /// The name of the watchdog, noted in the lock.
    pub actor: String,
}

/// Receives what the watchdog has to say.
pub trait Reports {
    /// From here on no end of the session ends it.
    ///
    /// # Errors
    /// The watchdog ends then; the apply that started it writes nothing.
    fn armed(&mut self) -> Result<(), Error>;

    /// It undid the apply, whole or not.
    fn undone(&mut self, undone: &Undone);

    /// It could not, and tries again.
    fn failed(&mut self, error: &Error);
}

/// Watches an apply until it is confirmed or undone.
///
/// # Errors
/// When it cannot be armed. From then on nothing but SIGKILL ends it before the apply is over.
pub fn keep(order: &Order, reports: &mut dyn Reports) -> Result<(), Error> {
    let signals = signals()?;
    let ready = Ready::new();
    let restored = Restored::here();
    let received = order
        .handover
        .as_ref()
        .and_then(|handover| handover.receive(&order.transaction))
        .or_else(|| restored.as_ref()?.received());
    if let Some(handover) = &order.handover {
        let entered = match (handover.enter(), &restored) {
            (Err(_), Some(restored)) => restored.enter(handover.home()),
            (entered, _) => entered,
        };
        entered.map_err(|error| {
            error
                .context("the watchdog cannot go to where the apply was")
                .hint("the next netkeel command there undoes the apply, and so does its service")
        })?;
        if received.is_none() && handover.is_hidden() {
            return Err(Error::new(
                ErrorKind::Permission,
                "the watchdog cannot open the journals of the apply in /proc",
            ));
        }
    }
    // In its own session the watchdog receives neither Ctrl-C nor a hangup. One that systemd started leads
    // a session already.
    let _ = nix::unistd::setsid();
    // Processes may live in the namespace after its name was removed.
    enter::hold(&order.netns)?;
    let store = Store::open(&order.netns)?;
    let _alive = match store.watchdog(&order.transaction) {
        Ok(Some(alive)) => Some(alive),
        Ok(None) => {
            // Another one watches it.
            reports.armed()?;
            ready.say();
            return Ok(());
        }
        // The state directory broke since the apply began: the promise does not depend on it.
        Err(_) if restored.is_some() && received.is_some() => None,
        Err(error) => return Err(error),
    };
    if let Some(socket) = &ready.0 {
        fd_store::keep(socket, received.as_ref());
    }
    let wakes = received
        .as_ref()
        .and_then(|received| wakes(&by_descriptor(&received.journal)));
    let (netns, transaction) = (order.netns.clone(), order.transaction.clone());
    let mut watched = Watched::new(store, netns, transaction, received);
    reports.armed()?;
    ready.say();
    let mut waits = Waits { signals, wakes };
    let mut cause = Cause::Expired;
    loop {
        if watched.is_over() {
            return Ok(());
        }
        let left = order.until.saturating_sub(since_boot());
        if left.is_zero() {
            break;
        }
        if waits.signalled(left.min(LOOK)) {
            cause = Cause::Stopped;
            break;
        }
    }
    let due = since_boot();
    let (mut pause, longest) = PAUSES;
    loop {
        match watched.attempt(&order.actor, cause, due) {
            Ok(Attempt::Over) => return Ok(()),
            Ok(Attempt::Undone(undone)) => {
                reports.undone(&undone);
                if undone.is_whole() {
                    return Ok(());
                }
            }
            Ok(Attempt::Again) => {}
            Err(error) => reports.failed(&error),
        }
        // A signal has it tried again at once. It does not end it: what is promised is not kept yet.
        waits.signalled(pause);
        pause = (pause * 2).min(longest);
    }
}

/// The signals that ask a process to end: the apply is undone at once then, while there is time.
fn signals() -> Result<SignalFd, Error> {
    let failed = |errno| {
        Error::new(
            ErrorKind::Refused,
            format!("the watchdog cannot take signals: {errno}"),
        )
    };
    let mut set = SigSet::empty();
    for signal in ENDING {
        set.add(signal);
    }
    set.thread_block().map_err(failed)?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(failed)
}

/// Wakes when the journal changes; none where there are no watches left: it is looked at once a second too.
fn wakes(path: &str) -> Option<Inotify> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok()?;
    inotify.add_watch(path, AddWatchFlags::IN_MODIFY).ok()?;
    Some(inotify)
}

struct Waits {
    signals: SignalFd,
    wakes: Option<Inotify>,
}

impl Waits {
    /// Waits no longer than that, or until something happens; whether a signal came.
    fn signalled(&mut self, longest: Duration) -> bool {
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        fds.extend(
            self.wakes
                .as_ref()
                .map(|wakes| PollFd::new(wakes.as_fd(), PollFlags::POLLIN)),
        );
        // Rounded up: what is left of a millisecond is not waited for by spinning.
        let milliseconds = longest.as_nanos().div_ceil(1_000_000);
        let timeout = PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX);
        let _ = poll(&mut fds, timeout);
        if let Some(wakes) = &self.wakes {
            let _ = wakes.read_events();
        }
        let mut came = false;
        while let Ok(Some(_)) = self.signals.read_signal() {
            came = true;
        }
        came
    }
}

/// Tells systemd that the watchdog is ready (sd_notify(3)). Connected before the namespaces of the apply
/// are entered: the socket may not be found there.
struct Ready(Option<UnixDatagram>);

impl Ready {
    fn new() -> Self {
        let path = env::var_os("NOTIFY_SOCKET");
        let address = path.and_then(|path| match path.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name).ok(),
            None => SocketAddr::from_pathname(path).ok(),
        });
        let socket = address.and_then(|address| {
            let socket = UnixDatagram::unbound().ok()?;
            socket.connect_addr(&address).ok()?;
            // A systemd that does not read must not keep it from its work.
            socket.set_write_timeout(Some(LOOK)).ok()?;
            Some(socket)
        });
        Ready(socket)
    }

    fn say(&self) {
        if let Some(socket) = &self.0 {
            let _ = socket.send(b"READY=1");
        }
    }
}
