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
        ledger: &after,
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
    let ledger = Ledger::default();
    let undo = |force| UndoApply {
        ledger: &ledger,
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
    let ledger: Ledger = values.changes.iter().cloned().collect();
    let undo = UndoApply {
        ledger: &ledger,
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
    // The record of the owner before is not put back on what is not restored.
    let values = values(vec![unknown], vec![record("eth0", "a", 1600, 1500)]);
    let ledger = Ledger::default();
    let undo = |force| UndoApply {
        ledger: &ledger,
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
    assert!(plan.steps.is_empty() && plan.released.is_empty() && plan.beside.is_empty());
    assert_eq!(plan.unrestored, [values.changes[0].fact.clone()]);
    assert!(!plan.in_sync());
}

/// The record of an interface with another index, which an apply on another interface of the name wrote.
fn of_index(record: OwnershipRecord, index: u32) -> OwnershipRecord {
    let device = record.device.map(|device| DeviceId { index, ..device });
    OwnershipRecord { device, ..record }
}

#[test]
fn what_was_written_again_on_the_interface_that_came_with_the_name_is_restored_there() {
    let netns = Netns::CURRENT;
    let gone = of_index(record("eth0", "b", 1500, 1400), 9);
    let values = values(
        vec![gone.clone()],
        vec![of_index(record("eth0", "a", 1500, 1450), 9)],
    );
    let mut now = host();
    set_mtu(&mut now, "eth0", 1400);
    let undone = |later: OwnershipRecord| {
        let ledger: Ledger = [later].into_iter().collect();
        let undo = UndoApply {
            ledger: &ledger,
            values: &values,
            netns: &netns,
            force: false,
        };
        let (after, ledger) = apply(&undo.plan(&now).unwrap(), &now, &ledger);
        let records: Vec<OwnershipRecord> = ledger.claims().cloned().collect();
        (after.links[&"eth0".parse().unwrap()].mtu, records)
    };
    // The earlier record is of that interface as well.
    let earlier = record("eth0", "a", 1500, 1450);
    assert_eq!(undone(record("eth0", "b", 1500, 1400)), (1500, vec![earlier]));
    // A later apply that wrote something else, or for another owner, is not undone, and keeps its record.
    for later in [record("eth0", "b", 1500, 1300), record("eth0", "c", 1500, 1400)] {
        assert_eq!(undone(later.clone()), (1400, vec![later]));
    }
    // Without a later record nothing is left to do.
    assert_eq!(undone(gone).0, 1400);
}

#[test]
fn the_record_of_an_interface_that_has_the_old_name_by_now_stays() {
    let netns = Netns::CURRENT;
    // The interface that was eth0 is eth1, and an apply has written the new eth0 since.
    let values = values(vec![of_index(record("eth0", "b", 1500, 1400), 3)], Vec::new());
    let later = record("eth0", "b", 1500, 1400);
    let moved = record("eth1", "b", 1500, 1400);
    let ledger: Ledger = [later.clone(), moved].into_iter().collect();
    let mut now = host();
    for name in NAMES {
        set_mtu(&mut now, name, 1400);
    }
    let undo = UndoApply {
        ledger: &ledger,
        values: &values,
        netns: &netns,
        force: false,
    };
    let (after, ledger) = apply(&undo.plan(&now).unwrap(), &now, &ledger);
    let mtus: Vec<u32> = after.links.values().map(|link| link.mtu).collect();
    assert_eq!(mtus, [1400, 1500]);
    assert_eq!(ledger.claims().cloned().collect::<Vec<_>>(), [later]);
}
