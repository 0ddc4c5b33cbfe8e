//! The peers as the kernel sees them: the interface of each, its link-layer address from the neighbour
//! table, and changes of both. The kernel is asked to resolve absent and stale addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::worker::helper::Helper;
use crate::worker::neighbours;
use crate::worker::neighbours::{Change, Events, Link, Neighbour, Route};
use crate::worker::send::Target;
use crate::worker::ways::Ways;
use netkeel_core::error::Error;
use netkeel_core::name::link::LinkName;
use netkeel_core::replication::settings::Mode;
use netkeel_core::replication::statistics::PeerState;
use netkeel_kernel::netlink::socket::Socket;
use netkeel_packet::too_big::TooBig;

/// Routes and neighbours are read again after this time, independent of notifications.
const INTERVAL: Duration = Duration::from_secs(10);

/// The minimum interval between such reads after notifications.
const LEAST: Duration = Duration::from_secs(1);

/// The maximum time that packets wait for the peers' addresses. Before the addresses are known, a
/// replica cannot be distinguished from an original. The packets wait in the socket's queue.
const SETTLING: Duration = Duration::from_secs(2);

/// Addresses that nobody has (RFC 5737, RFC 3849): the route to them is the default route.
const OUTSIDE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// The first wait before the kernel is asked again to resolve an absent address.
const RESOLVE_FIRST: Duration = Duration::from_secs(1);

/// The longest such wait, and the interval at which a stale address is resolved again.
const RESOLVE_LONGEST: Duration = Duration::from_secs(30);

/// A peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub address: IpAddr,
    pub state: PeerState,
    /// The interface of the peer, when the peer is on the link.
    link: Option<u32>,
    /// Its link-layer address. It is kept when the peer stops answering, because a late replica may
    /// come from it.
    station: Option<[u8; 6]>,
    /// The state of the address in the neighbour table.
    neighbour: Neighbour,
    /// Whether the kernel reported that the peer does not answer.
    failed: bool,
    asked: Option<Instant>,
    wait: Duration,
}

/// All peers.
pub(crate) struct Peers {
    requests: Socket,
    helper: Rc<Helper>,
    events: Events,
    /// Interfaces by index.
    links: BTreeMap<u32, Link>,
    /// The smallest MTU of them, bytes, once it was needed.
    least_mtu: Option<u32>,
    ways: Ways,
    list: Vec<Peer>,
    mode: Mode,
    interface: Option<LinkName>,
    /// The routers of default routes, and their link-layer addresses where known.
    routers: Vec<(u32, IpAddr)>,
    router_stations: Vec<(u32, [u8; 6])>,
    /// The time when the peers were set; until they have settled, the time of the first setting.
    since: Instant,
    /// Whether all peers' addresses were known once, or the wait for them ended.
    settled: bool,
    looked: Instant,
    /// Whether a notification requires reading the routes again.
    stale: bool,
}

impl Peers {
    /// Subscribes to notifications; the list of peers is empty.
    ///
    /// # Errors
    /// When the kernel rejects an rtnetlink request.
    pub fn listen(now: Instant, helper: &Rc<Helper>) -> Result<Self, Error> {
        Ok(Peers {
            events: Events::open()?,
            requests: Socket::open()?,
            helper: Rc::clone(helper),
            links: BTreeMap::new(),
            least_mtu: None,
            ways: Ways::default(),
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

    /// Replaces the peers and resolves them. The state of peers that stay is kept.
    ///
    /// # Errors
    /// When the kernel rejects an rtnetlink request.
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
                wait: RESOLVE_FIRST,
            }));
        }
        (self.mode, self.interface) = (mode, interface);
        if self.settled {
            self.since = now;
        }
        self.refresh(now)
    }

    /// The peers.
    pub fn list(&self) -> &[Peer] {
        &self.list
    }

    /// The MTU of the interface by which this node answers the destination that a packet quotes, bytes; that
    /// of the interface by which the packet `arrived` where there is no such route, and above the budget of
    /// lookups at `now`, the worker's uptime. Path MTUs that the kernel learned do not count: it learned this
    /// one before.
    pub(crate) fn mtu_of_answers(&mut self, packet: &TooBig, arrived: u32, now: Duration) -> Option<u32> {
        let least = *self
            .least_mtu
            .get_or_insert_with(|| self.links.values().map(|link| link.mtu).min().unwrap_or(0));
        // Most are below the MTU of every interface, which needs no route.
        if packet.mtu < least {
            return Some(least);
        }
        let (source, destination) = (packet.quoted.source.into(), packet.quoted.destination.into());
        let way = self.ways.of(&mut self.requests, source, destination, now);
        self.links.get(&way.unwrap_or(arrived)).map(|link| link.mtu)
    }

    /// Whether packets should wait. After a start they wait until every peer's address is known or its
    /// resolution has failed, because replicas could not be distinguished from originals. Later they
    /// wait only when no peer is ready and one may become ready in a moment, as after a change of all
    /// peers. New peers do not delay copies to known ones. The wait is always short.
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

    /// The time at which the wait for addresses ends.
    pub fn wait_ends(&self) -> Instant {
        self.since + SETTLING
    }

    /// The time of the next check.
    pub fn due(&self) -> Instant {
        self.looked + if self.stale { LEAST } else { INTERVAL }
    }

    /// The link-layer addresses of the peers, sorted: a packet from one of them is a replica. Where
    /// replicas come out of a tunnel, addresses of routers are excluded.
    pub(crate) fn stations(&self) -> Vec<[u8; 6]> {
        let tunnelled = self.mode == Mode::Ipip;
        let routes = |peer: &Peer| {
            let routers = self.router_stations.iter();
            routers.clone().any(|(_, station)| peer.station == Some(*station))
        };
        let peers = self.list.iter().filter(|peer| !(tunnelled && routes(peer)));
        let mut stations: Vec<[u8; 6]> = peers.filter_map(|peer| peer.station).collect();
        stations.sort_unstable();
        stations.dedup();
        stations
    }

    /// The current targets of copies, each with the index of its peer in [`Peers::list`]; a broadcast
    /// has no peer.
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

    /// Reads notifications. Returns whether targets or link-layer addresses may have changed.
    pub fn read_events(&mut self) -> bool {
        let mut changed = false;
        let (links, list) = (&mut self.links, &mut self.list);
        let (routers, stations) = (&self.routers, &self.router_stations);
        let least_mtu = &mut self.least_mtu;
        let lost = self.events.drain(|change| match change {
            Change::Link(index, link) => {
                // When an interface goes down or up, its routes change without a notification. A name
                // may also refer to a new interface.
                *least_mtu = None;
                let before = links.insert(index, link);
                if before.map(|before| (before.name, before.up)) != Some((link.name, link.up)) {
                    self.stale = true;
                    changed = true;
                    let behind = list.iter_mut().filter(|peer| peer.link == Some(index));
                    behind.for_each(Peer::reset_wait);
                }
            }
            Change::NoLink(index) => {
                *least_mtu = None;
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
                    changed |= peer.update(neighbour);
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

    /// Performs due checks. Returns whether targets or link-layer addresses may have changed.
    ///
    /// # Errors
    /// When the kernel rejects an rtnetlink request.
    pub(crate) fn tick(&mut self, now: Instant) -> Result<bool, Error> {
        let due = now >= self.due();
        if due {
            self.refresh(now)?;
        }
        self.resolve(now);
        Ok(due)
    }

    /// Reads interfaces, routes and neighbours.
    fn refresh(&mut self, now: Instant) -> Result<(), Error> {
        self.looked = now;
        self.stale = false;
        self.links = neighbours::links(&mut self.requests)?;
        self.least_mtu = None;
        self.ways.forget();
        for peer in &mut self.list {
            let route = neighbours::route(&mut self.requests, None, peer.address)?;
            let link = match route {
                Route::OnLink(link) => Some(link),
                _ => None,
            };
            if link != peer.link {
                peer.link = link;
                peer.neighbour = Neighbour::Absent;
                peer.failed = false;
                peer.reset_wait();
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
            let route = neighbours::route(&mut self.requests, None, address).unwrap_or(Route::None);
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
                peer.update(neighbour);
            }
        })?;
        self.rank();
        self.resolve(now);
        Ok(())
    }

    /// Decides which peers on a link get copies: one peer per link-layer address.
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

    /// Asks the kernel to resolve addresses that are unknown or not confirmed lately.
    fn resolve(&mut self, now: Instant) {
        for peer in self.list.iter_mut().filter(|_| self.mode != Mode::Ipip) {
            let Some(link) = peer.link else {
                continue;
            };
            let wait = match peer.neighbour {
                Neighbour::Fresh(_) => {
                    peer.wait = RESOLVE_FIRST;
                    continue;
                }
                Neighbour::Stale(_) => RESOLVE_LONGEST,
                Neighbour::Absent | Neighbour::Failed => peer.wait,
            };
            if peer
                .asked
                .is_none_or(|asked| now.saturating_duration_since(asked) >= wait)
            {
                peer.asked = Some(now);
                peer.wait = (peer.wait * 2).min(RESOLVE_LONGEST);
                self.helper.resolve(link, peer.address);
            }
        }
    }
}

impl Peer {
    /// Resets the waits, so that unresolved addresses are asked for at once.
    fn reset_wait(&mut self) {
        self.asked = None;
        self.wait = RESOLVE_FIRST;
    }

    /// Applies the kernel's neighbour entry. Returns whether the link-layer address or its state
    /// changed.
    fn update(&mut self, neighbour: Neighbour) -> bool {
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
