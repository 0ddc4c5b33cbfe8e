//! Tests of the groups of a plan.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::loss::Loss;
use crate::plan::groups::Grouping;
use crate::plan::{Drift, Plan, Step, Undo};
use netkeel_core::fact::{Fact, Field, Object, Value};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_core::op::{Op, Phase, Target};
use netkeel_document::want::Origin;

/// A change of a number, by the line of the document with this path.
fn change(fact: Fact, from: i64, to: i64, path: &str, named: bool) -> Drift {
    Drift {
        fact,
        observed: Some(Value::Number(from)),
        desired: Some(Value::Number(to)),
        origin: Arc::new(Origin {
            path: path.into(),
            named,
            ..Origin::default()
        }),
        cause: None,
    }
}

fn link(name: &str) -> LinkName {
    name.parse().unwrap()
}

fn mtu(name: &str, from: i64, to: i64) -> Drift {
    let fact = Fact::link(&Netns::CURRENT, link(name), Field::Mtu);
    change(fact, from, to, "link.pods.mtu", false)
}

fn named(name: &str, from: i64, to: i64) -> Drift {
    let fact = Fact::link(&Netns::CURRENT, link(name), Field::Mtu);
    change(fact, from, to, &format!("link.{name}.mtu"), true)
}

fn sysctl(key: &str, to: i64) -> Drift {
    let fact = Fact::sysctl(&Netns::CURRENT, &key.parse().unwrap());
    change(fact, 0, to, "link.pods.sysctl", false)
}

fn plan(mut drift: Vec<Drift>) -> Plan {
    drift.sort_by(|a, b| a.fact.cmp(&b.fact));
    Plan {
        wanted: drift.len(),
        drift,
        ..Plan::empty("default", Netns::CURRENT)
    }
}

/// A line for each group: its objects, their pattern, and its properties.
fn shown(plan: &Plan) -> String {
    let mut out = String::new();
    for group in plan.groups(Grouping::Identical) {
        let _ = write!(out, "{} {}", group.size(), group.first.object);
        if let Some(pattern) = group.pattern() {
            let _ = write!(out, " {pattern}");
        }
        for (is_so, word) in [
            (group.is_named, " named"),
            (group.varies, " varies"),
            (group.differs.is_some(), " differs"),
        ] {
            out.push_str(if is_so { word } else { "" });
        }
        out.push('\n');
    }
    out
}

fn pods(numbers: std::ops::Range<i64>) -> impl Iterator<Item = Drift> {
    numbers.map(|number| mtu(&format!("cali{number}"), 1500, 1460))
}

#[test]
fn rare_changes_come_before_large_groups() {
    let mut drift: Vec<Drift> = pods(10..30).collect();
    drift.extend((0..6).map(|number| mtu(&format!("veth{number}"), 1400, 1460)));
    drift.extend([mtu("cali5", 9000, 1460), named("zeth", 1500, 1400)]);
    drift.extend([sysctl("net.ipv4.conf.all.rp_filter", 1)]);
    assert_eq!(
        shown(&plan(drift)),
        "\
1 link zeth named
1 sysctl net.ipv4.conf.all.rp_filter
1 link cali5 differs
20 link cali10 cali*
6 link veth0 veth*
"
    );
}

#[test]
fn named_objects_are_together_only_if_there_are_many() {
    let few = plan(
        (0..3)
            .map(|number| named(&format!("eth{number}"), 1500, 1400))
            .collect(),
    );
    assert_eq!(
        shown(&few),
        "1 link eth0 named\n1 link eth1 named\n1 link eth2 named\n"
    );
    let many = plan(
        (0..4)
            .map(|number| named(&format!("eth{number}"), 1500, 1400))
            .collect(),
    );
    assert_eq!(shown(&many), "4 link eth0 eth* named\n");
}

#[test]
fn different_sysctls_with_equal_values_are_apart() {
    let keys = (0..5).flat_map(|number| {
        [
            sysctl(&format!("net.ipv4.neigh.cali{number}.proxy_delay"), 1),
            sysctl(&format!("net.ipv4.neigh.cali{number}.app_solicit"), 1),
        ]
    });
    let mut drift: Vec<Drift> = keys.collect();
    drift.extend([sysctl("net.core.somaxconn", 1), sysctl("net.core.optmem_max", 1)]);
    assert_eq!(
        shown(&plan(drift)),
        "\
1 sysctl net.core.optmem_max
1 sysctl net.core.somaxconn
5 sysctl net.ipv4.neigh.cali0.app_solicit net.ipv4.neigh.cali*.app_solicit
5 sysctl net.ipv4.neigh.cali0.proxy_delay net.ipv4.neigh.cali*.proxy_delay
"
    );
}

#[test]
fn many_objects_with_old_values_of_their_own_are_one_group() {
    let own =
        |numbers: std::ops::Range<i64>| numbers.map(|number| mtu(&format!("x{number}"), 2000 + number, 1460));
    let mut drift: Vec<Drift> = pods(0..40).chain(own(0..8)).collect();
    assert!(!shown(&plan(drift.clone())).contains("varies"));
    drift.extend(own(8..9));
    assert_eq!(shown(&plan(drift)), "40 link cali0 cali*\n9 link x0 x* varies\n");
}

#[test]
fn the_difference_of_an_outlier_names_its_fields() {
    let rp_filter = |name: &str| {
        let fact = Fact::link(&Netns::CURRENT, link(name), Field::RpFilter);
        change(fact, 0, 1, "link.pods.rp_filter", false)
    };
    let mut drift: Vec<Drift> = pods(0..8).collect();
    drift.extend((0..8).map(|number| rp_filter(&format!("cali{number}"))));
    drift.push(mtu("cali9", 9000, 1460));
    let plan = plan(drift);
    let groups = plan.groups(Grouping::Identical);
    let differs = groups[0].differs.as_ref().unwrap();
    assert_eq!(differs.other_values.len(), 1);
    assert_eq!(differs.missing[0].fact.field, Field::RpFilter);
    assert!(differs.added.is_empty());
}

#[test]
fn every_object_is_by_itself_on_request() {
    let plan = plan(pods(0..50).collect());
    let groups = plan.groups(Grouping::Single);
    let objects: Vec<&Object> = groups.iter().map(|group| group.first.object).collect();
    assert!(objects.is_sorted() && objects.len() == 50);
}

/// A step that lowers an MTU and loses the IPv6 settings.
fn lossy(name: &str, named: bool, op: fn(Target) -> Op) -> Step {
    let link = link(name);
    let target = Target {
        netns: Netns::CURRENT,
        index: 1,
        name: link,
    };
    Step {
        op: op(target),
        phase: Phase::LowerLinks,
        fact: Fact::link(&Netns::CURRENT, link, Field::Mtu),
        changes: Vec::new(),
        restores: false,
        named,
        undo: Undo {
            ops: Vec::new(),
            loses: vec![Loss::Ipv6Settings { link }],
        },
        permitted: false,
    }
}

#[test]
fn lossy_steps_are_grouped_and_destructive_ones_are_not() {
    let mtu = |target| Op::SetMtu { target, mtu: 1200 };
    let delete = |target| Op::DeleteLink { target, made: None };
    let mut plan = plan(Vec::new());
    plan.steps
        .extend((0..5).map(|number| lossy(&format!("cali{number}"), false, mtu)));
    plan.steps.push(lossy("eth0", true, mtu));
    plan.steps
        .extend((0..5).map(|number| lossy(&format!("ipip{number}"), false, delete)));
    let mut permitted = lossy("cali9", false, mtu);
    permitted.permitted = true;
    plan.steps.push(permitted);
    let groups = plan.lossy_groups();
    let shown: Vec<String> = groups
        .iter()
        .map(|group| format!("{} {}", group.size(), group.first.fact.object))
        .collect();
    assert_eq!(
        shown,
        [
            "1 link ipip0",
            "1 link ipip1",
            "1 link ipip2",
            "1 link ipip3",
            "1 link ipip4",
            "1 link eth0",
            "1 link cali9",
            "5 link cali0",
        ]
    );
}
