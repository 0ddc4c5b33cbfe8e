//! The order of ops: by phase, then by the depth of the device in its stack or by what a sysctl does to the
//! strictness of the host, then by fact.

mod sysctl;

use std::collections::{BTreeMap, BTreeSet};

use crate::order::sysctl::Overwritten;
use crate::plan::Drift;
use netkeel_core::fact::{Fact, Object, Value};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::route::Metric;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::op::copy_mtu::CopyMtu;
use netkeel_core::op::{Op, Phase};
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::{Link, comes_in_pairs};
use netkeel_host::snapshot::lookup::Lookup;
use netkeel_host::sysctl_form::bound::{Bound, approaches};

/// The position of an op.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SortKey {
    /// The phase.
    pub phase: Phase,
    /// The position in the phase.
    pub rank: i32,
    /// The fact that the op is for.
    pub fact: Fact,
}

/// The depth of each device in its stack, counted from the hardware.
pub(crate) struct Order {
    by_index: BTreeMap<u32, LinkName>,
    /// One port of each bridge or bond, by the master's index.
    port: BTreeMap<u32, LinkName>,
    overwritten: Overwritten,
    /// The sysctls that change together with the one that bounds them.
    bounded: BTreeSet<SysctlKey>,
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
    /// The order of the ops for a drift.
    pub fn new(host: &Snapshot, drift: &[Drift]) -> Self {
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
        let mut overwritten = Overwritten::default();
        for drift in drift {
            if let Object::Sysctl(key) = &drift.fact.object {
                let to = drift
                    .desired
                    .as_ref()
                    .and_then(|value| value.to_text().parse().ok());
                overwritten.add(key, to);
            }
        }
        let keys: BTreeSet<&SysctlKey> = drift
            .iter()
            .filter_map(|drift| match &drift.fact.object {
                Object::Sysctl(key) => Some(key),
                Object::Link(_)
                | Object::File(_)
                | Object::Plugin(_)
                | Object::Wireguard(_)
                | Object::Nflog(_)
                | Object::LogGroup(_) => None,
            })
            .collect();
        let bounded = keys
            .iter()
            .filter(|key| Bound::of(key).is_some_and(|bound| keys.contains(&bound.other)));
        let bounded = bounded.map(|key| (*key).clone()).collect();
        Order {
            by_index,
            port,
            overwritten,
            bounded,
        }
    }

    /// The position of an op. `link` is the interface of the fact, if it exists.
    pub fn key(&self, op: &Op, fact: &Fact, link: Option<&Link>, host: &Snapshot) -> SortKey {
        let mut phase = phase(op, link);
        // IPv6 and its sysctls appear on an interface when its MTU rises to 1280.
        let is_absent = || match &fact.object {
            Object::Link(_) => host.of_link(link, fact.field) == Lookup::Absent,
            Object::Sysctl(_)
            | Object::File(_)
            | Object::Plugin(_)
            | Object::Wireguard(_)
            | Object::Nflog(_)
            | Object::LogGroup(_) => host.get(fact) == Lookup::Absent,
        };
        if matches!(op, Op::WriteSysctl { link: Some(_), .. }) && link.is_some() && is_absent() {
            phase = Phase::RaiseLinks;
        }
        // A change of the device's MTU resets its IPv6 MTU, which cannot be larger.
        if is_ipv6_mtu(op) {
            phase = Phase::RaiseLinks;
        }
        let rank = match op {
            Op::WriteSysctl { .. } if phase == Phase::RaiseLinks => DEEPEST + 1,
            Op::WriteSysctl { key, value, .. } => {
                let is = match &fact.object {
                    Object::Link(_) => host.of_link(link, fact.field),
                    Object::Sysctl(_)
                    | Object::File(_)
                    | Object::Plugin(_)
                    | Object::Wireguard(_)
                    | Object::Nflog(_)
                    | Object::LogGroup(_) => host.get(fact),
                };
                self.of_sysctl(key, is.value().as_ref(), value)
            }
            // Lower an upper device before its lower device; raise a lower device before its upper device.
            Op::SetMtu { .. } | Op::SetPodMtu { .. } | Op::SetUp { .. } => match phase {
                Phase::LowerLinks => -self.height(link, host),
                Phase::Files
                | Phase::Create
                | Phase::LowerRoutes
                | Phase::Sysctls
                | Phase::RaiseLinks
                | Phase::RaiseRoutes
                | Phase::Delete => self.height(link, host),
            },
            Op::AddAddress { .. } => 1,
            Op::WriteFile { .. }
            | Op::RemoveFile { .. }
            | Op::SetPluginMtu { .. }
            | Op::SetWireguardMtu { .. }
            | Op::CreateTunnel { .. }
            | Op::RecreateTunnel { .. }
            | Op::DeleteLink { .. }
            | Op::RemoveAddress { .. }
            | Op::SetRouteMetric { .. }
            | Op::SetTxQueueLength { .. }
            | Op::SetAlias { .. }
            | Op::SetRules { .. }
            | Op::RemoveRules { .. }
            | Op::RemoveForeignRules { .. }
            | Op::RestoreForeignRules { .. } => 0,
        };
        SortKey {
            phase,
            rank,
            fact: fact.clone(),
        }
    }

    /// The position of a write to a sysctl among the others.
    fn of_sysctl(&self, key: &SysctlKey, from: Option<&Value>, to: &str) -> i32 {
        let later =
            self.bounded.contains(key) && from.is_some_and(|from| approaches(key, &from.to_text(), to));
        let from = from.and_then(|value| match value {
            Value::Number(number) => Some(*number),
            value => value.to_text().parse().ok(),
        });
        sysctl::rank(key, from, to.parse().ok(), &self.overwritten) + i32::from(later)
    }

    /// The number of devices below this one. A veth's IFLA_LINK is its peer, which is not below it.
    fn height(&self, link: Option<&Link>, host: &Snapshot) -> i32 {
        let mut height = 0;
        let mut at = link;
        while height < DEEPEST {
            let Some(link) = at else { break };
            let pair = comes_in_pairs(link.kind_name());
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
pub(crate) fn is_ipv6_mtu(op: &Op) -> bool {
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
        Op::SetRouteMetric {
            metric: Metric::Mtu,
            was,
            to,
            ..
        } => match (was, to) {
            // A route without an MTU has that of its interface.
            (None, Some(_)) => Phase::LowerRoutes,
            (Some(was), Some(to)) if to < was => Phase::LowerRoutes,
            (_, Some(_) | None) => Phase::RaiseRoutes,
        },
        Op::SetRouteMetric { .. } => Phase::Sysctls,
        Op::SetUp { up: false, .. } => Phase::LowerLinks,
        Op::SetUp { up: true, .. } => Phase::RaiseLinks,
        Op::WriteSysctl { .. } | Op::SetTxQueueLength { .. } | Op::SetAlias { .. } => Phase::Sysctls,
        Op::SetRules { .. } | Op::RestoreForeignRules { .. } => Phase::Create,
        Op::RemoveFile { .. } | Op::DeleteLink { .. } | Op::RemoveAddress { .. } => Phase::Delete,
        // Remove the rules of others after netkeel's exist: both log for a moment, and no packet is missed.
        Op::RemoveRules { .. } | Op::RemoveForeignRules { .. } => Phase::Delete,
    }
}
