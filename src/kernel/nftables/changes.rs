//! Notifications of changes to the nftables of a namespace, by any program: rules that another program
//! flushes are noticed at once. iptables-legacy has no notifications.

use crate::nftables::protocol::*;

use std::os::fd::{AsFd, BorrowedFd};

use netlink_sys::protocols::NETLINK_NETFILTER;
use nix::sys::utsname::uname;

use crate::modules;
use crate::netlink::message::{Attributes, Malformed, Message};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::{Listener, Received};
use crate::nftables::client::MODULES;
use netkeel_core::nflog::entry_name::TABLE;

/// `struct nfgenmsg`, bytes.
const FIXED: usize = 4;

/// Elements of sets: packets fill the sets of netkeel.
const OF_ELEMENTS: [u16; 2] = [NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM];

/// A socket that receives them.
pub struct Changes(Listener);

/// The changes of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RulesetChange {
    /// Something changed.
    pub any: bool,
    /// netkeel's own table changed, or the message does not say which.
    pub own: bool,
}

impl Changes {
    /// Listens in the calling thread's namespace; the kernel may queue so many bytes. None while that
    /// would load nftables into the kernel: then there is nothing to hear.
    pub fn open(queue: usize) -> Result<Option<Self>, Refusal> {
        let [nftables, ..] = MODULES;
        let release = uname()?;
        if modules::would_be_loaded(nftables, &release.release().to_string_lossy()) {
            return Ok(None);
        }
        let mut listener = Listener::open(NETLINK_NETFILTER, queue)?;
        listener.follow(libc::NFNLGRP_NFTABLES as u32, true)?;
        Ok(Some(Changes(listener)))
    }

    /// Takes the changes received since, without waiting.
    pub fn take(&mut self) -> RulesetChange {
        let mut heard = RulesetChange::default();
        self.0.take(|received| hear(received, &mut heard));
        heard
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A lost message may have been about anything.
fn hear(received: Received<'_>, heard: &mut RulesetChange) {
    let whole = match received {
        Received::Message(message) => of_message(&message, heard).is_ok(),
        Received::Lost => false,
    };
    if !whole {
        *heard = RulesetChange { any: true, own: true };
    }
}

fn of_message(message: &Message<'_>, heard: &mut RulesetChange) -> Result<(), Malformed> {
    let verb = message.kind & 0xff;
    if message.kind >> 8 != NFNL_SUBSYS_NFTABLES || OF_ELEMENTS.contains(&verb) {
        return Ok(());
    }
    heard.any = true;
    // It ends a transaction.
    if verb == NFT_MSG_NEWGEN {
        return Ok(());
    }
    for attribute in Attributes::after(message.payload, FIXED)? {
        let attribute = attribute?;
        heard.own |= attribute.kind == OF_TABLE && attribute.string() == TABLE.as_bytes();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::{Messages, Request};
    use proptest::prelude::*;

    fn told(verb: u16, table: &str) -> Vec<u8> {
        let request = Request::new(NFNL_SUBSYS_NFTABLES << 8 | verb, 0, &[1, 0, 0, 0]);
        request.text(OF_TABLE, table).finish(0).to_vec()
    }

    #[test]
    fn only_what_concerns_the_own_table_is_its_own() {
        let of = |received: &[u8]| {
            let mut heard = RulesetChange::default();
            for message in Messages(received) {
                hear(message.map_or(Received::Lost, Received::Message), &mut heard);
            }
            (heard.any, heard.own)
        };
        let other = told(NFT_MSG_NEWRULE, "kube-proxy");
        assert_eq!(of(&other), (true, false));
        assert_eq!(of(&told(NFT_MSG_NEWGEN, "netkeel")), (true, false));
        assert_eq!(
            of(&[other, told(NFT_MSG_DELTABLE, "netkeel")].concat()),
            (true, true)
        );
        assert_eq!(of(&told(NFT_MSG_NEWSETELEM, "netkeel")), (false, false));
        assert_eq!(of(&[1]), (true, true));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            for message in Messages(&bytes).flatten() {
                hear(Received::Message(message), &mut RulesetChange::default());
            }
        }
    }
}
