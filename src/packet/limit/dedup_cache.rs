//! Recently replicated flows, as marks of 32 bits in a table of fixed size. A new mark replaces the
//! older of two.

use std::time::Duration;

/// Pairs of entries; a power of two. With the default limits some 6,000 packets a second pass to 8
/// peers, so a mark stays for several seconds.
const PAIRS: usize = 1 << 15;

/// The table. An entry has a mark, 0 for none, and its time in milliseconds.
#[derive(Debug)]
pub struct DedupCache(Box<[[(u32, u32); 2]]>);

impl Default for DedupCache {
    fn default() -> Self {
        DedupCache(vec![[(0, 0); 2]; PAIRS].into())
    }
}

/// The upper half of a hash; the lower half selects the entry.
fn mark(hash: u64) -> u32 {
    ((hash >> 32) as u32).max(1)
}

impl DedupCache {
    /// Whether a flow was recorded within a time.
    pub(crate) fn holds(&self, hash: u64, now: u32, within: Duration) -> bool {
        let recent = |at: u32| u128::from(now.wrapping_sub(at)) < within.as_millis();
        let pair = self.0.get(hash as usize % PAIRS);
        pair.is_some_and(|pair| pair.iter().any(|(made, at)| *made == mark(hash) && recent(*at)))
    }

    /// Records a flow.
    pub(crate) fn remember(&mut self, hash: u64, now: u32) {
        let Some([first, second]) = self.0.get_mut(hash as usize % PAIRS) else {
            return;
        };
        let age = |(made, at): (u32, u32)| match made {
            0 => u32::MAX,
            same if same == mark(hash) => u32::MAX,
            _ => now.wrapping_sub(at),
        };
        let place = if age(*first) >= age(*second) {
            first
        } else {
            second
        };
        *place = (mark(hash), now);
    }
}
