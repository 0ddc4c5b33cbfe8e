//! The keys of a table in the order of the file. Most tables are small, so only a large one has an
//! index.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::Item;

/// From how many keys on an index pays.
const LARGE: usize = 16;

#[derive(Default)]
pub(super) struct Items<'a> {
    list: Vec<(Cow<'a, str>, Item)>,
    /// Places in the list; empty while that is small.
    index: BTreeMap<Cow<'a, str>, usize>,
}

impl<'a> Items<'a> {
    fn position(&self, key: &str) -> Option<usize> {
        if self.index.is_empty() {
            self.list.iter().position(|(known, _)| known == key)
        } else {
            self.index.get(key).copied()
        }
    }

    pub fn get(&self, key: &str) -> Option<&Item> {
        self.list.get(self.position(key)?).map(|(_, item)| item)
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Item> {
        let position = self.position(key)?;
        self.list.get_mut(position).map(|(_, item)| item)
    }

    /// Adds a key that is not there yet.
    pub fn insert(&mut self, key: Cow<'a, str>, item: Item) {
        if !self.index.is_empty() {
            self.index.insert(key.clone(), self.list.len());
        }
        self.list.push((key, item));
        if self.index.is_empty() && self.list.len() >= LARGE {
            let places = self.list.iter().enumerate();
            self.index = places.map(|(place, (key, _))| (key.clone(), place)).collect();
        }
    }

    pub fn into_vec(self) -> Vec<(Cow<'a, str>, Item)> {
        self.list
    }
}
