//! What changes in the nftables of a namespace, as nfnetlink tells it unasked: by whomever, so that
//! rules that somebody flushes are not missed until the next look. iptables-legacy tells nothing.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::utsname::uname;

use super::super::message::{Attributes, Malformed, Message};
use super::super::modules;
use super::super::netlink::{Listener, NETLINK_NETFILTER, Received};
use super::super::refusal::Refusal;
use super::MODULES;
use super::protocol::*;
use crate::nflog::TABLE;

/// `struct nfgenmsg`, bytes.
const FIXED: usize = 4;

/// Elements of sets: packets fill the sets of netkeel.
const OF_ELEMENTS: [u16; 2] = [NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM];

/// A socket that hears them.
pub(in crate::kernel) struct Changes(Listener);

/// What there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::kernel) struct Heard {
    /// Something changed.
    pub(in crate::kernel) any: bool,
    /// netkeel's own table did, or what was told does not say.
    pub(in crate::kernel) own: bool,
}

impl Changes {
    /// Listens in the calling thread's namespace; the kernel may queue so many bytes. None while that
    /// would load nftables into the kernel: then there is nothing to hear.
    pub(in crate::kernel) fn open(queue: usize) -> Result<Option<Self>, Refusal> {
        let [nftables, ..] = MODULES;
        let release = uname()?;
        if modules::would_be_loaded(nftables, &release.release().to_string_lossy()) {
            return Ok(None);
        }
        let mut listener = Listener::open(NETLINK_NETFILTER, queue)?;
        listener.follow(libc::NFNLGRP_NFTABLES as u32, true)?;
        Ok(Some(Changes(listener)))
    }

    /// Takes what was heard since, without waiting.
    pub(in crate::kernel) fn take(&mut self) -> Heard {
        let mut heard = Heard::default();
        self.0.take(|received| hear(received, &mut heard));
        heard
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What was lost may have concerned anything.
fn hear(received: Received<'_>, heard: &mut Heard) {
    let whole = match received {
        Received::Message(message) => of_message(&message, heard).is_ok(),
        Received::Lost | Received::Cut(_) => false,
    };
    if !whole {
        *heard = Heard { any: true, own: true };
    }
}

fn of_message(message: &Message<'_>, heard: &mut Heard) -> Result<(), Malformed> {
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
    use super::super::super::message::{Messages, Request};
    use super::*;
    use proptest::prelude::*;

    fn told(verb: u16, table: &str) -> Vec<u8> {
        let request = Request::new(NFNL_SUBSYS_NFTABLES << 8 | verb, 0, &[1, 0, 0, 0]);
        request.text(OF_TABLE, table).finish(0).to_vec()
    }

    #[test]
    fn only_what_concerns_the_own_table_is_its_own() {
        let of = |received: &[u8]| {
            let mut heard = Heard::default();
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
                hear(Received::Message(message), &mut Heard::default());
            }
        }
    }
}
