//! The worker: reads an NFLOG group, filters the packets, and sends copies. It is a separate process.
//! netkeel sends it settings on its standard input, and it ends when that closes.

mod bind;
mod helper;
mod neighbours;
mod nflog;
mod pace;
mod peers;
pub(crate) mod peers_of;
mod probe_log;
mod send;
mod system;
mod ways;

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::hash::RandomState;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, ppoll};
use nix::sys::prctl;
use nix::sys::time::TimeSpec;

use crate::control::Control;
use crate::message::{FromWorker, ToWorker};
use crate::privileges;
use crate::role::Role;
use crate::worker::helper::Helper;
use crate::worker::nflog::{Group, Logged};
use crate::worker::peers::Peers;
use crate::worker::probe_log::ProbeLog;
use crate::worker::send::{PacketRange, Sender, Target};
use netkeel_core::error::Error;
use netkeel_core::replication::refusal::Refusal;
use netkeel_core::replication::settings::{Mode, Settings};
use netkeel_core::replication::statistics::{PeerState, PeerStatistics, Statistics, Targets};
use netkeel_kernel::netlink::refusal::error;
use netkeel_packet::copy;
use netkeel_packet::filter::{Filter, below_link};
use netkeel_packet::limit::flow_hash::Key;
use netkeel_packet::limit::limiter::Limiter;
use netkeel_packet::probe::token;
use netkeel_packet::read::read;
use netkeel_packet::refused::RefusalCounts;
use netkeel_packet::too_big::TooBig;

/// The process name.
const NAME: &CStr = c"netkeel-worker";

/// The interval of statistics and of periodic checks.
const SECOND: Duration = Duration::from_secs(1);

/// The maximum number of messages per turn, before other work is done.
const TURN: usize = 64;

/// Runs the worker until its standard input closes.
///
/// # Errors
/// The error that prevents it from working; the worker has also reported it to the service.
pub fn run() -> Result<(), Error> {
    // The executable is /proc/self/exe. The name shows in the list of the group's readers.
    let _ = prctl::set_name(NAME);
    let helper = Rc::new(Helper::start()?);
    let input = std::io::stdin().as_fd().try_clone_to_owned().map_err(error)?;
    let mut control = Control::new(UnixStream::from(input)).map_err(error)?;
    let outcome = serve(&mut control, &helper);
    if let Err(error) = &outcome {
        control.send(&failed(error));
    }
    outcome
}

fn failed(error: &Error) -> FromWorker {
    FromWorker::Failed {
        message: error.message.clone(),
        hints: error.hints.clone(),
    }
}

fn serve(control: &mut Control, helper: &Rc<Helper>) -> Result<(), Error> {
    let Some(settings) = first(control)? else {
        return Ok(());
    };
    let mut worker = Worker::new(settings, helper)?;
    let uid = privileges::give_up(Role::Worker)?;
    control.send(&FromWorker::Configured { uid });
    control.send(&worker.statistics());
    let mut reported = Instant::now();
    loop {
        let now = Instant::now();
        worker.check_peers(now)?;
        if now.saturating_duration_since(reported) >= SECOND {
            reported = now;
            worker.tick(now)?;
            // If the service does not read, skip these statistics.
            if !control.has_unsent() {
                control.send(&worker.statistics());
            }
            control.flush();
        }
        let until = worker.due().min(reported + SECOND);
        let (packets, peers, received) = wait(&worker, control, until)?;
        if packets {
            for _ in 0..TURN {
                if !worker.read_message()? {
                    break;
                }
            }
        }
        if peers {
            worker.read_peer_events()?;
        }
        if received {
            let received = control.receive::<ToWorker>()?;
            for ToWorker::Configure(settings) in received.messages {
                match worker.configure(*settings) {
                    Ok(()) => control.send(&FromWorker::Configured { uid }),
                    Err(error) => control.send(&failed(&error)),
                }
            }
            if received.ended {
                return Ok(());
            }
        }
    }
}

/// Waits for the first settings; `None` when the service closes the connection first.
fn first(control: &mut Control) -> Result<Option<Settings>, Error> {
    loop {
        let mut wanted = [PollFd::new(control.as_fd(), PollFlags::POLLIN)];
        match nix::poll::poll(&mut wanted, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(error(errno)),
        }
        let received = control.receive::<ToWorker>()?;
        if let Some(ToWorker::Configure(settings)) = received.messages.into_iter().next_back() {
            return Ok(Some(*settings));
        }
        if received.ended {
            return Ok(None);
        }
    }
}

/// Waits for packets, peer events or a message. Packets stay in the socket while they should wait.
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
    let [peers, received, packets] = wanted.map(|one| one.any().unwrap_or(false));
    Ok((packets, peers, received))
}

/// Counters of the copies to one peer.
#[derive(Clone, Copy, Default)]
struct Copies {
    sent: u64,
    failed: u64,
    /// Both counters at the last report.
    reported: (u64, u64),
    /// Whether the kernel rejected all of the last copies.
    refused: bool,
}

impl Copies {
    fn count(&mut self, sent: bool) {
        match sent {
            true => self.sent += 1,
            false => self.failed += 1,
        }
    }

    /// Compares with the last report. Returns whether the kernel rejected all copies since then.
    fn update(&mut self) -> bool {
        let (sent, failed) = self.reported;
        self.refused = match self.sent > sent {
            true => false,
            false => self.refused || self.failed > failed,
        };
        self.reported = (self.sent, self.failed);
        self.refused
    }

    /// Clears the state after a change of peers: earlier errors are about other targets.
    fn reset(&mut self) {
        self.refused = false;
        self.reported = (self.sent, self.failed);
    }

    fn statistics(&mut self, address: IpAddr, state: PeerState) -> PeerStatistics {
        PeerStatistics {
            address,
            state: match self.update() && state.is_reachable() {
                true => PeerState::Refused,
                false => state,
            },
            sent: self.sent,
            failed: self.failed,
        }
    }
}

/// The state of the worker.
struct Worker {
    settings: Settings,
    helper: Rc<Helper>,
    group: Group,
    peers: Peers,
    sender: Sender,
    rules: Filter,
    limiter: Limiter,
    /// The link-layer addresses of the peers, sorted.
    stations: Vec<[u8; 6]>,
    targets: Vec<(Target, usize)>,
    /// Whether packets wait in the socket until the peers are resolved.
    waits: bool,
    begin: Instant,
    next: Option<u32>,
    buffer: Vec<u8>,
    logged: Vec<Logged>,
    pieces: Vec<PacketRange>,
    refused: RefusalCounts,
    /// Counters by index of the peer.
    copies: Vec<Copies>,
    /// Counters of all peers and of broadcasts.
    all: Copies,
    probes: ProbeLog,
    counted: Statistics,
}

impl Worker {
    fn new(settings: Settings, helper: &Rc<Helper>) -> Result<Self, Error> {
        let now = Instant::now();
        let mut worker = Worker {
            group: Group::bind(settings.group, helper)?,
            peers: Peers::listen(now, helper)?,
            helper: Rc::clone(helper),
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
            probes: ProbeLog::default(),
            counted: Statistics::default(),
            settings: settings.clone(),
        };
        worker.configure(settings)?;
        Ok(worker)
    }

    /// Applies new settings. Sockets and their queued packets stay. A new group is bound before the
    /// previous one is released.
    fn configure(&mut self, settings: Settings) -> Result<(), Error> {
        let now = Instant::now();
        if settings.group != self.group.number() {
            self.bind(settings.group)?;
        }
        self.rules = Filter {
            floor: settings.floor,
            vips: settings.vips.iter().copied().collect(),
            ignore_sources: settings.ignore_sources.iter().copied().collect(),
            nodes: settings.peers.iter().copied().collect(),
            flows_to_nodes: settings.flows_to_nodes,
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

    /// Binds another group, or the same one anew, and reads what is queued before releasing the socket before.
    fn bind(&mut self, number: u16) -> Result<(), Error> {
        let group = Group::bind(number, &self.helper)?;
        while self.read_message()? {}
        self.counted.dropped += self.group.dropped();
        (self.group, self.next) = (group, None);
        self.helper.release()
    }

    fn aim(&mut self) -> Result<(), Error> {
        self.stations = self.peers.stations();
        let targets = self.peers.targets();
        if targets != self.targets {
            self.sender.aim(&targets)?;
            self.targets = targets;
            self.copies.iter_mut().for_each(Copies::reset);
            self.all.reset();
        }
        Ok(())
    }

    fn read_peer_events(&mut self) -> Result<(), Error> {
        if self.peers.read_events() {
            self.aim()?;
        }
        Ok(())
    }

    /// The time of the next check of the peers.
    fn due(&self) -> Instant {
        let due = self.peers.due();
        match self.waits {
            true => due.min(self.peers.wait_ends()),
            false => due,
        }
    }

    /// Checks the peers when due, and whether packets still have to wait.
    fn check_peers(&mut self, now: Instant) -> Result<(), Error> {
        if now >= self.peers.due() {
            self.tick(now)?;
        }
        self.waits = self.waits && self.peers.waits(now);
        if self.group.is_kept() && !self.waits {
            // The list of readers names the process that bound the socket.
            self.bind(self.group.number())?;
        }
        Ok(())
    }

    fn tick(&mut self, now: Instant) -> Result<(), Error> {
        self.helper.check()?;
        self.group.count(0, now);
        if self.peers.tick(now)? {
            self.aim()?;
        }
        Ok(())
    }

    /// Reads one NFLOG message, if there is one.
    fn read_message(&mut self) -> Result<bool, Error> {
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
            match self.process(number, age) {
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
        self.group.count(packets, now);
        Ok(true)
    }

    /// Applies the filter and the limits to one packet of a message at `age`, the worker's uptime, and
    /// turns the packet into a replica in place.
    fn process(&mut self, number: usize, age: Duration) -> Result<PacketRange, Refusal> {
        let logged = self.logged.get(number).ok_or(Refusal::Truncated)?;
        if let Some(sequence) = logged.sequence {
            let expected = self.next.unwrap_or(sequence);
            self.counted.lost += u64::from(sequence.wrapping_sub(expected));
            self.next = Some(sequence.wrapping_add(1));
        }
        let packet = self.buffer.get(logged.payload.clone());
        let packet = packet.ok_or(Refusal::Truncated)?;
        let found = read(packet)?;
        let token = packet.get(..found.length).and_then(token);
        let judged = self.judge(number, &found, age);
        if let Some(token) = token {
            self.probes.record(token, judged, age);
        }
        judged?;
        let logged = self.logged.get(number).ok_or(Refusal::Truncated)?;
        let start = logged.payload.start;
        let place = start..start + found.length;
        let packet = self.buffer.get_mut(place.clone()).ok_or(Refusal::Truncated)?;
        copy::decrement_ttl(packet, self.settings.ttl);
        Ok(PacketRange {
            place,
            ipv6: found.ipv6,
        })
    }

    /// Applies the filter and the limits to a packet. Returns the number of copies.
    fn judge(&mut self, number: usize, found: &TooBig, age: Duration) -> Result<u32, Refusal> {
        let logged = self.logged.get(number).ok_or(Refusal::Truncated)?;
        let arrived = logged.link;
        let replica = logged
            .stations
            .is_some_and(|(to, from)| to[0] & 1 != 0 || self.stations.binary_search(&from).is_ok());
        let tunnelled = logged.stations.is_none() && self.settings.mode == Mode::Ipip;
        self.rules.check(found, replica || tunnelled)?;
        below_link(found, self.peers.mtu_of_answers(found, arrived, age))?;
        let copies = self.sender.copies(found.ipv6);
        if copies == 0 {
            return Err(Refusal::NoPeer);
        }
        self.limiter.admit(found, copies, age)?;
        Ok(copies)
    }

    fn statistics(&mut self) -> FromWorker {
        self.probes
            .purge(Instant::now().saturating_duration_since(self.begin));
        let refused = self.refused.each().filter(|(_, count)| *count > 0);
        let peers = self.peers.list().iter().zip(&mut self.copies);
        FromWorker::Statistics(Box::new(Statistics {
            sent: self.all.sent,
            failed: self.all.failed,
            unsent: self.all.update(),
            targets: Targets {
                ipv4: self.sender.copies(false),
                ipv6: self.sender.copies(true),
            },
            refused: refused.collect(),
            dropped: self.counted.dropped + self.group.dropped(),
            threshold: self.group.threshold(),
            peers: peers
                .map(|(peer, copies)| copies.statistics(peer.address, peer.state))
                .collect(),
            probes: self.probes.records(),
            probes_full: self.probes.is_full(),
            ..self.counted.clone()
        }))
    }
}
