//! The packets of probes that the worker has judged, by token. A sender chooses tokens, so their number is limited.

use std::collections::VecDeque;
use std::time::Duration;

use netkeel_core::replication::probe::{ProbeRecord, Token};
use netkeel_core::replication::refusal::Refusal;

/// The maximum number of records. A forger who uses them up keeps probes from a result, and nothing else.
const MOST: usize = 64;

/// How long a record is kept. Within this time no other probe takes its place.
const KEEP: Duration = Duration::from_secs(60);

/// The records of the last minute.
#[derive(Debug, Default)]
pub(crate) struct ProbeLog {
    /// Each with the worker's uptime at its first packet, oldest first.
    list: VecDeque<(Duration, ProbeRecord)>,
}

impl ProbeLog {
    /// Records that a packet with a token was copied to so many peers, or the reason against it, at `now`, the worker's
    /// uptime.
    pub(crate) fn record(&mut self, token: Token, judged: Result<u32, Refusal>, now: Duration) {
        self.purge(now);
        let known = self.list.iter().position(|(_, record)| record.token == token);
        let place = known.unwrap_or(self.list.len());
        if known.is_none() {
            if self.is_full() {
                return;
            }
            self.list.push_back((now, ProbeRecord::new(token)));
        }
        let Some((_, record)) = self.list.get_mut(place) else {
            return;
        };
        match judged {
            Ok(copies) => {
                record.replicated = record.replicated.saturating_add(1);
                record.copies = copies;
            }
            Err(refusal) => {
                let count = record.refused.entry(refusal).or_default();
                *count = count.saturating_add(1);
            }
        }
    }

    /// Removes old records at `now`.
    pub(crate) fn purge(&mut self, now: Duration) {
        while let Some((since, _)) = self.list.front()
            && now.saturating_sub(*since) > KEEP
        {
            self.list.pop_front();
        }
    }

    /// Whether there is no room for a further token.
    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= MOST
    }

    /// The records, oldest first.
    pub(crate) fn records(&self) -> Vec<ProbeRecord> {
        self.list.iter().map(|(_, record)| record.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn packets_are_counted_by_token() {
        let mut log = ProbeLog::default();
        log.record(Token(1), Ok(3), seconds(5));
        log.record(Token(2), Err(Refusal::Replica), seconds(5));
        log.record(Token(2), Err(Refusal::Replica), seconds(6));
        log.record(Token(2), Err(Refusal::BelowFloor), seconds(6));
        let [first, second] = log.records().try_into().unwrap();
        assert_eq!((first.replicated, first.copies, first.refusal()), (1, 3, None));
        assert_eq!(first.arrived_copies(), 0);
        assert_eq!((second.replicated, second.arrived_copies()), (0, 2));
        assert_eq!(second.refusal(), Some(Refusal::BelowFloor));
    }

    #[test]
    fn a_flood_of_tokens_is_bounded_and_replaces_no_earlier_record() {
        let mut log = ProbeLog::default();
        for number in 0..100_000 {
            log.record(Token(number), Ok(1), seconds(5));
        }
        assert!(log.is_full());
        log.record(Token(0), Ok(1), seconds(60));
        let records = log.records();
        assert_eq!((records.len(), records[0].replicated), (MOST, 2));
        log.record(Token(100_000), Ok(1), seconds(66));
        assert_eq!(log.records().len(), 1);
    }
}
