//! The MTUs of the interfaces for which one is wanted, as the service saw them last. They are kept by name
//! for display, and by index because a delete event has only the index.

use std::collections::BTreeMap;
use std::collections::btree_map::Iter;
use std::sync::Arc;

use netkeel_core::name::link::LinkName;

/// An interface's MTU.
#[derive(Clone, Debug, PartialEq)]
pub struct MtuStatus {
    /// The interface's index.
    pub index: u32,
    /// The rtnetlink kind; `None` for hardware.
    pub class: Option<Arc<str>>,
    /// The current MTU, bytes.
    pub observed: u32,
    /// The wanted MTU, bytes.
    pub desired: i64,
    /// The entry of the document that wants it.
    pub rule: Arc<str>,
    /// The entry names the interface.
    pub named: bool,
}

/// The MTUs. Each name and each index occurs once.
#[derive(Clone, Debug, Default)]
pub struct Mtus {
    by_name: BTreeMap<LinkName, MtuStatus>,
    names: BTreeMap<u32, LinkName>,
}

impl Mtus {
    /// Records the MTU of an interface. Its name or index may be new.
    pub fn insert(&mut self, name: LinkName, mtu: MtuStatus) {
        let index = mtu.index;
        if let Some(before) = self.by_name.insert(name, mtu)
            && before.index != index
        {
            self.names.remove(&before.index);
        }
        if let Some(before) = self.names.insert(index, name)
            && before != name
        {
            self.by_name.remove(&before);
        }
    }

    /// Removes a deleted interface.
    pub fn forget(&mut self, index: u32) {
        if let Some(name) = self.names.remove(&index) {
            self.by_name.remove(&name);
        }
    }

    /// All MTUs, by name.
    pub fn iter(&self) -> Iter<'_, LinkName, MtuStatus> {
        self.by_name.iter()
    }

    /// The number of interfaces by kind, entry of the document, MTU and wanted MTU.
    pub fn by_class(&self) -> BTreeMap<(&str, &str, u32, i64), usize> {
        let mut classes = BTreeMap::new();
        for mtu in self.by_name.values() {
            let class = mtu.class.as_deref().unwrap_or("physical");
            let key = (class, &*mtu.rule, mtu.observed, mtu.desired);
            *classes.entry(key).or_default() += 1;
        }
        classes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(mtus: &mut Mtus, name: &str, index: u32) {
        let mtu = MtuStatus {
            index,
            class: None,
            observed: 1500,
            desired: 1460,
            rule: "link.pods".into(),
            named: false,
        };
        mtus.insert(name.parse().unwrap(), mtu);
    }

    fn shown(mtus: &Mtus) -> Vec<(String, u32)> {
        mtus.iter()
            .map(|(name, mtu)| (name.to_string(), mtu.index))
            .collect()
    }

    #[test]
    fn what_was_renamed_or_made_anew_is_there_once_and_goes() {
        let mut mtus = Mtus::default();
        seen(&mut mtus, "a", 1);
        seen(&mut mtus, "b", 2);
        seen(&mut mtus, "c", 2);
        assert_eq!(shown(&mtus), [("a".into(), 1), ("c".into(), 2)]);
        seen(&mut mtus, "a", 3);
        mtus.forget(1);
        assert_eq!(shown(&mtus), [("a".into(), 3), ("c".into(), 2)]);
        mtus.forget(2);
        mtus.forget(3);
        assert_eq!(shown(&mtus), []);
    }

    #[test]
    fn two_that_change_names_are_both_there() {
        let mut mtus = Mtus::default();
        seen(&mut mtus, "a", 1);
        seen(&mut mtus, "b", 2);
        seen(&mut mtus, "a", 2);
        seen(&mut mtus, "b", 1);
        assert_eq!(shown(&mtus), [("a".into(), 2), ("b".into(), 1)]);
        mtus.forget(1);
        assert_eq!(shown(&mtus), [("a".into(), 2)]);
    }
}
