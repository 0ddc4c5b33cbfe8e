//! The groups of a plan as JSON.

use crate::json::names::{field, object};
use crate::json::output::{Action, Cause, Change, Counts, Differs, Group, Side};
use crate::plan::words;
use netkeel_plan::plan::groups::Grouping;
use netkeel_plan::plan::groups::difference::Difference;
use netkeel_plan::plan::{Drift, Plan, cause, count, groups};

/// All groups, in the order in which the other formats show them.
pub(super) fn groups(plan: &Plan) -> Vec<Group<'_>> {
    plan.groups(Grouping::Identical).iter().map(group).collect()
}

/// The numbers of a plan.
pub(super) fn counts(plan: &Plan) -> Counts {
    let count::Counts {
        create,
        change,
        destroy,
        objects,
    } = plan.counts();
    Counts {
        create,
        change,
        destroy,
        objects,
    }
}

/// The side that changed.
pub(super) fn cause(cause: cause::Cause) -> Cause {
    Cause {
        changed: match cause.changed {
            cause::Side::Document => Side::Document,
            cause::Side::Host => Side::Host,
            cause::Side::Both => Side::Both,
        },
        written: cause.written,
    }
}

fn group<'a>(group: &groups::Group<'a>) -> Group<'a> {
    let (kind, _) = object(group.first.object);
    let changes = group.first.changes.iter().enumerate();
    Group {
        object: kind,
        names: group.members().map(|member| object(member.object).1).collect(),
        pattern: group.pattern(),
        named: group.is_named,
        varies: group.varies,
        action: action(group.first.action()),
        changes: changes
            .map(|(number, drift)| Change {
                field: match group.varies {
                    true => words::field(number, group),
                    false => field(drift.fact.field),
                },
                action: action(drift.action()),
                observed: drift
                    .observed
                    .as_ref()
                    .filter(|_| !words::has_various(number, group)),
                desired: drift.desired.as_ref(),
                cause: words::cause(number, group).map(cause),
            })
            .collect(),
        differs: group.differs.as_ref().map(differs),
    }
}

fn action(action: count::Action) -> Action {
    match action {
        count::Action::Create => Action::Create,
        count::Action::Change => Action::Change,
        count::Action::Destroy => Action::Destroy,
    }
}

fn differs(difference: &Difference<'_>) -> Differs {
    let fields =
        |changes: &mut dyn Iterator<Item = &Drift>| changes.map(|drift| field(drift.fact.field)).collect();
    Differs {
        other_values: fields(&mut difference.other_values.iter().map(|(drift, _)| *drift)),
        added: fields(&mut difference.added.iter().copied()),
        missing: fields(&mut difference.missing.iter().copied()),
    }
}
