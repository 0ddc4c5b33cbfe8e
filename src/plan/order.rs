//! The order of ops: by phase, then by the depth of the device in its stack, then by fact.

use std::collections::BTreeMap;

use netkeel_core::fact::{Fact, Object};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::op::copy_mtu::CopyMtu;
use netkeel_core::op::{Op, Phase};
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;
use netkeel_host::snapshot::lookup::Lookup;

/// The position of an op.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SortKey {
    /// The phase.
    pub phase: Phase,
    rank: i32,
    /// The fact that the op is for.
    pub fact: Fact,
}

/// The depth of each device in its stack, counted from the hardware.
pub(crate) struct Order {
    by_index: BTreeMap<u32, LinkName>,
    /// One port of each bridge or bond, by the master's index.
    port: BTreeMap<u32, LinkName>,
}

/// The kernel allows stacks of 8 (MAX_NEST_DEV). A deeper one is a loop in a fabricated snapshot.
const DEEPEST: i32 = 16;

#[cfg(test)]
impl SortKey {
    /// The first position in a phase.
    pub fn first(phase: Phase, fact: Fact) -> Self {
        SortKey { phase, rank: 0, fact }
    }
}

impl Order {
    pub fn new(host: &Snapshot) -> Self {
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

    /// The position of an op. `link` is the interface of the fact, if it exists.
    pub fn key(&self, op: &Op, fact: &Fact, link: Option<&Link>, host: &Snapshot) -> SortKey {
        let mut phase = phase(op, link);
        // IPv6 and its sysctls appear on an interface when its MTU rises to 1280.
        let is_absent = || match &fact.object {
            Object::Link(_) => host.of_link(link, fact.field) == Lookup::Absent,
            _ => host.get(fact) == Lookup::Absent,
        };
        if matches!(op, Op::WriteSysctl { link: Some(_), .. }) && link.is_some() && is_absent() {
            phase = Phase::RaiseLinks;
        }
        // A change of the device's MTU resets its IPv6 MTU, which cannot be larger.
        if is_ipv6_mtu(op) {
            phase = Phase::RaiseLinks;
        }
        let rank = match (op, phase) {
            (Op::WriteSysctl { .. }, Phase::RaiseLinks) => DEEPEST + 1,
            (Op::WriteSysctl { link: Some(_), .. }, _) => SysctlKey::RANK_OF_LINK.into(),
            (Op::WriteSysctl { key, .. }, _) => key.rank().into(),
            // Lower an upper device before its lower device; raise a lower device before its upper device.
            (Op::SetMtu { .. } | Op::SetPodMtu { .. } | Op::SetUp { .. }, Phase::LowerLinks) => {
                -self.height(link, host)
            }
            (Op::SetMtu { .. } | Op::SetPodMtu { .. } | Op::SetUp { .. }, _) => self.height(link, host),
            (Op::AddAddress { .. }, _) => 1,
            _ => 0,
        };
        SortKey {
            phase,
            rank,
            fact: fact.clone(),
        }
    }

    /// The number of devices below this one. A veth's IFLA_LINK is its peer, which is not below it.
    fn height(&self, link: Option<&Link>, host: &Snapshot) -> i32 {
        let mut height = 0;
        let mut at = link;
        while height < DEEPEST {
            let Some(link) = at else { break };
            let pair = matches!(link.kind_name(), "veth" | "netkit");
            let below = match link.lower {
                Some(lower) if !pair && link.peer_netns.is_none() => self.by_index.get(&lower),
                _ => self.port.get(&link.index),
            };
            let Some(below) = below else { break };
            at = host.link(*below);
            height += 1;
        }
        height
    }
}

/// Whether the op writes `net.ipv6.conf.LINK.mtu`.
fn is_ipv6_mtu(op: &Op) -> bool {
    let Op::WriteSysctl {
        key, link: Some(_), ..
    } = op
    else {
        return false;
    };
    let parts = key.per_interface();
    parts.is_some_and(|parts| (parts.family, parts.table, parts.leaf) == ("ipv6", "conf", "mtu"))
}

pub(crate) fn phase(op: &Op, link: Option<&Link>) -> Phase {
    match op {
        Op::SetWireguardMtu {
            to: CopyMtu::Remove, ..
        } => Phase::Delete,
        Op::WriteFile { .. } | Op::SetPluginMtu { .. } | Op::SetWireguardMtu { .. } => Phase::Files,
        Op::CreateTunnel { .. } | Op::RecreateTunnel { .. } | Op::AddAddress { .. } => Phase::Create,
        Op::SetMtu { mtu, .. } => {
            if link.is_some_and(|link| *mtu < link.mtu) {
                Phase::LowerLinks
            } else {
                Phase::RaiseLinks
            }
        }
        Op::SetPodMtu { mtu, .. } => {
            let pod = link.and_then(|link| link.pod.as_ref());
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
        // Remove the rules of others after netkeel's exist: both log for a moment, and no packet is missed.
        Op::RemoveRules { .. } | Op::RemoveForeignRules { .. } => Phase::Delete,
    }
}
