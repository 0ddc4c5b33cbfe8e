//! Records that a plan carries over to the interface that takes the place of theirs. Without that, the value that the
//! plan found would count as the one from before netkeel.

use std::collections::BTreeSet;

use crate::ledger::place::{Place, Places};
use crate::ledger::{Ledger, OwnershipRecord};
use crate::plan::{Plan, Step};
use netkeel_core::fact::Fact;
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::Snapshot;

/// The tunnels that steps make, also those that they make again.
pub(crate) fn made(steps: &[Step]) -> BTreeSet<LinkName> {
    let made = steps.iter().filter(|step| step.op.makes_device());
    made.filter_map(|step| step.fact.link_name()).collect()
}

/// Adds the records of the tunnels that the plan makes again, without the interface: the apply fills in the new one. With
/// them those of written sysctls whose interface was made again by another program.
pub(crate) fn carry_over(plan: &mut Plan, ledger: &Ledger, host: &Snapshot) {
    if plan.steps.is_empty() {
        return;
    }
    let made = made(&plan.steps);
    let is_remade = |record: &OwnershipRecord| {
        let is_made = record.fact.link_name().is_some_and(|name| made.contains(&name));
        is_made && record.device.is_some() && record.device == host.device(&record.fact)
    };
    let moved = plan.renamed.iter_mut().filter(|record| is_remade(record));
    moved.for_each(|record| record.device = None);
    let known: BTreeSet<&Fact> = plan.renamed.iter().map(|record| &record.fact).collect();
    let written: BTreeSet<&Fact> = plan.drift.iter().map(|drift| &drift.fact).collect();
    let places = Places::new(host);
    let carried = ledger.claims().filter_map(|record| {
        let stays = plan.released.binary_search(&record.fact).is_err() && !known.contains(&record.fact);
        if !stays || record.device.is_none() {
            return None;
        }
        let now = host.device(&record.fact);
        let is_written = written.contains(&record.fact);
        let device = if is_remade(record) {
            None
        } else if is_written && record.device != now && places.of(record) == Place::Here {
            now
        } else {
            return None;
        };
        Some(OwnershipRecord {
            device,
            ..record.clone()
        })
    });
    let carried: Vec<OwnershipRecord> = carried.collect();
    plan.renamed.extend(carried);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goal::testing::for_now as document;
    use crate::goal::{Declared, Goal};
    use crate::ownership::Ownership;
    use netkeel_core::fact::{Field, Value};
    use netkeel_core::name::device::DeviceId;
    use netkeel_core::name::netns::Netns;
    use netkeel_host::model::Model;

    const HOST: &str = r#"{"format":1,"netns":null,"kernel":"6.12","families":{"ipv4":true,"ipv6":true},
        "sysctls":{},"tunnels":{"ipip":"yes","ip6tnl":"yes"},
        "links":{"eth0":{"index":2,"mtu":1400,"min_mtu":68,"max_mtu":9000},
          "eth1":{"index":3,"mtu":1400,"min_mtu":68,"max_mtu":9000},
          "eth2":{"index":5,"mtu":1400,"min_mtu":68,"max_mtu":9000}}}"#;

    fn planned(text: &str, prune: bool, ledger: &Ledger, host: &Snapshot) -> Plan {
        let holdings = Ownership {
            ledger: Some(ledger),
            prune,
            ..Ownership::NONE
        };
        let document = document(text);
        let declared = Declared {
            document: &document,
            holdings,
        };
        declared.plan(host).unwrap().plan
    }

    /// The ledger after a plan whose tunnels got this index.
    fn committed(ledger: &Ledger, plan: &Plan, host: &Snapshot, index: u32) -> Ledger {
        let device = DeviceId {
            boot: host.boot,
            index,
        };
        let made = made(&plan.steps).into_iter().map(|name| (name, device)).collect();
        let claims = plan.claims().map(|claim| claim.on_made(&made));
        let claims = ledger.claims().cloned().chain(claims);
        let kept = claims.filter(|claim| !plan.released.contains(&claim.fact));
        kept.collect()
    }

    #[test]
    fn a_tunnel_that_netkeel_makes_again_keeps_what_was_before_it() {
        let mut host = Snapshot::from_json(HOST).unwrap();
        let name = "t0".parse().unwrap();
        let mut ledger = Ledger::default();
        for (index, mode) in [(7, "ipip"), (8, "ip6tnl")] {
            let text =
                format!("tunnel: {{ t0: {{ mode: {mode}, force: yes }} }}\nlink: {{ t0: {{ mtu: 1400 }} }}");
            let plan = planned(&text, false, &ledger, &host);
            assert!(made(&plan.steps).contains(&name), "{plan:?}");
            let mut model = Model::new(host);
            for step in &plan.steps {
                model.apply(&step.op);
            }
            host = model.host;
            host.link_mut(name).unwrap().index = index;
            ledger = committed(&ledger, &plan, &host, index);
            let kind = ledger
                .get(&Fact::link(&Netns::CURRENT, name, Field::Kind))
                .unwrap();
            assert_eq!(
                (&kind.found, kind.device),
                (&None, host.device(&kind.fact)),
                "{mode}"
            );
            let indices = ledger.claims().filter_map(|record| Some(record.device?.index));
            assert!(indices.eq(vec![index; ledger.claims().len()]), "{ledger:?}");
        }
    }

    #[test]
    fn the_record_of_an_interface_stays_where_the_one_that_had_its_name_is_given_back() {
        let host = Snapshot::from_json(HOST).unwrap();
        // They have other names since, and another interface is eth0.
        let record = |name: &str, index, found, wrote| OwnershipRecord {
            fact: Fact::link(&Netns::CURRENT, name.parse().unwrap(), Field::Mtu),
            device: Some(DeviceId {
                boot: host.boot,
                index,
            }),
            owner: "default".to_owned(),
            found: Some(Value::Number(found)),
            wrote: Some(Value::Number(wrote)),
            caused_by: None,
        };
        let records = [record("eth0", 3, 1500, 1400), record("eth1", 5, 1600, 1400)];
        let ledger: Ledger = records.into_iter().collect();
        let plan = planned("link: { eth0: { mtu: 1300 } }", true, &ledger, &host);
        let writes: Vec<String> = plan.steps.iter().map(|step| step.op.to_string()).collect();
        assert_eq!(
            writes,
            ["ip link set dev eth0 mtu 1300", "ip link set dev eth2 mtu 1600"]
        );
        let left = committed(&ledger, &plan, &host, 0);
        let left: Vec<OwnershipRecord> = left.claims().cloned().collect();
        assert_eq!(
            left,
            [record("eth0", 2, 1400, 1300), record("eth1", 3, 1500, 1400)]
        );
    }
}
