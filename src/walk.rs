//! Looking up what is asked for in order: a step from the one before instead of a search from the top.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Range;

/// How far ahead it is looked for before it is searched for. Steps are a tenth of a search.
const STEPS: usize = 4;

/// A map that is walked along. Whoever asks in another order than that of the keys gets the same answers,
/// and saves nothing.
#[derive(Clone, Debug)]
pub struct Walk<'a, K, V> {
    map: &'a BTreeMap<K, V>,
    ahead: Range<'a, K, V>,
    at: Option<(&'a K, &'a V)>,
}

impl<'a, K: Ord, V> Walk<'a, K, V> {
    /// Begins at the first key.
    pub fn along(map: &'a BTreeMap<K, V>) -> Self {
        let mut ahead = map.range(..);
        let at = ahead.next();
        Walk { map, ahead, at }
    }

    /// The value of a key.
    pub fn get(&mut self, key: &K) -> Option<&'a V> {
        for _ in 0..STEPS {
            let Some((at, value)) = self.at else { break };
            match at.cmp(key) {
                Ordering::Less => self.at = self.ahead.next(),
                Ordering::Equal => return Some(value),
                Ordering::Greater => break,
            }
        }
        self.ahead = self.map.range(key..);
        self.at = self.ahead.next();
        self.at.filter(|(at, _)| *at == key).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_finds_what_a_search_finds(
            keys in prop::collection::btree_set(0u8..60, 0..40),
            asked in prop::collection::vec(0u8..60, 0..60),
            sorted in any::<bool>(),
        ) {
            let map: BTreeMap<u8, u8> = keys.into_iter().map(|key| (key, key)).collect();
            let mut asked = asked;
            if sorted {
                asked.sort();
            }
            let mut walk = Walk::along(&map);
            for key in asked {
                prop_assert_eq!(walk.get(&key), map.get(&key));
            }
        }
    }
}
