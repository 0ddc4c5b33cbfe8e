//! Plans that keep announced default routes, on snapshots.

use super::*;
use crate::goal::leaving::Leaving;
use crate::goal::part::{Extent, PartGoal};
use crate::goal::testing;
use crate::goal::{Declared, Goal};
use crate::ledger::{Ledger, OwnershipRecord};
use crate::plan::Plan;
use netkeel_core::name::device::{BootId, DeviceId};
use netkeel_core::name::netns::Netns;
use netkeel_host::snapshot::reading::{File, SysctlReading};

const HOST: &str = r#"{"format":1,"netns":null,"kernel":"6.12","families":{"ipv4":true,"ipv6":true},
    "announced_routes":{"eth0":1,"eth1":0,"eth2":null},"files":{"/etc/sysctl.d/90-netkeel.conf":null},
    "sysctls":{"net/ipv6/conf/all/forwarding":{"value":"0","writable":true},
      "net/ipv6/conf/default/forwarding":{"value":"0","writable":true}},
    "links":{"eth0":{"index":2,"mtu":1500,"min_mtu":68,"max_mtu":9000,"up":true,"forwarding6":0,"disable_ipv6":0},
      "cali1":{"index":3,"mtu":1500,"min_mtu":68,"max_mtu":9000,"up":true,"forwarding6":0,"disable_ipv6":0}}}"#;

fn document(text: &str) -> Document {
    testing::document(&format!("version: 1\n{text}\n"))
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
    // A part of the interfaces does not show which others lose routes: the service looks at all then.
    let of_one = super::tests::document("persist: no\nsysctl: { net.ipv6.conf.cali1.forwarding: 1 }");
    assert!(of_one.has_budgets() && !document.has_budgets());
    for document in [&document, &of_one] {
        for links in [[2], [3]] {
            let goal = PartGoal {
                document,
                holdings: Ownership::NONE,
                extent: &Extent::Links(links.into()),
                except: &BTreeSet::new(),
                withheld: &BTreeMap::new(),
                enters_pods: true,
            };
            assert_eq!(writes(&goal.plan(&host).unwrap().plan), [""; 0]);
        }
    }
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

/// Plans with the records of this owner and of others.
fn planned(text: &str, records: &[OwnershipRecord], prune: bool, host: &Snapshot) -> Plan {
    let ledger: Ledger = records.iter().cloned().collect();
    let goal = Declared {
        document: &document(text),
        holdings: Ownership {
            ledger: Some(&ledger),
            prune,
            ..Ownership::NONE
        },
    };
    goal.plan(host).unwrap().plan
}

/// The record of a write of eth0's `accept_ra`, with the switch that it follows.
fn record(owner: &str, with: Option<&str>) -> OwnershipRecord {
    let fact = |key: &str| Fact::sysctl(&Netns::CURRENT, &key.parse().unwrap());
    OwnershipRecord {
        device: Some(DeviceId {
            boot: BootId::default(),
            index: 2,
        }),
        fact: fact("net.ipv6.conf.eth0.accept_ra"),
        owner: owner.to_owned(),
        found: Some(Value::Text("1".into())),
        wrote: Some(Value::Text("2".into())),
        caused_by: with.map(fact).map(Box::new),
    }
}

const ALL: &str = "net.ipv6.conf.all.forwarding";

/// A host that forwards, whose eth0 hears a router with this `accept_ra`.
fn forwards(accept_ra: &str) -> Snapshot {
    let mut host = Snapshot::from_json(&HOST.replace(r#""forwarding6":0"#, r#""forwarding6":1"#)).unwrap();
    let value = |value: &str| SysctlReading::Value {
        value: value.into(),
        writable: true,
    };
    host.sysctls.insert(ALL.parse().unwrap(), value("1"));
    let key = "net.ipv6.conf.eth0.accept_ra".parse().unwrap();
    host.sysctls.insert(key, value(accept_ra));
    let number = Some(accept_ra.parse().unwrap());
    host.announced_routes = Some([("eth0".parse().unwrap(), number)].into());
    host
}

fn codes(plan: &Plan) -> Vec<Code> {
    plan.findings.iter().map(|finding| finding.code).collect()
}

/// The records tell what the document named from what only follows forwarding.
#[test]
fn what_was_declared_and_then_dropped_is_given_back_as_a_loss() {
    let (host, on) = (
        forwards("2"),
        "persist: no\nsysctl: { net.ipv6.conf.all.forwarding: 1 }",
    );
    let plan = planned(on, &[record("default", None)], true, &host);
    assert_eq!(writes(&plan), ["eth0.accept_ra=1"]);
    assert_eq!(plan.lossy().count(), 1, "forwarding stays on");
    let plan = planned(on, &[record("default", None)], false, &host);
    assert_eq!((writes(&plan), codes(&plan)), (vec![], vec![Code::NK010]));
    for prune in [false, true] {
        let plan = planned(on, &[record("default", Some(ALL))], prune, &host);
        assert!(plan.is_empty() && plan.findings.is_empty(), "{plan:?}");
    }
    // So does the drop-in.
    let path = drop_in::path("default");
    let with = |more: &str| {
        let text = format!("sysctl: {{ net.ipv6.conf.all.forwarding: 1{more} }}");
        document(&text).drop_in_on(&host).unwrap()
    };
    let (declared, dropped) = (with(", net.ipv6.conf.eth0.accept_ra: 2"), with(""));
    let mut before = host.clone();
    before.files.insert(
        path.clone(),
        Some(File {
            content: declared.as_str().into(),
            mode: 0o644,
        }),
    );
    let text = "sysctl: { net.ipv6.conf.all.forwarding: 1 }";
    let plan = planned(text, &[], false, &before);
    let file = plan.drift.iter().find(|drift| drift.fact == Fact::file(&path));
    assert_eq!(file.unwrap().desired, Some(Value::Text(dropped.as_str().into())));
}

#[test]
fn the_records_of_a_plan_say_what_follows_forwarding() {
    let host = Snapshot::from_json(HOST).unwrap();
    let plan = planned(
        "persist: no\nsysctl: { net.ipv6.conf.all.forwarding: 1 }",
        &[],
        false,
        &host,
    );
    let claims: Vec<OwnershipRecord> = plan
        .claims()
        .filter(|claim| accept_ra(&claim.fact).is_some())
        .collect();
    assert_eq!(claims, [record("default", Some(ALL))]);
    // It is written again, and still follows.
    let plan = planned(
        "persist: no\nsysctl: { net.ipv6.conf.all.forwarding: 1 }",
        &claims,
        false,
        &forwards("1"),
    );
    assert_eq!(writes(&plan), ["eth0.accept_ra=2"]);
    let again: Ledger = claims.into_iter().chain(plan.claims()).collect();
    assert!(again.claims().any(OwnershipRecord::follows_forwarding));
}

/// Somebody switched hearing routers off.
#[test]
fn a_held_interface_that_hears_no_routers_by_now_is_left_alone() {
    let on = "sysctl: { net.ipv6.conf.all.forwarding: 1 }";
    for prune in [false, true] {
        let plan = planned(on, &[record("default", Some(ALL))], prune, &forwards("0"));
        assert_eq!((writes(&plan), codes(&plan)), (vec![], vec![Code::NK029]));
        assert!(plan.released.is_empty());
        let drop_in = plan.drift.iter().find_map(|drift| drift.desired.clone()).unwrap();
        assert!(!drop_in.to_text().contains("accept_ra"), "{drop_in:?}");
    }
}

/// Which switch is switched on shows only in the plan.
#[test]
fn a_switch_of_a_new_device_and_one_that_another_write_clears_remove_routes_too() {
    let with_ipip = HOST.replace(r#""files":"#, r#""tunnels":{"ipip":"yes"},"files":"#);
    let host = Snapshot::from_json(&with_ipip).unwrap();
    let tunnel = "persist: no\ntunnel: { t0: { mode: ipip } }
sysctl: { net.ipv6.conf.t0.forwarding: 1 }";
    let plan = planned(tunnel, &[], false, &host);
    assert_eq!(writes(&plan), ["eth0.accept_ra=2", "t0.forwarding=1"]);
    let mut host = forwards("1");
    let all = "net.ipv6.conf.all.forwarding: 0, net.ipv6.conf.cali1.forwarding: 1";
    let plan = planned(&format!("persist: no\nsysctl: {{ {all} }}"), &[], false, &host);
    assert_eq!(
        writes(&plan),
        ["eth0.accept_ra=2", "all.forwarding=0", "cali1.forwarding=1"]
    );
    assert_eq!(plan.lossy().count(), 0);
    host.announced_routes = None;
    let plan = planned(&format!("persist: no\nsysctl: {{ {all} }}"), &[], false, &host);
    assert_eq!(plan.lossy().count(), 1, "unread");
}

#[test]
fn what_another_owner_declared_is_not_taken() {
    let host = Snapshot::from_json(HOST).unwrap();
    let on = "persist: no\nsysctl: { net.ipv6.conf.all.forwarding: 1 }";
    let plan = planned(on, &[record("other", None)], false, &host);
    assert_eq!(writes(&plan), ["all.forwarding=1"]);
    assert!(plan.lossy().count() == 1 && codes(&plan).is_empty());
}

/// A record outlives the time without its interface, and one in which it cannot be read.
#[test]
fn a_held_interface_that_is_away_or_unread_stays_held() {
    let on = "sysctl: { net.ipv6.conf.all.forwarding: 1 }";
    let key: SysctlKey = "net.ipv6.conf.eth0.accept_ra".parse().unwrap();
    let mut away = forwards("2");
    away.links.remove(&"eth0".parse().unwrap());
    away.announced_routes = Some(BTreeMap::new());
    away.sysctls.insert(key.clone(), SysctlReading::Absent);
    let mut unread = forwards("2");
    unread.announced_routes = Some(BTreeMap::new());
    unread.sysctls.remove(&key);
    for host in [away, unread] {
        let plan = planned(on, &[record("default", Some(ALL))], true, &host);
        assert_eq!((writes(&plan), codes(&plan)), (vec![], vec![]));
        assert!(plan.released.is_empty() && plan.problems.is_empty());
        let drop_in = plan.drift.iter().find_map(|drift| drift.desired.clone()).unwrap();
        assert!(drop_in.to_text().contains("eth0/accept_ra = 2"), "{drop_in:?}");
    }
}

/// A suspended fact is not announced as a write.
#[test]
fn a_suspended_accept_ra_is_a_loss_and_no_announcement() {
    let document = document("persist: no\nsysctl: { net.ipv6.conf.all.forwarding: 1 }");
    let host = Snapshot::from_json(HOST).unwrap();
    let except = [record("default", None).fact].into();
    let lost = Lost::from([(
        "eth0".parse().unwrap(),
        Fact::sysctl(&Netns::CURRENT, &ALL.parse().unwrap()),
    )]);
    let found = |except: &BTreeSet<Fact>| {
        let mut wants = document.wants(&host);
        keep(&document, &mut wants, &Ownership::NONE, except, &lost, &host);
        wants.findings.into_sorted().len()
    };
    assert_eq!((found(&except), found(&BTreeSet::new())), (0, 1));
}

/// A policy that leaves and keeps its values takes along what followed from them.
#[test]
fn what_follows_forwarding_leaves_with_it() {
    let (left, in_force) = (
        document("sysctl: { net.ipv6.conf.all.forwarding: 1 }"),
        document("sysctl: { net.ipv4.tcp_mtu_probing: 1 }"),
    );
    let mut host = forwards("2");
    host.sysctls.insert(
        "net.ipv4.tcp_mtu_probing".parse().unwrap(),
        SysctlReading::Value {
            value: "1".into(),
            writable: true,
        },
    );
    let follows = record("default", Some(ALL));
    let all = OwnershipRecord {
        fact: Fact::sysctl(&Netns::CURRENT, &ALL.parse().unwrap()),
        caused_by: None,
        ..follows.clone()
    };
    let ledger: Ledger = [follows.clone(), all.clone()].into_iter().collect();
    let leave = |left: &Document, in_force: &Document| {
        let leaving = Leaving {
            left,
            in_force,
            ledger: &ledger,
            suspended: &BTreeSet::new(),
        };
        leaving.facts(&host).unwrap()
    };
    assert_eq!(leave(&left, &in_force), [all.fact, follows.fact].into());
    assert_eq!(leave(&left, &left), BTreeSet::new());
}
