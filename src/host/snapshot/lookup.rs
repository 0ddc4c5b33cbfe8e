//! Facts in a snapshot: how one is looked up, what must be read for it, and how the model sets one of an
//! interface.

use crate::snapshot::Snapshot;
use crate::snapshot::forwarding::Family;
use crate::snapshot::link::{Families, Link};
use crate::snapshot::pod::PodEnd;
use crate::snapshot::problem::{Problem, Subject};
use crate::snapshot::reading::SysctlReading;
use crate::snapshot::scope::Scope;
use netkeel_core::fact::{Fact, Field, Object, Value};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sysctl::{PerInterface, Slot, SysctlKey};
use netkeel_core::nflog::entry_rules::EntryRules;

/// The result of looking up a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It has this value.
    Value(Value),
    /// The object, or its field, does not exist.
    Absent,
    /// It was not read.
    Unread,
}

impl Lookup {
    /// The value, when there is one.
    pub fn value(self) -> Option<Value> {
        match self {
            Lookup::Value(value) => Some(value),
            Lookup::Absent | Lookup::Unread => None,
        }
    }
}

impl Snapshot {
    /// Looks up a fact.
    pub fn get(&self, fact: &Fact) -> Lookup {
        self.get_by(|name| self.link(*name), fact)
    }

    /// Looks up a field of an interface; none is an interface that does not exist.
    pub fn of_link(&self, link: Option<&Link>, field: Field) -> Lookup {
        match (link, field) {
            (Some(_), Field::RouteMetric(key, _)) if !self.routes.contains(&key.place()) => Lookup::Unread,
            (Some(link), _) => link.get(field, self.families),
            (None, _) => Lookup::Absent,
        }
    }

    /// Whether frames that pass a bridge go through the firewall of IP (`br_netfilter`); none if unknown.
    pub fn is_filtered(&self, family: Family, bridge: LinkName) -> Option<bool> {
        let key = match family {
            Family::Ipv4 => "net/bridge/bridge-nf-call-iptables",
            Family::Ipv6 => "net/bridge/bridge-nf-call-ip6tables",
        };
        match self.sysctls.get(key)? {
            // Without the module nothing does.
            SysctlReading::Absent => Some(false),
            reading if reading.number()? != 0 => Some(true),
            SysctlReading::Value { .. } | SysctlReading::Hidden { .. } => {
                let own = self.forwarding.as_ref()?.bridges.get(&bridge)?;
                Some(match family {
                    Family::Ipv4 => own.ipv4,
                    Family::Ipv6 => own.ipv6,
                })
            }
        }
    }

    fn get_by<'a>(&self, link: impl FnOnce(&LinkName) -> Option<&'a Link>, fact: &Fact) -> Lookup {
        match &fact.object {
            Object::File(path) => match self.files.get(&**path) {
                Some(Some(file)) => Lookup::Value(Value::Text(file.content.clone().into())),
                Some(None) => Lookup::Absent,
                None => Lookup::Unread,
            },
            Object::Plugin(plugin) => match self.cni.as_ref().and_then(|cni| cni.file(&plugin.file)) {
                Some(Some(configuration)) => match configuration.mtu(&plugin.kind) {
                    Some(mtu) => Lookup::Value(mtu),
                    None => Lookup::Absent,
                },
                Some(None) => Lookup::Absent,
                None => Lookup::Unread,
            },
            Object::Wireguard(wireguard) => match self.wireguard.get(&*wireguard.copy) {
                // It exists, but not as a copy of this source.
                Some(copied) if copied.source != *wireguard.source => Lookup::Absent,
                Some(copied) => copied.is.clone().map_or(Lookup::Absent, Lookup::Value),
                None => Lookup::Unread,
            },
            Object::Sysctl(key) => match self.sysctls.get(key) {
                Some(SysctlReading::Value { value, .. }) => {
                    Lookup::Value(Value::Text(value.clone().secret_if(key.is_secret())))
                }
                Some(SysctlReading::Hidden { .. }) => Lookup::Unread,
                Some(SysctlReading::Absent) => Lookup::Absent,
                None => match self.accept_ra_of_announced(key) {
                    Some(accept_ra) => Lookup::Value(Value::Text(accept_ra.to_string().as_str().into())),
                    None => Lookup::Unread,
                },
            },
            Object::Nflog(name) => match &self.nflog {
                Some(nflog) => {
                    let rules = nflog.entries.get(name).cloned();
                    Lookup::Value(Value::Nflog(rules.unwrap_or(EntryRules::None)))
                }
                None => Lookup::Unread,
            },
            Object::LogGroup(group) => match &self.nflog {
                Some(nflog) => Lookup::Value(Value::ForeignRules(nflog.removable(*group))),
                None => Lookup::Unread,
            },
            Object::Link(name) => self.of_link(link(name), fact.field),
        }
    }

    /// The `accept_ra` of an interface with an announced default route, which is read with the route.
    fn accept_ra_of_announced(&self, key: &SysctlKey) -> Option<i64> {
        *self.announced_routes.as_ref()?.get(&key.accept_ra_of()?)?
    }

    /// The problem to report for a fact that was not read; none when the snapshot already has a
    /// problem that covers it.
    pub fn unexplained(&self, fact: &Fact) -> Option<Problem> {
        let what = Subject::of(fact);
        let told = self.problems.iter().any(|problem| problem.what == what);
        (!told).then(|| Problem {
            what: Subject::Fact(fact.clone()),
            why: match &fact.object {
                Object::Sysctl(key) if self.hides(key) => {
                    "its value is a secret, which a snapshot does not have".to_owned()
                }
                _ => "the snapshot does not hold it".to_owned(),
            },
        })
    }

    /// Whether the snapshot lacks the value of a sysctl because it is a secret.
    fn hides(&self, key: &SysctlKey) -> bool {
        matches!(self.sysctls.get(key), Some(SysctlReading::Hidden { .. }))
    }

    /// A sysctl as a number; none when it does not exist, was not read or is not a number.
    pub fn sysctl_number(&self, path: &str) -> Option<i64> {
        self.sysctls.get(path)?.number()
    }

    /// Whether a sysctl can be written, as far as it was read. The dump of interfaces does not show it for
    /// their own keys: what holds for `all` or `default` holds for them too.
    pub fn can_be_written(&self, key: &SysctlKey) -> bool {
        let read_only = |key: &SysctlKey| {
            matches!(
                self.sysctls.get(key),
                Some(
                    SysctlReading::Value { writable: false, .. }
                        | SysctlReading::Hidden { writable: false, .. }
                )
            )
        };
        let slots = ["all", "default"]
            .into_iter()
            .filter_map(|slot| key.in_slot(slot));
        let others = key.link().into_iter().flat_map(|_| slots.clone());
        !read_only(key) && !others.into_iter().any(|key| read_only(&key))
    }

    /// The interfaces whose own setting was read, each with its value. `parts` may be of any slot.
    pub(crate) fn of_interfaces(&self, parts: PerInterface<'_>) -> Vec<(LinkName, i64)> {
        let field = Field::of_sysctl(parts.family, parts.leaf);
        if let Some(field) = field.filter(|_| parts.table == "conf") {
            let number = |link: &Link| link.get(field, self.families).value()?.number();
            return self
                .links
                .iter()
                .filter_map(|(name, link)| Some((*name, number(link)?)))
                .collect();
        }
        let of_interface = |key: &SysctlKey| {
            let other = key.per_interface()?;
            let same = (other.family, other.table, other.leaf) == (parts.family, parts.table, parts.leaf);
            match other.slot {
                Slot::Link(name) if same => Some(name),
                _ => None,
            }
        };
        self.sysctls
            .iter()
            .filter_map(|(key, reading)| match reading {
                SysctlReading::Value { value, .. } => Some((of_interface(key)?, value.parse().ok()?)),
                SysctlReading::Hidden { .. } | SysctlReading::Absent => None,
            })
            .collect()
    }
}

impl Link {
    /// Looks up a fact of the other end of a veth.
    fn pod_fact(&self, field: Field) -> Lookup {
        let Some(pod) = &self.pod else {
            // A peer in another namespace exists but was not read.
            return match self.has_pod_end() {
                true => Lookup::Unread,
                false => Lookup::Absent,
            };
        };
        match field {
            Field::PodMtu => Lookup::Value(Value::Number(pod.mtu.into())),
            Field::PodRouteMtu(destination) => match pod.routes.get(&destination) {
                Some(route) => Lookup::Value(Value::Number(route.mtu.into())),
                None => Lookup::Absent,
            },
            Field::PodAddress(ipnet::IpNet::V6(address)) => {
                Lookup::Value(Value::Switch(pod.ipv6.contains(&address)))
            }
            // Those are not read; the others are of this end or of other objects.
            Field::PodAddress(ipnet::IpNet::V4(_))
            | Field::Kind
            | Field::Address(_)
            | Field::RpFilter
            | Field::Forwarding
            | Field::Forwarding6
            | Field::DisableIpv6
            | Field::Mtu
            | Field::RouteMetric(..)
            | Field::Up
            | Field::TxQueueLength
            | Field::Alias
            | Field::Content
            | Field::Value
            | Field::Rules => Lookup::Absent,
        }
    }

    /// Looks up a field, given the families whose addresses were read.
    pub fn get(&self, field: Field, families: Families) -> Lookup {
        let number = |value: Option<i32>| match value {
            Some(value) => Lookup::Value(Value::Number(value.into())),
            None => Lookup::Absent,
        };
        match field {
            Field::Kind => Lookup::Value(Value::Device(self.device_kind())),
            Field::Address(address) => {
                let read = match address {
                    ipnet::IpNet::V4(_) => families.ipv4,
                    ipnet::IpNet::V6(_) => families.ipv6,
                };
                match (self.addresses.contains(&address), read) {
                    (true, _) => Lookup::Value(Value::Switch(true)),
                    (false, true) => Lookup::Value(Value::Switch(false)),
                    (false, false) => Lookup::Unread,
                }
            }
            Field::RpFilter => number(self.rp_filter),
            Field::Forwarding => number(self.forwarding),
            Field::Forwarding6 => number(self.forwarding6),
            Field::DisableIpv6 => number(self.disable_ipv6),
            Field::Mtu => Lookup::Value(Value::Number(self.mtu.into())),
            Field::PodMtu | Field::PodRouteMtu(_) | Field::PodAddress(_) => self.pod_fact(field),
            Field::RouteMetric(key, metric) => match self.routes.get(&key) {
                // A key does not say which of them is meant.
                Some(route) if route.several => Lookup::Unread,
                Some(route) => match route.metrics.get(&metric) {
                    Some(bytes) => Lookup::Value(Value::Number((*bytes).into())),
                    None => Lookup::Absent,
                },
                None => Lookup::Absent,
            },
            Field::Up => Lookup::Value(Value::Switch(self.up)),
            Field::TxQueueLength => Lookup::Value(Value::Number(self.txqueuelen.into())),
            Field::Alias => Lookup::Value(Value::Text(self.alias.clone().unwrap_or_default().into())),
            Field::Content | Field::Value | Field::Rules => Lookup::Absent,
        }
    }

    /// Sets a field, without the side effects that the kernel adds.
    pub(crate) fn put(&mut self, field: Field, value: Option<&Value>) {
        let number = value.and_then(Value::number);
        let small = number.and_then(|number| i32::try_from(number).ok());
        let large = number.and_then(|number| u32::try_from(number).ok());
        match field {
            Field::RpFilter => self.rp_filter = small,
            Field::Forwarding => self.forwarding = small,
            Field::Forwarding6 => self.forwarding6 = small,
            Field::DisableIpv6 => self.disable_ipv6 = small,
            Field::Mtu => self.mtu = large.unwrap_or(self.mtu),
            Field::PodMtu | Field::PodRouteMtu(_) | Field::PodAddress(_) => {
                if let Some(pod) = &mut self.pod {
                    pod.put(field, value);
                }
            }
            Field::RouteMetric(key, metric) => {
                if let Some(route) = self.routes.get_mut(&key) {
                    route.set(metric, large);
                }
            }
            Field::Up => self.up = value.and_then(Value::switch).unwrap_or(self.up),
            Field::Address(address) => {
                if value.and_then(Value::switch) == Some(true) {
                    self.addresses.insert(address);
                } else {
                    self.addresses.remove(&address);
                }
            }
            Field::TxQueueLength => self.txqueuelen = large.unwrap_or(self.txqueuelen),
            Field::Alias => {
                if let Some(alias) = value.and_then(Value::text) {
                    self.alias = (!alias.is_empty()).then(|| alias.reveal().clone());
                }
            }
            // The kind is set with the whole device; the others are of other objects.
            Field::Kind | Field::Content | Field::Value | Field::Rules => {}
        }
    }
}

impl PodEnd {
    /// As [`Link::put`], for the fields of the other end of a veth.
    fn put(&mut self, field: Field, value: Option<&Value>) {
        let number = value.and_then(Value::number);
        let number = number.and_then(|number| u32::try_from(number).ok());
        match field {
            Field::PodMtu => self.mtu = number.unwrap_or(self.mtu),
            Field::PodRouteMtu(destination) => {
                if let (Some(route), Some(mtu)) = (self.routes.get_mut(&destination), number) {
                    route.mtu = mtu;
                }
            }
            Field::PodAddress(ipnet::IpNet::V6(address)) => {
                if value.and_then(Value::switch) == Some(true) {
                    self.ipv6.insert(address);
                } else {
                    self.ipv6.remove(&address);
                }
            }
            // Not read; the others are of the host's end or of other objects.
            Field::PodAddress(ipnet::IpNet::V4(_))
            | Field::Kind
            | Field::Address(_)
            | Field::RpFilter
            | Field::Forwarding
            | Field::Forwarding6
            | Field::DisableIpv6
            | Field::Mtu
            | Field::RouteMetric(..)
            | Field::Up
            | Field::TxQueueLength
            | Field::Alias
            | Field::Content
            | Field::Value
            | Field::Rules => {}
        }
    }
}

impl Subject {
    /// The subject of the problem that explains why a fact was not read.
    pub fn of(fact: &Fact) -> Self {
        match (&fact.object, fact.field) {
            (Object::Link(_), Field::Address(ipnet::IpNet::V4(_))) => Subject::Ipv4Addresses,
            (Object::Link(_), Field::Address(ipnet::IpNet::V6(_))) => Subject::Ipv6Addresses,
            (Object::Link(name), Field::PodMtu | Field::PodRouteMtu(_) | Field::PodAddress(_)) => {
                Subject::PodEnd(*name)
            }
            (Object::Link(_), Field::RouteMetric(..)) => Subject::Routes,
            (Object::Nflog(_) | Object::LogGroup(_), _) => Subject::Nflog,
            (Object::Plugin(plugin), _) => Subject::CniConfiguration(plugin.file.to_path_buf()),
            (
                Object::Link(_),
                Field::Kind
                | Field::RpFilter
                | Field::Forwarding
                | Field::Forwarding6
                | Field::DisableIpv6
                | Field::Mtu
                | Field::Up
                | Field::TxQueueLength
                | Field::Alias
                | Field::Content
                | Field::Value
                | Field::Rules,
            )
            | (Object::File(_) | Object::Wireguard(_) | Object::Sysctl(_), _) => Subject::Fact(fact.clone()),
        }
    }
}

impl Scope {
    /// Adds what must be read to look up a fact that netkeel wrote earlier.
    pub fn of_fact(&mut self, fact: &Fact) {
        match &fact.object {
            Object::File(path) => {
                self.files.insert(path.to_path_buf());
            }
            Object::Plugin(plugin) => {
                self.cni.files.insert(plugin.file.to_path_buf());
            }
            Object::Wireguard(wireguard) => {
                let (copy, source) = (wireguard.copy.to_path_buf(), wireguard.source.to_path_buf());
                self.wireguard.insert(copy, source);
            }
            Object::Sysctl(key) => {
                self.of_copies(key);
                self.sysctls.insert(key.clone());
            }
            Object::Nflog(_) | Object::LogGroup(_) => self.nflog = true,
            Object::Link(_) => self.of_link_field(fact.field),
        }
    }

    fn of_link_field(&mut self, field: Field) {
        match field {
            Field::PodMtu | Field::PodRouteMtu(_) | Field::PodAddress(_) => self.pods = true,
            Field::Forwarding6 => self.announced_routes = true,
            Field::RouteMetric(key, _) => {
                self.routes.insert(key.place());
            }
            // Every dump of the interfaces has them, or the families that the caller asks for.
            Field::Kind
            | Field::Address(_)
            | Field::RpFilter
            | Field::Forwarding
            | Field::DisableIpv6
            | Field::Mtu
            | Field::Up
            | Field::TxQueueLength
            | Field::Alias
            | Field::Content
            | Field::Value
            | Field::Rules => {}
        }
    }
}
