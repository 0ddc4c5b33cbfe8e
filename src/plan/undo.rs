//! The undo of an op, computed from all facts that the model says the op changes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;

use super::Undo;
use super::write::write;
use crate::fact::{Fact, Field, Value};
use crate::op::Op;
use crate::snapshot::{Change, Model, Observed};

/// How to undo an op that the model has just applied. The model is as it was when this returns.
/// `mode` is that of the file before, where the op is for one.
///
/// The op's own fact gets back `original`, the value it had before the plan, and not the one that
/// an op before this one may have left it: that op's undo could not put it right any more, because
/// an interface that was written once does not follow `default` again.
pub(super) fn undo(
    model: &mut Model,
    op: &Op,
    own: &Fact,
    changes: &[Change],
    original: Option<&Value>,
    mode: u32,
) -> Undo {
    let mut ops = Vec::new();
    let loses = loses(op, changes);
    let back = match op {
        // What was deleted cannot be made again from what is known of it; the new one goes.
        Op::RecreateTunnel { target, .. } => Some(Op::DeleteLink {
            target: crate::op::Target {
                index: 0,
                ..target.clone()
            },
        }),
        _ if model.host.get(own).value().as_ref() == original => None,
        Op::WriteFile { path, .. } | Op::RemoveFile { path } => Some(restore_file(path, original, mode)),
        _ => write(own, original, &model.host),
    };
    if stands_alone(op) {
        ops.extend(back);
        return Undo { ops, loses };
    }
    let mut beside = BTreeMap::new();
    let mut note = |changes: &[Change]| {
        for change in changes.iter().filter(|change| change.fact != *own) {
            beside
                .entry(change.fact.clone())
                .or_insert_with(|| change.from.clone());
        }
    };
    note(changes);
    // Going back changes more than its own fact too, and not always what the op did.
    if let Some(back) = back {
        note(&model.apply(&back));
        ops.push(back);
    }
    for (fact, from) in beside.iter().filter(|(fact, _)| can_come_back(fact)) {
        let now = model.host.get(fact);
        if now != from.clone().map_or(Observed::Absent, Observed::Value)
            && let Some(op) = write(fact, from.as_ref(), &model.host)
        {
            ops.push(op);
        }
    }
    model.apply(op);
    Undo { ops, loses }
}

/// Ops that change nothing but their own fact, in both directions.
fn stands_alone(op: &Op) -> bool {
    match op {
        Op::WriteFile { .. }
        | Op::RemoveFile { .. }
        | Op::CreateTunnel { .. }
        | Op::RecreateTunnel { .. }
        | Op::AddAddress { .. }
        | Op::SetTxQueueLength { .. }
        | Op::SetAlias { .. } => true,
        Op::WriteSysctl { key, .. } => key.path().ends_with("/rp_filter") && key.link().is_some(),
        Op::DeleteLink { .. } | Op::RemoveAddress { .. } | Op::SetMtu { .. } | Op::SetUp { .. } => false,
    }
}

fn restore_file(path: &Arc<Path>, original: Option<&Value>, mode: u32) -> Op {
    match original {
        Some(Value::Text(content)) => Op::WriteFile {
            path: path.clone(),
            content: content.clone(),
            mode,
        },
        _ => Op::RemoveFile { path: path.clone() },
    }
}

/// Link-local IPv6 addresses are made by the kernel.
fn can_come_back(fact: &Fact) -> bool {
    match fact.field {
        Field::Address(IpNet::V6(net)) => !net.addr().is_unicast_link_local(),
        _ => true,
    }
}

/// What is deleted is a tunnel that netkeel can make.
fn was_external(changes: &[Change]) -> bool {
    let kind = changes.first().and_then(|change| change.from.as_ref());
    kind.is_some_and(|kind| kind.to_string().ends_with(" external"))
}

/// What undoing does not bring back.
fn loses(op: &Op, changes: &[Change]) -> Vec<String> {
    let mut loses = Vec::new();
    if let Op::RecreateTunnel { target, .. } | Op::DeleteLink { target } = op {
        // An external tunnel has nothing of its own: undo makes it again as it was.
        loses.push(match op {
            Op::DeleteLink { .. } if was_external(changes) => format!("the routes through {}", target.name),
            _ => format!(
                "the device {} as it is, with its addresses and routes",
                target.name
            ),
        });
        let others = changes
            .iter()
            .filter(|change| change.fact.field == Field::Kind && change.to.is_none())
            .filter_map(|change| change.fact.link_name())
            .filter(|name| *name != target.name);
        loses.extend(others.map(|name| format!("the device {name}, which goes with {}", target.name)));
    }
    if let Op::SetUp { target, up: false } = op {
        loses.push(format!("the routes through {}", target.name));
    }
    let went = |change: &&Change| change.to.is_none() || change.to == Some(Value::Switch(false));
    for change in changes.iter().filter(went) {
        let Some(name) = change.fact.link_name() else {
            continue;
        };
        match (op, change.fact.field) {
            (Op::RemoveAddress { .. } | Op::DeleteLink { .. } | Op::RecreateTunnel { .. }, _) => {}
            (_, Field::Address(address @ IpNet::V6(_))) if can_come_back(&change.fact) => {
                loses.push(format!(
                    "{address} of {name}: undo adds it again, without its lifetime and routes"
                ));
            }
            (_, Field::Address(address @ IpNet::V6(_))) => {
                loses.push(format!("{address} of {name}, until the kernel makes it again"));
            }
            (Op::SetMtu { .. }, Field::DisableIpv6) => {
                loses.push(format!(
                    "the settings below net.ipv6.conf.{name}, which start anew from `default`"
                ));
            }
            _ => {}
        }
    }
    loses
}
