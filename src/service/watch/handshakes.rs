//! Checks the handshakes of the document's WireGuard interfaces. Without a handshake for three minutes a
//! tunnel carries nothing, whatever its MTU: a session is rekeyed after two minutes and rejected after
//! three (REKEY_AFTER_TIME and REJECT_AFTER_TIME of the WireGuard protocol).

use std::collections::BTreeMap;
use std::time::Duration;

use netkeel_core::name::link::LinkName;
use netkeel_host::wireguard::handshake::Handshake;
use netkeel_kernel::live::snapshot::Live;
use netkeel_reconcile::event::Now;
use netkeel_reconcile::status::handshake::{HandshakeStatus, judge};

/// Minimum time between two checks.
const EVERY: Duration = Duration::from_secs(10);

/// The WireGuard interfaces to check.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    watched: BTreeMap<LinkName, Seen>,
    checked: Option<Now>,
}

/// The last handshake of an interface as the service saw it.
#[derive(Debug)]
struct Seen {
    /// The kernel's time of it, Unix seconds. The wall clock may jump, so it only shows that there was
    /// another one. `None` before the first check.
    last: Option<Option<u64>>,
    /// When the service saw it first, or began to watch.
    at: Now,
}

impl Seen {
    /// Records a handshake, and returns its age.
    fn age(&mut self, last: Option<u64>, now: Now) -> Duration {
        // At the first check it may be old already: it counts from the start of the watch.
        if self.last.replace(last).is_some_and(|before| before != last) {
            self.at = now;
        }
        now.saturating_sub(self.at)
    }
}

impl Handshakes {
    /// Sets the interfaces to check.
    pub(crate) fn watch(&mut self, names: &[LinkName], now: Now) {
        self.watched.retain(|name, _| names.contains(name));
        for name in names {
            let seen = Seen { last: None, at: now };
            self.watched.entry(*name).or_insert(seen);
        }
        self.checked = None;
    }

    /// Checks all interfaces when due.
    pub(crate) fn poll(&mut self, live: &Live, now: Now) -> Option<Vec<HandshakeStatus>> {
        if self
            .checked
            .is_some_and(|checked| now.saturating_sub(checked) < EVERY)
        {
            return None;
        }
        self.checked = Some(now);
        let statuses = self.watched.iter_mut().map(|(name, seen)| {
            let handshake = live.last_handshake(*name).map_err(|error| error.message);
            let last = match &handshake {
                Ok(Handshake::Last(last)) => *last,
                Ok(Handshake::NotWireguard | Handshake::NoLink) | Err(_) => seen.last.flatten(),
            };
            let age = seen.age(last, now);
            judge(*name, handshake, age)
        });
        Some(statuses.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_counts_from_the_handshake_that_was_seen_and_not_by_the_wall_clock() {
        let at = Duration::from_secs;
        let mut seen = Seen {
            last: None,
            at: at(5),
        };
        assert_eq!(seen.age(Some(1_000_000), at(15)), at(10));
        assert_eq!(seen.age(Some(1_000_120), at(35)), at(0));
        // The wall clock went back an hour, and another handshake followed.
        assert_eq!(seen.age(Some(996_520), at(155)), at(0));
        assert_eq!(seen.age(Some(996_520), at(355)), at(200));
        let mut none = Seen {
            last: None,
            at: at(5),
        };
        assert_eq!(none.age(None, at(15)), at(10));
        assert_eq!(none.age(Some(1_000_000), at(25)), at(0));
    }
}
