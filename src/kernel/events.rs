//! What changes on the interfaces of a namespace, as rtnetlink tells it unasked: interfaces,
//! addresses, the sysctls below `net.*.conf` that have notifications, and default routes. Where rules
//! matter, also what changes in nftables.

mod routes;

use std::os::fd::{AsFd, BorrowedFd};

use super::link::{self, Words};
use super::message::{Attributes, Malformed, Message, u32_at};
use super::netlink::{Listener, NETLINK_ROUTE, Received};
use super::nftables::Changes;
use super::refusal::Refusal;
use crate::error::Error;
use crate::reconcile::Heard;

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

/// A socket that hears them.
pub struct Events {
    listener: Listener,
    /// Default routes are told too.
    routes: bool,
    /// What changes in nftables, where that is told too.
    rules: Option<Changes>,
    queue: usize,
}

impl Events {
    /// Listens in the calling thread's namespace. The kernel may queue so many bytes.
    pub(super) fn open(queue: usize) -> Result<Self, Refusal> {
        let mut listener = Listener::open(NETLINK_ROUTE, queue)?;
        routes::filter(&listener)?;
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

    /// Hears default routes too, or no longer.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn follow_default_routes(&mut self, on: bool) -> Result<(), Error> {
        if self.routes == on {
            return Ok(());
        }
        for group in routes::GROUPS {
            self.listener.follow(group, on)?;
        }
        self.routes = on;
        Ok(())
    }

    /// Hears what changes in nftables too, or no longer; whether it begins to. It does not while
    /// nftables would have to be loaded into the kernel for it.
    ///
    /// # Errors
    /// What the kernel said.
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

    /// Takes what was heard since, without waiting. More may be left when it returns true.
    pub fn take(&mut self, mut each: impl FnMut(Heard)) -> bool {
        if let Some(heard) = self.rules.as_mut().map(Changes::take).filter(|heard| heard.any) {
            each(Heard::Rules { own: heard.own });
        }
        self.listener.take(|received| match received {
            Received::Message(message) => match hear(&message) {
                Ok(heard) => heard.into_iter().for_each(&mut each),
                Err(Malformed(_)) => each(Heard::Lost),
            },
            // An interface with all of its virtual functions may not fit into the buffer.
            Received::Lost | Received::Cut(_) => each(Heard::Lost),
        })
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

fn hear(message: &Message<'_>) -> Result<Option<Heard>, Malformed> {
    const WHAT: Malformed = Malformed("event");
    let index = || u32_at(message.payload, 4).ok_or(WHAT);
    Ok(match message.kind {
        // A port that leaves its bridge is told by RTM_DELLINK of AF_BRIDGE; the interface stays.
        libc::RTM_NEWLINK | libc::RTM_DELLINK if message.payload.first() != Some(&0) => {
            Some(Heard::Touched(index()?))
        }
        libc::RTM_NEWLINK => {
            let (mut rows, mut problems) = (Vec::new(), Vec::new());
            link::read(message, &mut Words::default(), &mut rows, &mut problems)?;
            // One whose name cannot be taken is nobody's.
            let row = rows.pop();
            row.map(|(name, link)| Heard::Link(name, link))
        }
        libc::RTM_DELLINK => Some(Heard::Gone(index()?)),
        libc::RTM_NEWADDR | libc::RTM_DELADDR => Some(Heard::Touched(index()?)),
        libc::RTM_NEWROUTE | libc::RTM_DELROUTE => Some(Heard::DefaultRoute),
        libc::RTM_NEWNETCONF => Some(netconf(message.payload)?),
        RTM_DELNETCONF => None,
        _ => None,
    })
}

/// Reads one RTM_NEWNETCONF.
fn netconf(payload: &[u8]) -> Result<Heard, Malformed> {
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
    Ok(Heard::Conf {
        index,
        ipv6: libc::c_int::from(*family) == libc::AF_INET6,
        forwarding,
        rp_filter,
    })
}

#[cfg(test)]
mod tests {
    use super::super::message::Messages;
    use super::*;
    use proptest::prelude::*;

    fn conf(family: libc::c_int, index: i32, attribute: (u16, i32)) -> Heard {
        let mut bytes = vec![family as u8, 0, 0, 0, 8, 0, 1, 0];
        bytes.extend(index.to_ne_bytes());
        bytes.extend([8, 0]);
        bytes.extend(attribute.0.to_ne_bytes());
        bytes.extend(attribute.1.to_ne_bytes());
        netconf(&bytes).unwrap()
    }

    #[test]
    fn netconf_names_an_interface_or_none() {
        let of = |index, forwarding, rp_filter, ipv6| Heard::Conf {
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
