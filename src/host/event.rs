//! Events that the kernel reports.

use std::sync::Arc;

use crate::snapshot::link::Link;
use netkeel_core::name::link::LinkName;

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub enum HostEvent {
    /// An interface appeared or changed to this state; addresses and driver are not included.
    Link(LinkName, Arc<Link>),
    /// An interface disappeared.
    Gone(u32),
    /// Another property of an interface changed: an address, or its bridge.
    Touched(u32),
    /// A default route appeared, changed or disappeared.
    DefaultRoute,
    /// The value of a sysctl below `net.ipv4.conf` or `net.ipv6.conf` changed.
    Conf {
        /// The interface; none for `all` and `default`.
        index: Option<u32>,
        /// IPv6, not IPv4.
        ipv6: bool,
        /// The interface's new `forwarding`, if the event contains it.
        forwarding: Option<i32>,
        /// The interface's new `rp_filter`, if the event contains it.
        rp_filter: Option<i32>,
    },
    /// nftables rules changed.
    Rules {
        /// netkeel's own rules are among them.
        own: bool,
    },
    /// Events were lost (receive buffer overrun), or one could not be read: the known state of the
    /// host may be stale.
    Lost,
}
