//! The result of an apply, for people and programs.

use std::time::Duration;

use crate::arguments::{FullOption, Output};
use crate::change::apply::new_drift::end_exit;
use crate::output::Detail;
use crate::{exit, output};
use netkeel_apply::clock::now;
use netkeel_apply::recover::confirm_command;
use netkeel_apply::store::Store;
use netkeel_core::name::netns::Netns;
use netkeel_plan::outcome::Applied;
use netkeel_render::json;
use netkeel_render::plan::markdown;
use netkeel_render::wording::utc::utc;
use netkeel_render::wording::{applied_line, count};
use netkeel_source::sources::Sources;

/// How it is printed.
pub(super) struct Form {
    pub output: Output,
    pub full: FullOption,
    /// The time to confirm.
    pub confirm_within: Option<Duration>,
    /// The plan was shown before a question.
    pub was_shown: bool,
    pub detailed_exitcode: bool,
}

/// The writes of files, which wait for the confirmation.
pub(super) fn files(applied: &Applied) -> usize {
    let steps = applied.planned.plan.steps.iter();
    steps.filter(|step| step.op.is_durable()).count()
}

/// Prints the result of an apply, and returns the exit code.
pub(super) fn report(applied: &Applied, sources: &Sources, form: &Form) -> u8 {
    let Applied {
        planned,
        done,
        vanished,
        new_drift,
        ..
    } = applied;
    let plan = &planned.plan;
    let of = output::here();
    match form.output {
        Output::Json => output::print_done(&output::pretty(&json::applied(applied, sources))),
        Output::Markdown => output::print_done(&markdown::applied(applied, sources, of)),
        // The plan was shown before the question.
        Output::Text if form.was_shown && *done > 0 => {}
        Output::Text | Output::Diff => {
            let detail = Detail {
                commands: false,
                full: form.full,
            };
            output::print_done(&output::shown(plan, sources, form.output, detail, of));
        }
    }
    if form.output == Output::Text && *done > 0 {
        output::print_done(&format!(
            "{}\n",
            applied_line(*done, new_drift.len(), plan.unrestored.len())
        ));
    }
    for name in vanished {
        output::say(&format!("{name} was deleted during the apply\n"));
    }
    let code = end_exit(applied);
    // Last: otherwise a reader takes the result for the end.
    let files = files(applied);
    if let (Some(within), true) = (form.confirm_within, *done + files > 0) {
        if files > 0 {
            output::say(&format!(
                "{} follow when you confirm\n",
                count(files, "file write")
            ));
        }
        output::say(&format!(
            "keep the changes with `{}`; otherwise they are rolled back {}\n",
            confirm_command(&plan.netns),
            until(&plan.netns, within)
        ));
    }
    match code {
        exit::OK if form.detailed_exitcode && *done > 0 => exit::CHANGES,
        code => code,
    }
}

/// When the changes are rolled back, as its promise says; without one that can be read, how long after the start.
fn until(netns: &Netns, within: Duration) -> String {
    let pending = Store::open_to_read(netns).and_then(|store| store.pending());
    match pending.ok().flatten().and_then(|pending| pending.time_left()) {
        Some(left) => {
            let seconds = left.as_secs();
            format!("at {}, in {seconds} s", utc(now() + seconds))
        }
        None => format!("{within:?} after the start of the apply"),
    }
}
