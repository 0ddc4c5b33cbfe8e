//! The worker: reads an NFLOG group, judges, and sends copies. It is a process of its own, told what
//! to do by netkeel on its standard input, and ends when that ends.

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

use super::control::Control;
use super::nflog::{self, Group, Logged};
use super::peers::Peers;
use super::privileges;
use super::send::{Piece, Sender};
use crate::error::Error;
use crate::kernel::refusal::error;
use crate::limit::{Key, Limiter};
use crate::packet::{Arrival, Refusal, Refused, Rules, TooBig, read, replica};
use crate::replication::{FromWorker, Mode, PeerState, PeerStatistics, Settings, Statistics, ToWorker};

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
        if now.saturating_duration_since(told) >= SECOND {
            told = now;
            worker.tick(now)?;
            // Whoever does not listen gets the next one.
            if !control.is_behind() {
                control.tell(&worker.statistics());
            }
            control.flush();
        }
        let (packets, peers, heard) = wait(&worker, control, told + SECOND)?;
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

/// Waits until something is to be read: packets, news of peers, a message.
fn wait(worker: &Worker, control: &Control, until: Instant) -> Result<(bool, bool, bool), Error> {
    let events = PollFlags::POLLIN;
    let mut wanted = [
        PollFd::new(worker.group.as_fd(), events),
        PollFd::new(worker.peers.as_fd(), events),
        PollFd::new(control.as_fd(), events),
    ];
    let left = until.saturating_duration_since(Instant::now());
    match ppoll(&mut wanted, Some(TimeSpec::from_duration(left)), None) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(error(errno)),
    }
    let [packets, peers, heard] = wanted.map(|one| one.any().unwrap_or(false));
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
    /// Looks at what was done since statistics were told last.
    fn tell(&mut self, address: IpAddr, state: PeerState) -> PeerStatistics {
        let (sent, failed) = self.told;
        self.refused = match self.sent > sent {
            true => false,
            false => self.refused || self.failed > failed,
        };
        self.told = (self.sent, self.failed);
        PeerStatistics {
            address,
            state: match self.refused && state.is_served() {
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
    rules: Rules,
    limiter: Limiter,
    /// The peers' stations, sorted.
    stations: Vec<[u8; 6]>,
    settled: bool,
    begin: Instant,
    next: Option<u32>,
    buffer: Vec<u8>,
    logged: Vec<Logged>,
    pieces: Vec<Piece>,
    refused: Refused,
    /// By the place of the peer.
    copies: Vec<Copies>,
    counted: Statistics,
}

impl Worker {
    fn new(settings: Settings) -> Result<Self, Error> {
        let now = Instant::now();
        let mut worker = Worker {
            group: Group::bind(settings.group)?,
            peers: Peers::listen(now)?,
            sender: Sender::default(),
            rules: Rules::default(),
            limiter: Limiter::new(settings.limits, Key::new(&RandomState::new())),
            stations: Vec::new(),
            settled: false,
            begin: now,
            next: None,
            buffer: vec![0; nflog::BUFFER],
            logged: Vec::new(),
            pieces: Vec::new(),
            refused: Refused::default(),
            copies: Vec::new(),
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
        self.rules = Rules {
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
        self.settled = self.peers.settled(now);
        self.aim()
    }

    fn aim(&mut self) -> Result<(), Error> {
        self.stations = self.peers.stations();
        self.sender.aim(&self.peers.targets())
    }

    fn hear_of_peers(&mut self) -> Result<(), Error> {
        if self.peers.hear() {
            self.aim()?;
        }
        self.settled = self.settled || self.peers.settled(Instant::now());
        Ok(())
    }

    fn tick(&mut self, now: Instant) -> Result<(), Error> {
        self.group.heard(0, now);
        if self.peers.tick(now)? {
            self.aim()?;
        }
        self.settled = self.settled || self.peers.settled(now);
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
        for number in 0..self.logged.len() {
            self.judge(number, now);
        }
        let (copies, counted) = (&mut self.copies, &mut self.counted);
        if !self.settings.dry_run {
            self.sender.send(&self.buffer, &self.pieces, |owner, sent| {
                let own = copies.get_mut(owner);
                let (total, own) = match sent {
                    true => (&mut counted.sent, own.map(|own| &mut own.sent)),
                    false => (&mut counted.failed, own.map(|own| &mut own.failed)),
                };
                *total += 1;
                own.into_iter().for_each(|own| *own += 1);
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

    /// Judges one of the packets of a message, and makes a replica of it in its place.
    fn judge(&mut self, number: usize, now: Instant) {
        let Some(logged) = self.logged.get(number) else {
            return;
        };
        if let Some(sequence) = logged.sequence {
            let expected = self.next.unwrap_or(sequence);
            self.counted.lost += u64::from(sequence.wrapping_sub(expected));
            self.next = Some(sequence.wrapping_add(1));
        }
        let Some(packet) = self.buffer.get_mut(logged.payload.clone()) else {
            return;
        };
        let replica = logged
            .stations
            .is_some_and(|(to, from)| to[0] & 1 != 0 || self.stations.binary_search(&from).is_ok());
        let tunnelled = logged.stations.is_none() && self.settings.mode == Mode::Ipip;
        let arrival = Arrival {
            link_mtu: self.peers.mtu(logged.link),
            replica: replica || tunnelled,
        };
        let verdict = read(packet).and_then(|found| {
            self.rules.judge(&found, arrival)?;
            let copies = self.sender.copies(found.ipv6);
            if copies == 0 {
                return Err(Refusal::NoPeer);
            }
            if !self.settled {
                return Err(Refusal::Settling);
            }
            let age = now.saturating_duration_since(self.begin);
            self.limiter.admit(&found, copies, age).map(|()| found)
        });
        match verdict {
            Ok(TooBig { length, ipv6, .. }) => {
                replica::age(packet, self.settings.ttl);
                let start = logged.payload.start;
                self.pieces.push(Piece {
                    place: start..start + length,
                    ipv6,
                });
            }
            Err(refusal) => self.refused.count(refusal),
        }
    }

    fn statistics(&mut self) -> FromWorker {
        let refused = self.refused.each().filter(|(_, count)| *count > 0);
        let peers = self.peers.list().iter().zip(&mut self.copies);
        FromWorker::Statistics(Box::new(Statistics {
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
