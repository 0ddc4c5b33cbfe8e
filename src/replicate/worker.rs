//! The worker: reads an NFLOG group, judges, and sends copies. It is a process of its own, told what
//! to do by netkeel on its standard input, and ends when that ends.

mod neighbours;
mod nflog;
mod pace;
mod peers;
pub(crate) mod peers_of;
mod send;
mod system;

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::hash::RandomState;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, ppoll};
use nix::sys::prctl;
use nix::sys::time::TimeSpec;

use crate::control::Control;
use crate::message::{FromWorker, ToWorker};
use crate::privileges;
use crate::worker::nflog::{Group, Logged};
use crate::worker::peers::Peers;
use crate::worker::send::{PacketRange, Sender, Target};
use netkeel_core::error::Error;
use netkeel_core::replication::refusal::Refusal;
use netkeel_core::replication::settings::{Mode, Settings};
use netkeel_core::replication::statistics::{PeerState, PeerStatistics, Statistics, Targets};
use netkeel_kernel::netlink::refusal::error;
use netkeel_packet::copy;
use netkeel_packet::filter::{Arrival, Filter};
use netkeel_packet::limit::flow_hash::Key;
use netkeel_packet::limit::limiter::Limiter;
use netkeel_packet::read::read;
use netkeel_packet::refused::RefusalCounts;

/// What the process is called.
const NAME: &CStr = c"netkeel-worker";

/// Statistics are told so often, and so often it looks whether something is due.
const SECOND: Duration = Duration::from_secs(1);

/// So many messages are taken before other things get their turn.
const TURN: usize = 64;

/// Runs the worker until its standard input ends.
///
/// # Errors
/// What keeps it from working at all; it has told that too.
pub fn run() -> Result<(), Error> {
    // It is started by way of /proc/self/exe. Whoever looks who reads the group is to see who it is.
    let _ = prctl::set_name(NAME);
    let input = std::io::stdin().as_fd().try_clone_to_owned().map_err(error)?;
    let mut control = Control::new(UnixStream::from(input)).map_err(error)?;
    let outcome = serve(&mut control);
    if let Err(error) = &outcome {
        control.tell(&failed(error));
    }
    outcome
}

fn failed(error: &Error) -> FromWorker {
    FromWorker::Failed {
        message: error.message.clone(),
        hints: error.hints.clone(),
    }
}

fn serve(control: &mut Control) -> Result<(), Error> {
    let Some(settings) = first(control)? else {
        return Ok(());
    };
    let mut worker = Worker::new(settings)?;
    let uid = privileges::give_up()?;
    control.tell(&FromWorker::Configured { uid });
    control.tell(&worker.statistics());
    let mut told = Instant::now();
    loop {
        let now = Instant::now();
        worker.look(now)?;
        if now.saturating_duration_since(told) >= SECOND {
            told = now;
            worker.tick(now)?;
            // Whoever does not listen gets the next one.
            if !control.is_behind() {
                control.tell(&worker.statistics());
            }
            control.flush();
        }
        let until = worker.due().min(told + SECOND);
        let (packets, peers, heard) = wait(&worker, control, until)?;
        if packets {
            for _ in 0..TURN {
                if !worker.take()? {
                    break;
                }
            }
        }
        if peers {
            worker.hear_of_peers()?;
        }
        if heard {
            let heard = control.hear::<ToWorker>()?;
            for ToWorker::Configure(settings) in heard.messages {
                match worker.configure(*settings) {
                    Ok(()) => control.tell(&FromWorker::Configured { uid }),
                    Err(error) => control.tell(&failed(&error)),
                }
            }
            if heard.ended {
                return Ok(());
            }
        }
    }
}

/// Waits for the first settings; nothing when the other side goes before it has any.
fn first(control: &mut Control) -> Result<Option<Settings>, Error> {
    loop {
        let mut wanted = [PollFd::new(control.as_fd(), PollFlags::POLLIN)];
        match nix::poll::poll(&mut wanted, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(error(errno)),
        }
        let heard = control.hear::<ToWorker>()?;
        if let Some(ToWorker::Configure(settings)) = heard.messages.into_iter().next_back() {
            return Ok(Some(*settings));
        }
        if heard.ended {
            return Ok(None);
        }
    }
}

/// Waits until something is to be read: packets, news of peers, a message. Packets are left where
/// they are while it is better that they wait.
fn wait(worker: &Worker, control: &Control, until: Instant) -> Result<(bool, bool, bool), Error> {
    let events = PollFlags::POLLIN;
    let mut wanted = [
        PollFd::new(worker.peers.as_fd(), events),
        PollFd::new(control.as_fd(), events),
        PollFd::new(worker.group.as_fd(), events),
    ];
    let number = wanted.len() - usize::from(worker.waits);
    let polled = wanted.get_mut(..number).unwrap_or_default();
    let left = until.saturating_duration_since(Instant::now());
    match ppoll(polled, Some(TimeSpec::from_duration(left)), None) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(error(errno)),
    }
    let [peers, heard, packets] = wanted.map(|one| one.any().unwrap_or(false));
    Ok((packets, peers, heard))
}

/// What became of the copies to a peer.
#[derive(Clone, Copy, Default)]
struct Copies {
    sent: u64,
    failed: u64,
    /// Both when statistics were told last.
    told: (u64, u64),
    /// The kernel took none of the last ones.
    refused: bool,
}

impl Copies {
    fn count(&mut self, sent: bool) {
        match sent {
            true => self.sent += 1,
            false => self.failed += 1,
        }
    }

    /// Looks at what was done since statistics were told last, and says whether the kernel took none
    /// of the last ones.
    fn look(&mut self) -> bool {
        let (sent, failed) = self.told;
        self.refused = match self.sent > sent {
            true => false,
            false => self.refused || self.failed > failed,
        };
        self.told = (self.sent, self.failed);
        self.refused
    }

    /// What was refused went where nothing goes any more.
    fn forget(&mut self) {
        self.refused = false;
        self.told = (self.sent, self.failed);
    }

    fn tell(&mut self, address: IpAddr, state: PeerState) -> PeerStatistics {
        PeerStatistics {
            address,
            state: match self.look() && state.is_served() {
                true => PeerState::Refused,
                false => state,
            },
            sent: self.sent,
            failed: self.failed,
        }
    }
}

/// All that packets go through.
struct Worker {
    settings: Settings,
    group: Group,
    peers: Peers,
    sender: Sender,
    rules: Filter,
    limiter: Limiter,
    /// The peers' stations, sorted.
    stations: Vec<[u8; 6]>,
    targets: Vec<(Target, usize)>,
    /// Packets wait in the socket until more is known of the peers.
    waits: bool,
    begin: Instant,
    next: Option<u32>,
    buffer: Vec<u8>,
    logged: Vec<Logged>,
    pieces: Vec<PacketRange>,
    refused: RefusalCounts,
    /// By the place of the peer.
    copies: Vec<Copies>,
    /// Of all peers, and broadcasts.
    all: Copies,
    counted: Statistics,
}

impl Worker {
    fn new(settings: Settings) -> Result<Self, Error> {
        let now = Instant::now();
        let mut worker = Worker {
            group: Group::bind(settings.group)?,
            peers: Peers::listen(now)?,
            sender: Sender::default(),
            rules: Filter::default(),
            limiter: Limiter::new(settings.limits, Key::new(&RandomState::new())),
            stations: Vec::new(),
            targets: Vec::new(),
            waits: true,
            begin: now,
            next: None,
            buffer: vec![0; nflog::BUFFER],
            logged: Vec::new(),
            pieces: Vec::new(),
            refused: RefusalCounts::default(),
            copies: Vec::new(),
            all: Copies::default(),
            counted: Statistics::default(),
            settings: settings.clone(),
        };
        worker.configure(settings)?;
        Ok(worker)
    }

    /// Takes other settings. The sockets stay, and with them what is queued; another group is bound
    /// before the one until now is left.
    fn configure(&mut self, settings: Settings) -> Result<(), Error> {
        let now = Instant::now();
        if settings.group != self.group.number() {
            let group = Group::bind(settings.group)?;
            while self.take()? {}
            self.counted.dropped += self.group.dropped();
            (self.group, self.next) = (group, None);
        }
        self.rules = Filter {
            floor: settings.floor,
            vips: settings.vips.iter().copied().collect(),
            ignore_sources: settings.ignore_sources.iter().copied().collect(),
            nodes: settings.peers.iter().copied().collect(),
        };
        self.limiter.set(settings.limits);
        let before: BTreeMap<_, _> = self
            .peers
            .list()
            .iter()
            .map(|peer| peer.address)
            .zip(self.copies.drain(..))
            .collect();
        self.peers
            .set(&settings.peers, settings.mode, settings.interface, now)?;
        let kept = |address| before.get(address).copied().unwrap_or_default();
        self.copies = self.peers.list().iter().map(|peer| kept(&peer.address)).collect();
        self.settings = settings;
        self.waits = self.peers.waits(now);
        self.aim()
    }

    fn aim(&mut self) -> Result<(), Error> {
        self.stations = self.peers.stations();
        let targets = self.peers.targets();
        if targets != self.targets {
            self.sender.aim(&targets)?;
            self.targets = targets;
            self.copies.iter_mut().for_each(Copies::forget);
            self.all.forget();
        }
        Ok(())
    }

    fn hear_of_peers(&mut self) -> Result<(), Error> {
        if self.peers.hear() {
            self.aim()?;
        }
        Ok(())
    }

    /// When to look at the peers again.
    fn due(&self) -> Instant {
        let due = self.peers.due();
        match self.waits {
            true => due.min(self.peers.patience()),
            false => due,
        }
    }

    /// Looks at the peers when that is due, and at whether packets need to wait any more.
    fn look(&mut self, now: Instant) -> Result<(), Error> {
        if now >= self.peers.due() {
            self.tick(now)?;
        }
        self.waits = self.waits && self.peers.waits(now);
        Ok(())
    }

    fn tick(&mut self, now: Instant) -> Result<(), Error> {
        self.group.heard(0, now);
        if self.peers.tick(now)? {
            self.aim()?;
        }
        Ok(())
    }

    /// Takes one message of NFLOG, if there is one.
    fn take(&mut self) -> Result<bool, Error> {
        let length = match self.group.receive(&mut self.buffer) {
            Ok(length) => length,
            Err(Errno::EAGAIN) => return Ok(false),
            Err(Errno::EINTR) => return Ok(true),
            Err(Errno::ENOBUFS) => {
                self.counted.overruns += 1;
                return Ok(true);
            }
            Err(errno) => return Err(error(errno).context("reading NFLOG")),
        };
        let now = Instant::now();
        let Some(received) = self.buffer.get(..length) else {
            self.counted.malformed += 1;
            return Ok(true);
        };
        self.logged.clear();
        self.counted.malformed += nflog::packets(received, &mut self.logged);
        let packets = self.logged.len() as u32;
        self.counted.received += u64::from(packets);
        self.pieces.clear();
        let age = now.saturating_duration_since(self.begin);
        for number in 0..self.logged.len() {
            match self.judge(number, age) {
                Ok(piece) => self.pieces.push(piece),
                Err(refusal) => self.refused.count(refusal),
            }
        }
        let (copies, all) = (&mut self.copies, &mut self.all);
        if !self.settings.dry_run {
            self.sender.send(&self.buffer, &self.pieces, |owner, sent| {
                all.count(sent);
                if let Some(own) = copies.get_mut(owner) {
                    own.count(sent);
                }
            });
        }
        let replicated = self.pieces.len() as u64;
        self.counted.replicated += replicated;
        if replicated > 0 {
            self.counted.latency.count(now.elapsed(), replicated);
        }
        self.group.heard(packets, now);
        Ok(true)
    }

    /// Checks one packet of a message by the rules and the limits, at an age of this worker, and
    /// makes it a replica in its place.
    fn judge(&mut self, number: usize, age: Duration) -> Result<PacketRange, Refusal> {
        let logged = self.logged.get(number).ok_or(Refusal::Truncated)?;
        if let Some(sequence) = logged.sequence {
            let expected = self.next.unwrap_or(sequence);
            self.counted.lost += u64::from(sequence.wrapping_sub(expected));
            self.next = Some(sequence.wrapping_add(1));
        }
        let packet = self.buffer.get(logged.payload.clone());
        let found = read(packet.ok_or(Refusal::Truncated)?)?;
        let replica = logged
            .stations
            .is_some_and(|(to, from)| to[0] & 1 != 0 || self.stations.binary_search(&from).is_ok());
        let tunnelled = logged.stations.is_none() && self.settings.mode == Mode::Ipip;
        let arrival = Arrival {
            link_mtu: self.peers.mtu(logged.link),
            replica: replica || tunnelled,
        };
        self.rules.check(&found, arrival)?;
        let copies = self.sender.copies(found.ipv6);
        if copies == 0 {
            return Err(Refusal::NoPeer);
        }
        self.limiter.admit(&found, copies, age)?;
        let start = logged.payload.start;
        let place = start..start + found.length;
        let packet = self.buffer.get_mut(place.clone()).ok_or(Refusal::Truncated)?;
        copy::decrement_ttl(packet, self.settings.ttl);
        Ok(PacketRange {
            place,
            ipv6: found.ipv6,
        })
    }

    fn statistics(&mut self) -> FromWorker {
        let refused = self.refused.each().filter(|(_, count)| *count > 0);
        let peers = self.peers.list().iter().zip(&mut self.copies);
        FromWorker::Statistics(Box::new(Statistics {
            sent: self.all.sent,
            failed: self.all.failed,
            unsent: self.all.look(),
            targets: Targets {
                ipv4: self.sender.copies(false),
                ipv6: self.sender.copies(true),
            },
            refused: refused.collect(),
            dropped: self.counted.dropped + self.group.dropped(),
            threshold: self.group.threshold(),
            peers: peers
                .map(|(peer, copies)| copies.tell(peer.address, peer.state))
                .collect(),
            ..self.counted.clone()
        }))
    }
}
