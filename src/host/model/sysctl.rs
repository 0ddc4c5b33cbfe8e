//! Side effects of sysctl writes, and an interface's sysctls when IPv4 or IPv6 is enabled or
//! disabled on it.

use std::borrow::Cow;

use crate::model::{Change, Model};
use crate::snapshot::lookup::Lookup;
use crate::snapshot::reading::SysctlReading;
use netkeel_core::fact::{Fact, Field, Value};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sysctl::{
    ALLOWED_CONGESTION_CONTROL, CONGESTION_CONTROL, PerInterface, Slot, SysctlKey,
};
use netkeel_core::op::Op;

/// The congestion controls that the kernel has, built in or loaded.
const AVAILABLE_CONGESTION_CONTROL: &str = "net/ipv4/tcp_available_congestion_control";

/// The beginning of the name of a setting of IPv6 neighbours.
const NEIGHBOURS_IPV6: &str = "ipv6/neigh/";

/// The name of a setting whose `default` interfaces may follow. For `net.ipv4.conf` it is the leaf.
fn setting(parts: PerInterface<'_>) -> Cow<'_, str> {
    match parts.table {
        "conf" => parts.leaf.into(),
        _ => format!("{}/neigh/{}", parts.family, parts.leaf).into(),
    }
}

impl Model {
    /// The interfaces of which an op removes the default routes that routers announced. `None` if it may
    /// remove some and they were not read.
    pub fn announced_routes_lost_by(&self, op: &Op) -> Option<Vec<LinkName>> {
        match op {
            Op::WriteSysctl { key, value, .. } if key.removes_announced_routes() && &**value != "0" => {
                let announced = self.host.announced_routes.as_ref()?;
                let lost = announced.iter().filter(|(_, accept_ra)| **accept_ra != Some(2));
                Some(lost.map(|(name, _)| *name).collect())
            }
            Op::WriteSysctl { key, value, .. } if &**value != "2" => match key.accept_ra_of() {
                Some(name) => self.announced_routes_not_heard(name),
                None => Some(Vec::new()),
            },
            _ => Some(Vec::new()),
        }
    }

    /// The interface, if it has default routes that routers announced and hears routers only because its `accept_ra`
    /// is 2: it forwards. Without that they end with their lifetimes.
    fn announced_routes_not_heard(&self, name: LinkName) -> Option<Vec<LinkName>> {
        let none = Some(Vec::new());
        let Some(link) = self.host.links.get(&name) else {
            return none;
        };
        // A switch that was not read may be on.
        let forwards = link.forwarding6.is_none_or(|forwarding| forwarding != 0);
        if !forwards {
            return none;
        }
        match self.host.announced_routes.as_ref()?.get(&name) {
            Some(Some(2) | None) => Some(vec![name]),
            Some(Some(_)) | None => none,
        }
    }

    /// The effect of a write on the default routes that routers announced.
    fn change_announced_routes(&mut self, key: &SysctlKey, value: &str) {
        let Some(announced) = &mut self.host.announced_routes else {
            return;
        };
        if key.removes_announced_routes() && value != "0" {
            announced.retain(|_, accept_ra| *accept_ra == Some(2));
        }
        if let Some(name) = key.accept_ra_of()
            && let Some(accept_ra) = announced.get_mut(&name)
        {
            *accept_ra = value.parse().ok();
        }
    }

    pub(crate) fn write_sysctl(&mut self, key: &SysctlKey, value: &str, changes: &mut Vec<Change>) {
        self.change_announced_routes(key, value);
        let parts = key.per_interface();
        let fact = Fact::of_parts(&self.host.netns, key, parts);
        let own = changes.len();
        self.set_fact(&fact, Some(value), changes);
        // No change was recorded if the interface does not exist.
        let own = changes.get(own);
        let before = own.and_then(|own| own.from.clone());
        let changed = own.is_some_and(|own| own.from != own.to);
        match (key.path(), parts) {
            (CONGESTION_CONTROL, _) => self.allow_congestion_control(value, changes),
            // `devinet_sysctl_forward` does nothing when the value stays the same.
            ("net/ipv4/ip_forward" | "net/ipv4/conf/all/forwarding", _) if changed => {
                let redirects = if value == "0" { "1" } else { "0" };
                let redirects_key = SysctlKey::known("net/ipv4/conf/all/accept_redirects");
                self.set_sysctl_if_read(&redirects_key, redirects, changes);
                let default = SysctlKey::known("net/ipv4/conf/default/forwarding");
                self.set_sysctl_if_read(&default, value, changes);
                self.set_everywhere(Field::Forwarding, value, changes);
            }
            (
                _,
                Some(PerInterface {
                    family: "ipv6",
                    slot: Slot::All,
                    leaf,
                    ..
                }),
            ) if key.copied_to_links() => {
                // `addrconf_sysctl_force_forwarding` leaves `default` as it is.
                if let Some(default) = key.in_slot("default").filter(|_| leaf != "force_forwarding") {
                    self.set_sysctl_if_read(&default, value, changes);
                }
                match Field::of_sysctl("ipv6", leaf) {
                    Some(field) => self.set_everywhere(field, value, changes),
                    None => self.copy_to_links(leaf, value, changes),
                }
                if key.resets_force_forwarding() && value == "0" {
                    self.copy_to_links("force_forwarding", value, changes);
                }
            }
            (_, Some(parts)) => match (parts.family, parts.table, parts.slot) {
                ("ipv4", "conf", Slot::Default) | (_, "neigh", Slot::Default) => {
                    self.follow_default(key, parts, before, value, changes);
                }
                ("ipv4", "conf", Slot::Link(name)) | (_, "neigh", Slot::Link(name)) => {
                    let setting = setting(parts);
                    let firm = match self.firm.get_mut(&*setting) {
                        Some(firm) => firm,
                        None => self.firm.entry(setting.into_owned()).or_default(),
                    };
                    firm.insert(name);
                }
                ("ipv6", "conf", Slot::Link(name)) if parts.leaf == "disable_ipv6" && value != "0" => {
                    self.lose_ipv6(name, changes);
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// Adds a congestion control to those that are allowed. The kernel lists them in the order in which it
    /// registered them.
    fn allow_congestion_control(&mut self, name: &str, changes: &mut Vec<Change>) {
        let words = |path: &str| match self.host.sysctls.get(path) {
            Some(SysctlReading::Value { value, .. }) => {
                Some(value.split(' ').map(str::to_owned).collect::<Vec<_>>())
            }
            Some(SysctlReading::Hidden { .. } | SysctlReading::Absent) | None => None,
        };
        let Some(mut allowed) = words(ALLOWED_CONGESTION_CONTROL) else {
            return;
        };
        allowed.push(name.to_owned());
        let mut listed: Vec<String> = words(AVAILABLE_CONGESTION_CONTROL).unwrap_or_default();
        listed.extend(allowed.clone());
        let mut ordered: Vec<&str> = Vec::new();
        for word in listed.iter().filter(|word| allowed.contains(word)) {
            if !ordered.contains(&word.as_str()) {
                ordered.push(word);
            }
        }
        self.set_sysctl_if_read(
            &SysctlKey::known(ALLOWED_CONGESTION_CONTROL),
            &ordered.join(" "),
            changes,
        );
    }

    /// Copies the value to every interface; disabling IPv6 also deletes the IPv6 addresses.
    fn set_everywhere(&mut self, field: Field, value: &str, changes: &mut Vec<Change>) {
        let names: Vec<LinkName> = self.host.links.keys().copied().collect();
        for name in names {
            let fact = Fact::link(&self.host.netns, name, field);
            if matches!(self.host.get(&fact), Lookup::Value(_)) {
                self.set_fact(&fact, Some(value), changes);
                if field == Field::DisableIpv6 && value != "0" {
                    self.lose_ipv6(name, changes);
                }
            }
        }
    }

    /// Copies the value to every interface whose setting was read.
    fn copy_to_links(&mut self, leaf: &str, value: &str, changes: &mut Vec<Change>) {
        let names: Vec<LinkName> = self.host.links.keys().copied().collect();
        for name in names {
            self.set_sysctl_if_read(&SysctlKey::conf("ipv6", name, leaf), value, changes);
        }
    }

    /// A write to `default` also changes the interfaces whose leaf was never written and that never
    /// had an address: for `net.ipv4.conf` an IPv4 address (`devinet_copy_dflt_conf`,
    /// net/ipv4/devinet.c), for neighbours one of their family (`neigh_copy_dflt_parms`,
    /// net/core/neighbour.c). Such an interface still has the old value of `default`, so an interface
    /// with a different value is known not to follow.
    fn follow_default(
        &mut self,
        key: &SysctlKey,
        parts: PerInterface<'_>,
        before: Option<Value>,
        value: &str,
        changes: &mut Vec<Change>,
    ) {
        if !key.copied_to_links() {
            return;
        }
        let Some(before) = before.and_then(|value| value.to_text().parse::<i64>().ok()) else {
            return;
        };
        let known = self.host.of_interfaces(parts);
        let setting = setting(parts);
        let firm = self.firm.entry(setting.clone().into_owned()).or_default();
        if self.compared.insert(setting.into_owned()) {
            let differ = known.iter().filter(|(_, own)| *own != before);
            firm.extend(differ.map(|(name, _)| *name));
        }
        let addressed = |name: &LinkName| match parts.family {
            "ipv4" => self.addressed.contains(name),
            _ => self.host.links.get(name).is_some_and(|link| link.has_ipv6()),
        };
        let follow: Vec<LinkName> = known
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| !addressed(name) && !firm.contains(name))
            .collect();
        for name in follow {
            let own = SysctlKey::of_interface(parts.family, parts.table, name, parts.leaf);
            let fact = Fact::sysctl(&self.host.netns, &own);
            self.set_fact(&fact, Some(value), changes);
        }
    }

    pub(crate) fn set_sysctl_if_read(&mut self, key: &SysctlKey, value: &str, changes: &mut Vec<Change>) {
        let fact = Fact::sysctl(&self.host.netns, key);
        if matches!(self.host.get(&fact), Lookup::Value(_)) {
            self.set_fact(&fact, Some(value), changes);
        }
    }

    /// The sysctls of a family that were read for an interface, except those that are fields of the
    /// link.
    fn sysctls_of(&self, name: LinkName, family: &'static str) -> Vec<SysctlKey> {
        let mut keys = Vec::new();
        for table in ["conf", "neigh"] {
            let first = SysctlKey::of_interface(family, table, name, "");
            let of_link = |key: &&SysctlKey| key.path().starts_with(first.path());
            keys.extend(
                self.host
                    .sysctls
                    .range::<SysctlKey, _>(&first..)
                    .map(|(key, _)| key)
                    .take_while(of_link)
                    .cloned(),
            );
        }
        keys
    }

    /// Removes a family's sysctls when the family is disabled on an interface.
    pub(crate) fn sysctls_vanish(&mut self, name: LinkName, family: &'static str, changes: &mut Vec<Change>) {
        for key in self.sysctls_of(name, family) {
            let fact = Fact::sysctl(&self.host.netns, &key);
            self.set_fact(&fact, None, changes);
        }
        for field in fields_of_family(family) {
            let fact = Fact::link(&self.host.netns, name, field);
            self.set_fact(&fact, None, changes);
        }
    }

    /// Adds a family's sysctls when the family is enabled on an interface; they start with the
    /// values of `default`. Where `default` was not read, they become unknown.
    pub(crate) fn sysctls_appear(&mut self, name: LinkName, family: &'static str, changes: &mut Vec<Change>) {
        for key in self.sysctls_of(name, family) {
            match self.default_of(&key) {
                Some(value) => {
                    let fact = Fact::sysctl(&self.host.netns, &key);
                    self.set_fact(&fact, Some(&value), changes);
                }
                None => {
                    self.host.sysctls.remove(&key);
                }
            }
        }
        for field in fields_of_family(family) {
            let value = field.sysctl_of(name).and_then(|key| self.default_of(&key));
            if let Some(value) = value {
                let fact = Fact::link(&self.host.netns, name, field);
                self.set_fact(&fact, Some(&value), changes);
            }
        }
        // An interface's copy of `default` includes the bits of values that were written explicitly.
        for leaf in &self.compared {
            if leaf.starts_with(NEIGHBOURS_IPV6) == (family == "ipv6") {
                self.firm.entry(leaf.clone()).or_default().insert(name);
            }
        }
    }

    /// The value of `default` for an interface's key.
    fn default_of(&self, key: &SysctlKey) -> Option<String> {
        let default = key.in_slot("default")?;
        match self.host.get(&Fact::sysctl(&self.host.netns, &default)) {
            Lookup::Value(value) => Some(value.to_text().reveal().to_string()),
            Lookup::Absent | Lookup::Unread => None,
        }
    }

    /// The values of a leaf for `all` and for an interface; 0, the kernel's default, where one was
    /// not read.
    pub(crate) fn all_and_own(&self, family: &'static str, name: LinkName, leaf: &'static str) -> (i64, i64) {
        let number = |key: Option<SysctlKey>| match key.and_then(|key| self.host.sysctls.get(&key)) {
            Some(SysctlReading::Value { value, .. }) => value.parse().unwrap_or(0),
            Some(SysctlReading::Hidden { .. } | SysctlReading::Absent) | None => 0,
        };
        let own = SysctlKey::of_interface(family, "conf", name, leaf);
        (number(own.in_slot("all")), number(Some(own)))
    }
}

/// The fields of a link that are sysctls of a family.
fn fields_of_family(family: &'static str) -> impl Iterator<Item = Field> {
    let fields: &[Field] = match family {
        "ipv4" => &[Field::RpFilter, Field::Forwarding],
        _ => &[Field::Forwarding6, Field::DisableIpv6],
    };
    fields.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Snapshot;
    use crate::snapshot::link::Link;
    use netkeel_core::name::netns::Netns;

    fn host(sysctls: &[(&str, &str)], links: &[&str]) -> Model {
        let mut host = Snapshot::empty(Netns::CURRENT);
        for (key, value) in sysctls {
            let reading = SysctlReading::Value {
                value: (*value).into(),
                writable: true,
            };
            host.sysctls.insert(key.parse().unwrap(), reading);
        }
        for name in links {
            let link = Link {
                rp_filter: Some(0),
                forwarding: Some(0),
                ..Link::default()
            };
            host.links.insert(name.parse().unwrap(), link.into());
        }
        Model::new(host)
    }

    fn write(model: &mut Model, key: &str, value: &str) -> Vec<String> {
        let changes = model.apply(&Op::WriteSysctl {
            netns: Netns::CURRENT,
            key: key.parse().unwrap(),
            value: value.into(),
            link: None,
        });
        changes.iter().map(|change| change.fact.to_string()).collect()
    }

    #[test]
    fn default_reaches_who_was_never_written_nor_addressed() {
        let mut model = host(
            &[("net.ipv4.conf.default.rp_filter", "0")],
            &["a", "written", "addressed"],
        );
        write(&mut model, "net.ipv4.conf.written.rp_filter", "0");
        for address in [true, false] {
            let target = netkeel_core::op::Target {
                netns: Netns::CURRENT,
                index: 0,
                name: "addressed".parse().unwrap(),
            };
            let ten = "10.0.0.1/8".parse().unwrap();
            model.apply(&if address {
                Op::AddAddress { target, address: ten }
            } else {
                Op::RemoveAddress { target, address: ten }
            });
        }
        let changed = write(&mut model, "net.ipv4.conf.default.rp_filter", "1");
        assert_eq!(
            changed,
            ["sysctl net.ipv4.conf.default.rp_filter", "link a rp_filter"]
        );
    }

    #[test]
    fn a_default_of_neighbours_reaches_who_was_never_written_nor_addressed() {
        for (family, address) in [("ipv4", "10.0.0.1/8"), ("ipv6", "fd00::1/64")] {
            let key = |slot: &str| format!("net.{family}.neigh.{slot}.gc_stale_time");
            let keys = ["default", "a", "written", "addressed", "other"].map(key);
            let values: Vec<(&str, &str)> = keys
                .iter()
                .map(|key| (&**key, if key.contains("other") { "30" } else { "60" }))
                .collect();
            let mut model = host(&values, &["a", "written", "addressed", "other"]);
            write(&mut model, &key("written"), "60");
            model.apply(&Op::AddAddress {
                target: netkeel_core::op::Target {
                    netns: Netns::CURRENT,
                    index: 0,
                    name: "addressed".parse().unwrap(),
                },
                address: address.parse().unwrap(),
            });
            let changed = write(&mut model, &key("default"), "120");
            assert_eq!(
                changed,
                [key("default"), key("a")].map(|key| format!("sysctl {key}"))
            );
        }
    }

    #[test]
    fn forwarding_removes_announced_routes_where_accept_ra_is_not_2() {
        let name = |name: &str| -> LinkName { name.parse().unwrap() };
        let forward = |key: &str, value: &str| Op::WriteSysctl {
            netns: Netns::CURRENT,
            key: key.parse().unwrap(),
            value: value.into(),
            link: None,
        };
        let mut model = host(&[], &["eth0", "eth1"]);
        let on = forward("net.ipv6.conf.eth9.forwarding", "1");
        assert_eq!(model.announced_routes_lost_by(&on), None, "they were not read");
        model.host.announced_routes = Some(
            [
                (name("eth0"), Some(1)),
                (name("eth1"), Some(2)),
                (name("eth2"), None),
            ]
            .into(),
        );
        assert_eq!(
            model.announced_routes_lost_by(&on),
            Some(vec![name("eth0"), name("eth2")])
        );
        for harmless in ["net.ipv6.conf.default.forwarding", "net.ipv4.ip_forward"] {
            let op = forward(harmless, "1");
            assert_eq!(
                model.announced_routes_lost_by(&op),
                Some(Vec::new()),
                "{harmless}"
            );
        }
        let off = forward("net.ipv6.conf.all.forwarding", "0");
        assert_eq!(model.announced_routes_lost_by(&off), Some(Vec::new()));
        write(&mut model, "net.ipv6.conf.eth0.accept_ra", "2");
        write(&mut model, "net.ipv6.conf.all.forwarding", "1");
        assert_eq!(
            model.host.announced_routes,
            Some([(name("eth0"), Some(2)), (name("eth1"), Some(2))].into())
        );
        // An interface that forwards hears routers only with 2. One that was not read may forward.
        let not_heard = forward("net.ipv6.conf.eth0.accept_ra", "1");
        for (forwards, lost) in [(Some(1), true), (None, true), (Some(0), false)] {
            model.host.link_mut(name("eth0")).unwrap().forwarding6 = forwards;
            let lost: Vec<LinkName> = lost.then(|| name("eth0")).into_iter().collect();
            assert_eq!(
                model.announced_routes_lost_by(&not_heard),
                Some(lost),
                "{forwards:?}"
            );
        }
        for harmless in [
            forward("net.ipv6.conf.eth0.accept_ra", "2"),
            forward("net.ipv6.conf.eth2.accept_ra", "1"),
        ] {
            assert_eq!(model.announced_routes_lost_by(&harmless), Some(Vec::new()));
        }
    }

    #[test]
    fn the_default_of_forwarding_reaches_nobody() {
        let mut model = host(&[("net.ipv4.conf.default.forwarding", "0")], &["a"]);
        let changed = write(&mut model, "net.ipv4.conf.default.forwarding", "1");
        assert_eq!(changed, ["sysctl net.ipv4.conf.default.forwarding"]);
    }
}
