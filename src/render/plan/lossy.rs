//! The steps that lose state, with their losses.

use std::fmt::Write as _;

use crate::paint::Paint;
use crate::plan::entry::WIDTH;
use crate::plan::words::title_of;
use crate::wording::wrap::wrap;
use netkeel_core::text::escape::printable;
use netkeel_plan::plan::groups::lossy::LossyGroup;
use netkeel_plan::plan::groups::pattern::pattern;
use netkeel_plan::plan::{Plan, Step};

/// The steps that lose state, as text. Many steps with the same loss are one entry.
pub(super) fn text(plan: &Plan, paint: Paint) -> String {
    let mut out = String::new();
    for group in plan.lossy_groups() {
        let step = group.first;
        let word = paint.red(format!("{}:", word(step)));
        let _ = match many(&group) {
            Some(many) => writeln!(out, "{word} {many}\n  for example {}", step.op),
            None => writeln!(out, "{word} {}", step.op),
        };
        let permission = match step.permitted {
            true => "the document permits it",
            false => "apply needs --allow-lossy",
        };
        let _ = writeln!(out, "  {permission}");
        for lost in &step.undo.loses {
            let lost = printable(&lost.to_string()).into_owned();
            let _ = writeln!(out, "  loses {}", wrap(&lost, 8, 4, WIDTH));
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// The kind of loss: of a device, or of its state.
pub(super) fn word(step: &Step) -> &'static str {
    match step.is_destructive() {
        true => "destructive",
        false => "lossy",
    }
}

/// The steps of a group as text: `1,002 writes of mtu to links cali*`; `None` for a single step.
pub(super) fn many(group: &LossyGroup<'_>) -> Option<String> {
    if group.is_single() {
        return None;
    }
    let objects = title_of(group.size(), &group.first.fact.object, pattern(group.objects()));
    Some(format!("writes of {} to {objects}", group.first.fact.field))
}

/// The steps of a plan that lose state without permission, each as a sentence. Many with the same loss are one
/// sentence.
pub fn refusals(plan: &Plan) -> Vec<String> {
    let groups = plan.lossy_groups();
    let refused = groups.iter().filter(|group| !group.first.permitted);
    let sentence = |group: &LossyGroup<'_>| {
        let step = group.first;
        let loses: Vec<String> = step.undo.loses.iter().map(ToString::to_string).collect();
        let loses = format!("`{}` loses {}", step.op, loses.join("; "));
        match many(group) {
            Some(many) => format!("{many}: for example {loses}"),
            None => loses,
        }
    };
    refused.map(sentence).collect()
}
