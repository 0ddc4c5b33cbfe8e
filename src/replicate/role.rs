//! The two processes of replication, and the capability that each keeps.

use caps::Capability;

/// Which of the two processes gives up privileges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The worker: it reads and sends packets.
    Worker,
    /// Its helper: it binds NFLOG groups and resolves neighbours.
    Helper,
}

impl Role {
    /// The capability that is kept.
    pub(crate) fn kept(self) -> Capability {
        match self {
            Role::Worker => Capability::CAP_NET_RAW,
            Role::Helper => Capability::CAP_NET_ADMIN,
        }
    }
}
