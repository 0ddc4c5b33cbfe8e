//! The undo of an op, computed from all facts that the model says the op changes.

use ipnet::IpNet;

use super::Undo;
use super::write::write;
use crate::fact::{Field, Object, Value};
use crate::op::Op;
use crate::snapshot::{Change, Model, Observed};

/// How to undo an op that the model has just applied. The model is as it was when this returns.
pub(super) fn undo(model: &mut Model, op: &Op, changes: &[Change]) -> Undo {
    let Some(own) = changes.first() else {
        return Undo::default();
    };
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
        Op::WriteFile { path, .. } => restore_file(path, own),
        _ => write(&own.fact, own.from.as_ref(), &model.host),
    };
    let Some(back) = back else {
        return Undo { ops, loses };
    };
    if stands_alone(op) {
        ops.push(back);
        return Undo { ops, loses };
    }
    model.apply(&back);
    ops.push(back);
    for change in changes.iter().skip(1).filter(|change| can_come_back(change)) {
        let now = model.host.get(&change.fact);
        if now != change.from.clone().map_or(Observed::Absent, Observed::Value)
            && let Some(op) = write(&change.fact, change.from.as_ref(), &model.host)
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
        | Op::DeleteLink { .. }
        | Op::AddAddress { .. }
        | Op::RemoveAddress { .. }
        | Op::SetTxQueueLength { .. }
        | Op::SetAlias { .. } => true,
        Op::WriteSysctl { key, .. } => key.path().ends_with("/rp_filter") && key.link().is_some(),
        Op::SetMtu { .. } | Op::SetUp { .. } => false,
    }
}

fn restore_file(path: &std::sync::Arc<std::path::Path>, own: &Change) -> Option<Op> {
    Some(match &own.from {
        Some(Value::Text(content)) => Op::WriteFile {
            path: path.clone(),
            content: content.clone(),
            mode: crate::persist::MODE,
        },
        _ => Op::RemoveFile { path: path.clone() },
    })
}

/// Link-local IPv6 addresses are made by the kernel, and the facts of a device whose IPv6 is gone
/// come back with it.
fn can_come_back(change: &Change) -> bool {
    match (&change.fact.object, change.fact.field) {
        (Object::Link(_), Field::Address(IpNet::V6(net))) => !net.addr().is_unicast_link_local(),
        _ => true,
    }
}

/// What undoing does not bring back.
fn loses(op: &Op, changes: &[Change]) -> Vec<String> {
    let mut loses = Vec::new();
    if let Op::RecreateTunnel { target, .. } | Op::DeleteLink { target } = op {
        loses.push(format!(
            "the device {} as it is, with its addresses and routes",
            target.name
        ));
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
            (Op::RemoveAddress { .. }, _) => {}
            (_, Field::Address(address @ IpNet::V6(_))) if can_come_back(change) => {
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
