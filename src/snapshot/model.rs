//! The model kernel: what each op changes, the op's own fact first, then what the kernel changes
//! beside it. Plans, undo lists and tests rest on it; a conformance test holds it to the real one.

mod stack;

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::fact::{Fact, Field, Object, Value};
use crate::link_name::LinkName;
use crate::op::{Op, Target};
use crate::snapshot::{File, Link, Observed, Reading, Snapshot};
use crate::sysctl_key::{PerInterface, Slot, SysctlKey};
use crate::tunnel_mode::TunnelMode;
use stack::Stack;

/// Below this MTU (bytes) the kernel takes IPv6 off an interface: IPV6_MIN_MTU,
/// `addrconf_notify` on NETDEV_CHANGEMTU (net/ipv6/addrconf.c).
pub const IPV6_MIN_MTU: u32 = 1280;

/// A fact that an op changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The fact.
    pub fact: Fact,
    /// Its value before; none when it was absent.
    pub from: Option<Value>,
    /// Its value after; none when it is absent.
    pub to: Option<Value>,
}

/// A snapshot that ops can be applied to.
#[derive(Clone, Debug)]
pub struct Model {
    /// The facts as they are now.
    pub host: Snapshot,
    stack: Stack,
    /// For each `net.ipv4.conf` leaf the interfaces that are known not to follow `default`. The
    /// kernel keeps that bit to itself (`ipv4_devconf.state`): an interface follows until the leaf
    /// was once written on it or it got an IPv4 address.
    firm: BTreeMap<String, BTreeSet<LinkName>>,
    /// The leaves whose `default` was written, so that those that differed are in `firm`.
    compared: BTreeSet<String>,
}

impl Model {
    /// A model that starts as a snapshot is.
    pub fn new(host: Snapshot) -> Self {
        let stack = Stack::new(&host);
        Model {
            host,
            stack,
            firm: BTreeMap::new(),
            compared: BTreeSet::new(),
        }
    }

    /// Applies an op and lists all facts that it changes.
    pub fn apply(&mut self, op: &Op) -> Vec<Change> {
        let mut changes = Vec::new();
        match op {
            Op::WriteFile { path, content, mode } => {
                let file = File {
                    content: content.clone(),
                    mode: *mode,
                };
                let old = self.host.files.insert(path.to_path_buf(), Some(file)).flatten();
                let from = old.map(|file| Value::Text(file.content));
                changes.push(Change {
                    fact: Fact::file(path),
                    from,
                    to: Some(Value::Text(content.clone())),
                });
            }
            Op::RemoveFile { path } => {
                let old = self.host.files.insert(path.to_path_buf(), None).flatten();
                changes.push(Change {
                    fact: Fact::file(path),
                    from: old.map(|file| Value::Text(file.content)),
                    to: None,
                });
            }
            Op::CreateTunnel { target, mode } => self.create(target, *mode, &mut changes),
            Op::RecreateTunnel { target, mode } => {
                self.remove(target.name, &mut changes);
                self.create(target, *mode, &mut changes);
            }
            Op::DeleteLink { target } => self.remove(target.name, &mut changes),
            Op::AddAddress { target, address } => self.address(target.name, *address, true, &mut changes),
            Op::RemoveAddress { target, address } => self.address(target.name, *address, false, &mut changes),
            Op::SetMtu { target, mtu } => self.set_mtu(target.name, *mtu, &mut changes),
            Op::SetUp { target, up } => {
                self.set(target.name, Field::Up, &mut changes, |link| link.up = *up);
                if !up {
                    self.lose_ipv6(target.name, &mut changes);
                }
            }
            Op::SetTxQueueLength { target, packets } => {
                self.set(target.name, Field::TxQueueLength, &mut changes, |link| {
                    link.txqueuelen = *packets
                });
            }
            Op::SetAlias { target, alias } => {
                let alias = (!alias.is_empty()).then(|| alias.clone());
                self.set(target.name, Field::Alias, &mut changes, |link| link.alias = alias);
            }
            Op::WriteSysctl { key, value, .. } => self.write_sysctl(key, value, &mut changes),
        }
        changes.retain(|change| change.from != change.to);
        changes
    }

    /// Changes one field of a link and notes what it was.
    fn set(
        &mut self,
        name: LinkName,
        field: Field,
        changes: &mut Vec<Change>,
        write: impl FnOnce(&mut Link),
    ) {
        let fact = Fact::link(&self.host.netns, name, field);
        let from = self.host.get(&fact).value();
        if let Some(link) = self.host.links.get_mut(&name) {
            write(link);
        }
        let to = self.host.get(&fact).value();
        changes.push(Change { fact, from, to });
    }

    fn create(&mut self, target: &Target, mode: TunnelMode, changes: &mut Vec<Change>) {
        let conf = |path| {
            self.host
                .sysctl_number(path)
                .and_then(|value| i32::try_from(value).ok())
        };
        let link = Link {
            kind: Some(mode.kind().into()),
            external: true,
            mtu: mode.default_mtu(),
            min_mtu: 68,
            txqueuelen: 1000,
            rp_filter: conf("net/ipv4/conf/default/rp_filter"),
            forwarding: conf("net/ipv4/conf/default/forwarding"),
            forwarding6: conf("net/ipv6/conf/default/forwarding"),
            disable_ipv6: conf("net/ipv6/conf/default/disable_ipv6"),
            ..Link::default()
        };
        self.host.links.insert(target.name, link);
        let fact = Fact::link(&self.host.netns, target.name, Field::Kind);
        let to = self.host.get(&fact).value();
        changes.push(Change { fact, from: None, to });
    }

    fn remove(&mut self, name: LinkName, changes: &mut Vec<Change>) {
        let fact = Fact::link(&self.host.netns, name, Field::Kind);
        let from = self.host.get(&fact).value();
        self.stack.forget(name, &self.host);
        self.host.links.remove(&name);
        changes.push(Change { fact, from, to: None });
    }

    fn address(&mut self, name: LinkName, address: IpNet, present: bool, changes: &mut Vec<Change>) {
        self.set(name, Field::Address(address), changes, |link| {
            if present {
                link.addresses.insert(address);
            } else {
                link.addresses.remove(&address);
            }
        });
    }

    /// Devices above follow downwards but not upwards; a bridge follows its ports both ways.
    fn set_mtu(&mut self, name: LinkName, mtu: u32, changes: &mut Vec<Change>) {
        let Some(before) = self.host.links.get(&name).map(|link| link.mtu) else {
            return;
        };
        self.set(name, Field::Mtu, changes, |link| link.mtu = mtu);
        if before >= IPV6_MIN_MTU && mtu < IPV6_MIN_MTU {
            self.lose_ipv6(name, changes);
            self.set(name, Field::Forwarding6, changes, |link| link.forwarding6 = None);
            self.set(name, Field::DisableIpv6, changes, |link| link.disable_ipv6 = None);
        } else if before < IPV6_MIN_MTU && mtu >= IPV6_MIN_MTU {
            let conf = |path| {
                self.host
                    .sysctl_number(path)
                    .and_then(|value| i32::try_from(value).ok())
            };
            let forwarding6 = conf("net/ipv6/conf/default/forwarding");
            let disable_ipv6 = conf("net/ipv6/conf/default/disable_ipv6");
            self.set(name, Field::Forwarding6, changes, |link| {
                link.forwarding6 = forwarding6
            });
            self.set(name, Field::DisableIpv6, changes, |link| {
                link.disable_ipv6 = disable_ipv6
            });
        }
        self.set_sysctl_if_read(&SysctlKey::conf("ipv6", name, "mtu"), &mtu.to_string(), changes);
        for (upper, mtu) in self.stack.mtu_changed(name, before, mtu, &self.host) {
            self.set_mtu(upper, mtu, changes);
        }
    }

    fn lose_ipv6(&mut self, name: LinkName, changes: &mut Vec<Change>) {
        let Some(link) = self.host.links.get(&name) else {
            return;
        };
        let lost: Vec<IpNet> = link
            .addresses
            .iter()
            .filter(|address| matches!(address, IpNet::V6(_)))
            .copied()
            .collect();
        for address in lost {
            self.address(name, address, false, changes);
        }
    }

    fn write_sysctl(&mut self, key: &SysctlKey, value: &str, changes: &mut Vec<Change>) {
        let fact = Fact::sysctl(&self.host.netns, key);
        let before = self.host.get(&fact).value();
        self.set_fact(&fact, value, changes);
        if let Some(PerInterface {
            family: "ipv4",
            table: "conf",
            slot: Slot::Link(name),
            leaf,
        }) = key.per_interface()
        {
            self.firm.entry(leaf.to_owned()).or_default().insert(name);
        }
        if before == self.host.get(&fact).value() {
            return;
        }
        if let Object::Link(name) = fact.object {
            if fact.field == Field::DisableIpv6 && value != "0" {
                self.lose_ipv6(name, changes);
            }
            return;
        }
        match (key.path(), key.per_interface()) {
            ("net/ipv4/ip_forward" | "net/ipv4/conf/all/forwarding", _) => {
                let redirects = if value == "0" { "1" } else { "0" };
                self.set_sysctl_if_read(
                    &SysctlKey::known("net/ipv4/conf/all/accept_redirects"),
                    redirects,
                    changes,
                );
                self.set_sysctl_if_read(
                    &SysctlKey::known("net/ipv4/conf/default/forwarding"),
                    value,
                    changes,
                );
                self.set_everywhere(Field::Forwarding, value, changes);
            }
            ("net/ipv6/conf/all/forwarding", _) => {
                self.set_sysctl_if_read(
                    &SysctlKey::known("net/ipv6/conf/default/forwarding"),
                    value,
                    changes,
                );
                self.set_everywhere(Field::Forwarding6, value, changes);
            }
            ("net/ipv6/conf/all/disable_ipv6", _) => {
                self.set_sysctl_if_read(
                    &SysctlKey::known("net/ipv6/conf/default/disable_ipv6"),
                    value,
                    changes,
                );
                self.set_everywhere(Field::DisableIpv6, value, changes);
            }
            (
                _,
                Some(PerInterface {
                    family: "ipv4",
                    table: "conf",
                    slot: Slot::Default,
                    leaf,
                }),
            ) => {
                self.follow_default(leaf, before, value, changes);
            }
            _ => {}
        }
    }

    /// Every interface takes the value; switching IPv6 off takes the addresses too.
    fn set_everywhere(&mut self, field: Field, value: &str, changes: &mut Vec<Change>) {
        let names: Vec<LinkName> = self.host.links.keys().copied().collect();
        for name in names {
            let fact = Fact::link(&self.host.netns, name, field);
            if matches!(self.host.get(&fact), Observed::Value(_)) {
                self.set_fact(&fact, value, changes);
                if field == Field::DisableIpv6 && value != "0" {
                    self.lose_ipv6(name, changes);
                }
            }
        }
    }

    /// Writing `default` also changes the interfaces that never had the leaf written nor an IPv4
    /// address (`devinet_copy_dflt_conf`, net/ipv4/devinet.c). Such an interface still has the
    /// value that `default` had, so those that differ are known not to follow.
    fn follow_default(&mut self, leaf: &str, before: Option<Value>, value: &str, changes: &mut Vec<Change>) {
        let Some(before) = before.and_then(|value| value.to_string().parse::<i64>().ok()) else {
            return;
        };
        let known = self.host.ipv4_conf(leaf);
        let firm = self.firm.entry(leaf.to_owned()).or_default();
        if self.compared.insert(leaf.to_owned()) {
            firm.extend(
                known
                    .iter()
                    .filter(|(_, own)| *own != before)
                    .map(|(name, _)| *name),
            );
        }
        let firm = firm.clone();
        for (name, _) in known {
            let addressless = self.host.links.get(&name).is_some_and(|link| !link.has_ipv4());
            if addressless && !firm.contains(&name) {
                let fact = Fact::sysctl(&self.host.netns, &SysctlKey::conf("ipv4", name, leaf));
                self.set_fact(&fact, value, changes);
            }
        }
    }

    fn set_sysctl_if_read(&mut self, key: &SysctlKey, value: &str, changes: &mut Vec<Change>) {
        let fact = Fact::sysctl(&self.host.netns, key);
        if matches!(self.host.get(&fact), Observed::Value(_)) {
            self.set_fact(&fact, value, changes);
        }
    }

    /// Sets a sysctl's fact, wherever the snapshot keeps it.
    fn set_fact(&mut self, fact: &Fact, value: &str, changes: &mut Vec<Change>) {
        match &fact.object {
            Object::Link(name) => {
                let number = value.parse().ok();
                self.set(*name, fact.field, changes, |link| match fact.field {
                    Field::RpFilter => link.rp_filter = number,
                    Field::Forwarding => link.forwarding = number,
                    Field::Forwarding6 => link.forwarding6 = number,
                    Field::DisableIpv6 => link.disable_ipv6 = number,
                    _ => {}
                });
            }
            Object::Sysctl(key) => {
                let from = self.host.get(fact).value();
                let reading = Reading::Value {
                    value: value.into(),
                    writable: true,
                };
                self.host.sysctls.insert(key.clone(), reading);
                changes.push(Change {
                    fact: fact.clone(),
                    from,
                    to: Some(Value::Text(value.into())),
                });
            }
            Object::File(_) => {}
        }
    }
}
