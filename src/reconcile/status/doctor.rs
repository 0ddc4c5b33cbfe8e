//! The causes of lost packets that the service saw, as `netkeel doctor` names them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use netkeel_core::finding::Severity;

/// The last diagnosis, and what was counted since the start of the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DoctorStatus {
    /// The end of the last window, Unix seconds; 0 before the first.
    pub at: u64,
    /// The length of the last window, milliseconds.
    pub window_ms: u64,
    /// The causes in it.
    pub causes: BTreeSet<CauseStatus>,
    /// The signs in it.
    pub signs: BTreeSet<SignStatus>,
    /// The packets that were counted for each cause in all windows.
    pub lost: BTreeMap<&'static str, u64>,
    /// The packets or events of losses that no cause explained, in all windows.
    pub unexplained: u64,
    /// The number of sources of counters that could not be read in it.
    pub unread: usize,
}

/// A cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct CauseStatus {
    /// Its name, as `netkeel doctor --output json` has it.
    pub cause: &'static str,
    /// Its grounds; `possible` if it is not certain.
    pub grounds: &'static str,
}

/// A sign: counters that grew and are no cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SignStatus {
    /// Its name, as `netkeel doctor --output json` has it.
    pub sign: &'static str,
    /// Its severity.
    pub severity: Severity,
}

/// The result of one window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The length, milliseconds.
    pub ms: u64,
    /// The causes, each with the packets that were counted.
    pub causes: Vec<(CauseStatus, u64)>,
    /// The signs.
    pub signs: BTreeSet<SignStatus>,
    /// The packets or events of losses that none of them explains.
    pub unexplained: u64,
    /// The number of sources of counters that could not be read.
    pub unread: usize,
}

impl DoctorStatus {
    /// Adds a window that ended at `at` Unix seconds.
    pub fn add(&mut self, window: &Window, at: u64) {
        self.at = at;
        self.window_ms = window.ms;
        self.causes = window.causes.iter().map(|(cause, _)| *cause).collect();
        self.signs.clone_from(&window.signs);
        for (one, by) in &window.causes {
            let lost = self.lost.entry(one.cause).or_default();
            *lost = lost.saturating_add(*by);
        }
        self.unexplained = self.unexplained.saturating_add(window.unexplained);
        self.unread = window.unread;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_of_the_last_window_and_packets_of_all() {
        let mut status = DoctorStatus::default();
        let full = |grounds| CauseStatus {
            cause: "qdisc-full",
            grounds,
        };
        let window = |causes: &[(CauseStatus, u64)]| Window {
            ms: 300_000,
            causes: causes.to_vec(),
            signs: BTreeSet::new(),
            unexplained: 2,
            unread: 1,
        };
        status.add(&window(&[(full("counted"), 40)]), 100);
        status.add(&window(&[(full("possible"), 3)]), 400);
        assert_eq!(status.causes, BTreeSet::from([full("possible")]));
        status.add(&window(&[]), 700);
        assert!(status.causes.is_empty());
        assert_eq!(status.lost, BTreeMap::from([("qdisc-full", 43)]));
        assert_eq!((status.unexplained, status.at, status.unread), (6, 700, 1));
    }
}
