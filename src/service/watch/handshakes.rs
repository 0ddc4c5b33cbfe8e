//! Checks the handshakes of the document's WireGuard interfaces. Without a handshake for three minutes a
//! tunnel carries nothing, whatever its MTU: a session is rekeyed after two minutes and rejected after
//! three (REKEY_AFTER_TIME and REJECT_AFTER_TIME of the WireGuard protocol).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use netkeel_apply::clock::now;
use netkeel_core::name::link::LinkName;
use netkeel_kernel::live::snapshot::Live;
use netkeel_reconcile::status::handshake::{HandshakeStatus, judge};

/// Minimum time between two checks.
const EVERY: Duration = Duration::from_secs(10);

/// The WireGuard interfaces to check.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    /// When each interface was added, Unix seconds.
    watched: BTreeMap<LinkName, u64>,
    checked: Option<Instant>,
}

impl Handshakes {
    /// Sets the interfaces to check.
    pub fn watch(&mut self, names: &[LinkName]) {
        self.watched.retain(|name, _| names.contains(name));
        for name in names {
            self.watched.entry(*name).or_insert_with(now);
        }
        self.checked = None;
    }

    /// Checks all interfaces when due.
    pub fn poll(&mut self, live: &Live) -> Option<Vec<HandshakeStatus>> {
        if self.checked.is_some_and(|checked| checked.elapsed() < EVERY) {
            return None;
        }
        self.checked = Some(Instant::now());
        let statuses = self.watched.iter().map(|(name, since)| {
            let handshake = live.last_handshake(*name).map_err(|error| error.message);
            judge(*name, handshake, *since, now())
        });
        Some(statuses.collect())
    }
}
