//! The promise of `apply --confirm-within`: where its watchdog was killed, the service takes its place.

use std::time::{Duration, Instant};

use netkeel_apply::store::Store;

/// How long past the deadline a watchdog may take before the service helps it.
const LATE: Duration = Duration::from_secs(2);

/// How often it is looked whether the watchdog still lives, and how often a rollback that failed is tried
/// again.
const LOOK: Duration = Duration::from_secs(1);

/// When the service looks again.
#[derive(Debug)]
pub(crate) struct Promise {
    next: Option<Instant>,
}

impl Promise {
    pub(crate) fn new() -> Self {
        Promise { next: None }
    }

    /// Looks, if it is time to; whether the service must undo an apply now.
    pub(crate) fn is_due(&mut self, store: &Store) -> bool {
        if self.due().is_some_and(|due| !due.is_zero()) {
            return false;
        }
        let waits = waits(store);
        self.next = match waits {
            Waits::Nothing => None,
            Waits::For(left) => Some(Instant::now() + left.min(LOOK)),
            Waits::Due => Some(Instant::now() + LOOK),
        };
        waits == Waits::Due
    }

    /// How long until the service looks; `None` if nothing waits to be confirmed.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.next
            .map(|next| next.saturating_duration_since(Instant::now()))
    }
}

/// The state of an unconfirmed apply.
#[derive(Debug, PartialEq, Eq)]
enum Waits {
    /// No apply waits, or the next pass undoes it.
    Nothing,
    /// It can still be confirmed for so long, or its watchdog is at work.
    For(Duration),
    /// Nobody else undoes it.
    Due,
}

fn waits(store: &Store) -> Waits {
    let Ok(Some(pending)) = store.pending() else {
        return Waits::Nothing;
    };
    let (true, Some(transaction)) = (pending.is_unconfirmed(), pending.transaction()) else {
        return Waits::Nothing;
    };
    let watched = store.has_watchdog(transaction).unwrap_or(false);
    match (pending.time_left(), pending.overdue()) {
        (_, Some(late)) if late > LATE || !watched => Waits::Due,
        (Some(left), _) => Waits::For(left),
        (None, Some(_)) => Waits::For(LOOK),
        (None, None) => Waits::Nothing,
    }
}
