//! What changes on the interfaces of a namespace, as rtnetlink tells it unasked: interfaces,
//! addresses, the sysctls below `net.*.conf` that have notifications, and default routes. Where rules
//! matter, also what changes in nftables.

mod routes;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netlink_sys::Socket as RawSocket;
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};

use super::link::{self, Words};
use super::message::{Attributes, Malformed, Message, Messages, u32_at};
use super::nftables::Changes;
use super::refusal::{Refusal, error};
use crate::error::Error;
use crate::reconcile::Heard;

/// Groups (`enum rtnetlink_groups`, include/uapi/linux/rtnetlink.h): interfaces, addresses of both
/// families, and the netconf of both.
const GROUPS: [u32; 5] = [1, 5, 9, 24, 25];

/// `struct netconfmsg`, bytes, padded.
const NETCONF_FIXED: usize = 4;

/// Of include/uapi/linux/rtnetlink.h; libc has it for glibc alone.
const RTM_DELNETCONF: u16 = 81;

/// Attributes of netconf (include/uapi/linux/netconf.h).
const NETCONFA_IFINDEX: u16 = 1;
const NETCONFA_FORWARDING: u16 = 2;
const NETCONFA_RP_FILTER: u16 = 3;

/// Longest event that is read, bytes: an interface with all of its virtual functions may have more
/// than this, and then counts as one that was lost.
const BUFFER: usize = 64 * 1024;

/// Events that are taken in one go, so that a storm of them cannot keep a caller for ever.
const AT_ONCE: usize = 4096;

/// A socket that hears them.
pub struct Events {
    raw: RawSocket,
    buffer: Vec<u8>,
    /// Default routes are told too.
    routes: bool,
    /// What changes in nftables, where that is told too.
    rules: Option<Changes>,
    queue: usize,
}

impl Events {
    /// Listens in the calling thread's namespace. The kernel may queue so many bytes.
    pub(super) fn open(queue: usize) -> Result<Self, Refusal> {
        let mut raw = RawSocket::new(NETLINK_ROUTE)?;
        // The limit of net.core.rmem_max is for those without privilege.
        setsockopt(&raw, sockopt::RcvBufForce, &queue)
            .or_else(|_| setsockopt(&raw, sockopt::RcvBuf, &queue))
            .map_err(|errno| Refusal { errno, text: None })?;
        raw.bind_auto()?;
        routes::filter(&raw)?;
        for group in GROUPS {
            raw.add_membership(group)?;
        }
        raw.set_non_blocking(true)?;
        Ok(Events {
            raw,
            buffer: vec![0; BUFFER],
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
            let done = match on {
                true => self.raw.add_membership(group),
                false => self.raw.drop_membership(group),
            };
            done.map_err(error)?;
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
        for _ in 0..AT_ONCE {
            match self.raw.recv(&mut &mut *self.buffer, libc::MSG_TRUNC) {
                Ok(length) => match self.buffer.get(..length) {
                    Some(received) => tell(received, &mut each),
                    None => each(Heard::Lost),
                },
                Err(error) => match Errno::from_raw(error.raw_os_error().unwrap_or_default()) {
                    Errno::EINTR => {}
                    Errno::EAGAIN => return false,
                    // ENOBUFS, told once; what is queued can still be read.
                    Errno::ENOBUFS => each(Heard::Lost),
                    _ => {
                        each(Heard::Lost);
                        return false;
                    }
                },
            }
        }
        true
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        #[expect(unsafe_code)]
        // SAFETY: the socket stays open as long as it is borrowed here.
        unsafe {
            BorrowedFd::borrow_raw(self.raw.as_raw_fd())
        }
    }
}

fn tell(received: &[u8], each: &mut impl FnMut(Heard)) {
    for message in Messages(received) {
        match message.and_then(|message| hear(&message)) {
            Ok(heard) => heard.into_iter().for_each(&mut *each),
            Err(_) => each(Heard::Lost),
        }
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
        kind if i32::from(kind) == libc::NLMSG_OVERRUN => Some(Heard::Lost),
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
    use super::*;
    use proptest::prelude::*;

    fn conf(family: u8, index: i32, attribute: (u16, i32)) -> Heard {
        let mut bytes = vec![family, 0, 0, 0, 8, 0, 1, 0];
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
        assert_eq!(conf(2, 7, (3, 1)), of(Some(7), None, Some(1), false));
        assert_eq!(conf(2, -1, (3, 2)), of(None, None, Some(2), false));
        assert_eq!(conf(10, 7, (2, 1)), of(Some(7), Some(1), None, true));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            tell(&bytes, &mut |_| {});
            let _ = netconf(&bytes);
        }
    }
}
