//! Where the interface of a record is now: a name can by now mean another interface.

use std::collections::BTreeMap;

use crate::ledger::OwnershipRecord;
use netkeel_core::fact::{Fact, Object};
use netkeel_core::name::device::DeviceId;
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::Snapshot;

/// Where the interface of a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It has the name of the record, or the fact is of no interface.
    Here,
    /// It has another name: the fact by that name.
    Renamed(Fact),
    /// It was deleted or moved to another namespace, or it went with an earlier boot. Nothing is left to restore.
    Gone,
    /// The record does not say which interface it was.
    Unknown,
}

/// The interfaces of a host, to find those of many records.
#[derive(Debug)]
pub struct Places<'a> {
    host: &'a Snapshot,
    names: BTreeMap<u32, LinkName>,
}

impl<'a> Places<'a> {
    /// The places on this host.
    pub fn new(host: &'a Snapshot) -> Self {
        let names = host.links.iter().map(|(name, link)| (link.index, *name));
        Places {
            host,
            names: names.collect(),
        }
    }

    /// Where the interface of a record is.
    pub fn of(&self, record: &OwnershipRecord) -> Place {
        let Some(name) = record.fact.link_name() else {
            return Place::Here;
        };
        let Some(device) = record.device else {
            return Place::Unknown;
        };
        let now = self.host.link(name).map(|link| link.index);
        if device.boot != self.host.boot {
            // A file of sysctl.d sets it by name at each boot. Nothing else that netkeel wrote outlives a boot.
            return match now.is_some() && is_sysctl(&record.fact) {
                true => Place::Here,
                false => Place::Gone,
            };
        }
        if now == Some(device.index) {
            return Place::Here;
        }
        // Interfaces of a model that were made there have the index 0.
        let other = self.names.get(&device.index).filter(|_| device.index != 0);
        let renamed = other.and_then(|name| of_link(&record.fact, *name));
        // The file of sysctl.d also sets it by name where the interface is made again.
        match renamed {
            Some(fact) => Place::Renamed(fact),
            None if now.is_some() && is_sysctl(&record.fact) => Place::Here,
            None => Place::Gone,
        }
    }
}

impl OwnershipRecord {
    /// The record with its interface, where that is one that the apply made.
    #[must_use]
    pub fn on_made(mut self, made: &BTreeMap<LinkName, DeviceId>) -> Self {
        let of = || made.get(&self.fact.link_name()?).copied();
        self.device = self.device.or_else(of);
        self
    }

    /// Whether a later record of the same fact is of another interface, so that the value that was found on this one is
    /// not that interface's.
    pub(crate) fn is_of_another(&self, later: &OwnershipRecord) -> bool {
        let (Some(DeviceId { boot, index }), Some(other)) = (self.device, later.device) else {
            return false;
        };
        match boot == other.boot {
            true => index != other.index,
            false => !is_sysctl(&self.fact),
        }
    }
}

/// Whether a fact of an interface is a sysctl.
fn is_sysctl(fact: &Fact) -> bool {
    match &fact.object {
        Object::Sysctl(_) => true,
        Object::Link(name) => fact.field.sysctl_of(*name).is_some(),
        Object::File(_)
        | Object::Plugin(_)
        | Object::Wireguard(_)
        | Object::Nflog(_)
        | Object::LogGroup(_) => false,
    }
}

/// The same fact of another interface.
fn of_link(fact: &Fact, name: LinkName) -> Option<Fact> {
    let object = match &fact.object {
        Object::Link(_) => Object::Link(name),
        Object::Sysctl(key) => Object::Sysctl(key.of_link(name)?),
        Object::File(_)
        | Object::Plugin(_)
        | Object::Wireguard(_)
        | Object::Nflog(_)
        | Object::LogGroup(_) => {
            return None;
        }
    };
    Some(Fact {
        object,
        ..fact.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::fact::{Field, Value};
    use netkeel_core::name::netns::Netns;
    use netkeel_host::snapshot::link::Link;

    fn host(links: &[(&str, u32)]) -> Snapshot {
        let mut host = Snapshot::empty(Netns::CURRENT);
        for (name, index) in links {
            let link = Link {
                index: *index,
                ..Link::default()
            };
            host.links.insert(name.parse().unwrap(), link.into());
        }
        host
    }

    fn fact(name: &str, field: Field) -> Fact {
        Fact::link(&Netns::CURRENT, name.parse().unwrap(), field)
    }

    fn record(field: Field, boot: &str, index: u32) -> OwnershipRecord {
        OwnershipRecord {
            fact: fact("eth0", field),
            device: Some(DeviceId {
                boot: boot.repeat(32).parse().unwrap(),
                index,
            }),
            owner: "default".to_owned(),
            found: Some(Value::Number(1)),
            wrote: Some(Value::Number(2)),
            caused_by: None,
        }
    }

    #[test]
    fn an_interface_is_found_by_its_index_whatever_its_name_is() {
        let of = |links: &[(&str, u32)], record: &OwnershipRecord| Places::new(&host(links)).of(record);
        let mtu = record(Field::Mtu, "0", 2);
        assert_eq!(of(&[("eth0", 2)], &mtu), Place::Here);
        let renamed = Place::Renamed(fact("ens3", Field::Mtu));
        assert_eq!(of(&[("ens3", 2)], &mtu), renamed);
        assert_eq!(of(&[("ens3", 2), ("eth0", 3)], &mtu), renamed);
        assert_eq!(of(&[("eth0", 3)], &mtu), Place::Gone);
        assert_eq!(of(&[], &mtu), Place::Gone);
        // A file of sysctl.d sets a sysctl of the interface that was made again with the name.
        let filter = record(Field::RpFilter, "0", 2);
        assert_eq!(of(&[("eth0", 3)], &filter), Place::Here);
        assert_eq!(of(&[], &filter), Place::Gone);
        let renamed = Place::Renamed(fact("ens3", Field::RpFilter));
        assert_eq!(of(&[("ens3", 2), ("eth0", 3)], &filter), renamed);
        let unknown = OwnershipRecord { device: None, ..mtu };
        assert_eq!(of(&[("eth0", 2)], &unknown), Place::Unknown);
    }

    #[test]
    fn of_an_earlier_boot_only_sysctls_are_left_by_name() {
        let host = host(&[("eth0", 2), ("eth1", 9)]);
        let of = |field| Places::new(&host).of(&record(field, "1", 9));
        assert_eq!(of(Field::Mtu), Place::Gone);
        assert_eq!(of(Field::RpFilter), Place::Here);
    }

    #[test]
    fn the_value_that_was_found_on_another_interface_is_not_that_of_this_one() {
        let first = record(Field::Mtu, "0", 2);
        assert!(first.is_of_another(&record(Field::Mtu, "0", 3)));
        assert!(first.is_of_another(&record(Field::Mtu, "1", 2)));
        assert!(!first.is_of_another(&record(Field::Mtu, "0", 2)));
        assert!(!record(Field::RpFilter, "0", 2).is_of_another(&record(Field::RpFilter, "1", 3)));
    }
}
