//! Whether WireGuard interfaces of the document still shake hands: a tunnel that has not for three
//! minutes carries nothing, whatever its MTU (a session is made anew every two, and given up after
//! three: REKEY_AFTER_TIME and REJECT_AFTER_TIME of WireGuard's protocol).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use netkeel_apply::clock::now;
use netkeel_core::name::link::LinkName;
use netkeel_kernel::live::snapshot::Live;
use netkeel_reconcile::status::handshake::{HandshakeStatus, judge};

/// It is looked at no more often than this.
const EVERY: Duration = Duration::from_secs(10);

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    /// Since when each is watched, seconds since 1970.
    watched: BTreeMap<LinkName, u64>,
    looked: Option<Instant>,
}

impl Handshakes {
    /// These are watched from now on.
    pub fn watch(&mut self, names: &[LinkName]) {
        self.watched.retain(|name, _| names.contains(name));
        for name in names {
            self.watched.entry(*name).or_insert_with(now);
        }
        self.looked = None;
    }

    /// Looks at them, when it is time to.
    pub fn look(&mut self, live: &Live) -> Option<Vec<HandshakeStatus>> {
        if self.looked.is_some_and(|looked| looked.elapsed() < EVERY) {
            return None;
        }
        self.looked = Some(Instant::now());
        let pictures = self.watched.iter().map(|(name, since)| {
            let told = live.last_handshake(*name).map_err(|error| error.message);
            judge(*name, told, *since, now())
        });
        Some(pictures.collect())
    }
}
