//! The checks of packets that arrive on an interface and are routed.

use std::net::IpAddr;

use crate::path::hop::{Above, Cause, RpFilterEffect};
use crate::path::unknown::Unknown;
use crate::path::walk::{Walk, Way};
use netkeel_core::name::link::LinkName;
use netkeel_core::rp_filter::{Decider, Verdict};
use netkeel_host::snapshot::forwarding::{Family, RouteTarget};

/// The sources of the packets that arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sources<'a> {
    /// These addresses; empty if they are not known.
    These(&'a [IpAddr]),
    /// Those whose routes leave by the interface that receives them.
    Behind,
    /// Any address, as in packets that come out of a tunnel that accepts every sender.
    Any,
}

impl Walk<'_> {
    /// Adds the checks of a hop whose packets are routed in one direction.
    pub(crate) fn arrives(&mut self, at: usize, link: LinkName, way: Way, sources: Sources<'_>) {
        self.rp_filter(at, link, way, sources);
    }

    /// Adds that packets arriving on a hop must be forwarded.
    pub(crate) fn must_forward(&mut self, at: usize, link: LinkName, way: Way) {
        let forwards = self.host.forwards(self.family, link);
        if let Some(hop) = self.hops.get_mut(at) {
            hop.forwarding = forwards;
        }
        match forwards {
            Some(true) => {}
            Some(false) => self.nothing(at, way, Cause::ForwardingOff),
            None => {
                self.unknown.insert(Unknown::Forwarding(link));
            }
        }
    }

    fn rp_filter(&mut self, at: usize, link: LinkName, way: Way, sources: Sources<'_>) {
        if self.family == Family::Ipv6 {
            return;
        }
        let Some(effective) = self.host.rp_filter(link) else {
            self.unknown.insert(Unknown::RpFilter(link));
            return;
        };
        let asymmetric = effective.verdict == Verdict::Accept;
        let passes = match sources {
            _ if effective.value <= 0 => Some(true),
            // Another table may hold the route back.
            _ if self.host.has_other_rules(self.family) => None,
            Sources::Behind => Some(true),
            Sources::Any => Some(asymmetric),
            Sources::These([]) => None,
            Sources::These(these) => {
                let passes = |source: &IpAddr| self.route_back_passes(*source, link, asymmetric);
                let mut each = these.iter().map(passes);
                // Which one a packet has is not known.
                each.next()
                    .flatten()
                    .filter(|first| each.all(|other| other == Some(*first)))
            }
        };
        let effect = RpFilterEffect {
            value: effective.value,
            by_all: effective.decided_by == Decider::All,
            accepts_asymmetric: asymmetric,
            no_address: effective.verdict == Verdict::DropNoAddress,
            passes,
            src_valid_mark: self.host.src_valid_mark(link),
            accept_local: self.host.accept_local(link),
        };
        if let Some(hop) = self.hops.get_mut(at) {
            hop.rp_filter = Some(effect);
        }
        match passes {
            Some(true) => {}
            Some(false) => self.nothing(at, way, Cause::RpFilter),
            None => {
                self.unknown.insert(Unknown::RpFilter(link));
            }
        }
    }

    /// Whether the check of one source succeeds: its route must leave by the interface, or exist at all.
    fn route_back_passes(&self, source: IpAddr, link: LinkName, asymmetric: bool) -> Option<bool> {
        let route = self.host.route(source)?;
        match route.map(|route| &route.to) {
            None | Some(RouteTarget::Nowhere) => Some(false),
            Some(RouteTarget::Elsewhere) => None,
            Some(RouteTarget::Hops(hops)) => Some(asymmetric || hops.iter().any(|hop| hop.link == link)),
        }
    }

    /// Nothing passes a hop.
    pub(crate) fn nothing(&mut self, at: usize, way: Way, cause: Cause) {
        self.limit_as_is(at, way, 0, Above::Dropped(cause));
    }
}
