//! Compares the model's host with the real one, and the changes that the model told with those
//! that it made. Every tolerated difference is here.

use std::collections::BTreeMap;

use ipnet::IpNet;

use netkeel_core::fact::{Fact, Field, Value};
use netkeel_core::name::route::Metric;
use netkeel_host::model::Change;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;
use netkeel_host::snapshot::reading::SysctlReading;

/// The fields that are compared, without what the kernel does by itself: it gives an interface its
/// link-local IPv6 address when IPv6 comes to it, and the loopback device ::1.
fn settled(link: &Link) -> Link {
    let mut link = link.clone();
    link.addresses.retain(|address| match address {
        IpNet::V6(net) => !net.addr().is_unicast_link_local() && !net.addr().is_loopback(),
        IpNet::V4(_) => true,
    });
    // They are no facts, and the model does not delete them with their routes.
    link.route_mtus.clear();
    link
}

/// When IPv6 comes back to an interface, its settings are those of `default` where the snapshot has
/// them. For the others (`net.ipv6.neigh.default` is not there outside of the initial namespace)
/// the model says that it does not know: it is told.
pub fn learn_what_the_model_forgot(model: &mut Snapshot, real: &Snapshot) {
    for (key, reading) in &real.sysctls {
        if !model.sysctls.contains_key(key) {
            model.sysctls.insert(key.clone(), reading.clone());
        }
    }
}

/// Both hosts are the same.
pub fn snapshots(model: &Snapshot, real: &Snapshot) -> Result<(), String> {
    let mut differences = Vec::new();
    let names = model.links.keys().chain(real.links.keys());
    for name in names {
        let (ours, theirs) = (model.link(*name).map(settled), real.link(*name).map(settled));
        if ours != theirs {
            differences.push(format!("{name}\n  the model: {ours:?}\n  the kernel: {theirs:?}"));
        }
    }
    for key in model.sysctls.keys().chain(real.sysctls.keys()) {
        let (ours, theirs) = (seen(model, key), real.sysctls.get(key).cloned());
        if ours != theirs {
            differences.push(format!("{key}\n  the model: {ours:?}\n  the kernel: {theirs:?}"));
        }
    }
    if model.nflog != real.nflog {
        let (ours, theirs) = (&model.nflog, &real.nflog);
        differences.push(format!("nflog\n  the model: {ours:?}\n  the kernel: {theirs:?}"));
    }
    if model.files != real.files {
        let (ours, theirs) = (&model.files, &real.files);
        differences.push(format!("files\n  the model: {ours:?}\n  the kernel: {theirs:?}"));
    }
    differences.dedup();
    if differences.is_empty() {
        Ok(())
    } else {
        Err(differences.join("\n"))
    }
}

/// A sysctl that is a fact of a link has two names, and the model keeps it as the link's.
fn seen(model: &Snapshot, key: &netkeel_core::name::sysctl::SysctlKey) -> Option<SysctlReading> {
    let fact = Fact::sysctl(&model.netns, key);
    let value = model.get(&fact).value();
    match (model.sysctls.get(key)?, fact.field, value) {
        (reading, Field::Value, _) if fact == by_its_own_name(model, key) => Some(reading.clone()),
        (_, _, Some(value)) => Some(SysctlReading::Value {
            value: value.to_string().into(),
            writable: true,
        }),
        (_, _, None) => Some(SysctlReading::Absent),
    }
}

fn by_its_own_name(model: &Snapshot, key: &netkeel_core::name::sysctl::SysctlKey) -> Fact {
    Fact {
        netns: model.netns.clone(),
        object: netkeel_core::fact::Object::Sysctl(key.clone()),
        field: Field::Value,
    }
}

/// The model told every fact that it changed, and none that it did not.
pub fn changes(before: &Snapshot, after: &Snapshot, told: &[Change]) -> Result<(), String> {
    let mut made = BTreeMap::new();
    let (old, new) = (facts(before), facts(after));
    for fact in old.keys().chain(new.keys()) {
        if old.get(fact) != new.get(fact) {
            made.insert(fact.clone(), new.get(fact).cloned());
        }
    }
    let mut said = BTreeMap::new();
    for change in told {
        said.insert(change.fact.clone(), change.to.clone());
    }
    // An interface that goes is told as one change, and takes the rest with it.
    let gone = |fact: &Fact| {
        fact.link_name()
            .is_some_and(|name| before.links.contains_key(&name) && !after.links.contains_key(&name))
    };
    made.retain(|fact, _| !gone(fact));
    said.retain(|fact, _| !gone(fact));
    // What comes with IPv6 and was not read of `default` was learnt, not told.
    made.retain(|fact, to| {
        said.contains_key(fact)
            || to.is_none()
            || !matches!(before.get(fact), netkeel_host::snapshot::lookup::Lookup::Absent)
    });
    let absent = |to: &Option<Value>| match to {
        Some(Value::Switch(false)) => None,
        other => other.clone(),
    };
    let made: Vec<_> = made
        .iter()
        .map(|(fact, to)| (fact.to_string(), absent(to)))
        .collect();
    let said: Vec<_> = said
        .iter()
        .map(|(fact, to)| (fact.to_string(), absent(to)))
        .collect();
    if made == said {
        return Ok(());
    }
    Err(format!("the model changed\n  {made:?}\nand told\n  {said:?}"))
}

/// All facts of a snapshot.
fn facts(host: &Snapshot) -> BTreeMap<Fact, Value> {
    const FIELDS: &[Field] = &[
        Field::Mtu,
        Field::Up,
        Field::TxQueueLength,
        Field::Alias,
        Field::RpFilter,
        Field::Forwarding,
        Field::Forwarding6,
        Field::DisableIpv6,
    ];
    let mut facts = BTreeMap::new();
    let mut take = |fact: Fact| {
        if let Some(value) = host.get(&fact).value() {
            facts.insert(fact, value);
        }
    };
    for (name, link) in &host.links {
        let of_addresses = link.addresses.iter().map(|address| Field::Address(*address));
        let of_routes = link.routes.keys().flat_map(|key| {
            let metrics = Metric::ALL.into_iter();
            metrics.map(|metric| Field::RouteMetric(*key, metric))
        });
        for field in FIELDS.iter().copied().chain(of_addresses).chain(of_routes) {
            take(Fact::link(&host.netns, *name, field));
        }
    }
    for key in host.sysctls.keys() {
        take(Fact::sysctl(&host.netns, key));
    }
    for path in host.files.keys() {
        take(Fact::file(path));
    }
    for name in ["one", "two"] {
        take(Fact::nflog(&host.netns, &name.parse().unwrap()));
    }
    facts
}
