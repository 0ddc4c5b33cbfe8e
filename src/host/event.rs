//! What a kernel tells unasked.

use std::sync::Arc;

use crate::snapshot::link::Link;
use netkeel_core::name::link::LinkName;

/// One thing that was heard.
#[derive(Clone, Debug, PartialEq)]
pub enum HostEvent {
    /// An interface came or changed, and is this now; addresses and driver are not told.
    Link(LinkName, Arc<Link>),
    /// An interface went.
    Gone(u32),
    /// Something else of an interface changed: an address, the bridge it is a port of.
    Touched(u32),
    /// A default route came, changed or went.
    DefaultRoute,
    /// A sysctl below `net.ipv4.conf` or `net.ipv6.conf` was written to another value.
    Conf {
        /// The interface; none for `all` and `default`.
        index: Option<u32>,
        /// IPv6, not IPv4.
        ipv6: bool,
        /// The interface's `forwarding`, where it is told.
        forwarding: Option<i32>,
        /// The interface's `rp_filter`, where it is told.
        rp_filter: Option<i32>,
    },
    /// Rules of nftables changed.
    Rules {
        /// netkeel's own among them.
        own: bool,
    },
    /// There was more to tell than there was room for, or something could not be read: what is
    /// known of the host is not to be trusted.
    Lost,
}
