//! The kernel's route to a target, with the MTUs that it has for it.

use std::net::IpAddr;

use crate::netlink::socket::Socket;
use crate::rtnetlink::link;
use crate::rtnetlink::route::{self, Lookup};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::link::LinkName;

/// The route to a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MtuOfRoute {
    pub(super) interface: LinkName,
    pub(super) interface_mtu: u32,
    /// The interface's own MTU for IPv6, bytes, where it differs and the target is of IPv6.
    pub(super) ipv6_mtu: Option<u32>,
    pub(super) gateway: Option<IpAddr>,
    /// MTU of the configured route, bytes.
    pub(super) configured: Option<u32>,
    /// MTU that the kernel learned for the target, bytes.
    pub(super) cached: Option<u32>,
}

/// Reads the route to a target in the calling thread's namespace.
pub(super) fn route_to(target: IpAddr) -> Result<MtuOfRoute, Error> {
    let mut socket = Socket::open().map_err(Error::from)?;
    let mut chosen = |lookup| {
        route::chosen(&mut socket, target, lookup).map_err(|refusal| {
            Error::from(refusal)
                .context(format_args!("the route to {target}"))
                .hint(format!(
                    "`ip route get {target}` shows what the routing table says"
                ))
        })
    };
    let configured = chosen(Lookup::Configured)?;
    let in_force = chosen(Lookup::InForce)?;
    let links = link::dump(&mut socket, &mut Vec::new())?;
    let Some((interface, link)) = link::by_index(&links, in_force.index) else {
        let message = format!("the route to {target} is over an interface that is gone");
        return Err(Error::new(ErrorKind::Missing, message));
    };
    Ok(MtuOfRoute {
        interface: *interface,
        interface_mtu: link.mtu,
        // The MTU of a route goes before it.
        ipv6_mtu: link.mtu6.filter(|_| target.is_ipv6() && configured.mtu.is_none()),
        gateway: in_force.gateway,
        configured: configured.mtu,
        cached: in_force.mtu.filter(|mtu| Some(*mtu) != configured.mtu),
    })
}
