//! Side effects of a new MTU on other settings and other devices.

use std::collections::{BTreeMap, BTreeSet};

use netkeel_core::fact::{Fact, Field, Object};
use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_core::op::Op;
use netkeel_document::want::Want;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::{Link, comes_in_pairs};
use netkeel_plan::plan::Plan;

/// Reports what the MTU of a plan changes and no document declares.
pub(crate) fn check(plan: &Plan, wants: &BTreeMap<Fact, Want>, host: &Snapshot, findings: &mut Findings) {
    for step in &plan.steps {
        let Op::SetMtu { target, .. } = &step.op else {
            continue;
        };
        // A release restores its side effects.
        let others = step.changes.iter().filter(|change| change.fact != step.fact);
        for change in others.filter(|change| !wants.contains_key(&change.fact)) {
            let (Some(from), Some(to)) = (&change.from, &change.to) else {
                continue;
            };
            match (&change.fact.object, change.fact.field) {
                // A value that merely equals the MTU follows it.
                (Object::Sysctl(key), Field::Value)
                    if key.path().ends_with("/mtu")
                        && host.link(target.name).map(|link| link.mtu.to_string())
                            != Some(from.to_string()) =>
                {
                    let message = format!("a new MTU of {} resets it from {from} to {to}", target.name);
                    findings.add(
                        Code::NK070,
                        key,
                        message,
                        format!("declare {key} to keep a value of its own"),
                    );
                }
                (Object::Link(name), Field::Mtu) => {
                    let (relation, remedy) = if is_port_of(*name, target.name, host) {
                        (
                            "of which it is a port",
                            "a new MTU of the master always reaches its ports",
                        )
                    } else {
                        ("which is below it", "declare its MTU if it should have another")
                    };
                    let message = format!(
                        "its MTU changes from {from} to {to} with that of {}, {relation}",
                        target.name
                    );
                    findings.add(Code::NK071, name, message, remedy);
                }
                _ => {}
            }
        }
    }
}

/// Whether a device is a port of another.
fn is_port_of(port: LinkName, master: LinkName, host: &Snapshot) -> bool {
    let index = host.link(port).and_then(|link| link.master);
    index.is_some() && index == host.link(master).map(|link| link.index)
}

/// The interfaces that a plan may leave with an MTU that does not go with another one, although it names only the
/// other one: devices above those whose MTU it changes, their masters, other ends of veths, and tunnels that are bound to
/// no device.
pub(crate) fn concerned(plan: &Plan, host: &Snapshot) -> BTreeSet<LinkName> {
    let changes = plan.steps.iter().flat_map(|step| &step.changes);
    let changed: Vec<&Link> = changes
        .filter(|change| change.fact.field == Field::Mtu)
        .filter_map(|change| host.link(change.fact.link_name()?))
        .collect();
    if changed.is_empty() {
        return BTreeSet::new();
    }
    let indexes: BTreeSet<u32> = changed.iter().map(|link| link.index).collect();
    let masters: BTreeSet<u32> = changed.iter().filter_map(|link| link.master).collect();
    let is_concerned = |link: &Link| {
        let other_end = link
            .lower
            .filter(|_| link.kind_name() == "veth" && link.peer_netns.is_none());
        masters.contains(&link.index)
            || other_end.is_some_and(|other| indexes.contains(&other))
            || (link.is_tunnel() && link.lower.is_none())
    };
    let beside = host.links.iter().filter(|(_, link)| is_concerned(link));
    let mut found: BTreeSet<LinkName> = beside.map(|(name, _)| *name).collect();
    found.extend(above(indexes, host));
    found
}

/// The devices above those with these indexes, directly or through another device.
fn above(mut below: BTreeSet<u32>, host: &Snapshot) -> BTreeSet<LinkName> {
    let mut above = BTreeSet::new();
    loop {
        let stands = host.links.iter().filter(|(name, link)| {
            let pair = comes_in_pairs(link.kind_name());
            let lower = link.lower.filter(|_| !pair && link.peer_netns.is_none());
            lower.is_some_and(|lower| below.contains(&lower)) && !above.contains(*name)
        });
        let found: Vec<(LinkName, u32)> = stands.map(|(name, link)| (*name, link.index)).collect();
        if found.is_empty() {
            return above;
        }
        for (name, index) in found {
            above.insert(name);
            below.insert(index);
        }
    }
}
