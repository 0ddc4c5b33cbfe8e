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
