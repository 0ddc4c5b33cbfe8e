//! The MTU of each interface that one is wanted of, as the service saw it last: by name to be shown, and
//! by index, since one that goes is told by that alone.

use std::collections::BTreeMap;
use std::collections::btree_map::Iter;
use std::sync::Arc;

use netkeel_core::name::link::LinkName;

/// An interface's MTU.
#[derive(Clone, Debug, PartialEq)]
pub struct MtuStatus {
    /// The interface's index.
    pub index: u32,
    /// Its kind, by rtnetlink's word; none for hardware.
    pub class: Option<Arc<str>>,
    /// What it is, bytes.
    pub observed: u32,
    /// What it should be, bytes.
    pub desired: i64,
}

/// The MTUs. Of a name and of an index there is one.
#[derive(Clone, Debug, Default)]
pub struct Mtus {
    by_name: BTreeMap<LinkName, MtuStatus>,
    names: BTreeMap<u32, LinkName>,
}

impl Mtus {
    /// What was seen of an interface, which may have another name or index than before.
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

    /// An interface went.
    pub fn forget(&mut self, index: u32) {
        if let Some(name) = self.names.remove(&index) {
            self.by_name.remove(&name);
        }
    }

    /// All of them, by name.
    pub fn iter(&self) -> Iter<'_, LinkName, MtuStatus> {
        self.by_name.iter()
    }

    /// How many interfaces of a kind have an MTU and are wanted to have one, by those three.
    pub fn by_class(&self) -> BTreeMap<(&str, u32, i64), usize> {
        let mut classes = BTreeMap::new();
        for mtu in self.by_name.values() {
            let class = mtu.class.as_deref().unwrap_or("physical");
            *classes.entry((class, mtu.observed, mtu.desired)).or_default() += 1;
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
