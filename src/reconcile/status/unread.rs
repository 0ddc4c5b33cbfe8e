//! The declared facts that the last scans could not read. Whether they differ is unknown.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};

use netkeel_core::fact::Fact;

/// The facts that could not be read, each with the index of its interface.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UnreadFacts {
    facts: BTreeMap<Fact, Option<u32>>,
}

impl UnreadFacts {
    /// Replaces the facts that a scan judged.
    pub fn replace(
        &mut self,
        was_judged: impl Fn(&Fact) -> bool,
        unread: impl Iterator<Item = (Fact, Option<u32>)>,
    ) {
        self.facts.retain(|fact, _| !was_judged(fact));
        self.facts.extend(unread);
    }

    /// Removes the facts of deleted interfaces.
    pub fn forget(&mut self, gone: &BTreeSet<u32>) {
        self.facts
            .retain(|_, index| index.is_none_or(|index| !gone.contains(&index)));
    }

    /// Whether this fact could not be read.
    pub fn has(&self, fact: &Fact) -> bool {
        self.facts.contains_key(fact)
    }

    /// The facts, in order.
    pub fn facts(&self) -> impl Iterator<Item = &Fact> {
        self.facts.keys()
    }

    /// The number of facts.
    pub fn count(&self) -> usize {
        self.facts.len()
    }
}

impl Serialize for UnreadFacts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.facts.keys().map(ToString::to_string))
    }
}

/// The number of facts that could not be read, as the end of a sentence that says what is in sync. An example is
/// `, but 2 declared facts could not be read`. Empty if everything was read. `problems` is the number of parts of
/// the host that could not be read; it counts where no fact is known to depend on one.
pub fn reservation(facts: usize, problems: usize) -> String {
    match (facts, problems) {
        (0, 0) => String::new(),
        (0, 1) => ", but 1 part of the host could not be read".to_owned(),
        (0, problems) => format!(", but {problems} parts of the host could not be read"),
        (1, _) => ", but 1 declared fact could not be read".to_owned(),
        (facts, _) => format!(", but {facts} declared facts could not be read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::fact::Field;
    use netkeel_core::name::netns::Netns;

    #[test]
    fn a_scan_replaces_only_what_it_judged_and_a_deleted_interface_goes() {
        let mtu = |name: &str| Fact::link(&Netns::CURRENT, name.parse().unwrap(), Field::Mtu);
        let mut unread = UnreadFacts::default();
        unread.replace(|_| true, [(mtu("a"), Some(1)), (mtu("b"), Some(2))].into_iter());
        unread.replace(|fact| *fact == mtu("a"), std::iter::empty());
        assert_eq!((unread.has(&mtu("a")), unread.has(&mtu("b"))), (false, true));
        unread.forget(&[2].into());
        assert_eq!(unread.count(), 0);
    }

    #[test]
    fn nothing_unread_needs_no_reservation() {
        assert_eq!(reservation(0, 0), "");
        assert_eq!(reservation(2, 1), ", but 2 declared facts could not be read");
        assert_eq!(reservation(0, 1), ", but 1 part of the host could not be read");
    }
}
