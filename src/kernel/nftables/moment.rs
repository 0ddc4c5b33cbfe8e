//! Dumps that belong to one moment: the kernel sends each list of nftables by itself, and a change in between
//! leaves lists that do not fit each other.

use std::collections::BTreeSet;

use crate::netlink::message::{Malformed, Message, Request};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::{ATTEMPTS, Dump, Socket};
use crate::nftables::protocol::{
    NFT_MSG_GETGEN, NFT_MSG_GETTABLE, NFTA_GEN_ID, attributes, message_family, request, table,
};

/// The table is switched off (NFT_TABLE_F_DORMANT, include/uapi/linux/netfilter/nf_tables.h).
const DORMANT: u32 = 1;

/// A result of several dumps.
pub(crate) struct Moment<T> {
    pub(crate) read: T,
    /// The generation of the rules before the first dump.
    pub(crate) generation: u32,
    /// All dumps are of that generation, and whole.
    pub(crate) is_one: bool,
}

impl<T> Moment<T> {
    /// The result, if it is of one moment.
    pub(crate) fn one(self) -> Option<T> {
        self.is_one.then_some(self.read)
    }
}

/// The dumps of one attempt.
pub(crate) struct Dumps<'a> {
    socket: &'a mut Socket,
    are_whole: bool,
}

/// Reads by several dumps, again while the rules change. After the last attempt the result may be of several
/// moments.
///
/// # Errors
/// The first refusal of the kernel.
pub(crate) fn read<T>(
    socket: &mut Socket,
    mut attempt: impl FnMut(&mut Dumps<'_>) -> Result<T, Refusal>,
) -> Result<Moment<T>, Refusal> {
    let mut attempts = 1;
    loop {
        let before = generation(socket)?;
        let mut dumps = Dumps {
            socket,
            are_whole: true,
        };
        let read = attempt(&mut dumps)?;
        let is_one = dumps.are_whole && generation(socket)? == before;
        if is_one || attempts == ATTEMPTS {
            return Ok(Moment {
                read,
                generation: before,
                is_one,
            });
        }
        attempts += 1;
    }
}

/// The number of the ruleset: each change counts it up.
fn generation(socket: &mut Socket) -> Result<u32, Refusal> {
    let mut generation = 0;
    let get = request(NFT_MSG_GETGEN, 0, libc::NLM_F_ACK);
    socket.exchange(get, |message| {
        for attribute in attributes(&message)? {
            let attribute = attribute?;
            if attribute.kind == NFTA_GEN_ID {
                generation = attribute.be32()?;
            }
        }
        Ok(())
    })?;
    Ok(generation)
}

impl Dumps<'_> {
    /// Gives each message of a dump to `each`.
    pub(crate) fn dump(
        &mut self,
        request: Request,
        mut each: impl FnMut(&Message<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Refusal> {
        let dump = self.socket.exchange(request, |message| each(&message))?;
        self.are_whole &= dump == Dump::Whole;
        Ok(())
    }

    /// The tables that are switched off, by family and name.
    pub(crate) fn dormant(&mut self) -> Result<BTreeSet<(u8, String)>, Refusal> {
        let mut dormant = BTreeSet::new();
        self.dump(request(NFT_MSG_GETTABLE, 0, libc::NLM_F_DUMP), |message| {
            let (name, flags) = table(message)?;
            if flags & DORMANT != 0 {
                dormant.insert((message_family(message), name));
            }
            Ok(())
        })?;
        Ok(dormant)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn nft(words: &str) {
        let done = Command::new("nft").args(words.split(' ')).status().unwrap();
        assert!(done.success(), "nft {words}");
    }

    #[test]
    fn rules_that_change_in_each_attempt_are_of_no_moment() {
        let reads = || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            nft("add table inet t");
            let mut socket = Socket::open_netfilter().unwrap();
            let mut read_while = |changes: u32| {
                let mut attempts = 0;
                let moment = read(&mut socket, |dumps| {
                    attempts += 1;
                    let dormant = dumps.dormant()?;
                    if attempts <= changes {
                        nft(&format!("add chain inet t c{changes}{attempts}"));
                    }
                    Ok(dormant.len())
                });
                (moment.unwrap().one(), attempts)
            };
            assert_eq!(read_while(0), (Some(0), 1));
            assert_eq!(read_while(ATTEMPTS - 1), (Some(0), ATTEMPTS));
            assert_eq!(read_while(ATTEMPTS), (None, ATTEMPTS));
        };
        // A network namespace of this thread alone.
        std::thread::spawn(reads).join().unwrap();
    }
}
