//! A document as the service enforces it: on the whole host or a part of it, without suspended facts.

use std::collections::{BTreeMap, BTreeSet};

use crate::goal::planned::{Observation, Planned, WantedMtu};
use crate::goal::{Declared, Goal};
use crate::make::routers::{self, Lost, accept_ra};
use crate::make::{drift_of, plan_wants};
use crate::ownership::Ownership;
use netkeel_core::fact::{Fact, Field, Object, Value};
use netkeel_core::name::link::LinkName;
use netkeel_document::document::Document;
use netkeel_document::want::Want;
use netkeel_document::want::request::SkippedPod;
use netkeel_document::want::wants::Wants;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::lookup::Lookup;
use netkeel_host::snapshot::routes::default_routes;
use netkeel_host::snapshot::scope::Scope;
use netkeel_source::diagnostic::Diagnostics;

/// The part of a host that a plan covers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// The whole host.
    All,
    /// Objects other than interfaces, and the devices that the document creates.
    Rest,
    /// The interfaces with these indices. The set must hold whole stacks: an interface with every interface
    /// above and below it.
    Links(BTreeSet<u32>),
}

/// A document and the part of the host to enforce it on.
#[derive(Debug)]
pub struct PartGoal<'a> {
    /// The document.
    pub document: &'a Document,
    /// The ownership records, and how the plan may use them.
    pub holdings: Ownership<'a>,
    /// The part of the host.
    pub extent: &'a Extent,
    /// Suspended facts. The plan does not change them.
    pub except: &'a BTreeSet<Fact>,
    /// Interfaces, by name and index, whose MTU the plan does not change. The last full scan found that the
    /// pod at the other end does not fit the wanted MTU.
    pub withheld: &'a BTreeMap<LinkName, u32>,
    /// Whether netkeel may enter pods. Without that it writes neither end of a veth into a pod.
    pub enters_pods: bool,
}

impl Goal for PartGoal<'_> {
    fn scope(&self) -> Scope {
        match self.extent {
            Extent::Links(links) => self.document.scope().of_links(links.clone()),
            Extent::All | Extent::Rest => Declared {
                document: self.document,
                holdings: self.holdings,
            }
            .scope(),
        }
    }

    fn plan(&self, host: &Snapshot) -> Result<Planned, Box<Diagnostics>> {
        routers::keeping(host, |lost| self.plan_keeping(lost, host))
    }
}

impl PartGoal<'_> {
    /// Plans with what keeps the announced default routes of some interfaces.
    fn plan_keeping(&self, lost: &Lost, host: &Snapshot) -> Result<Planned, Box<Diagnostics>> {
        let mut wants = self.document.wants(host);
        let kept = routers::keep(self.document, &mut wants, &self.holdings, self.except, lost, host);
        let made = std::mem::take(&mut wants.made);
        let within = |fact: &Fact| match (self.extent, fact.link_name()) {
            (Extent::All, _) | (Extent::Rest, None) => true,
            // A scan of some interfaces does not read routes, and forwarding is switched here.
            (Extent::Rest, Some(name)) => {
                let follows_forwarding = accept_ra(fact).is_some();
                made.contains(&name) || matches!(fact.field, Field::RouteMetric(..)) || follows_forwarding
            }
            (Extent::Links(_), None) => false,
            // It removes routes of other interfaces: only a scan of the whole host switches it
            // (`Document::has_budgets`).
            (Extent::Links(_), Some(_)) if fact.removes_announced_routes() => false,
            (Extent::Links(_), Some(name)) => host.links.contains_key(&name) && !made.contains(&name),
        };
        wants.facts.retain(|fact, _| within(fact));
        // An error about a suspended fact, or about another part, must not keep the remaining facts from
        // being enforced.
        if wants.diagnostics.more == 0 {
            let matters = |fact: &Fact| within(fact) && !self.except.contains(fact);
            let list = &mut wants.diagnostics.list;
            list.retain(|one| one.facts.is_empty() || one.facts.iter().any(matters));
        }
        if !self.withheld.is_empty() && matches!(self.extent, Extent::Links(_)) {
            let index = |name| host.links.get(&name).map(|link| link.index);
            let withheld = |name| self.withheld.get(&name).copied();
            wants.facts.retain(|fact, _| {
                let is_withheld = |name| withheld(name).is_some() && withheld(name) == index(name);
                fact.field != Field::Mtu || !fact.link_name().is_some_and(is_withheld)
            });
        }
        let left_alone = wants.left_alone.iter();
        let stale = left_alone
            .map(|(name, left)| (*name, left.withheld.is_some()))
            .collect();
        let mut apart = self.except.clone();
        let unreachable = self.unreachable(&wants, host);
        for (name, pod_mtu) in &unreachable {
            let fact = Fact::link(&host.netns, *name, Field::Mtu);
            let Some(want) = wants.facts.remove(&fact) else {
                continue;
            };
            if self.wrote_pod_end(*name) {
                // Both ends were written together, and stay as they are.
                apart.insert(fact);
            } else {
                let left = SkippedPod {
                    pod_mtu: *pod_mtu,
                    withheld: Some(want),
                };
                wants.left_alone.insert(*name, left);
            }
        }
        let mut problems = host.problems.clone();
        if !matches!(self.extent, Extent::Links(_)) {
            problems.append(&mut wants.problems);
        }
        let mut unread = BTreeSet::new();
        wants.facts.retain(|fact, _| {
            if host.get(fact) != Lookup::Unread {
                return true;
            }
            let is_end = fact.field == Field::PodMtu;
            let is_unreachable = fact
                .link_name()
                .is_some_and(|name| unreachable.contains_key(&name));
            if !(is_end && is_unreachable) {
                unread.insert(fact.clone());
            }
            problems.extend(host.unexplained(fact));
            apart.insert(fact.clone());
            false
        });
        let mtus = wants.facts.iter().filter_map(mtu).collect();
        let is_suspended = |fact: &Fact| self.except.contains(fact);
        let suspended: BTreeMap<_, _> = match self.except.is_empty() {
            true => BTreeMap::new(),
            false => {
                let (suspended, rest) = std::mem::take(&mut wants.facts)
                    .into_iter()
                    .partition(|(fact, _)| is_suspended(fact));
                wants.facts = rest;
                suspended
            }
        };
        let wanted = suspended.len() + wants.facts.len();
        let (mut drift, _) = drift_of(&suspended, host, &mut Vec::new());
        let indices = host.links.iter().map(|(name, link)| (*name, link.index));
        let links: BTreeMap<LinkName, u32> = indices.collect();
        let whole = (*self.extent == Extent::All).then_some(&apart);
        let mut planned = plan_wants(self.document, host, &self.holdings, wants, whole)?;
        let plan = &mut planned.plan;
        routers::own(plan, &kept);
        if *self.extent != Extent::All {
            // Findings and unmatched entries concern the whole host; a part cannot show them.
            plan.findings.clear();
            plan.unmatched.clear();
        }
        plan.problems.clear();
        drift.extend(plan.drift.iter().cloned());
        planned.observation = Some(Observation {
            links,
            mtus,
            underlay: default_routes(host).and_then(|routes| {
                routes
                    .into_iter()
                    .map(|(name, mtu, _)| (name, mtu))
                    .min_by_key(|(_, mtu)| *mtu)
            }),
            drift,
            wanted,
            stale,
            unreachable: unreachable.into_keys().collect(),
            unread,
            problems,
        });
        Ok(planned)
    }

    /// The veths whose pod's end is wanted and cannot be read, each with the wanted MTU of that end. Such
    /// an end cannot be written either, and the host's end alone would drop packets.
    fn unreachable(&self, wants: &Wants, host: &Snapshot) -> BTreeMap<LinkName, i64> {
        // The scan of the whole host reads the pods' ends soon.
        if self.enters_pods && matches!(self.extent, Extent::Links(_)) {
            return BTreeMap::new();
        }
        let of_pod = |(fact, want): (&Fact, &Want)| match (fact.field, &want.value) {
            (Field::PodMtu, Value::Number(mtu)) if host.get(fact) == Lookup::Unread => {
                Some((fact.link_name()?, *mtu))
            }
            _ => None,
        };
        wants.facts.iter().filter_map(of_pod).collect()
    }

    /// Whether netkeel wrote the pod's end of this veth.
    fn wrote_pod_end(&self, name: LinkName) -> bool {
        let mut claims =
            (self.holdings.ledger.into_iter()).flat_map(|ledger| ledger.of(&self.document.owner));
        claims.any(|claim| claim.fact.field == Field::PodMtu && claim.fact.link_name() == Some(name))
    }
}

fn mtu((fact, want): (&Fact, &netkeel_document::want::Want)) -> Option<(LinkName, WantedMtu)> {
    let Object::Link(name) = &fact.object else {
        return None;
    };
    let path = &*want.origin.path;
    let mtu = WantedMtu {
        bytes: want.value.number()?,
        rule: path.rsplit_once('.').map_or(path, |(rule, _)| rule).into(),
        named: want.origin.named,
    };
    (fact.field == Field::Mtu).then_some((*name, mtu))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goal::testing::document;
    use crate::ledger::{Ledger, OwnershipRecord};
    use netkeel_core::name::netns::Netns;
    use netkeel_host::snapshot::link::Link;
    use netkeel_host::snapshot::reading::SysctlReading;

    fn host(names: &[&str]) -> Snapshot {
        let mut host = Snapshot::empty(Netns::CURRENT);
        for (number, name) in names.iter().enumerate() {
            let link = Link {
                kind: Some("veth".into()),
                index: number as u32 + 1,
                mtu: 1500,
                ..Link::default()
            };
            host.links.insert(name.parse().unwrap(), link.into());
        }
        host
    }

    fn ops(document: &Document, extent: Extent, except: &[&Fact], host: &Snapshot) -> Vec<String> {
        ops_and_seen(document, extent, except, &BTreeMap::new(), host).0
    }

    fn ops_and_seen(
        document: &Document,
        extent: Extent,
        except: &[&Fact],
        withheld: &BTreeMap<LinkName, u32>,
        host: &Snapshot,
    ) -> (Vec<String>, Observation) {
        let except = except.iter().copied().cloned().collect();
        let goal = PartGoal {
            document,
            holdings: Ownership::NONE,
            extent: &extent,
            except: &except,
            withheld,
            enters_pods: true,
        };
        let planned = goal.plan(host).unwrap();
        let ops = planned
            .plan
            .steps
            .iter()
            .map(|step| step.op.to_string())
            .collect();
        (ops, planned.observation.unwrap())
    }

    #[test]
    fn the_veth_of_a_skipped_pod_is_withheld_until_the_next_full_scan() {
        let document = document(
            "version: 1\npersist: false\nlink: { pods: { match: { name: \"cali*\" }, mtu: 1460 } }\n",
        );
        let mut host = host(&["cali1", "cali2"]);
        let pod: netkeel_host::snapshot::pod::PodEnd =
            serde_json::from_str(r#"{"index":2,"name":"eth0","mtu":1500,"kept_by":"gvisor"}"#).unwrap();
        let (cali1, cali2) = ("cali1".parse().unwrap(), "cali2".parse().unwrap());
        let link = host.link_mut(cali1).unwrap();
        (link.peer_netns, link.pod) = (Some(1), Some(Box::new(pod)));
        let (set, seen) = ops_and_seen(&document, Extent::All, &[], &BTreeMap::new(), &host);
        assert_eq!(set, ["ip link set dev cali2 mtu 1460"]);
        assert_eq!(seen.stale, BTreeMap::from([(cali1, true)]));
        let wanted = seen.mtus.iter().map(|(name, mtu)| (*name, mtu.bytes, mtu.named));
        assert_eq!(wanted.collect::<Vec<_>>(), [(cali2, 1460, false)]);
        // A scan of a part does not read pods. The withheld index still applies while the interface is the
        // same.
        host.link_mut(cali1).unwrap().pod = None;
        let part = |index| {
            let withheld = BTreeMap::from([(cali1, index)]);
            ops_and_seen(&document, Extent::Links([1].into()), &[], &withheld, &host).0
        };
        assert_eq!(part(1), ["ip link set dev cali2 mtu 1460"]);
        assert_eq!(part(9).len(), 2);
    }

    #[test]
    fn one_end_of_a_veth_is_not_set_alone() {
        let document = document(
            "version: 1\npersist: false\nlink: { pods: { match: { name: \"cali*\" }, mtu: 1460 } }\n",
        );
        let mut host = host(&["cali1", "cali2"]);
        let (cali1, cali2) = ("cali1".parse().unwrap(), "cali2".parse().unwrap());
        // The pod's end could not be read.
        host.link_mut(cali1).unwrap().peer_netns = Some(1);
        let plan = |extent: &Extent, enters_pods: bool, ledger: Option<&Ledger>, host: &Snapshot| {
            let goal = PartGoal {
                document: &document,
                holdings: Ownership {
                    ledger,
                    ..Ownership::NONE
                },
                extent,
                except: &BTreeSet::new(),
                withheld: &BTreeMap::new(),
                enters_pods,
            };
            let planned = goal.plan(host).unwrap();
            let steps = planned.plan.steps.iter().map(|step| step.op.to_string());
            (
                steps.collect::<Vec<_>>(),
                planned.observation.unwrap().unreachable,
            )
        };
        let set = |name: &str, mtu: u32| format!("ip link set dev {name} mtu {mtu}");
        for (extent, enters_pods) in [
            (Extent::All, true),
            (Extent::All, false),
            (Extent::Links([1, 2].into()), false),
        ] {
            let expected = (vec![set("cali2", 1460)], BTreeSet::from([cali1]));
            assert_eq!(plan(&extent, enters_pods, None, &host), expected);
        }
        // The scan of the whole host follows.
        let (both, none) = plan(&Extent::Links([1, 2].into()), true, None, &host);
        assert_eq!((both.len(), none.len()), (2, 0));
        // An end that was set before that scan is restored, unless the pod's end was set, too.
        host.link_mut(cali1).unwrap().mtu = 1460;
        host.link_mut(cali2).unwrap().mtu = 1460;
        let mtu = Fact::link(&Netns::CURRENT, cali1, Field::Mtu);
        let claim = |fact: &Fact| OwnershipRecord {
            device: host.device(fact),
            fact: fact.clone(),
            owner: "default".to_owned(),
            found: Some(Value::Number(1500)),
            wrote: Some(Value::Number(1460)),
            caused_by: None,
        };
        let pod = Fact {
            field: Field::PodMtu,
            ..mtu.clone()
        };
        let alone = Ledger::from_iter([claim(&mtu)]);
        assert_eq!(
            plan(&Extent::All, true, Some(&alone), &host).0,
            [set("cali1", 1500)]
        );
        let both = Ledger::from_iter([claim(&mtu), claim(&pod)]);
        assert_eq!(plan(&Extent::All, true, Some(&both), &host).0, [] as [&str; 0]);
    }

    #[test]
    fn a_part_is_planned_without_the_rest() {
        let document = document(
            "version: 1\npersist: false\nlink: { pods: { match: { name: \"cali*\" }, mtu: 1460 }, eth9: { mtu: 1400 } }\n",
        );
        let host = host(&["cali1", "cali2"]);
        let part = Extent::Links([1, 2].into());
        let set = |name: &str| format!("ip link set dev {name} mtu 1460");
        assert_eq!(
            ops(&document, part.clone(), &[], &host),
            [set("cali1"), set("cali2")]
        );
        assert_eq!(ops(&document, Extent::Rest, &[], &host), [] as [&str; 0]);
        let left = Fact::link(&Netns::CURRENT, "cali1".parse().unwrap(), Field::Mtu);
        assert_eq!(ops(&document, part, &[&left], &host), [set("cali2")]);
    }

    #[test]
    fn an_error_names_its_facts_and_the_other_facts_are_planned() {
        let document = document(
            "version: 1\npersist: false\nsysctl: { net.ipv4.no_such_key: 1, net.ipv4.tcp_mtu_probing: 2 }\n",
        );
        let mut host = host(&[]);
        for (key, value) in [("no_such_key", None), ("tcp_mtu_probing", Some("0"))] {
            let reading = value.map_or(SysctlReading::Absent, |value: &str| SysctlReading::Value {
                value: value.into(),
                writable: true,
            });
            host.sysctls
                .insert(format!("net.ipv4.{key}").parse().unwrap(), reading);
        }
        let goal = |except: &BTreeSet<Fact>, extent: Extent| {
            let goal = PartGoal {
                document: &document,
                holdings: Ownership::NONE,
                extent: &extent,
                except,
                withheld: &BTreeMap::new(),
                enters_pods: true,
            };
            goal.plan(&host)
        };
        let wrong = goal(&BTreeSet::new(), Extent::Rest).unwrap_err();
        let facts = wrong
            .list
            .iter()
            .flat_map(|one| one.facts.iter().cloned())
            .collect();
        assert_eq!(wrong.list.len(), 1, "{wrong:?}");
        let planned = goal(&facts, Extent::Rest).unwrap();
        assert_eq!(planned.plan.steps.len(), 1);
        // Another part is not affected.
        assert!(goal(&BTreeSet::new(), Extent::Links([1].into())).is_ok());
    }
}
