//! Computes the undo of an op from all facts that the model says the op changes.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;

use crate::loss::Loss;
use crate::order::is_ipv6_mtu;
use crate::originals::Originals;
use crate::plan::Undo;
use crate::write::write;
use netkeel_core::fact::{Fact, Field, Object, Value};
use netkeel_core::name::strictness::Direction;
use netkeel_core::name::tunnel::TunnelKind;
use netkeel_core::nflog::entry_rules::EntryRules;
use netkeel_core::op::{Made, Op, Target};
use netkeel_host::model::{Change, Model};
use netkeel_host::snapshot::lookup::Lookup;

/// The undo of the op that the model has just applied. On return the model is unchanged. `mode` is the
/// earlier mode of the file, if the op writes one.
///
/// The op's own fact is restored to its value before the plan, not to the result of an earlier op. The undo
/// of that earlier op could not restore it: an interface that was written once does not follow `default`
/// again.
pub(crate) fn undo(
    model: &mut Model,
    op: &Op,
    own: &Fact,
    changes: &[Change],
    originals: &Originals<'_>,
    mode: u32,
) -> Undo {
    let is = match changes {
        [only] if only.fact == *own => only.to.clone(),
        _ => model.host.get(own).value(),
    };
    // An earlier op changes the MTU of the device, and with it the IPv6 MTU; its undo restores both. Until then
    // the kernel takes no IPv6 MTU above that of the device.
    let before = changes.iter().find(|change| change.fact == *own);
    let original = match before.filter(|_| is_ipv6_mtu(op)) {
        Some(change) => change.from.as_ref(),
        None => originals.get(own).unwrap_or(is.as_ref()),
    };
    let restored = || match op {
        // netkeel does not know enough to recreate the deleted device; the undo only deletes the new one.
        Op::RecreateTunnel { target, mode } => Some(delete_made(target, *mode, target.index)),
        Op::CreateTunnel { target, mode } if original.is_none() => Some(delete_made(target, *mode, 0)),
        Op::WriteSysctl { netns, key, link, .. } => original.map(|original| Op::WriteSysctl {
            netns: netns.clone(),
            key: key.clone(),
            value: original.to_text(),
            link: link.clone(),
        }),
        Op::WriteFile { path, .. } | Op::RemoveFile { path } => Some(restore_file(path, original, mode)),
        Op::SetPluginMtu { .. }
        | Op::SetWireguardMtu { .. }
        | Op::CreateTunnel { .. }
        | Op::DeleteLink { .. }
        | Op::AddAddress { .. }
        | Op::RemoveAddress { .. }
        | Op::SetMtu { .. }
        | Op::SetPodMtu { .. }
        | Op::SetRouteMetric { .. }
        | Op::SetUp { .. }
        | Op::SetTxQueueLength { .. }
        | Op::SetAlias { .. }
        | Op::SetRules { .. }
        | Op::RemoveRules { .. }
        | Op::RemoveForeignRules { .. }
        | Op::RestoreForeignRules { .. } => write(own, original, &model.host),
    };
    let recreates = matches!(op, Op::RecreateTunnel { .. });
    let back = match recreates || is.as_ref() != original {
        true => restored(),
        false => None,
    };
    let back_alone = back.as_ref().is_none_or(|back| model.changes_one_fact(back));
    let ops = if stands_alone(op) || (changes.len() <= 1 && back_alone) {
        // Allocate exactly one element: plans have thousands of undos.
        back.map_or_else(Vec::new, |back| vec![back])
    } else {
        all_back(model, back, own, changes, originals)
    };
    Undo {
        ops,
        loses: loses(op, changes),
    }
}

/// Tries the undo on the model until nothing is left to restore. The ops of an undo have side effects too,
/// not always those of the op.
fn all_back(
    model: &mut Model,
    back: Option<Op>,
    own: &Fact,
    changes: &[Change],
    originals: &Originals<'_>,
) -> Vec<Op> {
    /// Enough for: a device down or smaller, the devices above it, and their addresses.
    const ROUNDS: usize = 4;
    let mut changed: Vec<(Fact, Option<Value>)> = changes
        .iter()
        .map(|change| (change.fact.clone(), change.from.clone()))
        .collect();
    let mut known: BTreeSet<Fact> = changes.iter().map(|change| change.fact.clone()).collect();
    let mut trial = model.trial();
    let mut done = Vec::new();
    let mut next: Vec<Op> = back.into_iter().collect();
    for _ in 0..ROUNDS {
        for op in next {
            for change in model.attempt(&op, &mut trial) {
                if known.insert(change.fact.clone()) {
                    let original = originals.get(&change.fact).map(Option::<&Value>::cloned);
                    changed.push((change.fact, original.unwrap_or(change.from)));
                }
            }
            done.push(op);
        }
        next = to_put_back(&changed, own, model);
        if next.is_empty() {
            break;
        }
    }
    model.revert(trial);
    done
}

/// The ops that restore changed facts.
fn to_put_back(changed: &[(Fact, Option<Value>)], own: &Fact, model: &Model) -> Vec<Op> {
    let is = |fact: &Fact| model.host.get(fact);
    let mut wrong: Vec<&(Fact, Option<Value>)> = changed
        .iter()
        .filter(|(fact, _)| fact != own && can_come_back(fact))
        .filter(|(fact, was)| is(fact) != was.clone().map_or(Lookup::Absent, Lookup::Value))
        .collect();
    wrong.sort_by_key(|(fact, was)| {
        (
            rank(fact.field),
            direction(fact, is(fact).value().as_ref(), was.as_ref()),
        )
    });
    wrong
        .into_iter()
        .filter_map(|(fact, was)| write(fact, was.as_ref(), &model.host))
        .collect()
}

/// The order of restoring: addresses need the family, which needs the MTU.
fn rank(field: Field) -> u8 {
    match field {
        Field::Mtu | Field::PodMtu => 0,
        Field::Address(_) => 2,
        Field::Content
        | Field::Value
        | Field::Kind
        | Field::RpFilter
        | Field::Forwarding
        | Field::Forwarding6
        | Field::DisableIpv6
        | Field::PodRouteMtu(_)
        | Field::PodAddress(_)
        | Field::RouteMetric(..)
        | Field::Up
        | Field::TxQueueLength
        | Field::Alias
        | Field::Rules => 1,
    }
}

/// Whether a write of the undo tightens or loosens the host: as in a plan, the tightening ones come first.
fn direction(fact: &Fact, from: Option<&Value>, to: Option<&Value>) -> Direction {
    let of_link = fact.link_name().and_then(|name| fact.field.sysctl_of(name));
    let key = match &fact.object {
        Object::Sysctl(key) => Some(key),
        Object::Link(_)
        | Object::File(_)
        | Object::Plugin(_)
        | Object::Wireguard(_)
        | Object::Nflog(_)
        | Object::LogGroup(_) => of_link.as_ref(),
    };
    let number = |value: Option<&Value>| value?.to_text().parse().ok();
    match (key, number(from), number(to)) {
        (Some(key), Some(from), Some(to)) => key.direction(from, to),
        _ => Direction::Neutral,
    }
}

/// Whether the op changes only its own fact, and its undo too.
fn stands_alone(op: &Op) -> bool {
    match op {
        Op::WriteFile { .. }
        | Op::RemoveFile { .. }
        | Op::SetPluginMtu { .. }
        | Op::SetWireguardMtu { .. }
        | Op::SetRouteMetric { .. }
        | Op::CreateTunnel { .. }
        | Op::RecreateTunnel { .. }
        | Op::AddAddress { .. }
        | Op::SetTxQueueLength { .. }
        | Op::SetAlias { .. }
        | Op::SetRules { .. }
        | Op::RemoveRules { .. }
        | Op::RemoveForeignRules { .. }
        | Op::RestoreForeignRules { .. } => true,
        Op::WriteSysctl { key, link, .. } => link.is_some() && key.path().ends_with("/rp_filter"),
        Op::DeleteLink { .. }
        | Op::RemoveAddress { .. }
        | Op::SetMtu { .. }
        | Op::SetPodMtu { .. }
        | Op::SetUp { .. } => false,
    }
}

/// The op that deletes the tunnel that an op made, and no other device of its name. The op may not have been
/// done, and another program may have made a device meanwhile.
fn delete_made(target: &Target, mode: TunnelKind, instead_of: u32) -> Op {
    Op::DeleteLink {
        target: Target {
            index: 0,
            ..target.clone()
        },
        made: Some(Made { mode, instead_of }),
    }
}

fn restore_file(path: &Arc<Path>, original: Option<&Value>, mode: u32) -> Op {
    match original.and_then(Value::text) {
        Some(content) => Op::WriteFile {
            path: path.clone(),
            content: content.reveal().clone(),
            mode,
        },
        None => Op::RemoveFile { path: path.clone() },
    }
}

/// The kernel creates link-local IPv6 addresses, so netkeel does not restore them.
fn can_come_back(fact: &Fact) -> bool {
    !matches!(fact.field, Field::Address(IpNet::V6(net)) if net.addr().is_unicast_link_local())
}

/// Whether the deleted device is a tunnel that netkeel can create.
fn was_external(changes: &[Change]) -> bool {
    let kind = changes.first().and_then(|change| change.from.as_ref());
    matches!(kind, Some(Value::Device(kind)) if kind.tunnel_mode().is_some())
}

/// State that the undo does not restore.
fn loses(op: &Op, changes: &[Change]) -> Vec<Loss> {
    let mut loses = Vec::new();
    if let Op::RecreateTunnel { target, .. } | Op::DeleteLink { target, .. } = op {
        // An external tunnel has no further state: the undo recreates it exactly.
        let deletes = matches!(op, Op::DeleteLink { .. });
        loses.push(match deletes && was_external(changes) {
            true => Loss::Routes { link: target.name },
            false => Loss::Device { link: target.name },
        });
        let others = changes
            .iter()
            .filter(|change| change.fact.field == Field::Kind && change.to.is_none())
            .filter_map(|change| change.fact.link_name())
            .filter(|name| *name != target.name);
        let with = target.name;
        loses.extend(others.map(|link| Loss::DeviceWith { link, with }));
    }
    if let Op::SetRules { name, .. } | Op::RemoveRules { name, .. } = op
        && changes
            .iter()
            .any(|change| change.from == Some(Value::Nflog(EntryRules::Changed)))
    {
        loses.push(Loss::ChangedRules { entry: name.clone() });
    }
    if let (Op::SetWireguardMtu { path, .. }, Some(Some(Value::Copy(state)))) =
        (op, changes.first().map(|change| &change.from))
        && !state.can_be_made()
    {
        loses.push(Loss::WireguardFile { path: path.clone() });
    }
    if let Op::SetUp { target, up: false } = op {
        loses.push(Loss::Routes { link: target.name });
    }
    let went = |change: &&Change| change.to.is_none() || change.to == Some(Value::Switch(false));
    let takes_addresses = matches!(
        op,
        Op::RemoveAddress { .. } | Op::DeleteLink { .. } | Op::RecreateTunnel { .. }
    );
    let restores_routes = matches!(
        op,
        Op::SetRouteMetric { .. } | Op::DeleteLink { .. } | Op::RecreateTunnel { .. }
    );
    for change in changes.iter().filter(went) {
        let Some(link) = change.fact.link_name() else {
            continue;
        };
        match change.fact.field {
            Field::PodAddress(address) if matches!(op, Op::SetPodMtu { .. }) => {
                loses.push(Loss::PodAddress { address, link });
            }
            Field::Address(address @ IpNet::V6(_)) if !takes_addresses => {
                loses.push(match can_come_back(&change.fact) {
                    true => Loss::AddressLifetime { address, link },
                    false => Loss::LinkLocalAddress { address, link },
                });
            }
            Field::DisableIpv6 if matches!(op, Op::SetMtu { .. }) => {
                loses.push(Loss::Ipv6Settings { link });
            }
            // The undo has no op that adds a route.
            Field::RouteMetric(..) if !restores_routes => {
                let routes = Loss::Routes { link };
                if !loses.contains(&routes) {
                    loses.push(routes);
                }
            }
            // The undo restores them, or they are lost with the device.
            Field::PodAddress(_)
            | Field::Address(_)
            | Field::DisableIpv6
            | Field::Content
            | Field::Value
            | Field::Kind
            | Field::RpFilter
            | Field::Forwarding
            | Field::Forwarding6
            | Field::Mtu
            | Field::PodMtu
            | Field::PodRouteMtu(_)
            | Field::RouteMetric(..)
            | Field::Up
            | Field::TxQueueLength
            | Field::Alias
            | Field::Rules => {}
        }
    }
    loses
}
