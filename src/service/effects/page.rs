//! Reads what the page of the service shows in addition to the status: the last applies, and the paths of packets.

use std::time::Duration;

use netkeel_apply::store::Store;
use netkeel_apply::store::history::HistoryEntry;
use netkeel_diagnose::bundle::BundledApply;
use netkeel_diagnose::path::scope::scope;
use netkeel_diagnose::path::select;
use netkeel_diagnose::path::select::Start;
use netkeel_host::kernel::Kernel;
use netkeel_kernel::live::snapshot::Live;
use netkeel_reconcile::event::Now;
use netkeel_render::html::status::Recent;

/// Minimum time between two readings: anyone may ask for the page.
const AGE: Duration = Duration::from_secs(30);

/// The number of applies on the page.
const APPLIES: usize = 10;

/// The time of the last reading; `None` before the first.
#[derive(Debug, Default)]
pub(crate) struct PageReader {
    read: Option<Now>,
}

impl PageReader {
    /// Reads the parts again if the last reading is old.
    pub(crate) fn read(&mut self, now: Now, store: &Store, live: &mut Live) -> Option<Recent> {
        if self.read.is_some_and(|read| now.saturating_sub(read) < AGE) {
            return None;
        }
        self.read = Some(now);
        let mut recent = Recent::default();
        match store.history() {
            Ok(history) => recent.applies = history.iter().rev().take(APPLIES).map(of_entry).collect(),
            Err(error) => recent.unread.push(format!("the history of applies: {error}")),
        }
        match live.snapshot(&scope()) {
            Ok(host) => recent.paths = select::paths(&host, &Start::Everywhere, None, &|_| None),
            Err(error) => recent.unread.push(format!("the paths of packets: {error}")),
        }
        Some(recent)
    }
}

/// An apply without its caller, whose command line may name anything.
fn of_entry(entry: &HistoryEntry) -> BundledApply {
    BundledApply {
        id: entry.id.clone(),
        time: entry.time,
        event: entry.event.to_string(),
        owner: entry.owner.clone(),
        changes: entry
            .changes
            .iter()
            .map(|change| (change.fact.clone(), change.from.clone(), change.to.clone()))
            .collect(),
    }
}
