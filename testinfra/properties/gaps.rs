//! No state between two writes lets more pass than the states before and after all of them: a crash there
//! would leave it so. The same holds of an undo that begins after any write.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prop_assert;
use proptest::test_runner::TestCaseError;
use serde_json::json;

use super::{APPLIED, NOTHING, Reached, hold, planned, reached};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::op::Op;
use netkeel_host::model::Model;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::reading::SysctlReading;
use netkeel_plan::plan::Step;

/// The strictness of each interface by setting; a higher number lets less pass.
type Strictness = BTreeMap<(LinkName, &'static str), i64>;

const FORWARDING: &str = "forwarding";

const SPOOFED: &str = "forwarding of spoofed packets";

fn number(host: &Snapshot, key: &str) -> i64 {
    host.sysctl_number(key).unwrap_or(0)
}

/// 0 lets all pass, 2 (loose) more than 1 (strict).
fn of_rp_filter(effective: i64) -> i64 {
    match effective {
        ..=0 => 0,
        2 => 1,
        _ => 2,
    }
}

fn strictness(host: &Snapshot) -> Strictness {
    let mut found = Strictness::new();
    for (name, link) in &host.links {
        let all_and_own = |leaf: &str| {
            let own = SysctlKey::conf("ipv4", *name, leaf);
            let all = number(host, &format!("net/ipv4/conf/all/{leaf}"));
            (all, number(host, own.path()))
        };
        if let Some(own) = link.rp_filter {
            let all = number(host, "net/ipv4/conf/all/rp_filter");
            let filter = of_rp_filter(all.max(own.into()));
            found.insert((*name, "rp_filter"), filter);
            if let Some(forwards) = link.forwarding {
                found.insert((*name, FORWARDING), i64::from(forwards == 0));
                found.insert((*name, SPOOFED), if forwards == 0 { 2 } else { filter });
            }
            let (all, own) = all_and_own("log_martians");
            found.insert((*name, "log_martians"), i64::from(all != 0 || own != 0));
        }
    }
    found
}

/// Judges each state that ops lead to. The model knows which interfaces still follow `default`.
fn judge<'a>(
    before: &Model,
    ops: impl Iterator<Item = &'a Op> + Clone,
    switches: bool,
) -> Result<(), TestCaseError> {
    let mut model = before.clone();
    ops.clone().for_each(|op| drop(model.apply(op)));
    let (first, last) = (strictness(&before.host), strictness(&model.host));
    // A switch of all interfaces rewrites `forwarding` of each at once. Nothing can precede it for an interface that forwards
    // neither before nor after.
    let unavoidable = |what: &(LinkName, &'static str)| {
        let stays = |ends: &Strictness| ends.get(&(what.0, FORWARDING)) == Some(&1);
        switches && matches!(what.1, FORWARDING | SPOOFED) && stays(&first) && stays(&last)
    };
    // A device that is created again is down, and passes nothing, until all its settings are written.
    let created: Vec<LinkName> = ops
        .clone()
        .filter_map(|op| match op {
            Op::RecreateTunnel { target, .. } => Some(target.name),
            _ => None,
        })
        .collect();
    let mut model = before.clone();
    for op in ops {
        model.apply(op);
        for (what, now) in strictness(&model.host) {
            if created.contains(&what.0) || unavoidable(&what) {
                continue;
            }
            if let (Some(first), Some(last)) = (first.get(&what), last.get(&what)) {
                prop_assert!(
                    now >= *first.min(last),
                    "after `{op}` {what:?} is {now}, before all it is {first} and after all {last}"
                );
            }
        }
    }
    Ok(())
}

fn switches(steps: &[Step]) -> bool {
    steps.iter().any(|step| match &step.op {
        Op::WriteSysctl { key, .. } => key.overwrites().is_some(),
        _ => false,
    })
}

#[test]
fn no_state_between_two_writes_lets_more_pass_than_both_ends() {
    hold(500, APPLIED, |document, host| {
        let Some((_, plan)) = planned(document, host)? else {
            return Ok(Reached::Refused);
        };
        let switches = switches(&plan.steps);
        judge(
            &Model::new(host.clone()),
            plan.steps.iter().map(|step| &step.op),
            switches,
        )?;
        let mut model = Model::new(host.clone());
        for (number, step) in plan.steps.iter().enumerate() {
            model.apply(&step.op);
            let (done, _) = plan.steps.split_at(number + 1);
            let back = done.iter().rev().flat_map(|step| &step.undo.ops);
            judge(&model, back, switches)?;
        }
        Ok(reached(&plan, Reached::Applied))
    });
}

/// Whether an interface that forwards or does not, with these values of `all` and of its own, lets packets pass.
type Combine = fn(bool, bool, bool) -> bool;

/// As the kernel combines them (include/linux/inetdevice.h).
const LAX: [(&str, Combine); 3] = [
    ("accept_source_route", |_, all, own| all && own),
    ("accept_redirects", |forwards, all, own| match forwards {
        true => all && own,
        false => all || own,
    }),
    ("send_redirects", |_, all, own| all || own),
];

#[test]
fn no_state_between_two_writes_takes_source_routes_or_redirects_that_neither_end_takes() {
    hold(8, NOTHING, |_, host| {
        let Some(name) = host
            .links
            .iter()
            .find_map(|(name, link)| link.rp_filter.map(|_| *name))
        else {
            return Ok(Reached::Refused);
        };
        for (leaf, combine) in LAX {
            let all: SysctlKey = format!("net/ipv4/conf/all/{leaf}").parse().unwrap();
            let own = SysctlKey::conf("ipv4", name, leaf);
            let forwarding = SysctlKey::conf("ipv4", name, "forwarding");
            let takes = |host: &Snapshot| {
                let forwards = host.links[&name].forwarding != Some(0);
                combine(
                    forwards,
                    number(host, all.path()) != 0,
                    number(host, own.path()) != 0,
                )
            };
            for bits in 0..64 {
                let [all_was, own_was, all_is, own_is, forwarded, forwards] =
                    [0, 1, 2, 3, 4, 5].map(|bit| bits >> bit & 1);
                let mut host = host.clone();
                let link = host.links.get_mut(&name).map(Arc::make_mut);
                link.unwrap().forwarding = Some(forwarded);
                for (key, value) in [(&all, all_was), (&own, own_was)] {
                    let value = value.to_string().as_str().into();
                    let reading = SysctlReading::Value {
                        value,
                        writable: true,
                    };
                    host.sysctls.insert(key.clone(), reading);
                }
                let document = json!({
                    "version": 1, "persist": false, "sysctl": { all.path(): all_is, own.path(): own_is, forwarding.path(): forwards }
                });
                let Some((_, plan)) = planned(&document, &host)? else {
                    return Err(TestCaseError::fail("there is no plan"));
                };
                let mut model = Model::new(host.clone());
                let mut seen = vec![takes(&host)];
                for step in &plan.steps {
                    model.apply(&step.op);
                    seen.push(takes(&model.host));
                }
                for op in plan.steps.iter().rev().flat_map(|step| &step.undo.ops) {
                    model.apply(op);
                    seen.push(takes(&model.host));
                }
                let ends = [seen[0], seen[plan.steps.len()]];
                prop_assert!(
                    ends.contains(&true) || !seen.contains(&true),
                    "{leaf} of {name}: {document}, {seen:?}"
                );
            }
        }
        Ok(Reached::Applied)
    });
}
