//! Turns a fact and a value into the op that writes it.

use std::path::Path;
use std::sync::Arc;

use netkeel_core::fact::{Fact, Field, Object, Value};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::route::Metric;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::nflog::entry_rules::EntryRules;
use netkeel_core::nflog::foreign::ForeignRule;
use netkeel_core::op::copy_mtu::CopyMtu;
use netkeel_core::op::{Op, PodTarget, Target};
use netkeel_core::wireguard::CopyState;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;

/// The op that gives a fact a value, or removes the fact.
pub(crate) fn write(fact: &Fact, value: Option<&Value>, host: &Snapshot) -> Option<Op> {
    let link = fact.link_name().and_then(|name| host.link(name));
    write_on(fact, value, link, host)
}

/// As [`write`], with the fact's interface already looked up.
pub(crate) fn write_on(
    fact: &Fact,
    value: Option<&Value>,
    link: Option<&Link>,
    host: &Snapshot,
) -> Option<Op> {
    let name = match &fact.object {
        Object::File(path) => {
            return Some(match value {
                Some(value) => Op::WriteFile {
                    path: path.clone(),
                    content: value.to_text().reveal().clone(),
                    // A replaced file keeps its permissions.
                    mode: mode(host, path),
                },
                None => Op::RemoveFile { path: path.clone() },
            });
        }
        Object::Plugin(plugin) => {
            return Some(Op::SetPluginMtu {
                path: plugin.file.clone(),
                plugin: plugin.kind.clone(),
                was: host.get(fact).value(),
                mtu: value.cloned(),
            });
        }
        Object::Wireguard(wireguard) => {
            return Some(Op::SetWireguardMtu {
                source: wireguard.source.clone(),
                path: wireguard.copy.clone(),
                was: host.get(fact).value(),
                to: match value {
                    None => CopyMtu::Remove,
                    Some(Value::Number(mtu)) => CopyMtu::Bytes(u32::try_from(*mtu).ok()?),
                    Some(Value::Copy(CopyState::WithoutMtu)) => CopyMtu::AsSource,
                    // A file that is not a copy holds keys that netkeel did not save.
                    Some(
                        Value::Copy(CopyState::Differs { .. } | CopyState::Exposed { .. })
                        | Value::Device(_)
                        | Value::Nflog(_)
                        | Value::ForeignRules(_)
                        | Value::Switch(_)
                        | Value::Text(_),
                    ) => return None,
                },
            });
        }
        Object::Sysctl(key) => {
            let target = key.link().map(|name| target(fact, name, link));
            return Some(write_sysctl(fact, key.clone(), value?, target));
        }
        Object::Nflog(name) => {
            let (netns, name) = (fact.netns.clone(), name.clone());
            return match value? {
                Value::Nflog(EntryRules::Rules(rules)) => Some(Op::SetRules {
                    netns,
                    name,
                    rules: rules.clone(),
                }),
                Value::Nflog(EntryRules::None) => Some(Op::RemoveRules { netns, name }),
                // Rules that another program changed are not known well enough to make them again.
                Value::Nflog(EntryRules::Changed) => None,
                Value::Device(_)
                | Value::ForeignRules(_)
                | Value::Copy(_)
                | Value::Switch(_)
                | Value::Number(_)
                | Value::Text(_) => None,
            };
        }
        Object::LogGroup(..) => {
            let netns = fact.netns.clone();
            let there = foreign_rules(host.get(fact).value().as_ref());
            let wanted = foreign_rules(value);
            let lacks =
                |list: &[ForeignRule], rule: &ForeignRule| !list.iter().any(|other| other.is_the_same(rule));
            let (mut gone, mut back) = (there.to_vec(), wanted.to_vec());
            gone.retain(|rule| lacks(&wanted, rule));
            back.retain(|rule| lacks(&there, rule));
            // A want only removes and an undo only restores; no op does both.
            return match (gone.is_empty(), back.is_empty()) {
                (false, _) => Some(Op::RemoveForeignRules { netns, rules: gone }),
                (true, false) => Some(Op::RestoreForeignRules { netns, rules: back }),
                (true, true) => None,
            };
        }
        Object::Link(name) => *name,
    };
    let target = target(fact, name, link);
    let number = || u32::try_from(value?.number()?).ok();
    Some(match fact.field {
        Field::Kind => {
            let Some(value) = value else {
                return Some(Op::DeleteLink { target, made: None });
            };
            let mode = value.device()?.tunnel_mode()?;
            if link.is_some() {
                Op::RecreateTunnel { target, mode }
            } else {
                Op::CreateTunnel { target, mode }
            }
        }
        Field::Address(address) => match value.and_then(Value::switch) {
            Some(true) => Op::AddAddress { target, address },
            Some(false) | None => Op::RemoveAddress { target, address },
        },
        Field::RpFilter | Field::Forwarding | Field::Forwarding6 | Field::DisableIpv6 => {
            write_sysctl(fact, fact.field.sysctl_of(name)?, value?, Some(target))
        }
        Field::Mtu => Op::SetMtu {
            target,
            mtu: number()?,
        },
        Field::PodMtu => Op::SetPodMtu {
            pod: Box::new(pod(link)?),
            target,
            mtu: number()?,
        },
        Field::PodRouteMtu(destination) => {
            let end = link?.pod.as_ref()?;
            let route = end.routes.get(&destination)?;
            Op::SetRouteMetric {
                pod: Some(Box::new(pod(link)?)),
                target,
                destination,
                rest: route.rest.clone(),
                next_hops: route.next_hops,
                metric: Metric::Mtu,
                locked: route.locked,
                was: Some(route.mtu),
                to: Some(number()?),
            }
        }
        Field::RouteMetric(destination, metric) => {
            let route = link?.routes.get(&destination)?;
            Op::SetRouteMetric {
                target,
                pod: None,
                destination,
                rest: route.rest_without(metric).into(),
                next_hops: route.next_hops,
                metric,
                locked: route.locked.contains(&metric),
                was: route.metrics.get(&metric).copied(),
                to: match value {
                    Some(_) => Some(number()?),
                    None => None,
                },
            }
        }
        Field::Up => Op::SetUp {
            target,
            up: value?.switch()?,
        },
        Field::TxQueueLength => Op::SetTxQueueLength {
            target,
            packets: number()?,
        },
        Field::Alias => Op::SetAlias {
            target,
            alias: value?.text()?.reveal().clone(),
        },
        // An address of a pod is only seen; the others are of other objects.
        Field::PodAddress(_) | Field::Content | Field::Value | Field::Rules => return None,
    })
}

/// The rules of others that a value holds.
fn foreign_rules(value: Option<&Value>) -> Arc<[ForeignRule]> {
    match value {
        Some(Value::ForeignRules(rules)) => rules.clone(),
        None
        | Some(
            Value::Device(_)
            | Value::Nflog(_)
            | Value::Copy(_)
            | Value::Switch(_)
            | Value::Number(_)
            | Value::Text(_),
        ) => Arc::new([]),
    }
}

/// The other end of a veth, where it can be written.
fn pod(link: Option<&Link>) -> Option<PodTarget> {
    let end = link?.pod.as_ref()?;
    Some(PodTarget {
        sandbox: end.sandbox.clone()?,
        index: end.index,
        name: end.name,
    })
}

/// The permissions of a file, or the default for a new file.
pub(crate) fn mode(host: &Snapshot, path: &Path) -> u32 {
    let file = host.files.get(path).and_then(Option::as_ref);
    file.map_or(netkeel_host::sysctl_d::drop_in::MODE, |file| file.mode)
}

fn target(fact: &Fact, name: LinkName, link: Option<&Link>) -> Target {
    Target {
        netns: fact.netns.clone(),
        index: link.map_or(0, |link| link.index),
        name,
    }
}

fn write_sysctl(fact: &Fact, key: SysctlKey, value: &Value, link: Option<Target>) -> Op {
    Op::WriteSysctl {
        netns: fact.netns.clone(),
        key,
        value: value.to_text(),
        link,
    }
}
