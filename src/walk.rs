//! Looking up what is asked for in order: a step from the one before instead of a search from the top.

use std::cell::Cell;
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

/// A list in order, without doubles, that is walked along in the same way.
#[derive(Debug)]
pub struct Listed<'a, T> {
    list: &'a [T],
    at: Cell<usize>,
}

impl<'a, T: Ord> Listed<'a, T> {
    /// Begins at the first.
    pub fn along(list: &'a [T]) -> Self {
        Listed {
            list,
            at: Cell::new(0),
        }
    }

    /// Whether it is in the list.
    pub fn has(&self, asked: &T) -> bool {
        let here = |at: usize| self.list.get(at).map(|listed| listed.cmp(asked));
        let at = self.at.get();
        let place = match (here(at), here(at + 1)) {
            (Some(Ordering::Equal), _) => Ok(at),
            (Some(Ordering::Less), Some(Ordering::Equal)) => Ok(at + 1),
            _ => self.list.binary_search(asked),
        };
        // Where it is not, it would be the next.
        self.at.set(place.unwrap_or_else(|next| next.saturating_sub(1)));
        place.is_ok()
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
            let list: Vec<u8> = map.keys().copied().collect();
            let (mut walk, listed) = (Walk::along(&map), Listed::along(&list));
            for key in asked {
                prop_assert_eq!(walk.get(&key), map.get(&key));
                prop_assert_eq!(listed.has(&key), map.contains_key(&key));
            }
        }
    }
}
