//! No state between two writes lets more pass than the states before and after all of them: a crash there
//! would leave it so. The same holds of an undo that begins after any write.

use std::collections::BTreeMap;

use proptest::prop_assert;
use proptest::test_runner::TestCaseError;

use super::{APPLIED, Reached, hold, planned, reached};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::op::Op;
use netkeel_host::model::Model;
use netkeel_host::snapshot::Snapshot;
use netkeel_plan::plan::Step;

/// The strictness of each interface by setting; a higher number lets less pass.
type Strictness = BTreeMap<(LinkName, &'static str), i64>;

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

fn strictness(host: &Snapshot, switches: bool) -> Strictness {
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
            // A switch of all interfaces rewrites `forwarding` of each at once: nothing can precede it.
            if let (Some(forwards), false) = (link.forwarding, switches) {
                found.insert((*name, "forwarding"), i64::from(forwards == 0));
                found.insert(
                    (*name, "forwarding of spoofed packets"),
                    if forwards == 0 { 2 } else { filter },
                );
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
    let (first, last) = (
        strictness(&before.host, switches),
        strictness(&model.host, switches),
    );
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
        for (what, now) in strictness(&model.host, switches) {
            if created.contains(&what.0) {
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
