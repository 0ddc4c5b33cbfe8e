//! The order of ops: by phase, within a phase by what stands on what, then by fact.

use std::collections::BTreeMap;

use crate::fact::Fact;
use crate::link_name::LinkName;
use crate::op::{Op, Phase};
use crate::snapshot::{Observed, Snapshot};

/// Where an op stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// The phase.
    pub(super) phase: Phase,
    rank: i32,
    /// The fact that the op is for.
    pub(super) fact: Fact,
}

/// How far above hardware each device stands.
pub(super) struct Order {
    by_index: BTreeMap<u32, LinkName>,
    /// One port of each bridge or bond, by the master's index.
    port: BTreeMap<u32, LinkName>,
}

/// Deeper stacks than the kernel allows (MAX_NEST_DEV is 8) are a loop in a made-up snapshot.
const DEEPEST: i32 = 16;

#[cfg(test)]
impl Key {
    /// The first place of a phase.
    pub(super) fn first(phase: Phase, fact: Fact) -> Self {
        Key { phase, rank: 0, fact }
    }
}

impl Order {
    pub(super) fn new(host: &Snapshot) -> Self {
        let by_index = host
            .links
            .iter()
            .map(|(name, link)| (link.index, *name))
            .collect();
        let port = host
            .links
            .iter()
            .filter_map(|(name, link)| Some((link.master?, *name)))
            .collect();
        Order { by_index, port }
    }

    pub(super) fn key(&self, op: &Op, fact: &Fact, host: &Snapshot) -> Key {
        let mut phase = phase(op, host);
        // IPv6 and its sysctls come to an interface when its MTU rises.
        if matches!(op, Op::WriteSysctl { link: Some(target), .. } if host.links.contains_key(&target.name))
            && host.get(fact) == Observed::Absent
        {
            phase = Phase::RaiseLinks;
        }
        let rank = match (op, phase) {
            (Op::WriteSysctl { .. }, Phase::RaiseLinks) => DEEPEST + 1,
            (Op::WriteSysctl { key, .. }, _) => key.rank().into(),
            // A child before its parent on the way down, a parent before its child on the way up.
            (
                Op::SetMtu { target, .. } | Op::SetPodMtu { target, .. } | Op::SetUp { target, .. },
                Phase::LowerLinks,
            ) => -self.height(target.name, host),
            (Op::SetMtu { target, .. } | Op::SetPodMtu { target, .. } | Op::SetUp { target, .. }, _) => {
                self.height(target.name, host)
            }
            (Op::AddAddress { .. }, _) => 1,
            _ => 0,
        };
        Key {
            phase,
            rank,
            fact: fact.clone(),
        }
    }

    /// Devices below this one. A veth's IFLA_LINK is its peer, which is beside it, not below.
    fn height(&self, name: LinkName, host: &Snapshot) -> i32 {
        let mut height = 0;
        let mut at = name;
        while height < DEEPEST {
            let Some(link) = host.links.get(&at) else { break };
            let pair = matches!(link.kind_name(), "veth" | "netkit");
            let below = match link.lower {
                Some(lower) if !pair && link.peer_netns.is_none() => self.by_index.get(&lower),
                _ => self.port.get(&link.index),
            };
            let Some(below) = below else { break };
            at = *below;
            height += 1;
        }
        height
    }
}

fn phase(op: &Op, host: &Snapshot) -> Phase {
    match op {
        Op::SetWireguardMtu { mtu: None, .. } => Phase::Delete,
        Op::WriteFile { .. } | Op::SetPluginMtu { .. } | Op::SetWireguardMtu { .. } => Phase::Files,
        Op::CreateTunnel { .. } | Op::RecreateTunnel { .. } | Op::AddAddress { .. } => Phase::Create,
        Op::SetMtu { target, mtu } => {
            let falls = host.links.get(&target.name).is_some_and(|link| *mtu < link.mtu);
            if falls {
                Phase::LowerLinks
            } else {
                Phase::RaiseLinks
            }
        }
        Op::SetPodMtu { target, mtu, .. } => {
            let pod = host.links.get(&target.name).and_then(|link| link.pod.as_ref());
            if pod.is_some_and(|pod| *mtu < pod.mtu) {
                Phase::LowerLinks
            } else {
                Phase::RaiseLinks
            }
        }
        Op::SetPodRouteMtu { was, mtu, .. } if mtu < was => Phase::LowerRoutes,
        Op::SetPodRouteMtu { .. } => Phase::RaiseRoutes,
        Op::SetUp { up: false, .. } => Phase::LowerLinks,
        Op::SetUp { up: true, .. } => Phase::RaiseLinks,
        Op::WriteSysctl { .. } | Op::SetTxQueueLength { .. } | Op::SetAlias { .. } => Phase::Sysctls,
        Op::SetRules { .. } | Op::RestoreForeignRules { .. } => Phase::Create,
        Op::RemoveFile { .. } | Op::DeleteLink { .. } | Op::RemoveAddress { .. } => Phase::Delete,
        // Theirs go when ours are there: for a moment both log, and nothing is missed.
        Op::RemoveRules { .. } | Op::RemoveForeignRules { .. } => Phase::Delete,
    }
}
