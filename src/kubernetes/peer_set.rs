//! The addresses that the objects of a watch name. The set depends on the objects alone and not on the order of their
//! events: an address that passes from one object to another, or that two name for a while, is never missing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A change of the watched objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A complete list begins.
    ListBegins,
    /// An object of the complete list.
    Listed(Named),
    /// The complete list ends: an object that was not in it is gone.
    ListEnds,
    /// An object is new or has changed.
    Applied(Named),
    /// An object was deleted.
    Deleted(String),
}

/// The addresses that an object names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// The name of the object.
    pub object: String,
    pub addresses: BTreeSet<IpAddr>,
}

/// The addresses by object.
#[derive(Debug, Default)]
pub(crate) struct PeerSet {
    objects: BTreeMap<String, BTreeSet<IpAddr>>,
    /// The list that is being received.
    listing: Option<BTreeMap<String, BTreeSet<IpAddr>>>,
    /// Whether a complete list was received.
    complete: bool,
}

impl PeerSet {
    /// Takes a change. Returns whether the set may differ from before: a heartbeat of a Node changes nothing.
    pub fn take(&mut self, change: Change) -> bool {
        match change {
            Change::ListBegins => {
                self.listing = Some(BTreeMap::new());
                false
            }
            Change::Listed(Named { object, addresses }) => {
                self.listing.get_or_insert_default().insert(object, addresses);
                false
            }
            Change::ListEnds => {
                let listing = self.listing.take();
                let is_complete = listing.is_some();
                if let Some(listing) = listing {
                    (self.objects, self.complete) = (listing, true);
                }
                is_complete
            }
            Change::Applied(Named { object, addresses }) => match self.objects.get_mut(&object) {
                Some(known) if *known == addresses => false,
                Some(known) => {
                    *known = addresses;
                    true
                }
                None => {
                    self.objects.insert(object, addresses);
                    true
                }
            },
            Change::Deleted(object) => self.objects.remove(&object).is_some(),
        }
    }

    /// The addresses of all objects; `None` before the first complete list.
    pub fn addresses(&self) -> Option<BTreeSet<IpAddr>> {
        self.complete
            .then(|| self.objects.values().flatten().copied().collect())
    }

    /// The number of addresses; `None` before the first complete list.
    pub fn peers(&self) -> Option<usize> {
        self.addresses().map(|addresses| addresses.len())
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.objects.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(object: &str, addresses: &[&str]) -> Named {
        Named {
            object: object.to_owned(),
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    fn shown(set: &PeerSet) -> Option<Vec<String>> {
        let addresses = set.addresses()?;
        Some(addresses.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_list_counts_when_it_is_complete() {
        let mut set = PeerSet::default();
        set.take(Change::ListBegins);
        set.take(Change::Listed(named("n1", &["192.0.2.1"])));
        assert_eq!(shown(&set), None);
        set.take(Change::ListEnds);
        assert_eq!(shown(&set).unwrap(), ["192.0.2.1"]);
        // A second list that breaks off leaves the first one.
        set.take(Change::ListBegins);
        assert_eq!(shown(&set).unwrap(), ["192.0.2.1"]);
        set.take(Change::ListBegins);
        set.take(Change::Listed(named("n2", &["192.0.2.2"])));
        set.take(Change::ListEnds);
        assert_eq!(shown(&set).unwrap(), ["192.0.2.2"]);
        set.take(Change::Deleted("n2".to_owned()));
        assert_eq!(shown(&set).unwrap(), [""; 0]);
    }

    #[test]
    fn an_object_that_names_the_same_addresses_changes_nothing() {
        let mut set = PeerSet::default();
        assert!(!set.take(Change::ListEnds), "no list began");
        assert!(!set.take(Change::ListBegins));
        assert!(!set.take(Change::Listed(named("n1", &["192.0.2.1"]))));
        assert!(set.take(Change::ListEnds));
        for (change, differs) in [
            (Change::Applied(named("n1", &["192.0.2.1"])), false),
            (Change::Applied(named("n1", &["192.0.2.2"])), true),
            (Change::Applied(named("n2", &[])), true),
            (Change::Applied(named("n2", &[])), false),
            (Change::Deleted("n2".to_owned()), true),
            (Change::Deleted("n2".to_owned()), false),
        ] {
            assert_eq!(set.take(change.clone()), differs, "{change:?}");
        }
    }

    #[test]
    fn the_order_of_events_does_not_matter() {
        // An address passes from n1 to n2; the two events come in either order.
        let events = [
            Change::Deleted("n1".to_owned()),
            Change::Applied(named("n2", &["192.0.2.1", "192.0.2.2"])),
        ];
        for turn in [[0, 1], [1, 0]] {
            let mut set = PeerSet::default();
            set.take(Change::ListBegins);
            set.take(Change::Listed(named("n1", &["192.0.2.1"])));
            set.take(Change::Listed(named("n2", &["192.0.2.2"])));
            set.take(Change::ListEnds);
            for place in turn {
                set.take(events[place].clone());
            }
            assert_eq!(shown(&set).unwrap(), ["192.0.2.1", "192.0.2.2"]);
        }
    }
}
