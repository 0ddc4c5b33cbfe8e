//! Notifications of rtnetlink about a namespace: interfaces, addresses, the sysctls below `net.*.conf`
//! that have notifications, and default routes. Where rules matter, also those of nftables.

use std::os::fd::{AsFd, BorrowedFd};

use netlink_sys::protocols::NETLINK_ROUTE;

use crate::netlink::message::{Attributes, Malformed, Message, u32_at};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::{Listener, Received};
use crate::nftables::changes::Changes;
use crate::rtnetlink::link::Words;
use crate::rtnetlink::{link, route_filter};
use netkeel_core::error::Error;
use netkeel_host::event::HostEvent;

/// Interfaces, and addresses and netconf of both families.
const GROUPS: [u32; 5] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_IPV4_IFADDR,
    libc::RTNLGRP_IPV6_IFADDR,
    libc::RTNLGRP_IPV4_NETCONF,
    libc::RTNLGRP_IPV6_NETCONF,
];

/// `struct netconfmsg`, bytes, padded.
const NETCONF_FIXED: usize = 4;

/// Of include/uapi/linux/rtnetlink.h; libc has it for glibc alone.
const RTM_DELNETCONF: u16 = 81;

/// Attributes of netconf (include/uapi/linux/netconf.h).
const NETCONFA_IFINDEX: u16 = 1;

const NETCONFA_FORWARDING: u16 = 2;

const NETCONFA_RP_FILTER: u16 = 3;

/// Sockets that receive these events.
pub struct Events {
    listener: Listener,
    /// Default routes are followed.
    routes: bool,
    /// Changes of nftables, where they are followed.
    rules: Option<Changes>,
    queue: usize,
}

impl Events {
    /// Listens in the calling thread's namespace. The kernel may queue so many bytes.
    pub fn open(queue: usize) -> Result<Self, Refusal> {
        let mut listener = Listener::open(NETLINK_ROUTE, queue)?;
        route_filter::filter(&listener)?;
        for group in GROUPS {
            listener.follow(group, true)?;
        }
        Ok(Events {
            listener,
            routes: false,
            rules: None,
            queue,
        })
    }

    /// Follows default routes, or no longer.
    ///
    /// # Errors
    /// The error of the kernel.
    pub fn follow_default_routes(&mut self, on: bool) -> Result<(), Error> {
        if self.routes == on {
            return Ok(());
        }
        for group in route_filter::GROUPS {
            self.listener.follow(group, on)?;
        }
        self.routes = on;
        Ok(())
    }

    /// Follows changes of nftables, or no longer; returns whether it begins to. It does not while that
    /// would load nftables into the kernel.
    ///
    /// # Errors
    /// The error of the kernel.
    pub fn follow_rules(&mut self, on: bool) -> Result<bool, Error> {
        if self.rules.is_some() == on {
            return Ok(false);
        }
        self.rules = match on {
            true => Changes::open(self.queue).map_err(Error::from)?,
            false => None,
        };
        Ok(self.rules.is_some())
    }

    /// The descriptors to poll for reading.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let rules = self.rules.as_ref().map(AsFd::as_fd);
        [self.as_fd()].into_iter().chain(rules)
    }

    /// Gives the events received since to `each`, without waiting. More may be left when it returns true.
    pub fn take(&mut self, mut each: impl FnMut(HostEvent)) -> bool {
        if let Some(heard) = self.rules.as_mut().map(Changes::take).filter(|heard| heard.any) {
            each(HostEvent::Rules { own: heard.own });
        }
        self.listener.take(|received| match received {
            Received::Message(message) => match hear(&message) {
                Ok(heard) => heard.into_iter().for_each(&mut each),
                Err(Malformed(_)) => each(HostEvent::Lost),
            },
            Received::Lost => each(HostEvent::Lost),
        })
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

fn hear(message: &Message<'_>) -> Result<Option<HostEvent>, Malformed> {
    const WHAT: Malformed = Malformed("event");
    let index = || u32_at(message.payload, 4).ok_or(WHAT);
    Ok(match message.kind {
        // A port that leaves its bridge causes an RTM_DELLINK of AF_BRIDGE; the interface stays.
        libc::RTM_NEWLINK | libc::RTM_DELLINK if message.payload.first() != Some(&0) => {
            Some(HostEvent::Touched(index()?))
        }
        libc::RTM_NEWLINK => {
            let (mut rows, mut problems) = (Vec::new(), Vec::new());
            link::read(message, &mut Words::default(), &mut rows, &mut problems)?;
            // No document can name an interface whose name is not valid.
            let row = rows.pop();
            row.map(|(name, link)| HostEvent::Link(name, link))
        }
        libc::RTM_DELLINK => Some(HostEvent::Gone(index()?)),
        libc::RTM_NEWADDR | libc::RTM_DELADDR => Some(HostEvent::Touched(index()?)),
        libc::RTM_NEWROUTE | libc::RTM_DELROUTE => Some(HostEvent::DefaultRoute),
        libc::RTM_NEWNETCONF => Some(netconf(message.payload)?),
        RTM_DELNETCONF => None,
        _ => None,
    })
}

/// Reads one RTM_NEWNETCONF.
fn netconf(payload: &[u8]) -> Result<HostEvent, Malformed> {
    let family = payload.first().ok_or(Malformed("event"))?;
    let (mut index, mut forwarding, mut rp_filter) = (None, None, None);
    for attribute in Attributes::after(payload, NETCONF_FIXED)? {
        let attribute = attribute?;
        match attribute.kind {
            // -1 is `all`, -2 is `default` (NETCONFA_IFINDEX_ALL, NETCONFA_IFINDEX_DEFAULT).
            NETCONFA_IFINDEX => index = u32::try_from(attribute.i32()?).ok(),
            NETCONFA_FORWARDING => forwarding = Some(attribute.i32()?),
            NETCONFA_RP_FILTER => rp_filter = Some(attribute.i32()?),
            _ => {}
        }
    }
    Ok(HostEvent::Conf {
        index,
        ipv6: libc::c_int::from(*family) == libc::AF_INET6,
        forwarding,
        rp_filter,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::Messages;
    use proptest::prelude::*;

    fn conf(family: libc::c_int, index: i32, attribute: (u16, i32)) -> HostEvent {
        let mut bytes = vec![family as u8, 0, 0, 0, 8, 0, 1, 0];
        bytes.extend(index.to_ne_bytes());
        bytes.extend([8, 0]);
        bytes.extend(attribute.0.to_ne_bytes());
        bytes.extend(attribute.1.to_ne_bytes());
        netconf(&bytes).unwrap()
    }

    #[test]
    fn netconf_names_an_interface_or_none() {
        let of = |index, forwarding, rp_filter, ipv6| HostEvent::Conf {
            index,
            ipv6,
            forwarding,
            rp_filter,
        };
        assert_eq!(
            conf(libc::AF_INET, 7, (NETCONFA_RP_FILTER, 1)),
            of(Some(7), None, Some(1), false)
        );
        assert_eq!(
            conf(libc::AF_INET, -1, (NETCONFA_RP_FILTER, 2)),
            of(None, None, Some(2), false)
        );
        assert_eq!(
            conf(libc::AF_INET6, 7, (NETCONFA_FORWARDING, 1)),
            of(Some(7), Some(1), None, true)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            for message in Messages(&bytes).flatten() {
                let _ = hear(&message);
            }
            let _ = netconf(&bytes);
        }
    }
}
