//! The interfaces that carry a tunnel: those of the routes to its endpoints, otherwise of the default routes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use nix::errno::Errno;

use crate::live::snapshot::Live;
use crate::rtnetlink::route;
use crate::rtnetlink::route::Hop;
use netkeel_core::error::Error;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::reading::SysctlReading;
use netkeel_host::snapshot::routes::mtu_over;
use netkeel_host::snapshot::scope::{Links, Scope};

/// An interface that carries packets to a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Underlay {
    /// The interface.
    pub link: LinkName,
    /// Bytes of the largest packet: the least of the interface's MTU, the route's MTU, and for IPv6
    /// `net.ipv6.conf.IF.mtu`.
    pub mtu: u32,
    /// The endpoint; `None` for a default route.
    pub endpoint: Option<IpAddr>,
}

/// The underlays of one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Underlays {
    /// Those of the endpoints with a route; without such an endpoint those of the default routes.
    pub found: Vec<Underlay>,
    /// Endpoints without a route.
    pub unreachable: BTreeSet<IpAddr>,
    /// The MTUs of all interfaces, bytes.
    pub links: Vec<(LinkName, u32)>,
}

/// Reads the underlays in a namespace, of packets with this firewall mark. Default routes count if `counts` accepts
/// an address of their family.
///
/// # Errors
/// When the namespace, the interfaces or the routes cannot be read.
pub fn underlays(
    netns: &Netns,
    endpoints: &BTreeSet<IpAddr>,
    mark: Option<u32>,
    counts: impl Fn(bool) -> bool + Send,
) -> Result<Underlays, Error> {
    Live::with(netns, |live| live.underlays(endpoints, mark, counts))?
}

impl Live {
    fn underlays(
        &mut self,
        endpoints: &BTreeSet<IpAddr>,
        mark: Option<u32>,
        counts: impl Fn(bool) -> bool,
    ) -> Result<Underlays, Error> {
        let scope = Scope {
            links: Links::All,
            ..Scope::default()
        };
        let host = self.snapshot(&scope)?;
        let mut answer = Underlays {
            links: host.links.iter().map(|(name, link)| (*name, link.mtu)).collect(),
            ..Underlays::default()
        };
        for endpoint in endpoints {
            match route::to(&mut self.socket, *endpoint, mark) {
                Ok(hop) => answer.found.extend(self.underlay(&host, &hop, Some(*endpoint))),
                Err(refusal) if is_no_route(refusal.errno) => {
                    answer.unreachable.insert(*endpoint);
                }
                Err(refusal) => {
                    return Err(Error::from(refusal).context(format_args!("reading the route to {endpoint}")));
                }
            }
        }
        if answer.found.is_empty() {
            let hops = route::defaults(&mut self.socket)
                .map_err(|refusal| Error::from(refusal).context("reading the default routes"))?;
            for hop in hops.iter().filter(|hop| counts(hop.ipv6)) {
                answer.found.extend(self.underlay(&host, hop, None));
            }
        }
        Ok(answer)
    }

    fn underlay(&mut self, host: &Snapshot, hop: &Hop, endpoint: Option<IpAddr>) -> Option<Underlay> {
        let (name, link) = host.links.iter().find(|(_, link)| link.index == hop.index)?;
        if !link.up {
            return None;
        }
        let of_ipv6 = hop.ipv6.then(|| self.ipv6_mtu(*name)).flatten();
        let (mtu, _) = mtu_over(link, [hop.mtu, of_ipv6]);
        Some(Underlay {
            link: *name,
            mtu,
            endpoint,
        })
    }

    /// `net.ipv6.conf.IF.mtu`: IPv6 uses this MTU, which may be smaller than the interface's.
    fn ipv6_mtu(&mut self, link: LinkName) -> Option<u32> {
        let key = SysctlKey::conf("ipv6", link, "mtu");
        let reading: SysctlReading = self.sysctls.read(&key).ok()?;
        u32::try_from(reading.number()?).ok()
    }
}

/// The kernel has no route to the address (`ip_route_output_key_hash`, `ip6_route_output`).
pub(super) fn is_no_route(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EACCES | Errno::EINVAL
    )
}
