//! Keeps the default routes that routers announced (IPv6 router advertisements) where a document switches IPv6
//! forwarding on: the kernel removes them from each interface whose `accept_ra` is not 2
//! (`rt6_purge_dflt_routers`, net/ipv6/route.c), and a host that loses its default route is cut off.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ownership::Ownership;
use netkeel_core::fact::{Fact, Object, Value};
use netkeel_core::finding::Code;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sysctl::{PerInterface, Slot, SysctlKey};
use netkeel_document::document::Document;
use netkeel_document::want::wants::Wants;
use netkeel_document::want::{Origin, Want};
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::lookup::Lookup;
use netkeel_host::sysctl_d::drop_in;

/// The value with which an interface hears routers although it forwards.
const ALWAYS: &str = "2";

/// Wants `accept_ra: 2` of each interface that would lose an announced default route, and of those where netkeel
/// set it for that before. Of an interface without such a route it is not wanted: there, 2 would let anybody on
/// the link, a pod too, become the default router. Switches in `except` are suspended and not written.
pub(crate) fn keep(
    document: &Document,
    wants: &mut Wants,
    ownership: &Ownership<'_>,
    except: &BTreeSet<Fact>,
    host: &Snapshot,
) {
    let mut switches = (wants.facts.iter())
        .filter(|(fact, want)| is_forwarding(fact) && **want.value.to_text().reveal() != *"0");
    let switched_on =
        |(fact, want): &(&Fact, &Want)| !except.contains(*fact) && is_on(fact, want, host) == Some(false);
    let Some((origin, switches_on)) = (match switches.clone().find(switched_on) {
        Some((_, want)) => Some((origin(want), true)),
        None => switches.next().map(|(_, want)| (origin(want), false)),
    }) else {
        return;
    };
    let held = held(document, ownership, host);
    let mut kept: BTreeMap<LinkName, bool> = held.into_iter().map(|name| (name, false)).collect();
    if switches_on {
        let announced = host.announced_routes.iter().flatten();
        let would_lose = announced.filter(|(_, accept_ra)| **accept_ra == Some(1));
        kept.extend(would_lose.map(|(name, _)| (*name, true)));
    }
    let mut more = Vec::new();
    for (name, would_lose) in kept {
        let key = SysctlKey::conf("ipv6", name, "accept_ra");
        let fact = Fact::sysctl(&host.netns, &key);
        // What the document says counts.
        if wants.facts.contains_key(&fact) {
            continue;
        }
        if would_lose {
            wants.findings.add(
                Code::NK029,
                name,
                format!(
                    "IPv6 forwarding would remove its default routes that routers announced, so {key} becomes {ALWAYS} first"
                ),
                format!("declare {key}: {ALWAYS}, to have that in the document"),
            );
        }
        // What is not there cannot be written.
        if matches!(host.get(&fact), Lookup::Value(_)) {
            let want = Want {
                value: Value::Text(ALWAYS.into()),
                origin: origin.clone(),
            };
            wants.facts.insert(fact, want);
        }
        more.push((key, ALWAYS.to_owned()));
    }
    if more.is_empty() {
        return;
    }
    // At boot forwarding comes before the first announcement.
    let file = Fact::file(&drop_in::path(&document.owner));
    if let (Some(want), Some(text)) = (wants.facts.get_mut(&file), document.drop_in_with(host, &more)) {
        want.value = Value::Text(text.as_str().into());
    }
}

/// The interfaces whose `accept_ra` netkeel set before, by the records of the owner and by its drop-in, which has
/// them also before the records of a first apply are written.
fn held(document: &Document, ownership: &Ownership<'_>, host: &Snapshot) -> BTreeSet<LinkName> {
    let claims = ownership
        .ledger
        .into_iter()
        .flat_map(|ledger| ledger.of(&document.owner));
    let wrote = Some(Value::Text(ALWAYS.into()));
    let mut held: BTreeSet<LinkName> = claims
        .filter(|claim| claim.caused_by.is_none() && claim.wrote == wrote)
        .filter_map(|claim| accept_ra(&claim.fact))
        .collect();
    let file = host
        .files
        .get(&drop_in::path(&document.owner))
        .and_then(Option::as_ref);
    let lines = file.iter().flat_map(|file| file.content.lines());
    let settings = lines.filter_map(|line| line.split_once(" = "));
    held.extend(
        settings
            .filter(|(_, value)| *value == ALWAYS)
            .filter_map(|(key, _)| accept_ra_of(&key.parse().ok()?)),
    );
    held
}

/// Whether a fact is a switch of IPv6 forwarding at which the kernel removes routes.
fn is_forwarding(fact: &Fact) -> bool {
    match &fact.object {
        Object::Sysctl(key) => key.removes_announced_routes(),
        Object::Link(name) => fact
            .field
            .sysctl_of(*name)
            .is_some_and(|key| key.removes_announced_routes()),
        Object::File(_)
        | Object::Plugin(_)
        | Object::Wireguard(_)
        | Object::Nflog(_)
        | Object::LogGroup(_) => false,
    }
}

/// Whether a switch is as it is wanted; `None` if it is not there, or was not read.
fn is_on(fact: &Fact, want: &Want, host: &Snapshot) -> Option<bool> {
    Some(host.get(fact).value()? == want.value)
}

/// The reason, at the line that switches forwarding on.
fn origin(want: &Want) -> Arc<Origin> {
    let why = "keeps the default routes that routers announced, which IPv6 forwarding would remove";
    Arc::new(Origin {
        named: false,
        derivation: Some(why.into()),
        ..(*want.origin).clone()
    })
}

/// The interface of an `accept_ra`.
pub(crate) fn accept_ra(fact: &Fact) -> Option<LinkName> {
    match &fact.object {
        Object::Sysctl(key) => accept_ra_of(key),
        _ => None,
    }
}

fn accept_ra_of(key: &SysctlKey) -> Option<LinkName> {
    match key.per_interface()? {
        PerInterface {
            family: "ipv6",
            table: "conf",
            slot: Slot::Link(name),
            leaf: "accept_ra",
        } => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goal::part::{Extent, PartGoal};
    use crate::goal::{Declared, Goal};
    use crate::ledger::{Ledger, OwnershipRecord};
    use crate::plan::Plan;
    use netkeel_core::name::netns::Netns;
    use netkeel_source::diagnostic::Diagnostics;
    use netkeel_source::sources::Sources;

    const HOST: &str = r#"{"format":1,"netns":null,"kernel":"6.12","families":{"ipv4":true,"ipv6":true},
        "announced_routes":{"eth0":1,"eth1":0,"eth2":null},"files":{"/etc/sysctl.d/90-netkeel.conf":null},
        "sysctls":{"net/ipv6/conf/all/forwarding":{"value":"0","writable":true},
          "net/ipv6/conf/default/forwarding":{"value":"0","writable":true}},
        "links":{"eth0":{"index":2,"mtu":1500,"min_mtu":68,"max_mtu":9000,"up":true,"forwarding6":0,"disable_ipv6":0},
          "cali1":{"index":3,"mtu":1500,"min_mtu":68,"max_mtu":9000,"up":true,"forwarding6":0,"disable_ipv6":0}}}"#;

    fn document(text: &str) -> Document {
        let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
        let text = format!("version: 1\n{text}\n");
        let node = sources.load("a.yaml", text.into_bytes(), None, &mut diagnostics);
        let document = Document::read(node.into_iter().collect(), Netns::CURRENT, &mut diagnostics);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        document
    }

    fn writes(plan: &Plan) -> Vec<String> {
        let sysctls = plan.steps.iter().map(|step| step.op.to_string());
        sysctls
            .filter(|op| op.starts_with("sysctl"))
            .map(|op| op.replace("sysctl -w net.ipv6.conf.", ""))
            .collect()
    }

    #[test]
    fn only_interfaces_that_hear_routers_and_would_lose_a_route_are_set() {
        let host = Snapshot::from_json(HOST).unwrap();
        let planned = |text: &str| Goal::plan(&document(text), &host).unwrap().plan;
        for switch in ["all", "cali1"] {
            let plan = planned(&format!("sysctl: {{ net.ipv6.conf.{switch}.forwarding: 1 }}"));
            assert_eq!(
                writes(&plan),
                ["eth0.accept_ra=2".to_owned(), format!("{switch}.forwarding=1")]
            );
            // The others are lost: of those it is not known that somebody wants routers heard.
            let lost: Vec<String> = plan
                .lossy()
                .flat_map(|step| &step.undo.loses)
                .map(ToString::to_string)
                .collect();
            assert_eq!(lost.len(), 2, "{lost:?}");
            let codes: Vec<Code> = plan.findings.iter().map(|finding| finding.code).collect();
            assert_eq!(codes, [Code::NK029]);
        }
        // The document decides, and other switches remove nothing.
        for text in [
            "sysctl: { net.ipv6.conf.all.forwarding: 1, net.ipv6.conf.eth0.accept_ra: 1 }",
            "sysctl: { net.ipv6.conf.default.forwarding: 1 }",
            "sysctl: { net.ipv6.conf.all.forwarding: 0 }",
        ] {
            let plan = planned(text);
            assert!(!writes(&plan).contains(&"eth0.accept_ra=2".to_owned()), "{text}");
        }
    }

    /// At boot sysctls come before the first announcement. A route that is not announced for a while changes
    /// nothing.
    #[test]
    fn the_drop_in_holds_it_and_holds_it_in_place() {
        let document = document("sysctl: { net.ipv6.conf.all.forwarding: 1 }");
        let host = Snapshot::from_json(HOST).unwrap();
        let planned = Goal::plan(&document, &host).unwrap();
        let path = drop_in::path("default");
        let file = planned
            .plan
            .drift
            .iter()
            .find(|drift| drift.fact == Fact::file(&path));
        let text = file.and_then(|drift| drift.desired.clone()).unwrap().to_text();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                "net/ipv6/conf/eth0/accept_ra = 2",
                "net/ipv6/conf/all/forwarding = 1"
            ]
        );
        let mut after = planned.after.unwrap();
        assert!(Goal::plan(&document, &after).unwrap().plan.is_empty());
        after.announced_routes = Some(BTreeMap::new());
        let again = Goal::plan(&document, &after).unwrap().plan;
        assert!(again.is_empty() && again.findings.is_empty(), "{again:?}");
    }

    #[test]
    fn the_records_hold_it_while_forwarding_is_declared() {
        let with = |text: &str, prune: bool| {
            let document = document(&format!("persist: no\n{text}"));
            let host = Snapshot::from_json(HOST).unwrap();
            let switched = "sysctl: { net.ipv6.conf.all.forwarding: 1 }\npersist: no";
            let planned = Goal::plan(&super::tests::document(switched), &host).unwrap();
            let ledger: Ledger = planned
                .plan
                .claims()
                .collect::<Vec<OwnershipRecord>>()
                .into_iter()
                .collect();
            let mut after = planned.after.unwrap();
            after.announced_routes = Some(BTreeMap::new());
            let holdings = Ownership {
                ledger: Some(&ledger),
                prune,
                ..Ownership::NONE
            };
            let goal = Declared {
                document: &document,
                holdings,
            };
            let scope = goal.scope();
            let key: SysctlKey = "net.ipv6.conf.eth0.accept_ra".parse().unwrap();
            assert!(scope.sysctls.contains(&key), "it is read");
            writes(&goal.plan(&after).unwrap().plan)
        };
        let none: [&str; 0] = [];
        assert_eq!(with("sysctl: { net.ipv6.conf.all.forwarding: 1 }", true), none);
        assert_eq!(
            with("sysctl: { net.ipv6.conf.all.forwarding: 0 }", true),
            ["all.forwarding=0", "eth0.accept_ra=1"]
        );
    }

    /// A service looks at what is not an interface by itself, and leaves alone what others keep changing.
    #[test]
    fn a_part_of_the_host_switches_forwarding_with_what_keeps_the_routes() {
        let document = document("persist: no\nsysctl: { net.ipv6.conf.all.forwarding: 1 }");
        let host = Snapshot::from_json(HOST).unwrap();
        let accept = Fact::sysctl(&Netns::CURRENT, &"net.ipv6.conf.eth0.accept_ra".parse().unwrap());
        let forwarding = Fact::sysctl(&Netns::CURRENT, &"net.ipv6.conf.all.forwarding".parse().unwrap());
        for extent in [Extent::Rest, Extent::All] {
            let writes_without = |except: &[&Fact]| {
                let except = except.iter().copied().cloned().collect();
                let goal = PartGoal {
                    document: &document,
                    holdings: Ownership::NONE,
                    extent: &extent,
                    except: &except,
                    withheld: &BTreeMap::new(),
                    enters_pods: true,
                };
                let planned = goal.plan(&host).unwrap();
                (writes(&planned.plan), planned.observation.unwrap().drift.len())
            };
            let (both, _) = writes_without(&[]);
            assert_eq!(both, ["eth0.accept_ra=2", "all.forwarding=1"], "{extent:?}");
            // It is suspended, and stays so as long as it differs.
            assert_eq!(
                writes_without(&[&accept]),
                (vec!["all.forwarding=1".to_owned()], 2)
            );
            assert_eq!(writes_without(&[&forwarding]).0, [""; 0]);
        }
    }
}
