//! The peers as the kernel sees them: the interface each is behind, its link-layer address from the
//! neighbour table, and what changes about that. What is absent or stale the kernel is asked to look
//! up.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::worker::neighbours;
use crate::worker::neighbours::{Change, Events, Link, Neighbour, Route};
use crate::worker::send::Target;
use netkeel_core::error::Error;
use netkeel_core::name::link::LinkName;
use netkeel_core::replication::settings::Mode;
use netkeel_core::replication::statistics::PeerState;
use netkeel_kernel::netlink::socket::Socket;

/// Routes and neighbours are looked at again after so long, whatever was heard.
const INTERVAL: Duration = Duration::from_secs(10);

/// At most so often when much is heard.
const LEAST: Duration = Duration::from_secs(1);

/// So long packets wait for the peers' addresses: before they are known, a replica could not be
/// told from an original. What waits is in the socket's queue.
const SETTLING: Duration = Duration::from_secs(2);

/// Addresses that nobody has (RFC 5737, RFC 3849): the way to them is the way to everywhere.
const OUTSIDE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// The first wait before the kernel is asked again for an address that it does not have.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The longest such wait, and how often one that is stale is looked up again.
const ASK_SELDOM: Duration = Duration::from_secs(30);

/// A peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub address: IpAddr,
    pub state: PeerState,
    /// The interface it is behind, when it is on the link.
    link: Option<u32>,
    /// Its station; kept when it does not answer any more, since a late replica may come from it.
    station: Option<[u8; 6]>,
    /// Whether the kernel believes in the station.
    neighbour: Neighbour,
    /// The kernel said that it does not answer.
    failed: bool,
    asked: Option<Instant>,
    wait: Duration,
}

/// All peers.
pub(crate) struct Peers {
    requests: Socket,
    events: Events,
    /// Interfaces by index.
    links: BTreeMap<u32, Link>,
    list: Vec<Peer>,
    mode: Mode,
    interface: Option<LinkName>,
    /// The routers that packets from outside come by, and those of their stations that are known.
    routers: Vec<(u32, IpAddr)>,
    router_stations: Vec<(u32, [u8; 6])>,
    /// When the peers were set, or first set while they have not settled.
    since: Instant,
    /// All peers' addresses were known once, or waited for.
    settled: bool,
    looked: Instant,
    /// Something was heard for which routes have to be looked at.
    stale: bool,
}

impl Peers {
    /// Begins to listen; there are no peers yet.
    ///
    /// # Errors
    /// When rtnetlink is refused.
    pub fn listen(now: Instant) -> Result<Self, Error> {
        Ok(Peers {
            events: Events::open()?,
            requests: Socket::open()?,
            links: BTreeMap::new(),
            list: Vec::new(),
            mode: Mode::Unicast,
            interface: None,
            routers: Vec::new(),
            router_stations: Vec::new(),
            since: now,
            settled: false,
            looked: now,
            stale: true,
        })
    }

    /// Takes other peers and looks at them. What is known of those that stay is kept.
    ///
    /// # Errors
    /// When rtnetlink is refused.
    pub fn set(
        &mut self,
        addresses: &[IpAddr],
        mode: Mode,
        interface: Option<LinkName>,
        now: Instant,
    ) -> Result<(), Error> {
        let mut before: Vec<Peer> = std::mem::take(&mut self.list);
        for address in addresses {
            if self.list.iter().any(|peer| peer.address == *address) {
                continue;
            }
            let known = before.iter().position(|peer| peer.address == *address);
            let peer = known.map(|place| before.swap_remove(place));
            self.list.push(peer.unwrap_or(Peer {
                address: *address,
                state: PeerState::Unresolved,
                link: None,
                station: None,
                neighbour: Neighbour::Absent,
                failed: false,
                asked: None,
                wait: ASK_AGAIN,
            }));
        }
        (self.mode, self.interface) = (mode, interface);
        if self.settled {
            self.since = now;
        }
        self.look(now)
    }

    /// The peers.
    pub fn list(&self) -> &[Peer] {
        &self.list
    }

    /// The MTU of an interface in bytes, when it is known.
    pub fn mtu(&self, link: u32) -> Option<u32> {
        self.links.get(&link).map(|link| link.mtu)
    }

    /// Whether packets had better wait. After a start they do until every peer's address is known,
    /// or known not to be had: replicas could not be told from originals. Later they do only when
    /// there is nobody to send to and somebody may be there in a moment, as after a change of all
    /// peers; peers that were known are served, whoever joins them. Never for long.
    pub(crate) fn waits(&mut self, now: Instant) -> bool {
        let known =
            |peer: &Peer| peer.failed || peer.station.is_some() || peer.state != PeerState::Unresolved;
        let waits = self.mode != Mode::Ipip
            && now.saturating_duration_since(self.since) < SETTLING
            && !self.list.iter().all(known)
            && (!self.settled || self.targets().is_empty());
        self.settled |= !waits;
        waits
    }

    /// When the wait for addresses ends.
    pub fn patience(&self) -> Instant {
        self.since + SETTLING
    }

    /// When they are to be looked at again.
    pub fn due(&self) -> Instant {
        self.looked + if self.stale { LEAST } else { INTERVAL }
    }

    /// The peers' stations, sorted: what comes from one of them is a replica. One that is a router's,
    /// too, is none of those where replicas come out of a tunnel.
    pub(crate) fn stations(&self) -> Vec<[u8; 6]> {
        let tunnelled = self.mode == Mode::Ipip;
        let routes = |peer: &Peer| {
            let routers = self.router_stations.iter();
            routers.clone().any(|(_, station)| peer.station == Some(*station))
        };
        let told = self.list.iter().filter(|peer| !(tunnelled && routes(peer)));
        let mut stations: Vec<[u8; 6]> = told.filter_map(|peer| peer.station).collect();
        stations.sort_unstable();
        stations.dedup();
        stations
    }

    /// Where copies go now, each with the place of its peer in [`Peers::list`]; a broadcast is
    /// nobody's.
    pub fn targets(&self) -> Vec<(Target, usize)> {
        let served = self.list.iter().enumerate();
        let served = served.filter(|(_, peer)| peer.state.is_reachable());
        match self.mode {
            Mode::Ipip => served
                .map(|(place, peer)| (Target::Tunnel(peer.address), place))
                .collect(),
            Mode::Unicast => served
                .filter_map(|(place, peer)| {
                    let (link, station) = (peer.link?, peer.station?);
                    Some((Target::Station { link, station }, place))
                })
                .collect(),
            Mode::Broadcast => {
                let up = self.links.iter().filter(|(_, link)| link.up);
                let mut links: Vec<u32> = match self.interface {
                    Some(_) => up
                        .filter(|(_, link)| link.name == self.interface)
                        .map(|(index, _)| *index)
                        .collect(),
                    None => served.filter_map(|(_, peer)| peer.link).collect(),
                };
                links.sort_unstable();
                links.dedup();
                let station = [0xff; 6];
                let all = links.into_iter();
                all.map(|link| (Target::Station { link, station }, usize::MAX))
                    .collect()
            }
        }
    }

    /// Takes what the kernel has to tell, and says whether targets or stations may have changed.
    pub fn hear(&mut self) -> bool {
        let mut changed = false;
        let (links, list) = (&mut self.links, &mut self.list);
        let (routers, stations) = (&self.routers, &self.router_stations);
        let lost = self.events.drain(|change| match change {
            Change::Link(index, link) => {
                // With an interface that goes down and up routes go and come, of which nothing else
                // tells; under a name there may be another one.
                let before = links.insert(index, link);
                if before.map(|before| (before.name, before.up)) != Some((link.name, link.up)) {
                    self.stale = true;
                    changed = true;
                    let behind = list.iter_mut().filter(|peer| peer.link == Some(index));
                    behind.for_each(Peer::ask_at_once);
                }
            }
            Change::NoLink(index) => {
                links.remove(&index);
                self.stale = true;
            }
            Change::Neighbour {
                link,
                address,
                neighbour,
            } => {
                let peers = list.iter_mut();
                for peer in peers.filter(|peer| peer.address == address && peer.link == Some(link)) {
                    changed |= peer.take(neighbour);
                }
                if let (true, Some(station)) = (routers.contains(&(link, address)), neighbour.station()) {
                    self.stale |= !stations.contains(&(link, station));
                }
            }
            Change::Other => self.stale = true,
        });
        self.stale |= lost;
        if changed {
            self.rank();
        }
        changed
    }

    /// Does what is due, and says whether targets or stations may have changed.
    ///
    /// # Errors
    /// When rtnetlink is refused.
    pub(crate) fn tick(&mut self, now: Instant) -> Result<bool, Error> {
        let due = now >= self.due();
        if due {
            self.look(now)?;
        }
        self.ask(now);
        Ok(due)
    }

    /// Reads interfaces, routes and neighbours.
    fn look(&mut self, now: Instant) -> Result<(), Error> {
        self.looked = now;
        self.stale = false;
        self.links = neighbours::links(&mut self.requests)?;
        for peer in &mut self.list {
            let route = neighbours::route(&mut self.requests, peer.address)?;
            let link = match route {
                Route::OnLink(link) => Some(link),
                _ => None,
            };
            if link != peer.link {
                peer.link = link;
                peer.neighbour = Neighbour::Absent;
                peer.failed = false;
                peer.ask_at_once();
            }
            peer.state = match (route, self.mode) {
                (Route::Local, _) => PeerState::Itself,
                (Route::None, _) => PeerState::NoRoute,
                (_, Mode::Ipip) if peer.address.is_ipv4() => PeerState::Ipv4Only,
                (_, Mode::Ipip) => PeerState::Ready,
                (Route::Gateway(..), _) => PeerState::BehindRouter,
                (Route::OnLink(_), _) => PeerState::Unresolved,
            };
        }
        self.routers.clear();
        for address in OUTSIDE {
            // A host may have one family only.
            let route = neighbours::route(&mut self.requests, address).unwrap_or(Route::None);
            if let Route::Gateway(link, Some(router)) = route {
                self.routers.push((link, router));
            }
        }
        self.router_stations.clear();
        let (list, routers, stations) = (&mut self.list, &self.routers, &mut self.router_stations);
        neighbours::neighbours(&mut self.requests, |link, address, neighbour| {
            if let (true, Some(station)) = (routers.contains(&(link, address)), neighbour.station()) {
                stations.push((link, station));
            }
            let peers = list.iter_mut();
            for peer in peers.filter(|peer| peer.address == address && peer.link == Some(link)) {
                peer.take(neighbour);
            }
        })?;
        self.rank();
        self.ask(now);
        Ok(())
    }

    /// Says who of those on a link gets copies: one address a station.
    fn rank(&mut self) {
        if self.mode == Mode::Ipip {
            return;
        }
        let mut served = Vec::new();
        for peer in &mut self.list {
            if matches!(
                peer.state,
                PeerState::Ready | PeerState::Unresolved | PeerState::SameStation | PeerState::Router
            ) {
                let target = (peer.link, peer.station);
                let mut routers = self.router_stations.iter();
                peer.state = match peer.neighbour {
                    Neighbour::Absent | Neighbour::Failed => PeerState::Unresolved,
                    _ if served.contains(&target) => PeerState::SameStation,
                    _ => {
                        served.push(target);
                        match routers.any(|(link, station)| target == (Some(*link), Some(*station))) {
                            true => PeerState::Router,
                            false => PeerState::Ready,
                        }
                    }
                };
            }
        }
    }

    /// Has the kernel look up what it does not know, or has not confirmed lately.
    fn ask(&mut self, now: Instant) {
        for peer in self.list.iter_mut().filter(|_| self.mode != Mode::Ipip) {
            let Some(link) = peer.link else {
                continue;
            };
            let wait = match peer.neighbour {
                Neighbour::Fresh(_) => {
                    peer.wait = ASK_AGAIN;
                    continue;
                }
                Neighbour::Stale(_) => ASK_SELDOM,
                Neighbour::Absent | Neighbour::Failed => peer.wait,
            };
            if peer
                .asked
                .is_none_or(|asked| now.saturating_duration_since(asked) >= wait)
            {
                peer.asked = Some(now);
                peer.wait = (peer.wait * 2).min(ASK_SELDOM);
                // An interface that is down refuses; it is asked again.
                let _ = neighbours::ask(&mut self.requests, link, peer.address);
            }
        }
    }
}

impl Peer {
    /// What it did not answer before counts no more.
    fn ask_at_once(&mut self) {
        self.asked = None;
        self.wait = ASK_AGAIN;
    }

    /// Takes what the kernel says of its neighbour, and says whether that is another station or
    /// another belief.
    fn take(&mut self, neighbour: Neighbour) -> bool {
        let before = (self.station, self.neighbour.station().is_some());
        if let Some(station) = neighbour.station() {
            self.station = Some(station);
            self.failed = false;
        } else if neighbour == Neighbour::Failed {
            self.failed = true;
        }
        self.neighbour = neighbour;
        before != (self.station, neighbour.station().is_some())
    }
}

impl AsFd for Peers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}
