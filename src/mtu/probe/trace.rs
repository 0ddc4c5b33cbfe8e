//! The routers of a path, by packets with a small TTL.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

/// One hop of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Hop {
    /// The TTL with which it was reached: the first router is 1.
    pub number: u8,
    /// The address from which it answered; `None` if it stayed silent.
    pub address: Option<IpAddr>,
}

/// The hops that answered packets of one size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Trace {
    /// Bytes of each packet.
    pub size: u32,
    /// The routers in order, up to the last one that was asked.
    pub hops: Vec<Hop>,
    /// The target answered after the last hop.
    pub arrived: bool,
}

impl Trace {
    /// The hop that answered from an address.
    pub fn hop_of(&self, address: IpAddr) -> Option<Hop> {
        self.hops.iter().copied().find(|hop| hop.address == Some(address))
    }

    /// The last hop that answered.
    pub fn last(&self) -> Option<Hop> {
        self.hops.iter().copied().rfind(|hop| hop.address.is_some())
    }

    /// Whether every router up to the target answered, so that another address is not on the path.
    pub fn is_complete(&self) -> bool {
        self.arrived && self.hops.iter().all(|hop| hop.address.is_some())
    }
}
