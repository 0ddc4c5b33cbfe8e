//! The documents of a configuration while patches are merged. They are found by identity without looking at
//! all of them: a file may have thousands.

use std::collections::BTreeMap;

use crate::talos::identity::Identity;
use netkeel_source::node::Node;

/// Documents in order, each with an identity of its own.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    /// The documents; `None` where one was removed.
    list: Vec<Option<Node>>,
    /// The index of each.
    places: BTreeMap<Identity, usize>,
}

impl Documents {
    /// The document of an identity.
    pub fn get_mut(&mut self, identity: &Identity) -> Option<&mut Node> {
        let place = self.places.get(&identity.clone().normal())?;
        self.list.get_mut(*place)?.as_mut()
    }

    /// Appends a document.
    pub fn push(&mut self, document: Node) {
        self.places
            .entry(Identity::read(&document).normal())
            .or_insert(self.list.len());
        self.list.push(Some(document));
    }

    /// Removes the document of an identity. Returns whether it was there.
    pub fn remove(&mut self, identity: &Identity) -> bool {
        let place = self.places.remove(&identity.clone().normal());
        let place = place.and_then(|place| self.list.get_mut(place));
        place.is_some_and(|place| place.take().is_some())
    }

    /// Finds the documents again, after a change that may have changed an identity.
    pub fn rename(&mut self) {
        let list = std::mem::take(&mut self.list);
        self.places.clear();
        list.into_iter()
            .flatten()
            .for_each(|document| self.push(document));
    }

    /// Lets a JSON patch change the documents.
    pub fn patch(&mut self, change: impl FnOnce(&mut [Node])) {
        let mut list: Vec<Node> = std::mem::take(&mut self.list).into_iter().flatten().collect();
        change(&mut list);
        self.list = list.into_iter().map(Some).collect();
        self.rename();
    }

    /// The documents, in order.
    pub fn into_list(self) -> Vec<Node> {
        self.list.into_iter().flatten().collect()
    }
}
