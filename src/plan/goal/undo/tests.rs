//! The undo of an apply, on models of hosts.

use super::*;
use netkeel_host::model::Model;
use netkeel_host::snapshot::link::Link;

const NAMES: [&str; 2] = ["eth0", "eth1"];

fn host() -> Snapshot {
    let mut host = Snapshot::empty(Netns::CURRENT);
    for (index, name) in (2..).zip(NAMES) {
        let link = Link {
            index,
            mtu: 1500,
            max_mtu: 9000,
            ..Link::default()
        };
        host.links.insert(name.parse().unwrap(), link.into());
    }
    host
}

fn set_mtu(host: &mut Snapshot, name: &str, mtu: u32) {
    let link = host.links.remove(&name.parse().unwrap()).unwrap();
    let link = Link {
        mtu,
        ..(*link).clone()
    };
    host.links.insert(name.parse().unwrap(), link.into());
}

fn record(name: &str, owner: &str, found: i64, wrote: i64) -> OwnershipRecord {
    OwnershipRecord {
        fact: Fact::link(&Netns::CURRENT, name.parse().unwrap(), Field::Mtu),
        device: host().device(&Fact::link(&Netns::CURRENT, name.parse().unwrap(), Field::Mtu)),
        owner: owner.into(),
        found: Some(Value::Number(found)),
        wrote: Some(Value::Number(wrote)),
        caused_by: None,
    }
}

/// Applies a plan to the host and to the ledger.
fn apply(planned: &Planned, host: &Snapshot, ledger: &Ledger) -> (Snapshot, Ledger) {
    let mut model = Model::new(host.clone());
    for step in &planned.plan.steps {
        model.apply(&step.op);
    }
    let released = &planned.plan.released;
    let claims = ledger.claims().cloned().chain(planned.plan.claims());
    let kept = claims.filter(|claim| !released.contains(&claim.fact));
    (model.host, kept.collect())
}

fn values(changes: Vec<OwnershipRecord>, held: Vec<OwnershipRecord>) -> AppliedValues {
    AppliedValues {
        apply: "t2".into(),
        owner: "b".into(),
        changes,
        beside: BTreeSet::new(),
        held,
    }
}

#[test]
fn the_ledger_is_as_before_whoever_held_the_facts() {
    // Owner a held eth0; b took it over, and wrote eth1 for the first time.
    let before: Ledger = [record("eth0", "a", 1500, 1400)].into_iter().collect();
    let values = values(
        vec![record("eth0", "b", 1400, 1300), record("eth1", "b", 1500, 1300)],
        vec![record("eth0", "a", 1500, 1400)],
    );
    let mut now = host();
    for name in NAMES {
        set_mtu(&mut now, name, 1300);
    }
    let after: Ledger = before
        .claims()
        .cloned()
        .chain(values.changes.iter().cloned())
        .collect();
    let netns = Netns::CURRENT;
    let undo = UndoApply {
        values: &values,
        netns: &netns,
        force: false,
    };
    let (host, ledger) = apply(&undo.plan(&now).unwrap(), &now, &after);
    let mtus: Vec<u32> = host.links.values().map(|link| link.mtu).collect();
    assert_eq!(mtus, [1400, 1500]);
    assert_eq!(
        ledger.claims().collect::<Vec<_>>(),
        before.claims().collect::<Vec<_>>()
    );
    assert!(undo.plan_again(&host).unwrap().plan.drift.is_empty());
}

#[test]
fn a_value_that_was_changed_since_is_replaced_by_force_alone() {
    let values = values(
        vec![record("eth0", "b", 1500, 1300), record("eth1", "b", 1500, 1300)],
        Vec::new(),
    );
    let mut now = host();
    set_mtu(&mut now, "eth0", 1300);
    set_mtu(&mut now, "eth1", 1280);
    let netns = Netns::CURRENT;
    let undo = |force| UndoApply {
        values: &values,
        netns: &netns,
        force,
    };
    let refused = undo(false).plan(&now).unwrap_err();
    let messages: Vec<&str> = refused.list.iter().map(|found| found.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "link eth1 mtu was changed since the apply: the apply set 1300, now it is 1280",
            "the host is not as the apply left it; nothing was written"
        ]
    );
    let mut both = now.clone();
    set_mtu(&mut both, "eth0", 1280);
    let refused = undo(false).plan(&both).unwrap_err();
    let together =
        "link eth0 mtu, link eth1 mtu were changed since the apply: the apply set 1300, now it is 1280";
    assert_eq!(refused.list[0].message, together);
    assert_eq!((refused.list.len(), refused.list[0].facts.len()), (2, 2));
    let forced = undo(true).plan(&now).unwrap();
    assert_eq!(forced.plan.steps.len(), 2);
    // A deleted interface has nothing to restore.
    now.links.remove(&"eth1".parse().unwrap());
    assert_eq!(undo(false).plan(&now).unwrap().plan.steps.len(), 1);
}

fn rename(host: &mut Snapshot, name: &str, to: &str) {
    let link = host.links.remove(&name.parse().unwrap()).unwrap();
    host.links.insert(to.parse().unwrap(), link);
}

#[test]
fn the_interface_that_was_written_is_restored_and_not_another_one_of_its_name() {
    let netns = Netns::CURRENT;
    let values = values(vec![record("eth0", "b", 1500, 1400)], Vec::new());
    let undo = UndoApply {
        values: &values,
        netns: &netns,
        force: false,
    };
    let mut now = host();
    set_mtu(&mut now, "eth0", 1400);
    set_mtu(&mut now, "eth1", 1400);
    // The two swap their names.
    rename(&mut now, "eth0", "t");
    rename(&mut now, "eth1", "eth0");
    rename(&mut now, "t", "eth1");
    let ledger: Ledger = values.changes.iter().cloned().collect();
    let (after, ledger) = apply(&undo.plan(&now).unwrap(), &now, &ledger);
    let mtu = |name: &str| after.links[&name.parse().unwrap()].mtu;
    assert_eq!((mtu("eth0"), mtu("eth1")), (1400, 1500));
    assert_eq!(ledger.claims().count(), 0);
    // Of one that is gone nothing is left, whatever has its name.
    now.links.remove(&"eth1".parse().unwrap());
    let planned = undo.plan(&now).unwrap();
    assert!(planned.plan.steps.is_empty() && planned.plan.released.len() == 1);
}

#[test]
fn what_is_not_known_to_be_the_same_interface_stays_with_its_record() {
    let netns = Netns::CURRENT;
    let unknown = OwnershipRecord {
        device: None,
        ..record("eth0", "b", 1500, 1400)
    };
    let values = values(vec![unknown], Vec::new());
    let undo = |force| UndoApply {
        values: &values,
        netns: &netns,
        force,
    };
    let mut now = host();
    set_mtu(&mut now, "eth0", 1400);
    let refused = undo(false).plan(&now).unwrap_err();
    assert_eq!(
        refused.list[0].message,
        "link eth0 mtu: netkeel does not restore it and keeps its record: its record does not say which \
         interface it was; it is 1400 now, and was 1500 before"
    );
    let plan = undo(true).plan(&now).unwrap().plan;
    assert!(plan.steps.is_empty() && plan.released.is_empty());
    assert_eq!(plan.unrestored, [values.changes[0].fact.clone()]);
    assert!(!plan.in_sync());
}
